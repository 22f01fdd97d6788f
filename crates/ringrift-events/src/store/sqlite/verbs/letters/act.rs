//! What operators do with letters, on a snapshot of what they saw.

use rusqlite::{OptionalExtension as _, params};

use crate::clock::Time;
use crate::event::EventId;
use crate::store::Error;
use crate::store::deliveries::LetterId;
use crate::store::letters::{Acted, LetterAct, Seen};
use crate::store::sqlite::rows::SqlTime;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::record::{About, act, verdict_by};
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Code;

/// Ids named in the audit's evidence; the rest are counted.
const NAMED_MAX: usize = 1_000;

/// See [`crate::store::Letters::act`].
pub(crate) struct ActOnLetters {
    pub(crate) act: LetterAct,
    pub(crate) seen: Vec<Seen>,
    pub(crate) by: String,
}

impl Plain for ActOnLetters {}
impl Plain for Acted {}

/// A letter as it stands.
pub(super) struct Now {
    pub(super) state: String,
    /// Its subscription, or the generation it belongs to, is over.
    over: bool,
    pub(super) attempts: u32,
    attempts_total: u32,
    pub(super) held: bool,
    before: Option<String>,
    next_retry_at: Option<Time>,
    pub(super) subscription: SubscriptionId,
    event: EventId,
    seq: Option<i64>,
    linked: Option<EventId>,
}

pub(super) fn now(tx: &Tx<'_>, id: LetterId) -> Result<Option<Now>, Error> {
    let sql = "SELECT state, attempts, held_us IS NOT NULL, before_end, next_retry_at, \
               subscription, event_id, event_seq, linked, attempts_total, \
               NOT EXISTS (SELECT 1 FROM subscription_rows AS s WHERE s.id = subscription \
                   AND s.generation = redeliveries.generation AND s.ended_at IS NULL) \
               FROM redeliveries WHERE id = ?1 AND failed = 1";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Now {
            state: row.get(0)?,
            attempts: row.get(1)?,
            held: row.get(2)?,
            before: row.get(3)?,
            next_retry_at: row.get::<_, Option<SqlTime>>(4)?.map(|at| at.0),
            subscription: SubscriptionId(row.get(5)?),
            event: row.get(6)?,
            seq: row.get(7)?,
            linked: row.get(8)?,
            attempts_total: row.get(9)?,
            over: row.get(10)?,
        })
    };
    Ok(tx
        .conn
        .prepare_cached(sql)?
        .query_row([id.0], read)
        .optional()?)
}

impl Now {
    /// Whether it has neither run nor been retried since it was seen.
    pub(super) fn stands_as(&self, seen: Seen) -> bool {
        (self.attempts, self.attempts_total) == (seen.attempts, seen.attempts_total)
    }

    pub(super) fn about(&self) -> About {
        About {
            event: Some(self.event),
            seq: self.seq.map(crate::event::Seq),
            subscription: Some(self.subscription),
            ..About::default()
        }
    }
}

/// What an act came to for one letter.
enum One {
    /// It changed; another half of its edit may have been discarded for it.
    Changed {
        gave_way: Option<LetterId>,
    },
    Left,
    Ended,
}

const DONE: One = One::Changed { gave_way: None };

/// Whether a letter may come back.
enum Room {
    /// It may, now that this one was discarded for it.
    Made(Option<LetterId>),
    Taken,
}

impl Verb for ActOnLetters {
    type Answer = Acted;

    fn run(self, tx: &Tx<'_>) -> Result<Acted, Error> {
        let mut acted = Acted::default();
        let mut changed = Vec::new();
        for seen in &self.seen {
            let done = match now(tx, seen.id)? {
                Some(now) if now.stands_as(*seen) => self.one(tx, seen.id, &now)?,
                Some(_) | None => One::Left,
            };
            match done {
                One::Changed { gave_way } => {
                    changed.push(seen.id);
                    // It was brought back a moment ago, and is discarded again.
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
        let mut changed: Vec<i64> = changed.into_iter().map(|id| id.0).collect();
        changed.truncate(NAMED_MAX);
        let evidence = serde_json::json!({
            "changed": acted.changed, "left": acted.left.len(), "letters": changed
        });
        act(tx, self.name(), &self.by, About::default(), &evidence)?;
        Ok(acted)
    }
}

impl ActOnLetters {
    fn name(&self) -> &'static str {
        match self.act {
            LetterAct::Retry => "dlq.retry",
            LetterAct::Discard => "dlq.discard",
            LetterAct::Purge => "dlq.purge",
            LetterAct::Restore => "dlq.restore",
        }
    }

    /// Discards what an edit put in the letter's place, or what it was edited from, if that waits;
    /// taken, with nothing changed, while it runs or a thread of it does, and once it succeeded:
    /// then the letter's work is done.
    fn make_room(&self, tx: &Tx<'_>, restored: LetterId, now: &Now) -> Result<Room, Error> {
        let comes_back_open = now.before.as_deref() != Some("recovered");
        let mut seen = vec![now.event];
        let mut next = now.linked;
        while let Some(event) = next
            && !seen.contains(&event)
            && seen.len() < EDITS_MAX
        {
            seen.push(event);
            let Some(other) = linked_letter(tx, now.subscription, event)? else {
                break;
            };
            let (id, held) = (other.id, other.held);
            match other.state.as_str() {
                "running" => return Ok(Room::Taken),
                "recovered" if comes_back_open => return Ok(Room::Taken),
                "retrying" | "dead" if held => return Ok(Room::Taken),
                "retrying" | "dead" => {
                    end(tx, id, "discarded")?;
                    let about = About {
                        event: Some(event),
                        subscription: Some(now.subscription),
                        ..About::default()
                    };
                    let evidence =
                        serde_json::json!({ "letter": id.0, "in_favour_of": restored.0 });
                    let by = (self.by.as_str(), self.name());
                    verdict_by(tx, Code::StDiscarded, by, about, &evidence)?;
                    return Ok(Room::Made(Some(id)));
                }
                _ => next = other.linked,
            }
        }
        Ok(Room::Made(None))
    }

    fn one(&self, tx: &Tx<'_>, id: LetterId, now: &Now) -> Result<One, Error> {
        let open = ["retrying", "dead"].contains(&now.state.as_str()) && !now.held;
        match self.act {
            LetterAct::Retry if open => {
                tx.conn
                    .prepare_cached(
                        "UPDATE redeliveries SET state = 'retrying', attempts = 0, due_us = ?2, \
                         next_retry_at = ?3 WHERE id = ?1",
                    )?
                    .execute(params![id.0, tx.now.0, tx.now.to_sql()])?;
                Ok(DONE)
            }
            LetterAct::Discard if open => {
                end(tx, id, "discarded")?;
                let evidence = serde_json::json!({ "letter": id.0, "attempts": now.attempts });
                let by = (self.by.as_str(), self.name());
                verdict_by(tx, Code::StDiscarded, by, now.about(), &evidence)?;
                Ok(DONE)
            }
            LetterAct::Purge if !["running", "purged"].contains(&now.state.as_str()) => {
                end(tx, id, "purged")?;
                Ok(DONE)
            }
            LetterAct::Restore if ["discarded", "purged"].contains(&now.state.as_str()) => {
                self.bring_back(tx, id, now)
            }
            LetterAct::Retry | LetterAct::Discard | LetterAct::Purge | LetterAct::Restore => {
                Ok(One::Left)
            }
        }
    }

    fn bring_back(&self, tx: &Tx<'_>, id: LetterId, now: &Now) -> Result<One, Error> {
        let before = now.before.as_deref().unwrap_or("dead");
        let stays_discarded = before.starts_with("discarded");
        if now.over && ["retrying", "dead"].contains(&before) {
            return Ok(One::Ended);
        }
        let room = if stays_discarded {
            Room::Made(None)
        } else {
            self.make_room(tx, id, now)?
        };
        let Room::Made(gave_way) = room else {
            return Ok(One::Left);
        };
        restore(tx, id, now)?;
        let evidence = serde_json::json!({ "letter": id.0 });
        act(tx, self.name(), &self.by, now.about(), &evidence)?;
        Ok(One::Changed { gave_way })
    }
}

/// Most edits of edits that a restore follows.
const EDITS_MAX: usize = 100;

/// Ends a letter by hand. A purge of a discarded one keeps where it stood before that as well, so
/// that each of the two can be undone in its turn.
pub(super) fn end(tx: &Tx<'_>, id: LetterId, state: &str) -> Result<(), Error> {
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET before_end = CASE \
                 WHEN state = 'discarded' AND before_end IS NOT NULL \
                   THEN 'discarded:' || before_end \
                 ELSE state END, \
               state = ?2, due_us = NULL, owner = NULL, held_us = NULL, fence = fence + 1, \
               ended_us = ?3 WHERE id = ?1",
        )?
        .execute(params![id.0, state, tx.now.0])?;
    Ok(())
}

/// The other letter of an edit.
struct Linked {
    id: LetterId,
    state: String,
    held: bool,
    linked: Option<EventId>,
}

/// The letter of an event that an edit links to, as it stands; one that is hidden stands as it did
/// before.
fn linked_letter(
    tx: &Tx<'_>,
    subscription: SubscriptionId,
    event: EventId,
) -> Result<Option<Linked>, Error> {
    let found = tx
        .conn
        .prepare_cached(
            "SELECT id, CASE WHEN state = 'purged' AND before_end = 'recovered' THEN before_end \
                 ELSE state END, held_us IS NOT NULL, linked FROM redeliveries \
             WHERE subscription = ?1 AND event_id = ?2 AND failed = 1 AND linked IS NOT NULL \
             ORDER BY id LIMIT 1",
        )?
        .query_row(params![subscription.0, event], |row| {
            Ok(Linked {
                id: LetterId(row.get(0)?),
                state: row.get(1)?,
                held: row.get(2)?,
                linked: row.get(3)?,
            })
        });
    Ok(found.optional()?)
}

fn restore(tx: &Tx<'_>, id: LetterId, now: &Now) -> Result<(), Error> {
    let before = now.before.as_deref().unwrap_or("dead");
    let (state, earlier) = match before.split_once(':') {
        Some((state, earlier)) => (state, Some(earlier)),
        None => (before, None),
    };
    let retrying = state == "retrying";
    let due = retrying.then(|| now.next_retry_at.unwrap_or(tx.now).max(tx.now));
    let ended = ["recovered", "expired", "discarded"].contains(&state);
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET state = ?2, before_end = ?6, due_us = ?3, \
             next_retry_at = ?4, ended_us = ?5 WHERE id = ?1",
        )?
        .execute(params![
            id.0,
            state,
            due.map(|due| due.0),
            due.map(Time::to_sql),
            ended.then_some(tx.now.0),
            earlier,
        ])?;
    Ok(())
}
