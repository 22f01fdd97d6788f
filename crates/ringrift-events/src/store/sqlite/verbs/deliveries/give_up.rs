//! Moves one started event out of a claim, for any process to run.

use super::claim::blocked_keys;
use super::ledger::{Proof, prove};
use crate::event::Seq;
use crate::store::Error;
use crate::store::deliveries::{ClaimToken, Why};
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::letters::{NewRow, event_at, insert_row};
use crate::store::sqlite::verbs::positions::standing;

/// See [`crate::store::Deliveries::give_up`].
pub(crate) struct GiveUp {
    pub(crate) token: ClaimToken,
    pub(crate) seq: Seq,
}

impl Plain for GiveUp {}

impl Verb for GiveUp {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let claim = match prove(tx, self.token)? {
            Proof::Settled => return Ok(()),
            Proof::Held(claim) => claim,
        };
        if !claim.holds(self.seq) || super::settle::is_deleted(tx, self.seq.0)? {
            return Ok(());
        }
        let Some(event) = event_at(tx, self.seq)? else {
            return Ok(());
        };
        let standing = standing(tx, claim.subscription)?;
        // With order by key an event behind an unfinished one of its key cannot have started: its
        // attempts are not touched.
        let blocked = match &event.key {
            Some(key) if standing.ordered => {
                blocked_keys(tx, standing.id, standing.generation)?.contains(key)
            }
            Some(_) | None => false,
        };
        let row = NewRow {
            attempts: u32::from(!blocked),
            ..NewRow::waiting(&standing, &event, Why::HandedBack)
        };
        insert_row(tx, &row)?;
        Ok(())
    }
}
