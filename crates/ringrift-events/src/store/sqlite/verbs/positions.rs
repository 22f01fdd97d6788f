//! Where a subscription stands: its row, its versions, and what follows for the part of the log it
//! may be asked about.

use std::cell::RefCell;
use std::sync::Arc;

use foldhash::HashMap;
use rusqlite::OptionalExtension as _;
use rusqlite::types::Type;

use crate::catalog::filter::Filter;
use crate::event::{EventType, Payload, Seq};
use crate::store::log::TypeSet;
use crate::store::sqlite::verb::Tx;
use crate::store::sqlite::verbs::head::log_end;
use crate::store::subscriptions::{Definition, Kind, SubscriptionId};
use crate::store::{Error, ErrorCode};

/// A row of `subscription_rows`.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) id: SubscriptionId,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) generation: i64,
    pub(crate) ordered: bool,
    pub(crate) cursor: i64,
    pub(crate) settled: i64,
    pub(crate) paused: bool,
    pub(crate) ended: bool,
}

/// Reads one subscription's row.
pub(crate) fn standing(tx: &Tx<'_>, id: SubscriptionId) -> Result<Standing, Error> {
    let sql = "SELECT name, kind, generation, ordered, cursor, settled, \
               paused_at IS NOT NULL, ended_at IS NOT NULL FROM subscription_rows WHERE id = ?1";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Standing {
            id,
            name: row.get(0)?,
            kind: kind(row.get_ref(1)?.as_str()?),
            generation: row.get(2)?,
            ordered: row.get(3)?,
            cursor: row.get(4)?,
            settled: row.get(5)?,
            paused: row.get(6)?,
            ended: row.get(7)?,
        })
    };
    tx.conn
        .prepare_cached(sql)?
        .query_row([id.0], read)
        .optional()?
        .ok_or_else(|| no_subscription(id))
}

/// Reads one durable subscription's row; a live one is refused, naming what was attempted.
pub(crate) fn durable(tx: &Tx<'_>, id: SubscriptionId, attempted: &str) -> Result<Standing, Error> {
    let standing = standing(tx, id)?;
    match standing.kind {
        Kind::Durable => Ok(standing),
        Kind::Live => Err(Error::new(
            ErrorCode::WrongState,
            format!(
                "cannot {attempted} {}: it is a live subscription",
                standing.name
            ),
        )
        .with_next("ringrift subs ls")),
    }
}

/// The error for a subscription nobody knows.
pub(crate) fn no_subscription(id: SubscriptionId) -> Error {
    Error::new(
        ErrorCode::NotFound,
        format!("no subscription with number {}", id.0),
    )
    .with_next("ringrift subs ls")
}

/// `durable` or `live`, as it stands in the column.
pub(crate) fn kind_text(kind: Kind) -> &'static str {
    match kind {
        Kind::Durable => "durable",
        Kind::Live => "live",
    }
}

/// The kind with this text; the schema allows no third.
pub(crate) fn kind(text: &str) -> Kind {
    if text == "live" {
        Kind::Live
    } else {
        Kind::Durable
    }
}

/// The place before the oldest event kept; the head when the log is empty.
pub(crate) fn before_oldest(tx: &Tx<'_>) -> Result<i64, Error> {
    let sql = "SELECT seq FROM events ORDER BY seq LIMIT 1";
    let oldest = tx
        .conn
        .prepare_cached(sql)?
        .query_row([], |row| row.get::<_, i64>(0))
        .optional()?;
    oldest.map_or_else(|| log_end(tx.conn), |seq| Ok(seq - 1))
}

/// Writes a new cursor and what follows from it and the open claims.
pub(crate) fn set_cursor(tx: &Tx<'_>, id: SubscriptionId, cursor: i64) -> Result<(), Error> {
    let sql = "UPDATE subscription_rows SET cursor = ?2, settled = MIN(?2, COALESCE((SELECT \
                   MIN(c.settled_to) FROM claims AS c WHERE c.subscription = ?1 \
                   AND c.generation = subscription_rows.generation AND c.settled_us IS NULL), ?2)) \
               WHERE id = ?1";
    tx.conn.prepare_cached(sql)?.execute([id.0, cursor])?;
    Ok(())
}

/// Brings `settled` in line with the cursor and the open claims. Called by every verb that changes
/// either; writes nothing when nothing changed.
pub(crate) fn refresh_settled(tx: &Tx<'_>, id: SubscriptionId) -> Result<(), Error> {
    let sql = "WITH now(settled) AS (SELECT MIN(s.cursor, COALESCE((SELECT MIN(c.settled_to) \
                   FROM claims AS c WHERE c.subscription = s.id AND c.generation = s.generation \
                   AND c.settled_us IS NULL), s.cursor)) FROM subscription_rows AS s WHERE s.id = ?1) \
               UPDATE subscription_rows SET settled = (SELECT settled FROM now) \
               WHERE id = ?1 AND settled <> (SELECT settled FROM now)";
    tx.conn.prepare_cached(sql)?.execute([id.0])?;
    Ok(())
}

/// One version of a subscription's definition, ready to judge events.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: i64,
    pub(crate) definition: Arc<Definition>,
    pub(crate) valid_from: i64,
    pub(crate) valid_to: i64,
    filter: Option<Arc<Filter>>,
}

impl Segment {
    /// Whether the version takes this event, were it in its part of the log.
    pub(crate) fn takes(&self, event_type: &EventType, payload: &Payload) -> bool {
        self.definition.types.takes(event_type)
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| filter.evaluate(payload))
    }

    /// The same of a row's columns; the payload is copied only when the filter asks for it.
    pub(crate) fn takes_row(&self, event_type: &str, payload: &str) -> bool {
        let named = match &self.definition.types {
            TypeSet::All => true,
            TypeSet::Only(types) => types
                .binary_search_by(|known| known.as_str().cmp(event_type))
                .is_ok(),
        };
        named
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| filter.evaluate(&Payload::from_checked(payload)))
    }

    /// Whether the version is for this place of the log.
    pub(crate) fn covers(&self, seq: Seq) -> bool {
        self.valid_from <= seq.0 && seq.0 < self.valid_to
    }
}

/// Every version of a subscription, oldest first.
pub(crate) fn segments(tx: &Tx<'_>, id: SubscriptionId) -> Result<Vec<Segment>, Error> {
    let sql = "SELECT number, definition, valid_from, valid_to FROM subscription_versions \
               WHERE subscription = ?1 ORDER BY number";
    let mut statement = tx.conn.prepare_cached(sql)?;
    let mut rows = statement.query([id.0])?;
    let mut segments = Vec::new();
    while let Some(row) = rows.next()? {
        let Known { definition, filter } = known(row, id)?;
        segments.push(Segment {
            number: row.get(0)?,
            definition,
            valid_from: row.get(2)?,
            valid_to: row.get(3)?,
            filter,
        });
    }
    Ok(segments)
}

/// A definition as it was read, and its filter.
#[derive(Clone)]
struct Known {
    definition: Arc<Definition>,
    filter: Option<Arc<Filter>>,
}

/// Most definitions that a database thread remembers: a home's subscriptions and their versions.
const KNOWN_MAX: usize = 1_024;

thread_local! {
    /// What the texts of definitions mean: each claim reads them, and parsing one costs as much as
    /// the statements around it.
    static KNOWN: RefCell<HashMap<Box<str>, Known>> = RefCell::default();
}

/// The definition in the second column.
fn known(row: &rusqlite::Row<'_>, id: SubscriptionId) -> Result<Known, Error> {
    let text = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    if let Some(known) = KNOWN.with_borrow(|all| all.get(text).cloned()) {
        return Ok(known);
    }
    let definition: Definition = json(row, 1)?;
    let filter = definition.filter.as_deref().map(Filter::parse).transpose();
    let filter = filter.map_err(|error| {
        Error::new(
            ErrorCode::Corrupt,
            format!(
                "the filter of subscription {} cannot be read: {error}",
                id.0
            ),
        )
        .with_next("ringrift db check")
    })?;
    let known = Known {
        definition: Arc::new(definition),
        filter: filter.map(Arc::new),
    };
    KNOWN.with_borrow_mut(|all| {
        if all.len() >= KNOWN_MAX {
            all.clear();
        }
        all.insert(text.into(), known.clone());
    });
    Ok(known)
}

/// The version for a place, if any is.
pub(crate) fn segment_at(segments: &[Segment], seq: i64) -> Option<&Segment> {
    segments.iter().find(|segment| segment.covers(Seq(seq)))
}

/// The types of a set as they stand in `subscription_types`.
pub(crate) fn type_names(types: &TypeSet) -> Vec<&str> {
    match types {
        TypeSet::All => vec!["*"],
        TypeSet::Only(types) => types.iter().map(EventType::as_str).collect(),
    }
}

/// A count, from the first column.
pub(crate) fn natural(row: &rusqlite::Row<'_>) -> rusqlite::Result<u64> {
    natural_at(row, 0)
}

/// A count, from one column. A negative one, which no statement here makes, reads as none.
pub(crate) fn natural_at(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0))
}

/// A JSON column.
pub(crate) fn json<T: serde::de::DeserializeOwned>(
    row: &rusqlite::Row<'_>,
    index: usize,
) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(index)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(e)))
}

/// How many events after `after` up to `to` the subscription's versions take, deleted ones left
/// out, and those that have a redelivery of their own in `without`.
pub(crate) fn count_matching(
    tx: &Tx<'_>,
    segments: &[Segment],
    (after, to): (i64, i64),
    without: Option<(SubscriptionId, i64)>,
) -> Result<u64, Error> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT e.seq, e.event_type, e.payload FROM events AS e \
         WHERE e.seq > ?1 AND e.seq <= ?2 \
           AND NOT EXISTS (SELECT 1 FROM deleted_events AS d WHERE d.seq = e.seq) \
           AND NOT EXISTS (SELECT 1 FROM redeliveries AS r WHERE r.subscription = ?3 \
             AND r.generation = ?4 AND r.event_seq = e.seq AND r.event_seq IS NOT NULL \
             AND r.why <> 'replay' AND r.live = 0) \
         ORDER BY e.seq",
    )?;
    let (id, generation) = without.map_or((0, 0), |(id, generation)| (id.0, generation));
    let mut rows = statement.query([after, to, id, generation])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let seq = row.get(0)?;
        if let Some(segment) = segment_at(segments, seq) {
            let text =
                |index: usize| -> rusqlite::Result<&str> { Ok(row.get_ref(index)?.as_str()?) };
            count += u64::from(segment.takes_row(text(1)?, text(2)?));
        }
    }
    Ok(count)
}

/// Where the current generation began: everything after it is its.
pub(crate) fn generation_after(tx: &Tx<'_>, standing: &Standing) -> Result<i64, Error> {
    Ok(tx
        .conn
        .prepare_cached(
            "SELECT after FROM generations WHERE subscription = ?1 AND generation = ?2",
        )?
        .query_row([standing.id.0, standing.generation], |row| row.get(0))?)
}
