//! Moves one event out of a claim, for any process to run.

use super::ledger::{Proof, prove};
use super::reserve::release_keys_for_event;
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
    pub(crate) started: bool,
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
        if !self.started {
            release_keys_for_event(tx, claim.subscription, event.id)?;
        }
        let row = NewRow {
            attempts: u32::from(self.started),
            ..NewRow::waiting(&standing, &event, Why::HandedBack)
        };
        insert_row(tx, &row)?;
        Ok(())
    }
}
