//! Event names in users' sources: Rust and Python.
//!
//! Files are read word by word, not parsed: a name counts where it is published or subscribed to,
//! as a string, as `DataEventType.NAME`, or as a constant that stands for one. Comments never
//! count. What a program computes at run time is not known here, and nothing is said of it.

mod tokens;
mod uses;
mod walk;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;

pub use walk::SOURCE_BYTES_MAX;

/// One line of one source file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, relative to where the look began.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The languages that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    Python,
}

/// How much was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) files: usize,
    pub(super) left_out: usize,
}
