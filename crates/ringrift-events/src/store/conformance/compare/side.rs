//! One of the two stores, and what its processes hold.

use std::sync::Arc;

use super::super::bench::Bench;
use super::draw::Ending;
use crate::clock::{Clock as _, Time};
use crate::event::{EventId, ProcessId, Seq};
use crate::store::conformance::Harness;
use crate::store::deliveries::{Claim, Redelivery, Settlement};
use crate::store::subscriptions::SubscriptionId;
use crate::store::{Error, Store};
use crate::verdict::Outcome;

/// Processes of a home at a time.
const PROCESSES: usize = 3;

/// One store under comparison.
pub(super) struct Side<'a> {
    pub(super) harness: &'a dyn Harness,
    pub(super) processes: Vec<Arc<dyn Store>>,
    /// Every process there ever was, to name them by number.
    pub(super) all: Vec<ProcessId>,
    /// Subscriptions made so far.
    pub(super) subscriptions: usize,
    /// Claims given out, with the process: settled ones stay, to be settled again.
    pub(super) claims: Vec<(Arc<dyn Store>, Claim)>,
    pub(super) again: Vec<(Arc<dyn Store>, Redelivery)>,
    /// Events whose runs were reported as held.
    pub(super) held: Vec<(Arc<dyn Store>, EventId)>,
}

impl<'a> Side<'a> {
    pub(super) fn new(harness: &'a dyn Harness) -> Side<'a> {
        let mut side = Side {
            harness,
            processes: Vec::new(),
            all: Vec::new(),
            subscriptions: 0,
            claims: Vec::new(),
            again: Vec::new(),
            held: Vec::new(),
        };
        for _ in 0..PROCESSES {
            let process = side.start();
            side.processes.push(process);
        }
        side
    }

    pub(super) fn start(&mut self) -> Arc<dyn Store> {
        let process = self.harness.open();
        self.all.push(process.process());
        process
    }

    /// Another process in the place of one that ended; what the old one held is nobody's.
    pub(super) fn replace(&mut self, at: usize) -> Arc<dyn Store> {
        let fresh = self.start();
        let old = std::mem::replace(&mut self.processes[at], fresh);
        let ended = old.process();
        self.claims.retain(|(store, _)| store.process() != ended);
        self.again.retain(|(store, _)| store.process() != ended);
        self.held.retain(|(store, _)| store.process() != ended);
        old
    }

    pub(super) fn now(&self) -> Time {
        self.harness.clock().now()
    }

    /// A process by number.
    pub(super) fn number(&self, process: ProcessId) -> usize {
        let at = self.all.iter().position(|id| *id == process);
        at.unwrap_or(usize::MAX)
    }

    /// The settlement of one event.
    pub(super) fn result(&self, seq: Seq, ending: Ending) -> Settlement {
        let later = std::time::Duration::from_secs(30);
        let failed = || Bench::failed("broke");
        let (outcome, retry_at) = match ending {
            Ending::Done | Ending::DoneWithKey => (Outcome::Done, None),
            Ending::Skipped => {
                let reason = "not for me".to_owned();
                (Outcome::Skipped { reason }, None)
            }
            Ending::Failed | Ending::FailedWithKey | Ending::Held => (failed(), Some(self.now())),
            Ending::Later => (failed(), Some(self.now().after(later))),
            Ending::Dead => (failed(), None),
        };
        let with_key = matches!(ending, Ending::DoneWithKey | Ending::FailedWithKey);
        Settlement {
            seq,
            outcome,
            took: std::time::Duration::from_millis(1),
            retry_at,
            dedup_key: with_key.then(|| "k1".to_owned()),
            held: ending == Ending::Held,
        }
    }
}

/// An answer or a refusal in words.
pub(super) fn told<T>(result: Result<T, Error>, words: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(answer) => words(answer),
        Err(error) => format!("{} {}", error.code.as_str(), error.may_have_applied),
    }
}

/// Numbers as subscriptions.
pub(super) fn ids(numbers: &[i64]) -> Vec<SubscriptionId> {
    numbers.iter().copied().map(SubscriptionId).collect()
}
