//! What is kept of one event's way: positions, claims, redeliveries.

use rusqlite::{OptionalExtension as _, Row};

use crate::clock::Time;
use crate::event::{ProcessId, Seq};
use crate::store::Error;
use crate::store::deliveries::LetterId;
use crate::store::letters::LetterState;
use crate::store::sqlite::rows::SqlTime;
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::sqlite::verbs::letters::why;
use crate::store::subscriptions::{Generation, SubscriptionId};
use crate::store::trail::{Again, Passage, Place, Trail};
use crate::verdict::FailureKind;

/// Most generations looked at: a subscription gains one by each seek of an operator.
const PASSAGES_MAX: usize = 10_000;

/// Most redeliveries of one event looked at: a subscription has one a generation, and its replays.
const AGAIN_MAX: usize = 1_000;

/// See [`crate::store::Deliveries::trail`].
pub(crate) struct TrailOf {
    pub(crate) seq: Seq,
}

impl Plain for TrailOf {}
impl Plain for Trail {}

impl Question for TrailOf {
    type Answer = Trail;

    fn run(self, tx: &Tx<'_>) -> Result<Trail, Error> {
        Ok(Trail {
            passages: passages(tx, self.seq)?,
            again: again_of(tx, self.seq)?,
            ahead: ahead_of(tx, self.seq)?,
        })
    }
}

/// The bounds of one generation, as its rows have them.
struct Stretch {
    passage: Passage,
    after: i64,
    /// Everything up to here is taken; of one that is over: settled.
    taken: i64,
}

fn passages(tx: &Tx<'_>, seq: Seq) -> Result<Vec<Passage>, Error> {
    let sql = format!(
        "SELECT g.subscription, g.generation, g.began_at, g.ended_at, g.after, \
           CASE WHEN g.ended_at IS NULL THEN s.cursor ELSE COALESCE(g.settled, g.after) END \
         FROM generations AS g JOIN subscription_rows AS s ON s.id = g.subscription \
         WHERE s.kind = 'durable' ORDER BY g.subscription, g.generation LIMIT {PASSAGES_MAX}"
    );
    let mut statement = tx.conn.prepare_cached(&sql)?;
    let rows = statement.query_map([], stretch)?;
    let mut passages = Vec::new();
    for row in rows {
        let mut stretch = row?;
        stretch.passage.place = place(tx, &stretch, seq.0)?;
        passages.push(stretch.passage);
    }
    Ok(passages)
}

fn stretch(row: &Row<'_>) -> rusqlite::Result<Stretch> {
    Ok(Stretch {
        passage: Passage {
            subscription: SubscriptionId(row.get(0)?),
            generation: Generation(row.get(1)?),
            began_at: row.get::<_, SqlTime>(2)?.0,
            ended_at: row.get::<_, Option<SqlTime>>(3)?.map(|at| at.0),
            place: Place::Outside,
        },
        after: row.get(4)?,
        taken: row.get(5)?,
    })
}

fn place(tx: &Tx<'_>, stretch: &Stretch, seq: i64) -> Result<Place, Error> {
    if seq <= stretch.after {
        return Ok(Place::Outside);
    }
    if let Some(taken) = deleted(tx, stretch, seq)? {
        return Ok(Place::Deleted { taken });
    }
    if let Some(by) = holder(tx, stretch, seq, OPEN)? {
        return Ok(Place::Claimed { by });
    }
    for which in [BEGUN, CLOSED] {
        if let Some(by) = holder(tx, stretch, seq, which)? {
            return Ok(Place::Passed { by });
        }
    }
    Ok(match seq <= stretch.taken {
        true => Place::Passed { by: None },
        false => Place::Ahead,
    })
}

/// Whether the event was taken, if it was deleted before the generation had settled it: the
/// deletion kept the positions of its moment. A generation that was over by then has its end, and
/// one that began later passes what is not there.
fn deleted(tx: &Tx<'_>, stretch: &Stretch, seq: i64) -> Result<Option<bool>, Error> {
    let subscription = stretch.passage.subscription.0;
    let found: Option<(i64, Time, Option<i64>, i64)> = tx
        .conn
        .prepare_cached(
            "SELECT x.id, x.at, p.generation, COALESCE(p.cursor, 0) FROM deleted_events AS d \
             JOIN deletions AS x ON x.id = d.deletion \
             LEFT JOIN deletion_positions AS p ON p.deletion = x.id AND p.subscription = ?2 \
             WHERE d.seq = ?1",
        )?
        .query_row([seq, subscription], |row| {
            let at = row.get::<_, SqlTime>(1)?.0;
            Ok((row.get(0)?, at, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((deletion, at, generation, cursor)) = found else {
        return Ok(None);
    };
    let own = stretch.passage.generation.0;
    Ok(match generation {
        Some(then) if then > own => None,
        Some(then) if then < own => Some(false),
        Some(_) if seq > cursor => Some(false),
        Some(_) => {
            let held = "SELECT EXISTS (SELECT 1 FROM deletion_claims WHERE deletion = ?1 \
                 AND subscription = ?2 AND first_seq <= ?3 AND settled_to < ?3 AND last_seq >= ?3)";
            let of = [deletion, subscription, seq];
            let held: bool = tx
                .conn
                .prepare_cached(held)?
                .query_row(of, |row| row.get(0))?;
            held.then_some(true)
        }
        // It stood no more, or not yet.
        None => {
            let ended = stretch.passage.ended_at;
            ended.is_none_or(|end| at < end).then_some(false)
        }
    })
}

/// An open claim that holds a place unsettled.
const OPEN: &str = "c.settled_us IS NULL AND c.settled_to < ?3";

/// An open claim that has settled a place.
const BEGUN: &str = "c.settled_us IS NULL AND c.settled_to >= ?3";

/// A closed claim. Told apart from the open ones, since each kind has an index of its own.
const CLOSED: &str = "c.settled_us IS NOT NULL";

/// Who holds the first claim around a place; `Some(None)` when it is nobody's.
fn holder(
    tx: &Tx<'_>,
    stretch: &Stretch,
    seq: i64,
    which: &str,
) -> Result<Option<Option<ProcessId>>, Error> {
    let sql = format!(
        "SELECT (SELECT p.process_id FROM processes AS p WHERE p.id = c.owner) FROM claims AS c \
         WHERE c.subscription = ?1 AND c.generation = ?2 AND {which} \
           AND c.first_seq <= ?3 AND c.last_seq >= ?3 LIMIT 1"
    );
    let of = (
        stretch.passage.subscription.0,
        stretch.passage.generation.0,
        seq,
    );
    let found = tx
        .conn
        .prepare_cached(&sql)?
        .query_row(of, |row| row.get(0));
    Ok(found.optional()?)
}

const AGAIN_COLUMNS: &str = "r.id, r.subscription, r.generation, r.event_id, r.event_seq, r.why, \
     r.state, r.failed, r.attempts, r.attempts_total, r.deaths, r.error, r.error_kind, \
     CASE WHEN r.state IN ('waiting', 'retrying') THEN r.due_us END, r.held_us IS NOT NULL, \
     (SELECT p.process_id FROM processes AS p WHERE p.id = r.owner), r.linked";

fn again_of(tx: &Tx<'_>, seq: Seq) -> Result<Vec<Again>, Error> {
    let sql = format!(
        "SELECT {AGAIN_COLUMNS} FROM redeliveries AS r WHERE r.event_seq = ?1 \
         ORDER BY r.id LIMIT {AGAIN_MAX}"
    );
    rows(tx, &sql, seq)
}

fn ahead_of(tx: &Tx<'_>, seq: Seq) -> Result<Vec<Again>, Error> {
    let sql = format!(
        "SELECT {AGAIN_COLUMNS}, MIN(r.event_seq) \
         FROM subscription_rows AS s JOIN redeliveries AS r \
           ON r.subscription = s.id AND r.generation = s.generation \
         WHERE s.ordered = 1 AND s.ended_at IS NULL AND r.event_seq < ?1 AND r.why <> 'replay' \
           AND r.live = 0 AND r.state IN ('waiting', 'retrying', 'running') \
           AND r.key = (SELECT e.key FROM events AS e WHERE e.seq = ?1) \
           AND (r.failed = 1 OR NOT EXISTS \
             (SELECT 1 FROM deleted_events AS d WHERE d.seq = r.event_seq)) \
         GROUP BY s.id ORDER BY s.id LIMIT {AGAIN_MAX}"
    );
    rows(tx, &sql, seq)
}

fn rows(tx: &Tx<'_>, sql: &str, seq: Seq) -> Result<Vec<Again>, Error> {
    let mut statement = tx.conn.prepare_cached(sql)?;
    let rows = statement.query_map([seq.0], again)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn again(row: &Row<'_>) -> rusqlite::Result<Again> {
    // A delivery that never failed has states of its own: it waits, or it is done.
    let state = match row.get_ref(6)?.as_str()? {
        "waiting" => LetterState::Retrying,
        "done" => LetterState::Recovered,
        text => LetterState::parse(text).unwrap_or(LetterState::Dead),
    };
    let kind = row.get_ref(12)?.as_str_or_null()?;
    Ok(Again {
        id: LetterId(row.get(0)?),
        subscription: SubscriptionId(row.get(1)?),
        generation: Generation(row.get(2)?),
        event: row.get(3)?,
        seq: row.get::<_, Option<i64>>(4)?.map(Seq),
        why: why(row.get_ref(5)?.as_str()?),
        state,
        failed: row.get(7)?,
        attempts: row.get(8)?,
        attempts_total: row.get(9)?,
        deaths: row.get(10)?,
        error: row.get(11)?,
        error_kind: kind.and_then(FailureKind::parse),
        due: row.get::<_, Option<i64>>(13)?.map(Time),
        held: row.get(14)?,
        owner: row.get(15)?,
        linked: row.get(16)?,
    })
}
