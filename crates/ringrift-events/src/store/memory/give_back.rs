//! Giving back what was claimed.

use super::state::{ClaimRow, World};
use crate::event::{ProcessId, Seq};
use crate::store::deliveries::{ClaimToken, Why};
use crate::store::{Error, ErrorCode};

impl World {
    /// Moves the events of a claim after `keep_to` into a claim of their own that nobody owns.
    pub(super) fn split(&mut self, number: i64, keep_to: Seq) {
        let moved: Vec<Seq> = self
            .held_events(number)
            .into_iter()
            .filter(|s| *s > keep_to)
            .collect();
        let Some(claim) = self.claims.get_mut(&number) else {
            return;
        };
        claim.events.retain(|seq| *seq <= keep_to);
        claim.is_cut = true;
        let (subscription, version) = (claim.subscription, claim.version);
        let generation = claim.generation;
        if moved.is_empty() {
            return;
        }
        let row = ClaimRow {
            subscription,
            generation,
            version,
            owner: None,
            fence: 1,
            settled_to: Seq(moved[0].0 - 1),
            events: moved,
            open: true,
            is_cut: false,
        };
        self.add_claim(row);
    }

    pub(super) fn hand_back(
        &mut self,
        me: ProcessId,
        token: ClaimToken,
        keep_to: Seq,
    ) -> Result<(), Error> {
        if !self.check_claim(me, token)? {
            return Ok(());
        }
        let claim = &self.claims[&token.id];
        let keep_to = keep_to.max(claim.settled_to);
        if keep_to >= claim.last() {
            return Ok(());
        }
        if keep_to < claim.events[0] {
            // Nothing of it was started: the claim itself waits for the next process.
            self.release_claim(token.id);
            return Ok(());
        }
        self.split(token.id, keep_to);
        self.close_if_settled(token.id);
        Ok(())
    }

    /// Leaves a claim to whoever asks next.
    pub(super) fn release_claim(&mut self, number: i64) {
        if let Some(claim) = self.claims.get_mut(&number) {
            claim.owner = None;
            claim.fence += 1;
        }
    }

    pub(super) fn give_up(
        &mut self,
        me: ProcessId,
        token: ClaimToken,
        seq: Seq,
        started: bool,
    ) -> Result<(), Error> {
        if !self.check_claim(me, token)? || !self.held_events(token.id).contains(&seq) {
            return Ok(());
        }
        let id = self.claims[&token.id].subscription;
        let letter = self.row_of(id, seq, Why::HandedBack);
        if let Some(row) = self.rows.get_mut(&letter)
            && !started
        {
            row.attempts = 0;
            row.attempts_total = 0;
            let event = row.event.id;
            self.release_keys(id, Some(event));
        }
        Ok(())
    }
}

/// The error for a result about an event that the claim does not hold.
pub(super) fn not_part(token: ClaimToken, seq: Seq) -> Error {
    Error::new(
        ErrorCode::WrongState,
        format!("event {seq} is no part of claim {}", token.id),
    )
}
