//! What is wrong with the system, said before anybody asks about one event.
//!
//! [`Chart::read`] gathers the facts once: store, process pages, the machine. [`examine`] is a pure
//! function of them, one function a finding, and promises that a finding is what was recorded or
//! follows from it: a name, a number and the command to run next, never a guess. A healthy busy
//! system yields none. It tells the same of a system that has stopped: then the state of the moment
//! at which the last process ended is judged.
//!
//! Looking changes nothing. What may be mended without asking stands beside the finding ([`Fix`]); a
//! [`Mender`] does it when asked to, after a backup.

mod chart;
mod code;
mod examine;
mod filtered;
mod finding;
mod ground;
mod killed;
mod letters;
mod load;
mod machine;
mod mend;
mod reach;
mod recorded;
mod report;
mod route;
mod rules;
mod sample;
mod stuck;
mod twice;
mod watched;
mod wiring;

#[cfg(test)]
mod border_tests;
#[cfg(test)]
mod fact_tests;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::Serialize;

use crate::event::ProcessId;

pub use chart::{Ask, Chart, Owed};
pub use code::{FindingCode, Severity};
pub use examine::examine;
pub use finding::{Finding, Subject};
pub use ground::{Ground, Side};
pub use mend::{Mended, Mender};
pub use recorded::Recorded;
pub use report::Report;
pub use rules::Rules;
pub use sample::Cut;

/// What may be done about a finding without asking: it loses no event, and may be done twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Fix {
    /// Starts a daemon that failed; one that a person stopped is left as it is.
    StartDaemon {
        /// Where.
        process: ProcessId,
        /// Which.
        daemon: String,
    },
    /// Looks for dead processes once, as the sweeper would.
    Sweep,
    /// Copies the write-ahead log into the database, as far as readers let it.
    Checkpoint,
    /// Gives a file the permissions of the database.
    Permissions {
        /// Which.
        file: PathBuf,
        /// The mode it is to have.
        mode: u32,
    },
}
