//! Makes a subscription, joins one that stands, or starts a new version of it.

use rusqlite::{OptionalExtension as _, params};

use crate::catalog::filter::Filter;
use crate::event::Seq;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::head::log_end;
use crate::store::sqlite::verbs::positions::{
    Segment, before_oldest, kind_text, segments, type_names,
};
use crate::store::subscriptions::{
    Definition, Generation, Kind, Start, Subscribed, SubscriptionId,
};
use crate::store::{Error, ErrorCode};

/// See [`crate::store::Subscriptions::subscribe`].
pub(crate) struct Subscribe {
    pub(crate) definition: Definition,
    pub(crate) replace: bool,
}

impl Plain for Subscribe {}
impl Plain for Subscribed {}

impl Verb for Subscribe {
    type Answer = Subscribed;

    fn run(self, tx: &Tx<'_>) -> Result<Subscribed, Error> {
        if let Some(filter) = &self.definition.filter {
            Filter::parse(filter).map_err(|error| {
                Error::new(
                    ErrorCode::WrongState,
                    format!(
                        "the filter {filter:?} of {} cannot be read: {error}",
                        self.definition.name
                    ),
                )
            })?;
        }
        let Some(id) = find(tx, &self.definition)? else {
            return create(tx, &self.definition);
        };
        let versions = segments(tx, id)?;
        let Some(current) = versions.last() else {
            return Err(Error::new(
                ErrorCode::Corrupt,
                format!("subscription {} has no version", id.0),
            ));
        };
        if current.definition.is_same(&self.definition) {
            return join(tx, id, current.number, current.valid_from, true);
        }
        if !self.replace {
            return Err(current.definition.differs(&self.definition));
        }
        let begin = replace(tx, id, current, &self.definition)?;
        join(tx, id, current.number + 1, begin, true)
    }
}

/// The subscription that stands under this name, for this process if it is live.
fn find(tx: &Tx<'_>, definition: &Definition) -> Result<Option<SubscriptionId>, Error> {
    let sql = match definition.kind {
        Kind::Durable => {
            "SELECT id FROM subscription_rows \
             WHERE kind = 'durable' AND ended_at IS NULL AND name = ?1 AND ?2 = ?2"
        }
        Kind::Live => {
            "SELECT id FROM subscription_rows \
             WHERE kind = 'live' AND ended_at IS NULL AND name = ?1 AND process = ?2"
        }
    };
    let id = tx
        .conn
        .prepare_cached(sql)?
        .query_row(params![definition.name, tx.process_row], |row| row.get(0))
        .optional()?;
    Ok(id.map(SubscriptionId))
}

fn create(tx: &Tx<'_>, definition: &Definition) -> Result<Subscribed, Error> {
    let head = log_end(tx.conn)?;
    let after = match (definition.kind, definition.start) {
        (Kind::Live, _) | (Kind::Durable, Start::Now) => head,
        (Kind::Durable, Start::Beginning) => before_oldest(tx)?,
        (Kind::Durable, Start::After(seq)) => seq.0.clamp(0, head),
    };
    let process = match definition.kind {
        Kind::Durable => None,
        Kind::Live => Some(tx.process_row),
    };
    let now = tx.now.to_sql();
    tx.conn
        .prepare_cached(
            "INSERT INTO subscription_rows (name, kind, process, version, generation, ordered, \
             cursor, settled, created_at) VALUES (?1, ?2, ?3, 1, 1, ?4, ?5, ?5, ?6)",
        )?
        .execute(params![
            definition.name,
            kind_text(definition.kind),
            process,
            definition.ordered_by_key,
            after,
            now
        ])?;
    let id = SubscriptionId(tx.conn.last_insert_rowid());
    insert_version(tx, id, 1, definition, after + 1)?;
    tx.conn
        .prepare_cached(
            "INSERT INTO generations (subscription, generation, after, began_at) \
             VALUES (?1, 1, ?2, ?3)",
        )?
        .execute(params![id.0, after, now])?;
    join(tx, id, 1, after + 1, false)
}

/// Ends the current version at the log's next place and begins another there.
fn replace(
    tx: &Tx<'_>,
    id: SubscriptionId,
    current: &Segment,
    definition: &Definition,
) -> Result<i64, Error> {
    // Two versions made at one place: the earlier one is for nothing, its range is empty.
    let begin = (log_end(tx.conn)? + 1).max(current.valid_from);
    for sql in [
        "UPDATE subscription_versions SET valid_to = ?3 WHERE subscription = ?1 AND number = ?2",
        "UPDATE subscription_types SET valid_to = ?3 WHERE subscription = ?1 AND version = ?2",
    ] {
        tx.conn
            .prepare_cached(sql)?
            .execute([id.0, current.number, begin])?;
    }
    insert_version(tx, id, current.number + 1, definition, begin)?;
    tx.conn
        .prepare_cached("UPDATE subscription_rows SET version = ?2, ordered = ?3 WHERE id = ?1")?
        .execute(params![id.0, current.number + 1, definition.ordered_by_key])?;
    Ok(begin)
}

fn insert_version(
    tx: &Tx<'_>,
    id: SubscriptionId,
    number: i64,
    definition: &Definition,
    begin: i64,
) -> Result<(), Error> {
    let text = serde_json::to_string(definition).map_err(|e| {
        Error::new(
            ErrorCode::Io,
            format!("the definition cannot be written: {e}"),
        )
    })?;
    tx.conn
        .prepare_cached(
            "INSERT INTO subscription_versions (subscription, number, definition, valid_from, \
             created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![id.0, number, text, begin, tx.now.to_sql()])?;
    if definition.kind == Kind::Live {
        return Ok(());
    }
    let mut insert = tx.conn.prepare_cached(
        "INSERT INTO subscription_types (event_type, subscription, version, valid_from) \
         VALUES (?1, ?2, ?3, ?4)",
    )?;
    for name in type_names(&definition.types) {
        insert.execute(params![name, id.0, number, begin])?;
    }
    Ok(())
}

/// Notes that this process hosts the version, and answers where it stands.
fn join(
    tx: &Tx<'_>,
    id: SubscriptionId,
    version: i64,
    valid_from: i64,
    existed: bool,
) -> Result<Subscribed, Error> {
    tx.conn
        .prepare_cached(
            "INSERT INTO hosts (subscription, process, version, since) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (subscription, process) DO UPDATE SET version = excluded.version \
             WHERE version <> excluded.version",
        )?
        .execute(params![id.0, tx.process_row, version, tx.now.to_sql()])?;
    tx.conn
        .prepare_cached(
            "UPDATE subscription_rows SET unhosted_at = NULL \
             WHERE id = ?1 AND unhosted_at IS NOT NULL",
        )?
        .execute([id.0])?;
    let generation = tx
        .conn
        .prepare_cached("SELECT generation FROM subscription_rows WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))?;
    Ok(Subscribed {
        id,
        version,
        generation: Generation(generation),
        valid_from: Seq(valid_from),
        existed,
    })
}
