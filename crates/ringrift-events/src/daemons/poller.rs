//! `CROSS_PROCESS_POLLER`: reads what other processes published, once for all live subscriptions,
//! and tells durable ones when to claim.

use std::sync::Arc;
use std::time::Duration;

use super::daemon::{Daemon, DaemonContext};
use crate::event::{Event, Seq};
use crate::log::EventLog;
use crate::router::{PollPlace, Router};
use crate::store::log::{Follow, is_to_the_end};
use crate::store::{Error, Store};

/// Events read at once: enough to share a read, few enough to keep the first one's delay short.
const READ_MAX: usize = 1_000;

/// How often work that came without an append (a takeover, a resume) is looked for while the log
/// rings.
const WORK_EVERY: Duration = Duration::from_millis(500);

/// The longest wait without a ring. Whoever changes the log without one is noticed sooner, by the
/// store.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// How often everything is looked at although nothing changed: for events that became readable
/// without a commit, by the sync of another process that rang for other types.
const ANYWAY: Duration = Duration::from_secs(10);

/// How often durable subscriptions are told to look for work that no event brings.
const STRAY_EVERY: Duration = Duration::from_millis(50);

/// Between two looks for durable subscriptions alone, under a rate: each look costs a read and each
/// claim a transaction, however few events they bring. An event waits so long in the worst case.
const PACE: Duration = Duration::from_millis(3);

/// Looks that need not keep the pace after a pause: events that come now and then wait for nothing.
const LOOKS_AT_ONCE: u32 = 4;

/// Keeps looks apart under a rate.
#[derive(Default)]
struct Pace {
    /// When the next look would be due if all had kept the pace.
    next: Duration,
}

impl Pace {
    /// How long it is until there may be another look.
    fn owes(&self, now: Duration) -> Duration {
        self.next.saturating_sub(now)
    }

    /// A look takes place now.
    fn looks(&mut self, now: Duration) {
        let earliest = now.saturating_sub(PACE * LOOKS_AT_ONCE);
        // Looks for live subscriptions wait for nothing, and leave no debt to those that come after.
        self.next = (self.next.max(earliest) + PACE).min(now + PACE);
    }
}

/// The poller of one process.
pub struct CrossProcessPoller {
    store: Arc<dyn Store>,
    router: Router,
    log: EventLog,
    /// Where the last read began.
    read_from: Option<PollPlace>,
}

impl CrossProcessPoller {
    /// A poller that brings what `store` has to `router`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, router: Router, log: EventLog) -> CrossProcessPoller {
        CrossProcessPoller {
            store,
            router,
            log,
            read_from: None,
        }
    }

    /// A subscription has begun since the last read, which may have missed its beginning.
    fn has_more_to_read(&self) -> bool {
        let place = self.router.poll_place();
        self.read_from
            .is_none_or(|read| place.has_begun_since(read))
    }

    /// Reads everything new and hands it on, beginning with what was read already; answers whether
    /// the log had grown.
    fn catch_up(&mut self, read: Option<Read>, context: &DaemonContext) -> Result<bool, Error> {
        let mut any = false;
        let mut read = read;
        loop {
            let Read {
                place,
                after,
                events,
                to,
            } = match read.take() {
                Some(read) => read,
                None => self.read()?,
            };
            self.read_from = Some(place);
            for event in &events {
                if event.origin == self.store.process() {
                    self.router.passed(event);
                } else {
                    self.router.receive(event);
                }
            }
            let noted = self.router.note_polled(place, to);
            any |= to > after;
            if !events.is_empty() {
                self.router.tell_durables(Some(&events));
            }
            context.cycle();
            // What was appended since has rung.
            if (noted && is_to_the_end(after, READ_MAX, &events, to)) || context.is_stopping() {
                return Ok(any);
            }
        }
    }

    /// Reads from the poller's place.
    fn read(&self) -> Result<Read, Error> {
        // In this order: who subscribes after the place was asked makes it be asked again.
        let place = self.router.poll_place();
        let (Some(after), Some(wanted)) = (place.after, self.router.wanted()) else {
            // Nobody here wants anything: later subscriptions begin after the log's end.
            let head = self.store.head().wait()?.seq;
            return Ok(Read {
                place,
                after: head,
                events: Vec::new(),
                to: head,
            });
        };
        let (events, to) = self.store.read(after, wanted, READ_MAX).wait()?;
        Ok(Read {
            place,
            after,
            events,
            to,
        })
    }

    /// Waits for news. With `follows`, it has read what subscriptions here want of them.
    fn wait(
        &self,
        seen: u64,
        at_most: Duration,
        follows: bool,
    ) -> Result<(u64, Option<Read>), Error> {
        let place = self.router.poll_place();
        // A subscription that begins meanwhile rings, so that its types are listened to.
        let wanted = self.router.wanted();
        let (Some(after), Some(types), true) = (place.after, &wanted, follows) else {
            let news = self.store.wait_for_news_of(wanted.as_ref(), seen, at_most);
            return Ok((news, None));
        };
        let follow = Follow {
            after,
            types: types.clone(),
            limit: READ_MAX,
            seen,
            at_most,
        };
        let (news, read) = self.store.follow(follow)?;
        let read = read.map(|(events, to)| Read {
            place,
            after,
            events,
            to,
        });
        Ok((news, read))
    }
}

/// What was read.
struct Read {
    /// The poller's place before.
    place: PollPlace,
    after: Seq,
    events: Vec<Arc<Event>>,
    to: Seq,
}

impl Daemon for CrossProcessPoller {
    fn prepare(&mut self) -> Result<(), String> {
        self.store
            .head()
            .wait()
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn run(&mut self, context: &DaemonContext) -> Result<(), String> {
        self.log
            .poller("started", &format!("at {}", self.router.polled_to()));
        self.router.set_polling(true);
        let mut seen = 0;
        let mut failures = 0_u32;
        let mut read_at = Duration::ZERO;
        let mut read = None;
        let mut rang = true;
        // A ring without an event means that there may be work which no event brings: a takeover, a
        // resume. It is looked for, but not at every ring; beside events less often.
        let (mut told_at, mut work_at) = (Duration::ZERO, Some(Duration::ZERO));
        let mut pace = Pace::default();
        while !context.is_stopping() {
            let now = context.clock.monotonic();
            let reads = rang || failures > 0 || self.has_more_to_read() || now >= read_at + ANYWAY;
            let caught_up = match reads {
                true => self.catch_up(read.take(), context),
                false => Ok(false),
            };
            match caught_up {
                Ok(grew) => {
                    failures = 0;
                    if reads {
                        read_at = now;
                        let at = match grew {
                            true => now + WORK_EVERY,
                            false => told_at + STRAY_EVERY,
                        };
                        work_at = Some(work_at.map_or(at, |before: Duration| before.min(at)));
                    }
                }
                Err(error) => {
                    failures += 1;
                    self.log.poller_error(&error);
                    if !error.is_retryable() && failures > FAILURES_MAX {
                        return Err(error.to_string());
                    }
                }
            }
            if failures == 0 && work_at.is_some_and(|at| at <= now) {
                (told_at, work_at) = (now, None);
                self.router.tell_durables(None);
            }
            // A live subscription waits for nothing; the events of durable ones gather under a rate.
            // To sleep first and listen then spares waking up for each of them.
            let owes = match self.router.has_live() {
                true => Duration::ZERO,
                false => pace.owes(context.clock.monotonic()),
            };
            if !owes.is_zero() && !context.wait(owes) {
                break;
            }
            let wait = match work_at {
                _ if failures > 0 => WORK_EVERY,
                Some(at) => at.saturating_sub(now).min(WAIT_MAX),
                None => WAIT_MAX,
            };
            let news = match self.wait(seen, wait, failures == 0) {
                Ok((news, came)) => {
                    read = came;
                    news
                }
                // It is read again, which says what is wrong.
                Err(_) if context.wait(STRAY_EVERY) => seen.wrapping_add(1),
                Err(_) => break,
            };
            rang = news != seen;
            seen = news;
            if rang {
                pace.looks(context.clock.monotonic());
            }
            context.cycle();
        }
        Ok(())
    }

    fn stopped(&mut self) {
        self.router.set_polling(false);
        self.log
            .poller("stopped", &format!("at {}", self.router.polled_to()));
    }
}

/// Errors in a row, of a kind that trying again does not cure, before the supervisor takes over.
const FAILURES_MAX: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_keep_a_pace_under_a_rate_and_none_after_a_pause() {
        let mut pace = Pace::default();
        let mut now = Duration::from_secs(7);
        let mut looks = Vec::new();
        for _ in 0..100 {
            now += pace.owes(now);
            pace.looks(now);
            looks.push(now);
            now += Duration::from_millis(2);
        }
        // Two milliseconds of work and the rest of the pace.
        assert_eq!(looks[99] - looks[89], PACE * 10);
        // Seven milliseconds apart, as events come now and then.
        now += Duration::from_millis(30);
        for _ in 0..100 {
            assert_eq!(pace.owes(now), Duration::ZERO);
            pace.looks(now);
            now += Duration::from_millis(7);
        }
    }

    #[test]
    fn looks_that_kept_no_pace_leave_no_debt() {
        let mut pace = Pace::default();
        let now = Duration::from_secs(7);
        for _ in 0..10_000 {
            pace.looks(now);
        }
        assert_eq!(pace.owes(now), PACE);
    }
}
