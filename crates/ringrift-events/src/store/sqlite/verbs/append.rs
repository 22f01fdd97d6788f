//! Appends events, all or none, looking for duplicates in the same transaction.

use std::collections::HashMap;

use rusqlite::{CachedStatement, OptionalExtension as _, params};

use crate::clock::Time;
use crate::event::{Event, Seq};
use crate::store::log::{
    APPEND_DRAFTS_MAX, Appended, Batch, Draft, Durability, IDEMPOTENCY_WINDOW, Original,
};
use crate::store::pages::Bells;
use crate::store::sqlite::rows::SqlTime;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::call_sites;
use crate::store::{Error, ErrorCode};

/// What a row costs beside its payload, about: columns and index entries.
const ROW_BYTES: usize = 300;

/// Expired keys removed with each new one: faster than they can be added.
const EXPIRED_REMOVED: i64 = 4;

// No ON CONFLICT clause: a row passed over by one would still use up a number of the log.
const INSERT: &str = "INSERT INTO events (id, event_type, payload, source, key, published_at, \
     created_at, trace_id, parent_id, depth, origin, stage, \
     call_site) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

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

    fn undoes_itself(&self) -> bool {
        // A call site's row may stay behind: it is true for whoever names it next.
        matches!(self.0.drafts.as_slice(), [draft] if draft.idempotency_key.is_none())
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
        let appended = match self.insert(draft)? {
            Some(seq) => Appended {
                seq,
                committed_at: self.committed_at,
                duplicate_of: None,
            },
            None => self.by_id(&draft.event)?,
        };
        if let Some(key) = &draft.idempotency_key {
            self.keep_key(key, appended.seq)?;
        }
        Ok(appended)
    }

    /// Inserts the row; `None` when the id is there already.
    fn insert(&mut self, draft: &Draft) -> Result<Option<Seq>, Error> {
        let event = &*draft.event;
        let origin = self.origin(event)?;
        let call_site = match &draft.call_site {
            Some(site) => Some(call_sites::keep(self.tx, site)?),
            None => None,
        };
        let added = self.insert.execute(params![
            event.id,
            event.event_type.as_str(),
            event.payload.as_str(),
            event.source,
            event.key,
            event.published_at.0,
            self.tx.now_text(),
            event.trace_id,
            event.parent_id,
            event.depth,
            origin,
            event.stage,
            call_site,
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
            .prepare_cached("SELECT id FROM processes WHERE process_id = ?1")?
            .query_row([event.origin], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        self.origins.insert(event.origin.0, row);
        Ok(row)
    }

    /// The event that has this id.
    fn by_id(&self, event: &Event) -> Result<Appended, Error> {
        let id = event.id;
        let found = self.original("WHERE id = ?1", id, event, None)?;
        found.ok_or_else(|| Error::no_event(event.id))
    }

    /// The event that used `key` within its window.
    fn by_key(&self, key: &str, event: &Event) -> Result<Option<Appended>, Error> {
        let seq: Option<i64> = self
            .tx
            .conn
            .prepare_cached("SELECT seq FROM idempotency_keys WHERE key = ?1 AND expires_at > ?2")?
            .query_row(params![key, self.tx.now.0], |row| row.get(0))
            .optional()?;
        // Retention may have taken the original within the window: the key is free again, since
        // nothing is left that a duplicate could name.
        seq.map_or(Ok(None), |seq| {
            self.original("WHERE seq = ?1", seq, event, Some(key))
        })
    }

    /// The event that `event` repeats; an error if it is no repetition of it.
    fn original(
        &self,
        which: &str,
        value: impl rusqlite::ToSql,
        event: &Event,
        idempotency_key: Option<&str>,
    ) -> Result<Option<Appended>, Error> {
        let sql =
            format!("SELECT id, event_type, payload, key, seq, created_at FROM events {which}");
        let mut statement = self.tx.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([value])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
        let original = Original {
            id: row.get(0)?,
            event_type: text(1)?,
            payload: text(2)?,
            key: row
                .get_ref(3)?
                .as_str_or_null()
                .map_err(rusqlite::Error::from)?,
        };
        original.check_repeated(event, idempotency_key)?;
        Ok(Some(Appended {
            seq: Seq(row.get(4)?),
            committed_at: row.get::<_, SqlTime>(5)?.0,
            duplicate_of: Some(original.id),
        }))
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
