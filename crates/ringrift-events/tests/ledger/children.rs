//! Child processes of the ledger test: this test program again, in a role. Only they are ever
//! signalled, by their ids, and none outlives the test.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::child::{Guarded, again};

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Publishes without end and notes what was accepted.
    Publisher,
    /// Handles every durable subscription and notes what it handled.
    Consumer,
    /// Handles one subscription and holds events that ask for it.
    Holder,
    /// Is inside a transaction nearly all the time.
    Heavy,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Publisher => "publisher",
            Role::Consumer => "consumer",
            Role::Holder => "holder",
            Role::Heavy => "heavy",
        }
    }
}

/// The children of one test.
pub(crate) struct Children {
    home: PathBuf,
    running: Vec<(Role, Guarded)>,
}

impl Children {
    pub(crate) fn start(home: &Path, roles: &[(Role, usize)]) -> Children {
        let mut children = Children {
            home: home.to_path_buf(),
            running: Vec::new(),
        };
        for (role, count) in roles {
            for _ in 0..*count {
                children.start_more(*role);
            }
        }
        children
    }

    pub(crate) fn start_more(&mut self, role: Role) {
        let child = self.spawn(role);
        self.running.push((role, child));
    }

    fn spawn(&self, role: Role) -> Guarded {
        Guarded(again(role.name(), &self.home).spawn().unwrap())
    }

    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }

    pub(crate) fn kill_and_restart(&mut self, at: usize) {
        self.running[at].1.kill();
        self.running[at].1 = self.spawn(self.running[at].0);
    }

    /// Starts again whatever ended by itself.
    pub(crate) fn restart_ended(&mut self) {
        for at in 0..self.running.len() {
            if matches!(self.running[at].1.0.try_wait(), Ok(Some(_))) {
                self.running[at].1 = self.spawn(self.running[at].0);
            }
        }
    }

    pub(crate) fn pid(&self, at: usize) -> u32 {
        self.running[at].1.0.id()
    }

    pub(crate) fn signal(&mut self, at: usize, name: &str) {
        let signal = match name {
            "KILL" => Signal::KILL,
            "STOP" => Signal::STOP,
            "CONT" => Signal::CONT,
            other => panic!("no signal {other}"),
        };
        let pid = Pid::from_raw(self.running[at].1.0.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends the children of a role without a word: what they held is taken over.
    pub(crate) fn end(&mut self, role: Role) {
        self.running.retain(|(its, _)| *its != role);
    }
}
