//! What all verdicts about one event come to.

use serde::Serialize;

use super::standing::Standing;
use crate::verdict::Code;

/// Whether an event arrived wherever it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Whole {
    /// Somebody was to have it, and everybody who was has it.
    Well,
    /// Some delivery is not done, or nobody was to have it.
    NotWell,
    /// No delivery is known to be undone, and of one no record is left.
    Unknown,
}

/// What one verdict says of one delivery, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// It was never a delivery: the subscription did not take the event.
    NotOwed,
    /// It is done.
    Done,
    /// No record says.
    Untold,
    /// It goes on: waiting, running, to be tried again.
    Open,
    /// It did not come about, and does not by itself.
    Failed,
}

impl Whole {
    /// What these standings come to.
    #[must_use]
    pub fn of(standings: &[Standing]) -> Whole {
        let worst = standings.iter().map(|one| one.verdict.side).max();
        match worst {
            None | Some(Side::NotOwed | Side::Open | Side::Failed) => Whole::NotWell,
            Some(Side::Done) => Whole::Well,
            Some(Side::Untold) => Whole::Unknown,
        }
    }
}

impl Side {
    /// The side a code is on. `HN_ERROR` and its like end a delivery only where nothing follows.
    #[must_use]
    pub fn of(code: Code) -> Side {
        match code {
            Code::RtTypeMismatch
            | Code::RtFilterFalse
            | Code::RtSubscribedLater
            | Code::RtUnsubscribed
            | Code::RtNoSubscribers => Side::NotOwed,
            Code::PubAccepted
            | Code::PubDuplicateOf
            | Code::PubVolatile
            | Code::HnOk
            | Code::HnSkipped
            | Code::HnDuplicate
            | Code::HnDedupExpired
            | Code::StReplayedAs
            | Code::StRecovered => Side::Done,
            Code::HnNoRecord => Side::Untold,
            Code::RtMatched
            | Code::RtPaused
            | Code::WtPending
            | Code::WtNoProcess
            | Code::WtPollerStopped
            | Code::WtStoreBusy
            | Code::WtLoopBlocked
            | Code::WtConcurrency
            | Code::WtProcessLimit
            | Code::WtRate
            | Code::WtKeyBlocked
            | Code::WtLagging
            | Code::HnRunning
            | Code::HnRetrying
            | Code::HnLeaseLost => Side::Open,
            Code::PubRejected
            | Code::PubBackpressure
            | Code::PubStoreFailed
            | Code::RtRefused
            | Code::RtNotBridged
            | Code::HnTimeout
            | Code::HnAbandoned
            | Code::HnPanic
            | Code::HnError
            | Code::StDead
            | Code::StDiscarded
            | Code::StExpired
            | Code::StPurged
            | Code::StSkippedBySeek
            | Code::StSubscriptionRemoved => Side::Failed,
        }
    }
}

/// The standing that says most of the event: the worst, the first by name of those.
pub(super) fn worst(standings: &[Standing]) -> Option<&Standing> {
    let rank = |one: &&Standing| std::cmp::Reverse(one.verdict.side);
    standings.iter().min_by_key(rank)
}
