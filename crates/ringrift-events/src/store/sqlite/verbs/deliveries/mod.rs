//! The verbs on deliveries.
//!
//! A claim is made in two steps: [`Scan`] reads what would be next, [`TakeClaim`] takes it by
//! comparing where the subscription stands. The first costs no write lock, so that asking in vain
//! costs nobody anything; the loser of a race asks again. [`ClaimNow`] does both at once, where
//! asking is most likely not in vain.

mod claim;
mod claim_due;
mod forget_keys;
mod give_up;
mod hand_back;
mod hand_back_due;
mod late;
mod ledger;
mod park;
mod replay;
mod reserve;
mod scan;
mod settle;
mod settle_due;
mod trail;

pub(crate) use claim::{ClaimNow, TakeClaim, Taken};
pub(crate) use claim_due::{ClaimDue, NextDue};
pub(crate) use forget_keys::ForgetKeys;
pub(crate) use give_up::GiveUp;
pub(crate) use hand_back::HandBack;
pub(crate) use hand_back_due::HandBackDue;
pub(crate) use late::{Late, release_held};
pub(crate) use ledger::{OpenClaim, open_claims, open_claims_of};
pub(crate) use park::Park;
pub(crate) use replay::Replay;
pub(crate) use reserve::{ReserveKeys, release_keys_for, release_keys_of};
pub(crate) use scan::{Found, Passed, SCAN_ROWS_MAX, Scan};
pub(crate) use settle::SettleClaim;
pub(crate) use settle_due::SettleDue;
pub(crate) use trail::TrailOf;
