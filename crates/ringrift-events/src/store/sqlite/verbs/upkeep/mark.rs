//! Saves up to where this process's poller has read, where public SQL can see it.

use crate::event::Seq;
use crate::store::Error;
use crate::store::pages::Bells;
use crate::store::sqlite::verb::{Plain, Tx, Verb};

/// Raises the mark; it never goes back.
pub(crate) struct SaveMark {
    pub(crate) polled_to: Seq,
}

impl Plain for SaveMark {}

impl Verb for SaveMark {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        tx.conn
            .prepare_cached("UPDATE poll_mark SET seq = ?1 WHERE seq < ?1")?
            .execute([self.polled_to.0])?;
        Ok(())
    }

    fn rings(&self) -> Bells {
        // Nobody waits for it, and a ring would have every poller raise its mark in answer.
        Bells::NONE
    }
}
