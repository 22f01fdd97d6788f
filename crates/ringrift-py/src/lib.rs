//! The native module `ringrift_events._native`: what the Python package needs of the library, and
//! nothing that a user calls.
//!
//! Two rules keep it free of deadlocks. Threads of the library's runtime never touch a Python
//! object: what they have for Python they put into a loop's [`inbox`], as plain values, and ring its
//! bell. And whoever waits in here has given the interpreter's lock back. Functions of Python are
//! named by numbers; only the Python side knows which is which.

mod command;
mod core;
mod event;
mod fault;
mod inbox;
mod json;
mod loops;
mod operate;
mod publishing;
mod questions;
mod rehearse;
mod run;
mod sample;
mod steps;
mod subscribe;
mod watchdog;

/// What the Python package calls.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::command::run_command;
    #[pymodule_export]
    use crate::core::Core;
    #[pymodule_export]
    use crate::event::RawEvent;
    #[pymodule_export]
    use crate::inbox::Bell;
    #[pymodule_export]
    use crate::json::to_json;
    #[pymodule_export]
    use crate::publishing::Publishing;
    #[pymodule_export]
    use crate::rehearse::holds;
    #[pymodule_export]
    use crate::run::{Run, set_dispatch};
    #[pymodule_export]
    use crate::steps::Steps;
    #[pymodule_export]
    use crate::subscribe::Subscription;
    #[pymodule_export]
    use crate::watchdog::set_sampler;
}
