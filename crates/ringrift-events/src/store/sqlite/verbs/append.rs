//! Appends events, all or none, looking for duplicates in the same transaction.

use std::collections::HashMap;
use std::sync::LazyLock;

use rusqlite::{CachedStatement, OptionalExtension as _, ToSql, params};

use crate::clock::Time;
use crate::event::{Event, Seq};
use crate::store::log::{
    APPEND_DRAFTS_MAX, Appended, Batch, Draft, Durability, IDEMPOTENCY_WINDOW, Original,
};
use crate::store::pages::Bells;
use crate::store::sqlite::rows::{PublishedAt, SqlTime, Trace};
use crate::store::sqlite::verb::{Plain, Tx, Undo, Verb};
use crate::store::sqlite::verbs::call_sites;
use crate::store::sqlite::verbs::head::log_end;
use crate::store::{Error, ErrorCode};

/// What a row costs beside its payload, about: columns and index entries.
pub(in crate::store::sqlite) const ROW_BYTES: usize = 300;

/// Expired keys removed with each new one: faster than they can be added.
const EXPIRED_REMOVED: i64 = 4;

/// Rows that one statement inserts where so many come together: opening the trees is paid once for
/// all of them.
const ROWS_AT_ONCE: usize = 16;

const INSERT: &str = "INSERT INTO events (seq, id, event_type, payload, source, key, published_at, \
     created_at, trace_id, parent_id, depth, origin, stage, call_site) VALUES ";
const COLUMNS: usize = 14;

static INSERT_ONE: LazyLock<String> = LazyLock::new(|| insert_of(1));
static INSERT_MANY: LazyLock<String> = LazyLock::new(|| insert_of(ROWS_AT_ONCE));

/// The statement that inserts so many rows.
fn insert_of(rows: usize) -> String {
    let row = format!("({})", ["?"; COLUMNS].join(", "));
    format!("{INSERT}{}", vec![row; rows].join(", "))
}

/// Appends a batch.
pub(crate) struct Append {
    batch: Batch,
    /// The row of the process whose events they are, where it is known and another.
    neighbour: Option<i64>,
    /// Another process may have appended them already, for this one.
    once_more: bool,
}

impl Append {
    /// This process's.
    pub(in crate::store::sqlite) fn new(batch: Batch) -> Append {
        Append {
            batch,
            neighbour: None,
            once_more: false,
        }
    }

    /// What is to be appended.
    pub(in crate::store::sqlite) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Another process was asked to make it, and may have done so: its events are no duplicates
    /// then.
    pub(in crate::store::sqlite) fn repeat(&mut self) {
        self.once_more = true;
    }

    /// For the process with this row.
    pub(in crate::store::sqlite) fn of_neighbour(batch: Batch, row: i64) -> Append {
        Append {
            neighbour: Some(row),
            ..Append::new(batch)
        }
    }
}

impl Plain for Append {}
impl Plain for Appended {}

impl Verb for Append {
    type Answer = Vec<Appended>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Appended>, Error> {
        if self.batch.drafts.len() > APPEND_DRAFTS_MAX {
            return Err(Error::new(
                ErrorCode::WrongState,
                format!(
                    "a batch of {} events was to be appended, at most {APPEND_DRAFTS_MAX} go at once",
                    self.batch.drafts.len()
                ),
            ));
        }
        let mut appending = Appending {
            tx,
            next: log_end(tx.conn)? + 1,
            // Rows keep milliseconds; the answer says what a reader will find.
            committed_at: Time(tx.now.0 - tx.now.0.rem_euclid(1_000)),
            neighbour: self.neighbour,
            origins: HashMap::new(),
        };
        let mut appended = appending.all(&self.batch.drafts)?;
        if self.once_more {
            for (one, draft) in appended.iter_mut().zip(&self.batch.drafts) {
                one.duplicate_of = one.duplicate_of.filter(|id| *id != draft.event.id);
            }
        }
        Ok(appended)
    }

    fn bytes(&self) -> usize {
        self.batch
            .drafts
            .iter()
            .map(|draft| draft.event.payload.as_str().len() + ROW_BYTES)
            .sum()
    }

    fn power(&self) -> bool {
        self.batch.durability == Durability::Power
    }

    fn as_append(&mut self) -> Option<&mut Append> {
        Some(self)
    }

    fn may_have_applied(&self) -> bool {
        self.once_more
    }

    fn appended(appended: Appended) -> Option<Vec<Appended>> {
        Some(vec![appended])
    }

    fn undo(&self) -> Undo {
        match self.batch.drafts.as_slice() {
            // A call site's row may stay behind: it is true for whoever names it next.
            [draft] if draft.idempotency_key.is_none() => Undo::Itself,
            _ => Undo::Savepoint,
        }
    }

    fn rings(&self) -> Bells {
        self.batch.drafts.iter().fold(Bells::NONE, |bells, draft| {
            bells.and(Bells::of_type(draft.event.event_type.as_str()))
        })
    }
}

struct Appending<'a> {
    tx: &'a Tx<'a>,
    /// The number of the next row.
    next: i64,
    committed_at: Time,
    neighbour: Option<i64>,
    /// Rows of other processes whose events are appended here (an import): looked up once.
    origins: HashMap<uuid::Uuid, i64>,
}

impl Appending<'_> {
    fn all(&mut self, drafts: &[Draft]) -> Result<Vec<Appended>, Error> {
        let mut appended = Vec::with_capacity(drafts.len());
        for drafts in drafts.chunks(ROWS_AT_ONCE) {
            if !self.many(drafts, &mut appended)? {
                for draft in drafts {
                    appended.push(self.one(draft)?);
                }
            }
        }
        Ok(appended)
    }

    /// Inserts rows by one statement; `false` when they must go one by one: a key is to be looked
    /// up, an id is there already, or they are too few.
    fn many(&mut self, drafts: &[Draft], appended: &mut Vec<Appended>) -> Result<bool, Error> {
        let has_key = |draft: &Draft| draft.idempotency_key.is_some();
        if drafts.len() != ROWS_AT_ONCE || drafts.iter().any(has_key) {
            return Ok(false);
        }
        let mut insert = self.tx.conn.prepare_cached(&INSERT_MANY)?;
        for (row, draft) in drafts.iter().enumerate() {
            self.bind(&mut insert, row, draft)?;
        }
        let is_new = insert_all(&mut insert)?;
        if is_new {
            appended.extend(drafts.iter().map(|draft| self.new_row(draft)));
        }
        Ok(is_new)
    }

    /// The next row has been inserted.
    fn new_row(&mut self, draft: &Draft) -> Appended {
        let seq = Seq(self.next);
        self.next += 1;
        self.tx.fresh.borrow_mut().note(seq, &draft.event);
        Appended {
            seq,
            committed_at: self.committed_at,
            duplicate_of: None,
        }
    }

    fn one(&mut self, draft: &Draft) -> Result<Appended, Error> {
        if let Some(key) = &draft.idempotency_key
            && let Some(original) = self.by_key(key, &draft.event)?
        {
            return Ok(original);
        }
        let mut insert = self.tx.conn.prepare_cached(&INSERT_ONE)?;
        self.bind(&mut insert, 0, draft)?;
        let appended = match insert_all(&mut insert)? {
            true => self.new_row(draft),
            false => self.by_id(&draft.event)?,
        };
        if let Some(key) = &draft.idempotency_key {
            self.keep_key(key, appended.seq)?;
        }
        Ok(appended)
    }

    /// Binds the values of a row of the statement; the first gets the log's next number.
    fn bind(
        &mut self,
        insert: &mut CachedStatement<'_>,
        row: usize,
        draft: &Draft,
    ) -> Result<(), Error> {
        let event = &*draft.event;
        let origin = self.origin(event)?;
        let call_site = match &draft.call_site {
            Some(site) => Some(call_sites::keep(self.tx, site)?),
            None => None,
        };
        let values: [&dyn ToSql; COLUMNS] = [
            &(self.next + row as i64),
            &event.id,
            &event.event_type.as_str(),
            &event.payload.as_str(),
            &event.source,
            &event.key,
            &PublishedAt::new(event).0,
            &self.tx.now_text(),
            &Trace::new(event),
            &event.parent_id,
            &event.depth,
            &origin,
            &event.stage,
            &call_site,
        ];
        for (column, value) in values.into_iter().enumerate() {
            insert.raw_bind_parameter(row * COLUMNS + column + 1, value)?;
        }
        Ok(())
    }

    fn origin(&mut self, event: &Event) -> Result<i64, Error> {
        if event.origin == self.tx.process {
            return Ok(self.tx.process_row);
        }
        if let Some(row) = self.neighbour {
            return Ok(row);
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

/// Inserts the rows that are bound; `false` when an id is there already, and then none.
fn insert_all(insert: &mut CachedStatement<'_>) -> Result<bool, Error> {
    match insert.raw_execute() {
        Ok(_) => Ok(true),
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The id is the row's only unique column beside its number.
fn is_duplicate(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE)
}
