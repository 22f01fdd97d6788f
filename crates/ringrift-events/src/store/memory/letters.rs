//! Dead letters as operators see them and act on them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::redeliveries::new_row;
use super::state::{Row, World};
use crate::event::Event;
use crate::store::deliveries::{LetterId, Why};
use crate::store::letters::{Acted, Letter, LetterAct, LetterFilter, LetterState, Seen};
use crate::store::registry::Fact;
use crate::store::{Error, ErrorCode};
use crate::verdict::Code;

/// Most letters in one answer.
const LETTERS_MAX: usize = 100_000;

/// What an act came to for one letter.
enum One {
    /// It changed; another half of its edit may have been discarded for it.
    Changed {
        gave_way: Option<LetterId>,
    },
    Left,
    Ended,
}

/// Whether a letter may come back.
enum Room {
    /// It may, now that this one was discarded for it.
    Made(Option<LetterId>),
    Taken,
}

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

    pub(super) fn act(&mut self, act: LetterAct, seen: Vec<Seen>, by: &str) -> Acted {
        let mut acted = Acted::default();
        let mut changed = Vec::new();
        for seen in seen {
            match self.act_on(act, seen, by) {
                One::Changed { gave_way } => {
                    self.note_letter_act(act, seen.id, by);
                    changed.push(seen.id);
                    if let Some(at) = changed.iter().position(|id| Some(*id) == gave_way) {
                        acted.left.push(changed.remove(at));
                    }
                }
                One::Left => acted.left.push(seen.id),
                One::Ended => {
                    acted.left.push(seen.id);
                    acted.ended.push(seen.id);
                }
            }
        }
        acted.changed = changed.len() as u64;
        acted
    }

    fn act_on(&mut self, act: LetterAct, seen: Seen, by: &str) -> One {
        let (now, id) = (self.now, seen.id);
        let Some(row) = self.rows.get_mut(&id) else {
            return One::Left;
        };
        if !row.is_letter() || !row.stands_as(seen) {
            return One::Left;
        }
        match (act, row.state) {
            // Its thread still runs: a retry would run beside it.
            (LetterAct::Retry | LetterAct::Discard, _) if row.held => return One::Left,
            (LetterAct::Retry, LetterState::Dead | LetterState::Retrying) => {
                row.state = LetterState::Retrying;
                row.due = Some(now);
                row.attempts = 0;
            }
            (LetterAct::Discard, LetterState::Dead | LetterState::Retrying) => {
                row.before = Some(row.state);
                row.state = LetterState::Discarded;
            }
            (LetterAct::Purge, LetterState::Running | LetterState::Purged) => return One::Left,
            (LetterAct::Purge, state) => {
                // Discarded first and purged then: each is undone in its turn.
                let before = row.before.replace(state);
                if state == LetterState::Discarded {
                    row.before_discard = before;
                }
                row.state = LetterState::Purged;
                row.held = false;
                row.owner = None;
                row.fence += 1;
            }
            (LetterAct::Restore, LetterState::Discarded | LetterState::Purged) => {
                return self.restore(id, by);
            }
            (LetterAct::Retry | LetterAct::Discard | LetterAct::Restore, _) => return One::Left,
        }
        row.changed_at = now;
        One::Changed { gave_way: None }
    }

    fn restore(&mut self, id: LetterId, by: &str) -> One {
        let Some(row) = self.rows.get(&id) else {
            return One::Left;
        };
        let room = match row.before {
            None => return One::Left,
            Some(LetterState::Discarded) => Room::Made(None),
            Some(LetterState::Retrying | LetterState::Dead) if self.is_over(row) => {
                return One::Ended;
            }
            Some(
                LetterState::Retrying
                | LetterState::Running
                | LetterState::Dead
                | LetterState::Recovered
                | LetterState::Expired
                | LetterState::Purged,
            ) => self.make_room(id, by),
        };
        match room {
            Room::Taken => One::Left,
            Room::Made(gave_way) => {
                self.bring_back(id);
                One::Changed { gave_way }
            }
        }
    }

    /// Whether nobody would run it any more: its subscription was removed, or sought since.
    fn is_over(&self, row: &Row) -> bool {
        self.subscriptions
            .get(&row.subscription)
            .is_none_or(|its| its.ended_at.is_some() || its.generation != row.generation)
    }

    /// Discards what an edit put in the letter's place, or what it was edited from, if that waits;
    /// taken, with nothing changed, while it runs or a thread of it does, and once it succeeded:
    /// then the letter's work is done.
    fn make_room(&mut self, id: LetterId, by: &str) -> Room {
        let Some(row) = self.rows.get(&id) else {
            return Room::Taken;
        };
        let comes_back_open = row.before != Some(LetterState::Recovered);
        let subscription = row.subscription;
        let mut seen = vec![row.event.id];
        let mut next = row.linked;
        while let Some(event) = next
            && !seen.contains(&event)
        {
            seen.push(event);
            let other = self.rows.values_mut().find(|row| {
                row.subscription == subscription && row.event.id == event && row.linked.is_some()
            });
            let Some(other) = other else { break };
            let hidden_done = other.before == Some(LetterState::Recovered);
            match other.state {
                LetterState::Running => return Room::Taken,
                LetterState::Recovered if comes_back_open => return Room::Taken,
                LetterState::Purged if comes_back_open && hidden_done => return Room::Taken,
                LetterState::Retrying | LetterState::Dead if other.held => return Room::Taken,
                LetterState::Retrying | LetterState::Dead => {
                    other.before = Some(other.state);
                    other.state = LetterState::Discarded;
                    other.fence += 1;
                    other.changed_at = self.now;
                    let heir = other.id;
                    let evidence = json!({ "letter": heir, "in_favour_of": id });
                    self.note_done("dlq.restore", heir, by, Some(Code::StDiscarded), &evidence);
                    return Room::Made(Some(heir));
                }
                LetterState::Recovered
                | LetterState::Discarded
                | LetterState::Expired
                | LetterState::Purged => next = other.linked,
            }
        }
        Room::Made(None)
    }

    fn bring_back(&mut self, id: LetterId) {
        let now = self.now;
        if let Some(row) = self.rows.get_mut(&id)
            && let Some(before) = row.before.take()
        {
            row.state = before;
            row.before = row.before_discard.take();
            row.due = row.due.map(|due| due.max(now));
            row.changed_at = now;
        }
    }

    fn note_letter_act(&mut self, act: LetterAct, id: LetterId, by: &str) {
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
        self.note_done(name, id, by, code, &json!({ "letter": id }));
    }

    /// Notes what an operator did to one letter.
    fn note_done(
        &mut self,
        name: &str,
        id: LetterId,
        by: &str,
        code: Option<Code>,
        evidence: &Value,
    ) {
        let Some(row) = self.rows.get(&id) else {
            return;
        };
        let (subscription, event) = (row.subscription, Arc::clone(&row.event));
        let fact = Fact {
            event: Some(event.id),
            seq: event.seq,
            event_type: Some(event.event_type.clone()),
            subscription: Some(subscription),
            act: Some((by.to_owned(), name.to_owned())),
            evidence: evidence.to_string(),
            ..self.fact(code)
        };
        self.note(fact);
    }

    pub(super) fn edit(&mut self, seen: Seen, edited: Event, by: &str) -> Result<LetterId, Error> {
        let id = seen.id;
        let row = self.row(id)?;
        let may = row.is_letter()
            && !row.held
            && matches!(row.state, LetterState::Dead | LetterState::Retrying);
        if !may || !row.stands_as(seen) {
            let text = format!(
                "cannot edit dead letter {}: it is {} after {} attempts",
                id.0,
                row.state.as_str(),
                row.attempts
            );
            return Err(Error::new(ErrorCode::WrongState, text));
        }
        let (original, edited_id) = (row.event.id, edited.id);
        let (failed, attempts_total) = (row.failed.clone(), row.attempts_total);
        // It is in no log, whatever place its original had.
        let edited = Arc::new(Event {
            seq: None,
            ..edited
        });
        let subscription = self.subscription(row.subscription)?;
        let mut twin = new_row(subscription, edited, Why::Replay, 0, self.now);
        twin.linked = Some(original);
        // It takes the place of what failed, in sight from the start.
        (twin.failed, twin.attempts_total) = (failed, attempts_total);
        let now = self.now;
        if let Some(row) = self.rows.get_mut(&id) {
            row.before = Some(row.state);
            row.state = LetterState::Discarded;
            row.fence += 1;
            row.linked = Some(edited_id);
            row.changed_at = now;
        }
        let twin = self.add_row(twin);
        let evidence = json!({ "letter": id, "redelivery": twin });
        self.note_done("dlq.edit", twin, by, None, &evidence);
        let evidence = json!({ "letter": id, "edited_as": edited_id, "redelivery": twin });
        self.note_done("dlq.edit", id, by, Some(Code::StDiscarded), &evidence);
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
        && filter.event.is_none_or(|event| event == row.event.id)
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
