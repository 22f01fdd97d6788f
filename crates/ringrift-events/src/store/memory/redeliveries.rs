//! The rows of redeliveries and dead letters: making them, failing them, ending them.

use std::sync::Arc;

use super::state::{Delivery, Failed, Row, Subscription, World};
use crate::clock::Time;
use crate::event::{Event, ProcessId, Seq};
use crate::store::deliveries::{LetterId, Why};
use crate::store::evidence;
use crate::store::letters::{LetterState, Seen};
use crate::store::subscriptions::{Kind, SubscriptionId};
use crate::verdict::{Code, Failure};

impl Row {
    /// Whether it has neither run nor been retried since it was seen.
    pub(super) fn stands_as(&self, seen: Seen) -> bool {
        (self.attempts, self.attempts_total) == (seen.attempts, seen.attempts_total)
    }

    /// Retrying, running or dead: it has not come to its end.
    pub(super) fn is_unfinished(&self) -> bool {
        match self.state {
            LetterState::Retrying | LetterState::Running | LetterState::Dead => true,
            LetterState::Recovered
            | LetterState::Discarded
            | LetterState::Expired
            | LetterState::Purged => false,
        }
    }

    /// It will run again without anybody's help.
    pub(super) fn is_going(&self) -> bool {
        matches!(self.state, LetterState::Retrying | LetterState::Running)
    }

    /// A redelivery of this subscription; live ones share theirs by the handler's name.
    pub(super) fn is_of(&self, subscription: &Subscription) -> bool {
        match self.kind {
            Kind::Durable => self.subscription == subscription.id,
            Kind::Live => subscription.kind == Kind::Live && self.handler == subscription.name,
        }
    }

    pub(super) fn is_letter(&self) -> bool {
        self.failed.is_some()
    }
}

impl World {
    /// Gives one delivery a way of its own, due at once. A run that was started counts.
    pub(super) fn row_of(&mut self, id: SubscriptionId, seq: Seq, why: Why) -> LetterId {
        let started = match why {
            Why::Retry | Why::LeaseLost | Why::HandedBack => 1,
            Why::Replay | Why::Restored | Why::KeyBlocked => 0,
        };
        let event = self.log.get(&seq).map(|logged| Arc::clone(&logged.event));
        let subscription = self.subscriptions.get(&id);
        let (Some(event), Some(subscription)) = (event, subscription) else {
            return LetterId(0);
        };
        let row = new_row(subscription, event, why, started, self.now);
        let letter = self.add_row(row);
        // A replay is a delivery of its own: what became of the first one stays.
        if why != Why::Replay {
            self.set_delivery(id, seq, Delivery::Again(letter));
        }
        letter
    }

    pub(super) fn add_row(&mut self, mut row: Row) -> LetterId {
        self.last_row += 1;
        row.id = LetterId(self.last_row);
        self.rows.insert(row.id, row);
        LetterId(self.last_row)
    }

    /// Writes one failure into a row: due again at `retry_at`, or dead.
    pub(super) fn fail_row(
        &mut self,
        id: LetterId,
        me: ProcessId,
        failure: &Failure,
        retry_at: Option<Time>,
        held: bool,
    ) {
        let now = self.now;
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        let first_at = row.failed.as_ref().map_or(now, |failed| failed.first_at);
        row.failed = Some(Failed {
            // A letter keeps no more; the fact does.
            last: Failure {
                circumstances: None,
                ..failure.clone()
            },
            first_at,
            last_at: now,
        });
        row.held = held;
        row.owner = held.then_some(me);
        let retry_at = retry_at.map(|at| at.max(now));
        row.due = retry_at;
        row.changed_at = now;
        row.state = match retry_at {
            None => LetterState::Dead,
            Some(_) => LetterState::Retrying,
        };
        let (subscription, event) = (row.subscription, Arc::clone(&row.event));
        let letter = (id.0, row.attempts);
        let evidence = evidence::of_failure(failure, letter, retry_at);
        let code = failure.kind.code();
        self.verdict(code, subscription, &event, Some(me), evidence.clone());
        if retry_at.is_none() && code != Code::StDead {
            self.verdict(Code::StDead, subscription, &event, Some(me), evidence);
        }
    }

    /// Ends every unfinished row of a subscription as discarded and fences the running ones.
    pub(super) fn discard_rows(&mut self, id: SubscriptionId) {
        let now = self.now;
        for row in self.rows.values_mut() {
            if row.subscription == id && row.is_unfinished() {
                row.before = Some(if row.state == LetterState::Running {
                    LetterState::Retrying
                } else {
                    row.state
                });
                row.state = LetterState::Discarded;
                row.owner = None;
                row.held = false;
                row.fence += 1;
                row.changed_at = now;
            }
        }
    }

    /// Closes and fences every open claim of a subscription.
    pub(super) fn close_claims(&mut self, id: SubscriptionId) {
        let open: Vec<i64> = self.open_claims(id).map(|(number, _)| number).collect();
        for number in open {
            self.close(number);
            if let Some(claim) = self.claims.get_mut(&number) {
                claim.fence += 1;
            }
        }
    }

    /// Whether a delivery that has not failed went with its deleted event.
    pub(super) fn is_withdrawn(&self, row: &Row) -> bool {
        !row.is_letter() && row.event.seq.is_some_and(|seq| self.hidden(seq))
    }

    /// Whether an earlier event of the row's key is still on its way: it then waits its turn.
    pub(super) fn is_key_blocked(&self, row: &Row) -> bool {
        let subscription = self.subscriptions.get(&row.subscription);
        if !subscription.is_some_and(Subscription::ordered)
            || row.event.key.is_none()
            || row.why == Why::Replay
        {
            return false;
        }
        self.rows.values().any(|other| {
            other.id != row.id
                && other.subscription == row.subscription
                && other.generation == row.generation
                && other.event.key == row.event.key
                && other.is_going()
                && other.why != Why::Replay
                && !self.is_withdrawn(other)
                && (other.state == LetterState::Running || other.event.seq < row.event.seq)
        })
    }
}

pub(super) fn new_row(
    subscription: &Subscription,
    event: Arc<Event>,
    why: Why,
    started: u32,
    now: Time,
) -> Row {
    Row {
        id: LetterId(0),
        subscription: subscription.id,
        kind: subscription.kind,
        handler: subscription.name.clone(),
        generation: subscription.generation,
        event,
        why,
        state: LetterState::Retrying,
        due: Some(now),
        owner: None,
        fence: 0,
        attempts: started,
        attempts_total: started,
        deaths: 0,
        deaths_alone: 0,
        held: false,
        failed: None,
        linked: None,
        before: None,
        before_discard: None,
        changed_at: now,
    }
}
