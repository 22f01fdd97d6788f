//! Puts an edited event in a letter's place, for the same handler alone.

use rusqlite::params;

use super::act::{end, now};
use super::row::{NewRow, insert_row};
use crate::event::Event;
use crate::store::deliveries::{LetterId, Why};
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::positions::standing;
use crate::store::sqlite::verbs::record::{About, act};
use crate::store::{Error, ErrorCode};

/// See [`crate::store::Letters::edit`].
pub(crate) struct EditLetter {
    pub(crate) id: LetterId,
    pub(crate) attempts_seen: u32,
    pub(crate) edited: Event,
    pub(crate) by: String,
}

impl Plain for EditLetter {}

impl Verb for EditLetter {
    type Answer = LetterId;

    fn run(self, tx: &Tx<'_>) -> Result<LetterId, Error> {
        let Some(stands) = now(tx, self.id)? else {
            return Err(
                Error::new(ErrorCode::NotFound, format!("no dead letter {}", self.id.0))
                    .with_next("ringrift dlq ls"),
            );
        };
        let open = ["retrying", "dead"].contains(&stands.state.as_str()) && !stands.held;
        if !open || stands.attempts != self.attempts_seen {
            return Err(Error::new(
                ErrorCode::WrongState,
                format!(
                    "cannot edit dead letter {}: it is {} after {} attempts, seen with {}",
                    self.id.0, stands.state, stands.attempts, self.attempts_seen
                ),
            )
            .with_next(format!("ringrift dlq show {}", self.id.0)));
        }
        let original: [u8; 16] = tx
            .conn
            .prepare_cached("SELECT event_id FROM redeliveries WHERE id = ?1")?
            .query_row([self.id.0], |row| row.get(0))?;
        end(tx, self.id, "discarded")?;
        tx.conn
            .prepare_cached("UPDATE redeliveries SET linked = ?2 WHERE id = ?1")?
            .execute(params![self.id.0, self.edited.id.0.as_bytes()])?;
        let standing = standing(tx, stands.subscription)?;
        // It is in no log, whatever place its original had.
        let edited = Event {
            seq: None,
            ..self.edited
        };
        let row = NewRow {
            linked: Some(crate::event::EventId(uuid::Uuid::from_bytes(original))),
            ..NewRow::waiting(&standing, &edited, Why::Replay)
        };
        let (new, _) = insert_row(tx, &row)?;
        let about = About {
            event: Some(edited.id),
            event_type: Some(edited.event_type.clone()),
            subscription: Some(standing.id),
            ..About::default()
        };
        let evidence = serde_json::json!({ "letter": self.id.0, "redelivery": new });
        act(tx, "dlq.edit", &self.by, about, &evidence)?;
        Ok(LetterId(new))
    }

    fn bytes(&self) -> usize {
        self.edited.payload.as_str().len()
    }
}
