//! What this process holds of one claim: what waits, runs and has ended.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::{Event, Seq};
use crate::store::deliveries::{Claim, ClaimToken, Grows, Settle, Settlement};
use crate::store::subscriptions::{Generation, SubscriptionId};
use crate::verdict::Outcome;

/// The bookkeeping of one open claim: hands out events in log order, gathers what came of them,
/// and says what can be settled without a gap.
#[derive(Debug)]
pub struct Claimed {
    token: ClaimToken,
    subscription: SubscriptionId,
    generation: Generation,
    unstarted: VecDeque<Arc<Event>>,
    /// Started events in log order, with whether each has ended.
    started: VecDeque<(Seq, bool)>,
    last: Seq,
    settled_to: Seq,
    told_to: Seq,
    results: Vec<Settlement>,
    done: u64,
    events: usize,
}

impl Claimed {
    /// Begins the bookkeeping of a fresh claim.
    #[must_use]
    pub fn new(claim: Claim) -> Claimed {
        let first = claim
            .events
            .first()
            .and_then(|event| event.seq)
            .unwrap_or_default();
        let last = claim
            .events
            .last()
            .and_then(|event| event.seq)
            .unwrap_or_default();
        let before = Seq(first.0 - 1);
        Claimed {
            token: claim.token,
            subscription: claim.subscription,
            generation: claim.generation,
            started: VecDeque::with_capacity(claim.events.len()),
            events: claim.events.len(),
            unstarted: Arc::unwrap_or_clone(claim.events).into(),
            last,
            settled_to: before,
            told_to: before,
            results: Vec::new(),
            done: 0,
        }
    }

    /// The claim has grown by these events.
    pub fn grow(&mut self, events: Arc<Vec<Arc<Event>>>) {
        self.last = events
            .last()
            .and_then(|event| event.seq)
            .unwrap_or(self.last);
        self.events += events.len();
        self.unstarted.extend(Arc::unwrap_or_clone(events));
    }

    /// How many events it has had.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events
    }

    /// The claim as one that may grow; `None` while an event of it has not ended, behind which what
    /// comes next could not be settled.
    #[must_use]
    pub fn grows(&self) -> Option<Grows> {
        let all_ended = self.started.is_empty() && self.unstarted.is_empty();
        all_ended.then_some(Grows {
            token: self.token,
            last: self.last,
        })
    }

    /// The proof that this process holds it.
    #[must_use]
    pub fn token(&self) -> ClaimToken {
        self.token
    }

    /// Whose events they are.
    #[must_use]
    pub fn subscription(&self) -> SubscriptionId {
        self.subscription
    }

    /// In which generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Takes the next event to start: the first in log order that `may_start`.
    pub fn start_next(&mut self, may_start: impl Fn(&Event) -> bool) -> Option<Arc<Event>> {
        let at = self.unstarted.iter().position(|event| may_start(event))?;
        let event = match at {
            0 => self.unstarted.pop_front()?,
            at => self.unstarted.remove(at)?,
        };
        self.mark_started(event.seq.unwrap_or_default(), false);
        Some(event)
    }

    /// Takes out the unstarted events with this key: they must not run before an earlier one that
    /// failed. The caller gives each up to the store, which keeps their order, and says so by
    /// [`Claimed::gave_up`]; until then nothing behind them is settled.
    pub fn withhold_key(&mut self, key: &str) -> Vec<Seq> {
        let mut withheld = Vec::new();
        self.unstarted.retain(|event| {
            let same = event.key.as_deref() == Some(key);
            if same {
                withheld.push(event.seq.unwrap_or_default());
            }
            !same
        });
        for seq in &withheld {
            self.mark_started(*seq, false);
        }
        withheld
    }

    fn mark_started(&mut self, seq: Seq, ended: bool) {
        if self.started.back().is_none_or(|(last, _)| *last < seq) {
            self.started.push_back((seq, ended));
            return;
        }
        let at = self.started.partition_point(|(started, _)| *started < seq);
        self.started.insert(at, (seq, ended));
    }

    /// How many events did not start yet.
    #[must_use]
    pub fn unstarted(&self) -> usize {
        self.unstarted.len()
    }

    /// The events that run now, and those that still wait, in no order.
    pub fn unfinished(&self) -> impl Iterator<Item = Seq> + '_ {
        let running = self
            .started
            .iter()
            .filter(|(_, ended)| !ended)
            .map(|(seq, _)| *seq);
        running.chain(self.unstarted.iter().filter_map(|event| event.seq))
    }

    /// Whether everything of it has ended and has been told.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.told_to == self.last && self.results.is_empty()
    }

    /// Notes what came of one event. Plain successes without a dedup key need no entry.
    pub fn end(&mut self, settlement: Settlement) {
        let seq = settlement.seq;
        if settlement.outcome == Outcome::Done && settlement.dedup_key.is_none() {
            self.end_plain(seq);
        } else {
            self.results.push(settlement);
            self.mark(seq);
        }
    }

    /// Notes a plain success.
    pub fn end_plain(&mut self, seq: Seq) {
        self.done += 1;
        self.mark(seq);
    }

    /// Notes that an event left the claim by itself ([`crate::store::Deliveries::give_up`]).
    pub fn gave_up(&mut self, seq: Seq) {
        if let Some(at) = self
            .unstarted
            .iter()
            .position(|event| event.seq == Some(seq))
        {
            self.unstarted.remove(at);
            self.mark_started(seq, true);
        }
        self.mark(seq);
    }

    /// Takes back what the store could not be told; it is told again with the rest.
    pub fn not_told(&mut self, settle: Settle) {
        self.done += settle.done;
        let later = std::mem::replace(&mut self.results, settle.results);
        self.results.extend(later);
        self.told_to = Seq(self.told_to.0.min(settle.settled_to.0 - 1));
    }

    fn mark(&mut self, seq: Seq) {
        let at = match self.started.front() {
            Some((first, _)) if *first == seq => Ok(0),
            Some(_) | None => self
                .started
                .binary_search_by_key(&seq, |(started, _)| *started),
        };
        if let Ok(at) = at {
            self.started[at].1 = true;
        }
        let first_unstarted = self.unstarted.front().and_then(|event| event.seq);
        while let Some((seq, true)) = self.started.front().copied() {
            if first_unstarted.is_some_and(|unstarted| unstarted < seq) {
                break;
            }
            self.settled_to = seq;
            self.started.pop_front();
        }
        if self.started.is_empty() && self.unstarted.is_empty() {
            self.settled_to = self.last;
        }
    }

    /// Whether there is something that the store is to be told.
    #[must_use]
    pub fn owes(&self) -> bool {
        self.settled_to != self.told_to || !self.results.is_empty()
    }

    /// Whether something of it is more than a plain success.
    #[must_use]
    pub fn has_results(&self) -> bool {
        !self.results.is_empty()
    }

    /// What the store is to be told now; `None` when it knows all there is to tell.
    pub fn to_settle(&mut self) -> Option<Settle> {
        if !self.owes() {
            return None;
        }
        self.told_to = self.settled_to;
        Some(Settle {
            token: self.token,
            settled_to: self.settled_to,
            results: std::mem::take(&mut self.results),
            done: std::mem::take(&mut self.done),
        })
    }

    /// Lets the rest go after the last event that started. Answers the place up to which the claim
    /// is kept, for [`crate::store::Deliveries::hand_back`]; `None` when there is no such rest.
    pub fn drop_rest(&mut self) -> Option<Seq> {
        let last_started = self.started.back().map_or(self.settled_to, |(seq, _)| *seq);
        let rest = self
            .unstarted
            .iter()
            .find(|event| event.seq > Some(last_started))?;
        let keep_to = Seq(rest.seq.unwrap_or_default().0 - 1);
        self.unstarted.retain(|event| event.seq <= Some(keep_to));
        self.last = keep_to;
        if self.started.is_empty() && self.unstarted.is_empty() {
            self.settled_to = keep_to;
        }
        Some(keep_to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Time};
    use crate::event::{EventId, EventType, Payload, ProcessId, TraceId};
    use std::time::Duration;

    fn claim_of(seqs: &[i64]) -> Arc<Vec<Arc<Event>>> {
        let clock = ManualClock::new(Time(1), 7);
        let events = seqs
            .iter()
            .map(|seq| {
                let id = EventId::new(&clock);
                Arc::new(Event {
                    id,
                    event_type: EventType::from_canonical("training_completed"),
                    payload: Payload::from_checked("{}"),
                    source: String::new(),
                    key: Some(format!("k{}", seq % 2)),
                    published_at: Time(1),
                    trace_id: TraceId(id.0),
                    parent_id: None,
                    depth: 0,
                    origin: ProcessId::new(&clock),
                    stage: None,
                    seq: Some(Seq(*seq)),
                })
            })
            .collect();
        Arc::new(events)
    }

    fn claim(seqs: &[i64]) -> Claimed {
        Claimed::new(Claim {
            token: ClaimToken { id: 1, fence: 1 },
            subscription: SubscriptionId(1),
            generation: Generation(1),
            events: claim_of(seqs),
            taken_over: false,
            more: false,
        })
    }

    fn done(seq: i64) -> Settlement {
        Settlement {
            seq: Seq(seq),
            outcome: Outcome::Done,
            took: Duration::ZERO,
            retry_at: None,
            dedup_key: None,
            held: false,
        }
    }

    #[test]
    fn settles_only_up_to_the_first_gap() {
        let mut claimed = claim(&[3, 7, 9]);
        for _ in 0..3 {
            claimed.start_next(|_| true);
        }
        claimed.end(done(7));
        assert!(claimed.to_settle().is_none());
        claimed.end(done(3));
        let settle = claimed
            .to_settle()
            .map(|settle| (settle.settled_to, settle.done));
        assert_eq!(settle, Some((Seq(7), 2)));
        claimed.end(done(9));
        assert_eq!(
            claimed.to_settle().map(|settle| settle.settled_to),
            Some(Seq(9))
        );
        assert!(claimed.is_closed());
    }

    #[test]
    fn a_failure_beyond_the_gap_is_told_at_once() {
        let mut claimed = claim(&[3, 7]);
        claimed.start_next(|_| true);
        claimed.start_next(|_| true);
        let skipped = Outcome::Skipped {
            reason: "not mine".to_owned(),
        };
        claimed.end(Settlement {
            outcome: skipped,
            ..done(7)
        });
        let settle = claimed.to_settle().expect("something to tell");
        assert_eq!((settle.settled_to, settle.results.len()), (Seq(2), 1));
        assert!(!claimed.is_closed());
    }

    #[test]
    fn the_unstarted_rest_goes_back_and_the_claim_closes_with_what_ran() {
        let mut claimed = claim(&[3, 7, 9]);
        claimed.start_next(|_| true);
        assert_eq!(claimed.drop_rest(), Some(Seq(6)));
        assert_eq!(claimed.drop_rest(), None);
        claimed.end(done(3));
        assert_eq!(
            claimed.to_settle().map(|settle| settle.settled_to),
            Some(Seq(6))
        );
        assert!(claimed.is_closed());
    }

    #[test]
    fn what_grew_is_told_with_the_rest() {
        let mut claimed = claim(&[3, 7]);
        for _ in 0..2 {
            claimed.start_next(|_| true);
        }
        claimed.end(done(3));
        claimed.grow(claim_of(&[9, 12]));
        claimed.end(done(7));
        assert_eq!((claimed.events(), claimed.unstarted()), (4, 2));
        assert!(claimed.grows().is_none(), "two have not run");
        let settle = claimed.to_settle().expect("something to tell");
        assert_eq!((settle.settled_to, settle.done), (Seq(7), 2));
        assert!(!claimed.is_closed());
        assert_eq!(claimed.drop_rest(), Some(Seq(8)));
        assert_eq!(
            claimed.to_settle().map(|settle| settle.settled_to),
            Some(Seq(8))
        );
        claimed.grow(claim_of(&[20]));
        claimed.start_next(|_| true);
        assert!(claimed.grows().is_none(), "it runs");
        claimed.end(done(20));
        assert_eq!(claimed.grows().map(|grows| grows.last), Some(Seq(20)));
        assert_eq!(
            claimed.to_settle().map(|settle| settle.settled_to),
            Some(Seq(20))
        );
        assert!(claimed.is_closed());
    }

    #[test]
    fn an_event_that_had_to_wait_for_its_key_leaves_no_gap_behind() {
        let mut claimed = claim(&[1, 2, 3]);
        claimed.start_next(|_| true);
        let third = claimed.start_next(|event| event.key.as_deref() != Some("k0"));
        assert_eq!(third.and_then(|event| event.seq), Some(Seq(3)));
        claimed.end(done(1));
        claimed.end(done(3));
        assert_eq!(
            claimed.to_settle().map(|settle| settle.settled_to),
            Some(Seq(1))
        );
        assert_eq!(
            claimed.drop_rest(),
            None,
            "nothing lies behind the last that started"
        );
        claimed.start_next(|_| true);
        claimed.end(done(2));
        assert_eq!(
            claimed.to_settle().map(|settle| settle.settled_to),
            Some(Seq(3))
        );
    }

    #[test]
    fn a_withheld_key_leaves_no_gap() {
        let mut claimed = claim(&[1, 2, 3, 4]);
        claimed.start_next(|_| true);
        assert_eq!(claimed.withhold_key("k1"), vec![Seq(3)]);
        claimed.end(done(1));
        assert_eq!(
            claimed.to_settle().map(|settle| settle.settled_to),
            Some(Seq(1))
        );
        claimed.start_next(|_| true);
        claimed.end(done(2));
        assert_eq!(
            claimed.to_settle().map(|settle| settle.settled_to),
            Some(Seq(2)),
            "the store has not taken the withheld one back yet"
        );
        claimed.gave_up(Seq(3));
        assert_eq!(
            claimed.to_settle().map(|settle| settle.settled_to),
            Some(Seq(3))
        );
        claimed.start_next(|_| true);
        claimed.end(done(4));
        claimed.to_settle();
        assert!(claimed.is_closed());
    }
}
