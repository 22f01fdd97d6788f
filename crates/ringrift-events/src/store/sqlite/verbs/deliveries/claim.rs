//! Takes what a look found: an ownerless claim first, else the events after the cursor.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::params;

use super::ledger::OpenClaim;
use super::scan::{Claimable, Found, Lasting, Scan, restores};
use crate::event::{Event, Seq};
use crate::store::Error;
use crate::store::deliveries::{CLAIM_EVENTS_MAX, Claim, ClaimToken, Grows, Want, Why};
use crate::store::pages::Bells;
use crate::store::sqlite::verb::{Plain, Tx, Undo, Verb};
use crate::store::sqlite::verbs::letters::{NewRow, insert_row};
use crate::store::sqlite::verbs::positions::{Standing, refresh_settled, set_cursor};
use crate::store::subscriptions::{Generation, SubscriptionId};

/// Takes what was found.
pub(crate) struct TakeClaim {
    pub(crate) found: Found,
    pub(crate) want: Want,
}

/// What the taking came to.
#[derive(Clone, Debug)]
pub(crate) enum Taken {
    /// A claim.
    Claim(Claim),
    /// Nothing to hand out, but the subscription moved: look again.
    Again,
    /// Nothing now.
    Nothing,
    /// Looked at, and nothing of it to be had.
    Passed(Found),
}

/// Looks and takes in one transaction: for who has just seen an event that the subscription takes.
/// Reads few rows, since it has the write lock meanwhile.
pub(crate) struct ClaimNow {
    pub(crate) scan: Scan,
}

impl Plain for ClaimNow {}
impl Plain for TakeClaim {}
impl Plain for Taken {}

impl Verb for TakeClaim {
    type Answer = Taken;

    fn run(self, tx: &Tx<'_>) -> Result<Taken, Error> {
        let found = self.found;
        let Some(claimable) = Claimable::of(tx, found.subscription)? else {
            return Ok(Taken::Nothing);
        };
        let standing = &claimable.standing;
        if let Some(claim) = claimable.ownerless() {
            return take_ownerless(tx, standing, claim, self.want.max);
        }
        let stands = standing.generation == found.generation.0
            && standing.cursor == found.cursor.0
            && restores(tx)? == found.restores;
        if found.ownerless || !stands {
            return Ok(Taken::Again);
        }
        take_new(tx, &claimable, found, self.want.grows)
    }

    fn undo(&self) -> Undo {
        Undo::Whole
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

impl Verb for ClaimNow {
    type Answer = Taken;

    fn run(self, tx: &Tx<'_>) -> Result<Taken, Error> {
        let want = self.scan.want;
        let Some(claimable) = Claimable::of(tx, want.subscription)? else {
            return Ok(Taken::Nothing);
        };
        if let Some(claim) = claimable.ownerless() {
            return take_ownerless(tx, &claimable.standing, claim, want.max);
        }
        let found = self.scan.look(tx, &claimable, Lasting::Undoable)?;
        match found.events.is_empty() {
            true => Ok(Taken::Passed(found)),
            false => take_new(tx, &claimable, found, want.grows),
        }
    }

    fn undo(&self) -> Undo {
        Undo::Whole
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

/// Gives out what an ownerless claim still holds; one that holds nothing any more is closed.
fn take_ownerless(
    tx: &Tx<'_>,
    standing: &Standing,
    claim: &OpenClaim,
    max: usize,
) -> Result<Taken, Error> {
    let events = claim.events(tx, claim.settled_to)?;
    let mut events = without_blocked_keys(tx, standing, events)?;
    let max = max.clamp(1, CLAIM_EVENTS_MAX);
    if events.is_empty() {
        claim.close(tx, 0)?;
        return Ok(Taken::Again);
    }
    // What is more than was asked for stays ownerless, for another process.
    if events.len() > max {
        events.truncate(max);
        claim.split(tx, events.last().map_or(claim.last, place))?;
    }
    tx.conn
        .prepare_cached("UPDATE claims SET owner = ?2, fence = fence + 1 WHERE id = ?1")?
        .execute([claim.id, tx.process_row])?;
    refresh_settled(tx, standing.id)?;
    Ok(Taken::Claim(Claim {
        token: ClaimToken {
            id: claim.id,
            fence: claim.fence + 1,
        },
        subscription: standing.id,
        generation: Generation(standing.generation),
        events: Arc::new(events),
        taken_over: true,
        more: true,
    }))
}

fn take_new(
    tx: &Tx<'_>,
    claimable: &Claimable,
    found: Found,
    grows: Option<Grows>,
) -> Result<Taken, Error> {
    let standing = &claimable.standing;
    let events = still_due(tx, standing, found.events)?;
    let events = without_blocked_keys(tx, standing, events)?;
    let (Some(first), Some(last)) = (events.first().map(place), events.last().map(place)) else {
        // Passed without a claim: nothing is owed of it.
        set_cursor(tx, standing.id, found.read_to.0)?;
        return Ok(match found.more {
            true => Taken::Again,
            false => Taken::Nothing,
        });
    };
    let token = match grows {
        Some(grows) if claimable.may_grow(tx, grows, last)? => {
            tx.conn
                .prepare_cached("UPDATE claims SET last_seq = ?2 WHERE id = ?1")?
                .execute([grows.token.id, last])?;
            grows.token
        }
        Some(_) | None => open_claim(tx, standing, first, last)?,
    };
    set_cursor(tx, standing.id, found.read_to.0)?;
    Ok(Taken::Claim(Claim {
        token,
        subscription: standing.id,
        generation: Generation(standing.generation),
        events: Arc::new(events),
        taken_over: false,
        more: found.more,
    }))
}

fn open_claim(
    tx: &Tx<'_>,
    standing: &Standing,
    first: i64,
    last: i64,
) -> Result<ClaimToken, Error> {
    tx.conn
        .prepare_cached(
            "INSERT INTO claims (subscription, generation, first_seq, last_seq, settled_to, \
             owner, fence, opened_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7)",
        )?
        .execute(params![
            standing.id.0,
            standing.generation,
            first,
            last,
            first - 1,
            tx.process_row,
            tx.now.0
        ])?;
    Ok(ClaimToken {
        id: tx.conn.last_insert_rowid(),
        fence: 1,
    })
}

/// Leaves out what was deleted since the look, and what has a redelivery of its own.
fn still_due(
    tx: &Tx<'_>,
    standing: &Standing,
    events: Arc<Vec<Arc<Event>>>,
) -> Result<Vec<Arc<Event>>, Error> {
    let (Some(first), Some(last)) = (events.first().map(place), events.last().map(place)) else {
        return Ok(Vec::new());
    };
    let mut statement = tx.conn.prepare_cached(
        "SELECT event_seq FROM redeliveries WHERE subscription = ?1 AND generation = ?2 \
           AND event_seq BETWEEN ?3 AND ?4 AND why <> 'replay' AND live = 0 \
           AND event_seq IS NOT NULL \
         UNION ALL SELECT seq FROM deleted_events WHERE seq BETWEEN ?3 AND ?4",
    )?;
    let rows = statement.query_map([standing.id.0, standing.generation, first, last], |row| {
        row.get::<_, i64>(0)
    })?;
    let gone = rows.collect::<Result<BTreeSet<i64>, _>>()?;
    let mut due = Arc::unwrap_or_clone(events);
    if !gone.is_empty() {
        due.retain(|event| !gone.contains(&place(event)));
    }
    Ok(due)
}

/// With `ordered_by_key`: an event whose key has an unfinished redelivery leaves the claim for a
/// redelivery of its own, which waits for the earlier ones of its key. So the claim goes on for
/// the other keys, and the order of each key holds.
fn without_blocked_keys(
    tx: &Tx<'_>,
    standing: &Standing,
    events: Vec<Arc<Event>>,
) -> Result<Vec<Arc<Event>>, Error> {
    if !standing.ordered {
        return Ok(events);
    }
    let blocked = blocked_keys(tx, standing.id, standing.generation)?;
    if blocked.is_empty() {
        return Ok(events);
    }
    let mut free = Vec::with_capacity(events.len());
    for event in events {
        match &event.key {
            Some(key) if blocked.contains(key) => {
                insert_row(tx, &NewRow::waiting(standing, &event, Why::KeyBlocked))?;
            }
            Some(_) | None => free.push(event),
        }
    }
    Ok(free)
}

/// The keys with an unfinished redelivery. Dead letters block nothing: they wait for an operator.
pub(super) fn blocked_keys(
    tx: &Tx<'_>,
    id: SubscriptionId,
    generation: i64,
) -> Result<BTreeSet<String>, Error> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT DISTINCT key FROM redeliveries WHERE subscription = ?1 AND generation = ?2 \
           AND event_seq IS NOT NULL AND why <> 'replay' AND live = 0 AND key IS NOT NULL \
           AND state IN ('waiting', 'retrying', 'running')",
    )?;
    let rows = statement.query_map([id.0, generation], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// An event of the log has a place.
fn place(event: &Arc<Event>) -> i64 {
    event.seq.unwrap_or(Seq::START).0
}
