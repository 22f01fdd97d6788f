//! Dead letters as operators see them and act on them.

use std::sync::Arc;

use serde_json::json;

use super::redeliveries::new_row;
use super::state::{Row, World};
use crate::event::Event;
use crate::store::deliveries::{LetterId, Why};
use crate::store::letters::{Acted, Letter, LetterAct, LetterFilter, LetterState};
use crate::store::registry::Fact;
use crate::store::{Error, ErrorCode};
use crate::verdict::Code;

/// Most letters in one answer.
const LETTERS_MAX: usize = 100_000;

impl World {
    pub(super) fn letters(&self, filter: &LetterFilter) -> Vec<Letter> {
        let most = filter.limit.min(LETTERS_MAX);
        let rows = self.rows.values().rev().filter(|row| wanted(row, filter));
        rows.filter_map(letter).take(most).collect()
    }

    pub(super) fn count_letters(&self) -> u64 {
        let shown = self
            .rows
            .values()
            .filter(|row| row.is_letter() && row.is_unfinished());
        shown.count() as u64
    }

    pub(super) fn act(&mut self, act: LetterAct, seen: Vec<(LetterId, u32)>, by: &str) -> Acted {
        let mut acted = Acted::default();
        for (id, attempts) in seen {
            if self.act_on(act, id, attempts) {
                acted.changed += 1;
                self.note_letter_act(act, id, by);
            } else {
                acted.left.push(id);
            }
        }
        acted
    }

    fn act_on(&mut self, act: LetterAct, id: LetterId, seen: u32) -> bool {
        let now = self.now;
        let Some(row) = self.rows.get_mut(&id) else {
            return false;
        };
        if !row.is_letter() || row.attempts != seen {
            return false;
        }
        match (act, row.state) {
            // Its thread still runs: a retry would run beside it.
            (LetterAct::Retry | LetterAct::Discard, _) if row.held => return false,
            (LetterAct::Retry, LetterState::Dead | LetterState::Retrying) => {
                row.state = LetterState::Retrying;
                row.due = Some(now);
                row.attempts = 0;
            }
            (LetterAct::Discard, LetterState::Dead | LetterState::Retrying) => {
                row.before = Some(row.state);
                row.state = LetterState::Discarded;
            }
            (LetterAct::Purge, LetterState::Running | LetterState::Purged) => return false,
            (LetterAct::Purge, state) => {
                // Discarded first and purged then: it comes back to where it stood before both.
                if state != LetterState::Discarded {
                    row.before = Some(state);
                }
                row.state = LetterState::Purged;
                row.held = false;
                row.owner = None;
                row.fence += 1;
            }
            (LetterAct::Restore, LetterState::Discarded | LetterState::Purged) => {
                let Some(before) = row.before.take() else {
                    return false;
                };
                row.state = before;
                row.due = row.due.map(|due| due.max(now));
            }
            (LetterAct::Retry | LetterAct::Discard | LetterAct::Restore, _) => return false,
        }
        row.changed_at = now;
        true
    }

    fn note_letter_act(&mut self, act: LetterAct, id: LetterId, by: &str) {
        let Some(row) = self.rows.get(&id) else {
            return;
        };
        let (subscription, event) = (row.subscription, Arc::clone(&row.event));
        let name = match act {
            LetterAct::Retry => "dlq.retry",
            LetterAct::Discard => "dlq.discard",
            LetterAct::Purge => "dlq.purge",
            LetterAct::Restore => "dlq.restore",
        };
        let code = match act {
            LetterAct::Discard => Some(Code::StDiscarded),
            LetterAct::Purge => Some(Code::StPurged),
            LetterAct::Retry | LetterAct::Restore => None,
        };
        let fact = Fact {
            event: Some(event.id),
            seq: event.seq,
            event_type: Some(event.event_type.clone()),
            subscription: Some(subscription),
            act: Some((by.to_owned(), name.to_owned())),
            evidence: json!({ "letter": id }).to_string(),
            ..self.fact(code)
        };
        self.note(fact);
    }

    pub(super) fn edit(
        &mut self,
        id: LetterId,
        attempts_seen: u32,
        edited: Event,
        by: &str,
    ) -> Result<LetterId, Error> {
        let row = self.row(id)?;
        let may = row.is_letter()
            && !row.held
            && matches!(row.state, LetterState::Dead | LetterState::Retrying);
        if !may || row.attempts != attempts_seen {
            let text = format!(
                "cannot edit dead letter {}: it is {} after {} attempts",
                id.0,
                row.state.as_str(),
                row.attempts
            );
            return Err(Error::new(ErrorCode::WrongState, text));
        }
        let (original, edited_id) = (row.event.id, edited.id);
        // It is in no log, whatever place its original had.
        let edited = Arc::new(Event {
            seq: None,
            ..edited
        });
        let subscription = self.subscription(row.subscription)?;
        let mut twin = new_row(subscription, edited, Why::Replay, 0, self.now);
        twin.linked = Some(original);
        let now = self.now;
        if let Some(row) = self.rows.get_mut(&id) {
            row.before = Some(row.state);
            row.state = LetterState::Discarded;
            row.fence += 1;
            row.linked = Some(edited_id);
            row.changed_at = now;
        }
        let twin = self.add_row(twin);
        self.note_letter_act(LetterAct::Discard, id, by);
        Ok(twin)
    }
}

fn wanted(row: &Row, filter: &LetterFilter) -> bool {
    let states = if filter.states.is_empty() {
        row.is_unfinished()
    } else {
        filter.states.contains(&row.state)
    };
    let created = row.failed.as_ref().map(|failed| failed.first_at);
    states
        && (filter.ids.is_empty() || filter.ids.contains(&row.id))
        && filter
            .handler
            .as_ref()
            .is_none_or(|handler| *handler == row.handler)
        && filter
            .event_type
            .as_ref()
            .is_none_or(|t| *t == row.event.event_type)
        && filter
            .since
            .is_none_or(|since| created.is_some_and(|at| at >= since))
        && filter
            .before
            .is_none_or(|before| created.is_some_and(|at| at < before))
        && filter.below.is_none_or(|below| row.id < below)
}

/// The letter a row is, if it has failed.
fn letter(row: &Row) -> Option<Letter> {
    let failed = row.failed.as_ref()?;
    Some(Letter {
        id: row.id,
        event: Event::clone(&row.event),
        subscription: row.subscription,
        handler: row.handler.clone(),
        state: row.state,
        error: failed.last.message.clone(),
        error_kind: failed.last.kind,
        step: failed.last.step.clone(),
        attempts: row.attempts,
        attempts_total: row.attempts_total,
        deaths: row.deaths,
        created_at: failed.first_at,
        last_attempt_at: failed.last_at,
        next_retry_at: row.due.filter(|_| row.state == LetterState::Retrying),
        linked: row.linked,
    })
}
