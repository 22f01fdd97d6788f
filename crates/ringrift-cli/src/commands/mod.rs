//! The verbs, one a file; a group of verbs is a folder. Each has `Args`, its grammar and help, and
//! `run`, which answers through [`crate::call::Call`].

pub(crate) mod codes;
pub(crate) mod completion;
pub(crate) mod service;
