//! Redeliveries: taking due ones, settling them, parking, replaying, late answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::redeliveries::new_row;
use super::state::{Row, Subscription, World};
use crate::clock::Time;
use crate::event::{Event, EventId, ProcessId, Seq};
use crate::store::deliveries::{LetterId, Redelivery, Settlement, Why};
use crate::store::letters::LetterState;
use crate::store::registry::Fact;
use crate::store::subscriptions::{Kind, SubscriptionId};
use crate::store::{Error, ErrorCode};
use crate::verdict::{Code, Failure, Outcome};

impl World {
    pub(super) fn claim_due(
        &mut self,
        me: ProcessId,
        subscriptions: &[SubscriptionId],
        max: usize,
    ) -> Result<Vec<Redelivery>, Error> {
        self.check_known(subscriptions)?;
        let mut given = Vec::new();
        let now = self.now;
        for (due, id, host) in self.eligible(me, subscriptions) {
            if due > now || given.len() == max {
                break;
            }
            // Asked again: one that was just given out blocks its key.
            if self.is_key_blocked(&self.rows[&id]) {
                continue;
            }
            if let Some(row) = self.rows.get_mut(&id) {
                let before = row.attempts;
                row.state = LetterState::Running;
                row.owner = Some(me);
                row.fence += 1;
                row.attempts += 1;
                row.attempts_total += 1;
                row.changed_at = now;
                given.push(Redelivery {
                    id,
                    fence: row.fence,
                    subscription: host,
                    event: Arc::clone(&row.event),
                    why: row.why,
                    attempts: before,
                    deaths: row.deaths,
                });
            }
        }
        Ok(given)
    }

    pub(super) fn next_due(
        &self,
        me: ProcessId,
        subscriptions: &[SubscriptionId],
    ) -> Result<Option<Time>, Error> {
        self.check_known(subscriptions)?;
        let eligible = self.eligible(me, subscriptions);
        Ok(eligible.first().map(|(due, _, _)| *due))
    }

    fn check_known(&self, subscriptions: &[SubscriptionId]) -> Result<(), Error> {
        subscriptions
            .iter()
            .try_for_each(|id| self.subscription(*id).map(|_| ()))
    }

    /// What this process may take of these subscriptions, oldest due first, each with the
    /// subscription it hosts it by.
    fn eligible(
        &self,
        me: ProcessId,
        subscriptions: &[SubscriptionId],
    ) -> Vec<(Time, LetterId, SubscriptionId)> {
        let asked: BTreeSet<SubscriptionId> = subscriptions.iter().copied().collect();
        let mut found: Vec<(Time, LetterId, SubscriptionId)> = self
            .rows
            .values()
            .filter(|row| row.state == LetterState::Retrying && !row.held)
            .filter(|row| !self.is_withdrawn(row))
            .filter_map(|row| Some((row.due?, row.id, self.host_for(me, row, &asked)?)))
            .collect();
        found.retain(|(_, id, _)| !self.is_key_blocked(&self.rows[id]));
        found.sort_unstable();
        found
    }

    /// The asked subscription by which this process may run a row.
    fn host_for(
        &self,
        me: ProcessId,
        row: &Row,
        asked: &BTreeSet<SubscriptionId>,
    ) -> Option<SubscriptionId> {
        let hosts = &self.members.get(&me)?.hosts;
        let may = |subscription: &&Subscription| {
            let same = match row.kind {
                Kind::Durable => subscription.id == row.subscription,
                Kind::Live => subscription.kind == Kind::Live && subscription.name == row.handler,
            };
            let version = hosts.get(&subscription.id);
            same && subscription.paused.is_none()
                && subscription.ended_at.is_none()
                && version.is_some_and(|version| within(subscription, *version, row))
        };
        let found = asked.iter().filter_map(|id| self.subscriptions.get(id));
        found.filter(may).map(|subscription| subscription.id).next()
    }

    /// The row that this process runs; `None` when that was settled.
    fn proven(&self, me: ProcessId, id: LetterId, fence: i64) -> Result<Option<&Row>, Error> {
        let Some(row) = self.rows.get(&id).filter(|row| row.is_unfinished()) else {
            return Ok(None);
        };
        if row.fence != fence {
            let text = format!("redelivery {} was taken over", id.0);
            return Err(Error::new(ErrorCode::LeaseLost, text));
        }
        let runs = row.state == LetterState::Running && row.owner == Some(me);
        Ok(runs.then_some(row))
    }

    pub(super) fn hand_back_due(
        &mut self,
        me: ProcessId,
        id: LetterId,
        fence: i64,
        dedup_key: Option<&str>,
    ) -> Result<bool, Error> {
        let Some(row) = self.proven(me, id, fence)? else {
            return Ok(false);
        };
        let (subscription, event) = (row.subscription, row.event.id);
        if let Some(key) = dedup_key {
            self.end_key(subscription, key, event, false);
        }
        let now = self.now;
        if let Some(row) = self.rows.get_mut(&id) {
            row.state = LetterState::Retrying;
            row.owner = None;
            row.due = Some(now);
            row.attempts = row.attempts.saturating_sub(1);
            row.attempts_total = row.attempts_total.saturating_sub(1);
            row.changed_at = now;
        }
        Ok(true)
    }

    pub(super) fn settle_due(
        &mut self,
        me: ProcessId,
        id: LetterId,
        fence: i64,
        settlement: &Settlement,
    ) -> Result<bool, Error> {
        let Some(row) = self.proven(me, id, fence)? else {
            return Ok(false);
        };
        let (subscription, event) = (row.subscription, row.event.id);
        let withdrawn = self.is_withdrawn(row);
        if let Some(key) = &settlement.dedup_key {
            let done = settlement.outcome == Outcome::Done && !withdrawn;
            self.end_key(subscription, key, event, done);
        }
        if withdrawn {
            // It goes with its event, and comes back with it.
            let now = self.now;
            if let Some(row) = self.rows.get_mut(&id) {
                row.state = LetterState::Retrying;
                row.owner = None;
                row.due = Some(now);
            }
            return Ok(true);
        }
        if let Outcome::Failed(failure) = &settlement.outcome {
            self.fail_row(id, me, failure, settlement.retry_at, settlement.held);
        } else {
            self.recover(id, me, &settlement.outcome, false);
        }
        Ok(true)
    }

    /// Ends a row as recovered; of one that had failed, that is a verdict.
    fn recover(&mut self, id: LetterId, me: ProcessId, outcome: &Outcome, late: bool) {
        let now = self.now;
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        row.state = LetterState::Recovered;
        row.owner = None;
        row.held = false;
        row.due = None;
        row.changed_at = now;
        let (subscription, event) = (row.subscription, Arc::clone(&row.event));
        let (letter, attempts) = (row.is_letter(), row.attempts);
        let evidence = json!({ "letter": id, "attempts": attempts, "late": late });
        match outcome {
            Outcome::Skipped { reason } => {
                let evidence = json!({ "letter": id, "reason": reason });
                self.verdict(Code::HnSkipped, subscription, &event, Some(me), evidence);
            }
            Outcome::Duplicate { original, key, .. } => {
                let evidence = json!({ "letter": id, "original": original, "key": key });
                self.verdict(Code::HnDuplicate, subscription, &event, Some(me), evidence);
            }
            Outcome::Done | Outcome::Failed(_) => {}
        }
        if letter {
            self.verdict(Code::StRecovered, subscription, &event, Some(me), evidence);
        }
    }

    pub(super) fn row(&self, id: LetterId) -> Result<&Row, Error> {
        self.rows.get(&id).ok_or_else(|| {
            Error::new(ErrorCode::NotFound, format!("no dead letter {}", id.0))
                .with_next("ringrift dlq ls")
        })
    }

    pub(super) fn park(
        &mut self,
        me: ProcessId,
        id: SubscriptionId,
        event: Arc<Event>,
        failure: &Failure,
        (retry_at, held): (Option<Time>, bool),
    ) -> Result<LetterId, Error> {
        let subscription = self.subscription(id)?;
        let row = new_row(subscription, event, Why::Retry, 1, self.now);
        let letter = self.add_row(row);
        self.fail_row(letter, me, failure, retry_at, held);
        Ok(letter)
    }

    pub(super) fn late(
        &mut self,
        me: ProcessId,
        subscription: SubscriptionId,
        event: EventId,
        outcome: &Outcome,
    ) -> bool {
        let held = self.rows.values().find(|row| {
            row.held
                && row.owner == Some(me)
                && row.subscription == subscription
                && row.event.id == event
        });
        let Some(id) = held.map(|row| row.id) else {
            return false;
        };
        let evidence = match outcome {
            Outcome::Done => {
                self.recover(id, me, outcome, true);
                return true;
            }
            Outcome::Failed(failure) => json!({ "letter": id, "error": failure.message }),
            Outcome::Skipped { reason } => json!({ "letter": id, "skipped": reason }),
            Outcome::Duplicate { key, .. } => json!({ "letter": id, "duplicate": key }),
        };
        if let Some(event) = self.free_held(id) {
            self.verdict(Code::HnAbandoned, subscription, &event, Some(me), evidence);
        }
        true
    }

    /// Lets a held row go: it is due at the time it was given, or stays dead.
    pub(super) fn free_held(&mut self, id: LetterId) -> Option<Arc<Event>> {
        let now = self.now;
        let row = self.rows.get_mut(&id)?;
        row.held = false;
        row.owner = None;
        row.due = row.due.map(|due| due.max(now));
        Some(Arc::clone(&row.event))
    }

    pub(super) fn replay(
        &mut self,
        id: SubscriptionId,
        seq: Seq,
        by: String,
    ) -> Result<LetterId, Error> {
        let subscription = self.subscription(id)?;
        if subscription.ended_at.is_some() {
            let text = format!(
                "cannot replay event {seq} for {:?}: it has ended",
                subscription.name
            );
            return Err(Error::new(ErrorCode::WrongState, text));
        }
        if self.hidden(seq) {
            return Err(Error::no_seq(seq));
        }
        let letter = self.row_of(id, seq, Why::Replay);
        let event = self.rows.get(&letter).map(|row| Arc::clone(&row.event));
        let event = event.as_ref();
        let fact = Fact {
            event: event.map(|event| event.id),
            seq: Some(seq),
            event_type: event.map(|event| event.event_type.clone()),
            subscription: Some(id),
            act: Some((by, "events.replay".to_owned())),
            evidence: json!({ "redelivery": letter }).to_string(),
            ..self.fact(Some(Code::StReplayedAs))
        };
        self.note(fact);
        Ok(letter)
    }
}

/// Whether a host of `version` may take the row: nothing at or after the version's border.
fn within(subscription: &Subscription, version: i64, row: &Row) -> bool {
    let border = subscription
        .versions
        .iter()
        .find(|(v, _)| v.number == version);
    let valid_to = border.and_then(|(version, _)| version.valid_to);
    match (valid_to, row.event.seq) {
        (Some(valid_to), Some(seq)) => seq < valid_to || row.kind == Kind::Live,
        (None, _) | (_, None) => true,
    }
}
