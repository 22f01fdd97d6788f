//! Up to where a mailbox has accepted the log's events, by where they come from.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::event::{Event, ProcessId, Seq};

/// Up to where each flow has come, for all mailboxes of a bus.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Everything of other processes up to here was offered.
    others: AtomicI64,
    /// The last own event that was offered to every mailbox.
    own_offered: AtomicI64,
    /// The last own event that the poller has passed in the log.
    own_seen: AtomicI64,
}

impl Reach {
    pub(super) fn others_offered(&self, to: Seq) {
        self.others.fetch_max(to.0, Ordering::AcqRel);
    }

    pub(super) fn rewound(&self, to: Seq) {
        self.others.fetch_min(to.0, Ordering::AcqRel);
    }

    pub(super) fn own_offered(&self, to: Seq) {
        self.own_offered.fetch_max(to.0, Ordering::AcqRel);
    }

    pub(super) fn own_seen(&self, to: Seq) {
        self.own_seen.fetch_max(to.0, Ordering::AcqRel);
    }

    /// The highest place at which both flows are known to have been.
    ///
    /// An own event may be committed, and already passed by the poller, while the thread that
    /// offers it is still on its way. Only then does the own flow hold the place down: a process
    /// that has published nothing for hours must not make a lag read hours of the log.
    pub(super) fn both(&self) -> Seq {
        let others = self.others.load(Ordering::Acquire);
        let own_seen = self.own_seen.load(Ordering::Acquire);
        let own_offered = self.own_offered.load(Ordering::Acquire);
        if own_seen > own_offered {
            Seq(others.min(own_offered))
        } else {
            Seq(others)
        }
    }
}

/// Which of the two ordered flows an event arrives by.
///
/// Each flow is in log order by itself: this process's own events come at their commit, the
/// others' through the poller. Between the two there is no order, so a single mark would either
/// lose the late ones of one flow or repeat the early ones of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// Published by this process.
    Own,
    /// Published by another one.
    Others,
}

/// Everything of a flow at or below its mark was accepted, or is not for this subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    own: Seq,
    others: Seq,
}

impl Marks {
    /// Marks that stand before the first event.
    pub(super) const START: Marks = Marks {
        own: Seq::START,
        others: Seq::START,
    };

    /// The mark of one flow.
    pub(super) fn of(&self, flow: Flow) -> Seq {
        match flow {
            Flow::Own => self.own,
            Flow::Others => self.others,
        }
    }

    /// Everything at or below this was accepted in both flows.
    pub(super) fn lower(&self) -> Seq {
        self.own.min(self.others)
    }

    /// Raises one mark; it never goes back.
    pub(super) fn raise(&mut self, flow: Flow, to: Seq) {
        let mark = match flow {
            Flow::Own => &mut self.own,
            Flow::Others => &mut self.others,
        };
        *mark = (*mark).max(to);
    }

    /// Raises both.
    pub(super) fn raise_both(&mut self, to: Seq) {
        self.raise(Flow::Own, to);
        self.raise(Flow::Others, to);
    }
}

/// What the owner of a lagging mailbox is to read from the log, once its buffer is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Read the events after this place.
    pub after: Seq,
    pub(super) accepted: Marks,
    pub(super) process: ProcessId,
}

impl Lag {
    /// Whether an event read from the log is still owed: it did not come through the mailbox
    /// before the lag began. Types and filter are the reader's to check.
    #[must_use]
    pub fn owes(&self, event: &Event) -> bool {
        let flow = if event.origin == self.process {
            Flow::Own
        } else {
            Flow::Others
        };
        event.seq.is_some_and(|seq| seq > self.accepted.of(flow))
    }
}
