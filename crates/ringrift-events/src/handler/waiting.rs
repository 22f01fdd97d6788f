//! Who waits at which limit of a handler, and since when somebody has.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::clock::Time;
use crate::verdict::Code;

/// The limits of one handler at which a delivery may wait, in the order in which it meets them.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    rate: Queue,
    concurrency: Queue,
    process: Queue,
}

/// Those who wait at one limit.
#[derive(Debug, Default)]
struct Queue {
    count: AtomicU64,
    /// Since when there has always been one.
    since: AtomicI64,
}

/// One delivery that waits, until it is dropped.
pub(super) struct Waits<'w>(&'w Queue);

impl Waiting {
    /// Notes that a delivery waits from `now` on.
    pub(super) fn begin(&self, code: Code, now: Time) -> Waits<'_> {
        let queue = if code == Code::WtRate {
            &self.rate
        } else if code == Code::WtConcurrency {
            &self.concurrency
        } else {
            &self.process
        };
        if queue.count.fetch_add(1, Ordering::AcqRel) == 0 {
            queue.since.store(now.0, Ordering::Release);
        }
        Waits(queue)
    }

    /// How many wait at all, and at the process's limit.
    pub(super) fn count(&self) -> (u64, u64) {
        let of = |queue: &Queue| queue.count.load(Ordering::Acquire);
        let process = of(&self.process);
        (of(&self.rate) + of(&self.concurrency) + process, process)
    }

    /// The limit that keeps the first one waiting: who waits at a later limit is further.
    pub(super) fn at(&self) -> Option<(Code, Time)> {
        [
            (Code::WtProcessLimit, &self.process),
            (Code::WtConcurrency, &self.concurrency),
            (Code::WtRate, &self.rate),
        ]
        .into_iter()
        .find(|(_, queue)| queue.count.load(Ordering::Acquire) > 0)
        .map(|(code, queue)| (code, Time(queue.since.load(Ordering::Acquire))))
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
    }
}
