//! Roles that one process hosts. They write no row: the lock on a side file is the truth.

use std::sync::Arc;

use super::processes::liveness_of;
use crate::event::ProcessId;
use crate::store::registry::Liveness;
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::{Error, pages};

/// Tries to become a role's host.
pub(crate) struct Elect {
    /// Who tries.
    pub(crate) presence: Arc<Presence>,
    /// Which role.
    pub(crate) role: String,
}

impl Plain for Elect {}

impl Question for Elect {
    type Answer = bool;

    fn run(self, _: &Tx<'_>) -> Result<bool, Error> {
        let presence = &self.presence;
        presence
            .roles()
            .elect(presence.side(), presence.process(), &self.role)
    }
}

/// Gives a role back.
pub(crate) struct Resign {
    /// Whose.
    pub(crate) presence: Arc<Presence>,
    /// Which role.
    pub(crate) role: String,
}

impl Plain for Resign {}

impl Question for Resign {
    type Answer = ();

    fn run(self, _: &Tx<'_>) -> Result<(), Error> {
        self.presence.roles().resign(&self.role);
        Ok(())
    }
}

/// Asks who hosts a role.
pub(crate) struct Elected {
    /// Where the files are read.
    pub(crate) presence: Arc<Presence>,
    /// Which role.
    pub(crate) role: String,
}

impl Plain for Elected {}
impl Plain for ProcessId {}

impl Question for Elected {
    type Answer = Option<ProcessId>;

    fn run(self, _: &Tx<'_>) -> Result<Option<ProcessId>, Error> {
        pages::elected(self.presence.side(), &self.role)
    }
}

/// See [`crate::store::Registry::host_hangs`].
pub(crate) struct HostHangs {
    /// Where the files are read.
    pub(crate) presence: Arc<Presence>,
    /// Which role.
    pub(crate) role: String,
}

impl Plain for HostHangs {}

impl Question for HostHangs {
    type Answer = bool;

    fn run(self, tx: &Tx<'_>) -> Result<bool, Error> {
        let Some(host) = pages::elected(self.presence.side(), &self.role)? else {
            return Ok(false);
        };
        let liveness = liveness_of(tx, &self.presence, host)?;
        Ok(liveness == Some(Liveness::Hung))
    }
}
