//! The command `ringrift`, in the interpreter's process.

use std::ffi::OsString;
use std::path::PathBuf;

use pyo3::prelude::*;

/// Runs one command line; answers the exit code. `program` is what starts the command again.
#[pyfunction]
pub(crate) fn run_command(py: Python<'_>, program: PathBuf, words: Vec<OsString>) -> u8 {
    // The interpreter is no command: both are started by the command's script.
    let itself = program.clone();
    py.detach(|| {
        ringrift::run(&ringrift::Line {
            program,
            itself,
            words,
        })
    })
}
