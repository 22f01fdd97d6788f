//! Puts an edited event in a letter's place, for the same handler alone.

use rusqlite::params;

use super::act::{end, now};
use super::row::{NewRow, insert_row};
use crate::event::{Event, EventId};
use crate::store::deliveries::{LetterId, Why};
use crate::store::letters::Seen;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::positions::standing;
use crate::store::sqlite::verbs::record::{About, act, verdict_by};
use crate::store::{Error, ErrorCode};
use crate::verdict::Code;

/// See [`crate::store::Letters::edit`].
pub(crate) struct EditLetter {
    pub(crate) seen: Seen,
    pub(crate) edited: Event,
    pub(crate) by: String,
}

impl Plain for EditLetter {}

impl Verb for EditLetter {
    type Answer = LetterId;

    fn run(self, tx: &Tx<'_>) -> Result<LetterId, Error> {
        let id = self.seen.id;
        let Some(stands) = now(tx, id)? else {
            return Err(
                Error::new(ErrorCode::NotFound, format!("no dead letter {}", id.0))
                    .with_next("ringrift dlq ls"),
            );
        };
        let open = ["retrying", "dead"].contains(&stands.state.as_str()) && !stands.held;
        if !open || !stands.stands_as(self.seen) {
            return Err(Error::new(
                ErrorCode::WrongState,
                format!(
                    "cannot edit dead letter {}: it is {} after {} attempts, seen with {}",
                    id.0, stands.state, stands.attempts, self.seen.attempts
                ),
            )
            .with_next(format!("ringrift dlq show {}", id.0)));
        }
        let original: EventId = tx
            .conn
            .prepare_cached("SELECT event_id FROM redeliveries WHERE id = ?1")?
            .query_row([id.0], |row| row.get(0))?;
        end(tx, id, "discarded")?;
        tx.conn
            .prepare_cached("UPDATE redeliveries SET linked = ?2 WHERE id = ?1")?
            .execute(params![id.0, self.edited.id])?;
        let standing = standing(tx, stands.subscription)?;
        // It is in no log, whatever place its original had.
        let edited = Event {
            seq: None,
            ..self.edited
        };
        let row = NewRow {
            linked: Some(original),
            ..NewRow::waiting(&standing, &edited, Why::Replay)
        };
        let (new, _) = insert_row(tx, &row)?;
        take_the_place(tx, LetterId(new), id)?;
        let about = About {
            event: Some(edited.id),
            event_type: Some(edited.event_type.clone()),
            subscription: Some(standing.id),
            ..About::default()
        };
        let evidence = serde_json::json!({ "letter": id.0, "redelivery": new });
        act(tx, "dlq.edit", &self.by, about, &evidence)?;
        let evidence = serde_json::json!({
            "letter": id.0, "edited_as": edited.id, "redelivery": new
        });
        let by = (self.by.as_str(), "dlq.edit");
        verdict_by(tx, Code::StDiscarded, by, stands.about(), &evidence)?;
        Ok(LetterId(new))
    }

    fn bytes(&self) -> usize {
        self.edited.payload.as_str().len()
    }
}

/// Makes the edited delivery the letter that its original was: what failed stays in sight, and may
/// be discarded, until it succeeds.
fn take_the_place(tx: &Tx<'_>, new: LetterId, original: LetterId) -> Result<(), Error> {
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET failed = 1, state = 'retrying', next_retry_at = ?3, \
               (error, error_kind, step, created_at, last_attempt_at, attempts_total) = \
               (SELECT o.error, o.error_kind, o.step, o.created_at, o.last_attempt_at, \
                   o.attempts_total FROM redeliveries AS o WHERE o.id = ?2) \
             WHERE id = ?1",
        )?
        .execute(params![new.0, original.0, tx.now.to_sql()])?;
    Ok(())
}
