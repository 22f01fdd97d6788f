//! The durable log between processes, as the router sees it.
//!
//! It promises that what a claim holds is settled exactly as it ended, in order and without gaps,
//! and that what did not start goes back. It deliberately knows no handlers: it is told what
//! ended and how.

mod claimed;
mod cross_process;

pub use claimed::Claimed;
pub use cross_process::CrossProcessEventQueue;
