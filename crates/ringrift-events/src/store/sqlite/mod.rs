//! The SQLite store: one file per home, shared by every process of it.

mod verb;
mod verbs;
