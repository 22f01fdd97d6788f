//! Doing what may be done without asking, after a backup.
//!
//! Safe is what loses no event, starts no handler that a person stopped, and may be done twice:
//! starting a daemon that failed, a sweep, a checkpoint, giving a side file the permissions of its
//! database. Retrying, replaying, discarding, seeking and ending other people's transactions are
//! left to a person (docs/decisions/0031).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::Fix;
use super::finding::Finding;
use super::reach::count_of;
use crate::clock::SharedClock;
use crate::event::{ProcessId, bounded_by};
use crate::recovery::{Question, Reply, ask};
use crate::store::registry::Fact;
use crate::store::upkeep::SweepRules;
use crate::store::{Error, Store};

/// How long another process may take to answer, and the database to be copied.
const WITHIN: Duration = Duration::from_secs(5);

/// Between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What came of one thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mended {
    /// What was done.
    pub fix: Fix,
    /// What came of it, in words.
    pub said: String,
    /// Whether it did what it was to do.
    pub done: bool,
}

/// Who mends, with what.
pub struct Mender<'a> {
    /// The store, open for writing.
    pub store: &'a dyn Store,
    /// Time.
    pub clock: SharedClock,
    /// What a sweep may do.
    pub rules: SweepRules,
    /// Who asks, for the audit.
    pub by: String,
}

impl Mender<'_> {
    /// Does what may be done about these findings without asking: a backup first, then each thing
    /// once, then a line in the audit. With nothing to do it does nothing, not even the backup.
    /// Blocks a few seconds at most for each, and as long as the backup takes.
    ///
    /// # Errors
    /// The store's, when the backup failed: then nothing was done.
    pub fn mend(&self, findings: &[Finding], backup: &Path) -> Result<Vec<Mended>, Error> {
        let mut fixes: Vec<Fix> = findings.iter().filter_map(|one| one.fix.clone()).collect();
        fixes.sort();
        fixes.dedup();
        if fixes.is_empty() {
            return Ok(Vec::new());
        }
        self.store.backup(backup.to_owned()).wait()?;
        let mended: Vec<Mended> = fixes.into_iter().map(|fix| self.one(fix)).collect();
        self.record(&mended, backup)?;
        Ok(mended)
    }

    fn one(&self, fix: Fix) -> Mended {
        let came = match &fix {
            Fix::StartDaemon { process, daemon } => self.start(*process, daemon),
            Fix::Sweep => self.sweep(),
            Fix::Checkpoint => self.checkpoint(),
            Fix::Permissions { file, mode } => set_mode(file, *mode),
        };
        let (said, done) = match came {
            Ok(said) => (said, true),
            Err(said) => (said, false),
        };
        Mended { fix, said, done }
    }

    fn start(&self, process: ProcessId, daemon: &str) -> Result<String, String> {
        let question = Question {
            process,
            verb: "daemon.start".to_owned(),
            arguments: json!({ "name": daemon }),
        };
        let asked = ask(self.store, &*self.clock, &[question], &self.by, WITHIN);
        let replies = asked.map_err(|error| error.to_string())?;
        match replies.into_iter().next() {
            Some(Reply::Done(answer)) => Ok(format!("{daemon} in {process}: {answer}")),
            Some(Reply::Refused(answer)) => Err(format!("{daemon} in {process}: {answer}")),
            Some(Reply::Silent) | None => {
                Err(format!("{process} has not answered within {WITHIN:?}"))
            }
        }
    }

    fn sweep(&self) -> Result<String, String> {
        let swept = self.store.take_over(self.rules.clone()).wait();
        let swept = swept.map_err(|error| error.to_string())?;
        Ok(format!(
            "looked for dead processes: {} found, {} returned, {} interrupted",
            swept.dead.len(),
            count_of(swept.claims_returned, "claim"),
            count_of(swept.interrupted, "run")
        ))
    }

    /// The store's own housekeeper copies the write-ahead log once a second while it is open.
    fn checkpoint(&self) -> Result<String, String> {
        let bytes = || {
            let figures = self.store.figures().wait();
            figures
                .map(|figures| figures.wal_bytes)
                .map_err(|error| error.to_string())
        };
        let before = bytes()?;
        let until = self.clock.monotonic() + WITHIN;
        let mut seen = 0;
        loop {
            let now = bytes()?;
            // Somebody else may have copied all of it before it was looked at.
            if now < before || now == 0 {
                return Ok(format!(
                    "copied: the write-ahead log had {before} bytes and has {now}"
                ));
            }
            if self.clock.monotonic() >= until {
                return Err(format!(
                    "the write-ahead log still has {now} bytes: a reader or a writer keeps it"
                ));
            }
            seen = self.store.wait_for_news(seen, LOOK_EVERY);
        }
    }

    fn record(&self, mended: &[Mended], backup: &Path) -> Result<(), Error> {
        let evidence = json!({ "backup": backup.display().to_string(), "mended": mended });
        let fact = Fact {
            at: self.clock.now(),
            code: None,
            event: None,
            seq: None,
            seq_to: None,
            event_type: None,
            subscription: None,
            process: Some(self.store.process()),
            act: Some((bounded_by(&self.by), "doctor.fix".to_owned())),
            generation: None,
            evidence: evidence.to_string(),
        };
        self.store.record(vec![fact]).wait()
    }
}

fn set_mode(file: &Path, mode: u32) -> Result<String, String> {
    let named = file.display();
    match fs::set_permissions(file, fs::Permissions::from_mode(mode)) {
        Ok(()) => Ok(format!("{named} has mode {mode:o} now")),
        Err(error) => Err(format!("{named} keeps its mode: {error}")),
    }
}
