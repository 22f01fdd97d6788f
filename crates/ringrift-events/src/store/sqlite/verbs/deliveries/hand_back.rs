//! Gives back the part of a claim that was not started.

use super::ledger::{Proof, prove};
use crate::event::Seq;
use crate::store::Error;
use crate::store::deliveries::ClaimToken;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::positions::refresh_settled;

/// See [`crate::store::Deliveries::hand_back`].
pub(crate) struct HandBack {
    pub(crate) token: ClaimToken,
    pub(crate) keep_to: Seq,
}

impl Plain for HandBack {}

impl Verb for HandBack {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let claim = match prove(tx, self.token)? {
            Proof::Settled => return Ok(()),
            Proof::Held(claim) => claim,
        };
        let keep = self.keep_to.0.max(claim.settled_to);
        if keep >= claim.last {
            return Ok(());
        }
        if keep < claim.first {
            // Nothing of it was started: the claim itself waits for the next process.
            claim.release(tx)?;
            return Ok(());
        }
        claim.split(tx, keep)?;
        if claim.settled_to >= keep {
            let kept = super::OpenClaim {
                last: keep,
                ..claim
            };
            return kept.close(tx, 0);
        }
        refresh_settled(tx, claim.subscription)
    }
}
