//! Appends events, all or none, looking for duplicates in the same transaction.

use std::collections::HashMap;

use rusqlite::{CachedStatement, OptionalExtension as _, params};

use crate::clock::Time;
use crate::event::{Event, EventId, Seq};
use crate::store::log::{
    APPEND_DRAFTS_MAX, Appended, Batch, Draft, Durability, IDEMPOTENCY_WINDOW,
};
use crate::store::pages::Bells;
use crate::store::sqlite::rows::{Id, SqlTime};
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::{Error, ErrorCode};

/// What a row costs beside its payload, about: columns and index entries.
const ROW_BYTES: usize = 300;

/// Expired keys removed with each new one: faster than they can be added.
const EXPIRED_REMOVED: i64 = 4;

// No ON CONFLICT clause: a row passed over by one would still use up a number of the log.
const INSERT: &str = "INSERT INTO events (id, event_type, payload, source, key, published_at, \
     created_at, trace_id, parent_id, depth, origin, stage) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

/// Appends a batch.
pub(in crate::store::sqlite) struct Append(pub(in crate::store::sqlite) Batch);

impl Plain for Append {}
impl Plain for Appended {}

impl Verb for Append {
    type Answer = Vec<Appended>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Appended>, Error> {
        if self.0.drafts.len() > APPEND_DRAFTS_MAX {
            return Err(Error::new(
                ErrorCode::WrongState,
                format!(
                    "a batch of {} events was to be appended, at most {APPEND_DRAFTS_MAX} go at once",
                    self.0.drafts.len()
                ),
            ));
        }
        let mut appending = Appending {
            tx,
            insert: tx.conn.prepare_cached(INSERT)?,
            created_at: tx.now.to_sql(),
            // Rows keep milliseconds; the answer says what a reader will find.
            committed_at: Time(tx.now.0 - tx.now.0.rem_euclid(1_000)),
            origins: HashMap::new(),
        };
        self.0
            .drafts
            .iter()
            .map(|draft| appending.one(draft))
            .collect()
    }

    fn bytes(&self) -> usize {
        self.0
            .drafts
            .iter()
            .map(|draft| draft.event.payload.as_str().len() + ROW_BYTES)
            .sum()
    }

    fn power(&self) -> bool {
        self.0.durability == Durability::Power
    }

    fn rings(&self) -> Bells {
        self.0.drafts.iter().fold(Bells::NONE, |bells, draft| {
            bells.and(Bells::of_type(draft.event.event_type.as_str()))
        })
    }
}

struct Appending<'a> {
    tx: &'a Tx<'a>,
    insert: CachedStatement<'a>,
    created_at: String,
    committed_at: Time,
    /// Rows of other processes whose events are appended here (an import): looked up once.
    origins: HashMap<uuid::Uuid, i64>,
}

impl Appending<'_> {
    fn one(&mut self, draft: &Draft) -> Result<Appended, Error> {
        if let Some(key) = &draft.idempotency_key
            && let Some(original) = self.by_key(key, &draft.event)?
        {
            return Ok(original);
        }
        let appended = match self.insert(&draft.event)? {
            Some(seq) => Appended {
                seq,
                committed_at: self.committed_at,
                duplicate_of: None,
            },
            None => self.by_id(draft.event.id)?,
        };
        if let Some(key) = &draft.idempotency_key {
            self.keep_key(key, appended.seq)?;
        }
        Ok(appended)
    }

    /// Inserts the row; `None` when the id is there already.
    fn insert(&mut self, event: &Event) -> Result<Option<Seq>, Error> {
        let origin = self.origin(event)?;
        let added = self.insert.execute(params![
            event.id.0.as_bytes().as_slice(),
            event.event_type.as_str(),
            event.payload.as_str(),
            event.source,
            event.key,
            event.published_at.0,
            self.created_at,
            event.trace_id.0.as_bytes().as_slice(),
            event
                .parent_id
                .as_ref()
                .map(|id| id.0.as_bytes().as_slice()),
            event.depth,
            origin,
            event.stage,
        ]);
        match added {
            Ok(_) => Ok(Some(Seq(self.tx.conn.last_insert_rowid()))),
            Err(error) if is_duplicate(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn origin(&mut self, event: &Event) -> Result<i64, Error> {
        if event.origin == self.tx.process {
            return Ok(self.tx.process_row);
        }
        if let Some(row) = self.origins.get(&event.origin.0) {
            return Ok(*row);
        }
        let row = self
            .tx
            .conn
            .prepare_cached("SELECT id FROM processes WHERE uuid = ?1")?
            .query_row([event.origin.0.as_bytes().as_slice()], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        self.origins.insert(event.origin.0, row);
        Ok(row)
    }

    fn by_id(&self, id: EventId) -> Result<Appended, Error> {
        let found = self
            .tx
            .conn
            .prepare_cached("SELECT seq, created_at FROM events WHERE id = ?1")?
            .query_row([id.0.as_bytes().as_slice()], |row| {
                Ok((row.get(0)?, row.get::<_, SqlTime>(1)?.0))
            })?;
        Ok(Appended {
            seq: Seq(found.0),
            committed_at: found.1,
            duplicate_of: Some(id),
        })
    }

    /// The event that used `key` within its window.
    fn by_key(&self, key: &str, event: &Event) -> Result<Option<Appended>, Error> {
        let seq: Option<i64> = self
            .tx
            .conn
            .prepare_cached("SELECT seq FROM idempotency_keys WHERE key = ?1 AND expires_at > ?2")?
            .query_row(params![key, self.tx.now.0], |row| row.get(0))
            .optional()?;
        let Some(seq) = seq else {
            return Ok(None);
        };
        let original = self
            .tx
            .conn
            .prepare_cached(
                "SELECT id, created_at, event_type = ?2 AND payload = ?3 FROM events WHERE seq = ?1",
            )?
            .query_row(
                params![seq, event.event_type.as_str(), event.payload.as_str()],
                |row| {
                    Ok((
                        EventId(row.get::<_, Id>(0)?.0),
                        row.get::<_, SqlTime>(1)?.0,
                        row.get::<_, bool>(2)?,
                    ))
                },
            )
            .optional()?;
        match original {
            // Retention took the original within the window: the key is free again, since nothing
            // is left that a duplicate could name.
            None => Ok(None),
            Some((id, committed_at, true)) => Ok(Some(Appended {
                seq: Seq(seq),
                committed_at,
                duplicate_of: Some(id),
            })),
            Some((id, _, false)) => Err(Error::new(
                ErrorCode::IdempotencyConflict,
                format!(
                    "idempotency key {key:?} was used for event {id} with another type or payload"
                ),
            )
            .with_next(format!("ringrift events show {id}"))),
        }
    }

    fn keep_key(&self, key: &str, seq: Seq) -> Result<(), Error> {
        self.tx
            .conn
            .prepare_cached(
                "DELETE FROM idempotency_keys WHERE key IN (SELECT key FROM idempotency_keys \
                 WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            )?
            .execute(params![self.tx.now.0, EXPIRED_REMOVED])?;
        self.tx
            .conn
            .prepare_cached("INSERT OR REPLACE INTO idempotency_keys (key, seq, expires_at) VALUES (?1, ?2, ?3)")?
            .execute(params![key, seq.0, self.tx.now.after(IDEMPOTENCY_WINDOW).0])?;
        Ok(())
    }
}

/// The id is the row's only unique column beside its number.
fn is_duplicate(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE)
}
