//! Looks for what a durable subscription's next claim would be, without taking it.

use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::OptionalExtension as _;

use super::ledger::{OpenClaim, open_claims_of};
use crate::event::{Event, Seq};
use crate::store::Error;
use crate::store::deliveries::{CLAIM_EVENTS_MAX, CLAIM_PLACES_MAX, Grows, Want};
use crate::store::sqlite::neighbours::readable;
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::recent::{Ground, Known, Recent};
use crate::store::sqlite::rows::Stretch;
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::sqlite::verbs::positions::{Segment, Standing, durable, segment_at, segments};
use crate::store::subscriptions::{Generation, SubscriptionId};

/// Most rows of the log that one look reads: bounds a step over what does not match to some
/// milliseconds.
pub(crate) const SCAN_ROWS_MAX: usize = 10_000;

/// Most bytes of payload in one claim; one larger event still makes a claim.
const CLAIM_BYTES_MAX: usize = 4 << 20;

/// Asks what is next. `from` is where this process knows that it has looked already: what lies
/// between the stored cursor and it matches nothing.
pub(crate) struct Scan {
    pub(crate) want: Want,
    pub(crate) from: Option<Passed>,
    /// Most rows of the log it reads.
    pub(crate) rows_max: usize,
    /// Knows how far the log is synced; none reads to its end.
    pub(crate) presence: Option<Arc<Presence>>,
    /// What was read lately.
    pub(crate) recent: Arc<Recent>,
}

/// Whether what a look reads is there for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasting {
    /// It is committed.
    Committed,
    /// The transaction may write, and be undone.
    Undoable,
}

/// A place up to which nothing matches, and what it holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) generation: Generation,
    /// The restores of deleted events known then: a later one may bring events back below it.
    pub(crate) restores: i64,
    pub(crate) to: Seq,
}

/// What a look found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) subscription: SubscriptionId,
    pub(crate) generation: Generation,
    /// The stored cursor the look started from: taking compares it.
    pub(crate) cursor: Seq,
    /// The restores known at the look: taking compares it.
    pub(crate) restores: i64,
    /// Everything up to here was looked at.
    pub(crate) read_to: Seq,
    /// More may follow at once.
    pub(crate) more: bool,
    /// An ownerless claim waits.
    pub(crate) ownerless: bool,
    /// The matching events after the cursor; copied with what was found, and not each of them.
    pub(crate) events: Arc<Vec<Arc<Event>>>,
}

impl Plain for Scan {}
impl Plain for Found {}

impl Question for Scan {
    type Answer = Option<Found>;

    fn place(&self) -> Option<Seq> {
        self.recent.place(self.want.subscription)
    }

    fn run(self, tx: &Tx<'_>) -> Result<Option<Found>, Error> {
        match Claimable::of(tx, self.want.subscription)? {
            Some(claimable) => self.look(tx, &claimable, Lasting::Committed).map(Some),
            None => Ok(None),
        }
    }
}

/// A subscription that this process may claim for now, as it stands.
pub(super) struct Claimable {
    pub(super) standing: Standing,
    open: Vec<OpenClaim>,
    segments: Vec<Segment>,
    /// The version this process hosts.
    hosted: i64,
}

impl Claimable {
    /// `None` while there is nothing to have, whatever is in the log.
    pub(super) fn of(tx: &Tx<'_>, id: SubscriptionId) -> Result<Option<Claimable>, Error> {
        let standing = durable(tx, id, "claim for")?;
        if standing.paused || standing.ended {
            return Ok(None);
        }
        let Some(hosted) = hosted_version(tx, id)? else {
            return Ok(None);
        };
        let open = open_claims_of(tx, id, Generation(standing.generation))?;
        if standing.ordered && open.iter().any(|claim| claim.owner.is_some()) {
            return Ok(None);
        }
        Ok(Some(Claimable {
            segments: segments(tx, id)?,
            standing,
            open,
            hosted,
        }))
    }

    /// The first ownerless claim that a host of this version may take: an old one claims only below
    /// its border.
    pub(super) fn ownerless(&self) -> Option<&OpenClaim> {
        self.open.iter().find(|claim| {
            claim.owner.is_none()
                && segment_at(&self.segments, claim.last)
                    .is_none_or(|segment| segment.number <= self.hosted)
        })
    }

    /// Whether a claim of this process may grow up to `last`: see [`Want::grows`].
    pub(super) fn may_grow(&self, tx: &Tx<'_>, grows: Grows, last: i64) -> Result<bool, Error> {
        let held = |claim: &&OpenClaim| {
            claim.id == grows.token.id
                && (claim.fence, grows.token.fence) == (1, 1)
                && claim.owner == Some(tx.process_row)
                && claim.last == grows.last.0
        };
        let Some(claim) = self.open.iter().find(held) else {
            return Ok(false);
        };
        let version = |seq| segment_at(&self.segments, seq).map(|segment| segment.number);
        if last - claim.first >= CLAIM_PLACES_MAX
            || version(claim.last) != version(last)
            || self.open.iter().any(|other| other.last > claim.last)
        {
            return Ok(false);
        }
        let later = "SELECT EXISTS (SELECT 1 FROM claims WHERE subscription = ?1 \
                     AND generation = ?2 AND settled_us IS NOT NULL AND last_seq > ?3)";
        let of = [self.standing.id.0, self.standing.generation, claim.last];
        let is_last: bool = tx
            .conn
            .prepare_cached(later)?
            .query_row(of, |row| row.get(0).map(|later: bool| !later))?;
        Ok(is_last)
    }
}

impl Scan {
    /// Looks for what is next of a subscription that stands so.
    pub(super) fn look(
        &self,
        tx: &Tx<'_>,
        claimable: &Claimable,
        lasting: Lasting,
    ) -> Result<Found, Error> {
        let standing = &claimable.standing;
        let (generation, cursor) = (Generation(standing.generation), Seq(standing.cursor));
        let passed = self.from.filter(|passed| passed.generation == generation);
        let mut read_to = passed.map_or(cursor, |passed| cursor.max(passed.to));
        let mut ground = Ground::of(tx.conn, read_to)?;
        if passed.is_some_and(|passed| passed.restores != ground.restores) {
            read_to = cursor;
            ground = Ground::of(tx.conn, read_to)?;
        }
        let mut found = Found {
            subscription: standing.id,
            generation,
            cursor,
            restores: ground.restores,
            read_to,
            more: false,
            ownerless: claimable.ownerless().is_some(),
            events: Arc::default(),
        };
        if !found.ownerless {
            self.read(tx, claimable, &ground, &mut found, lasting)?;
        }
        Ok(found)
    }

    fn read(
        &self,
        tx: &Tx<'_>,
        claimable: &Claimable,
        ground: &Ground,
        found: &mut Found,
        lasting: Lasting,
    ) -> Result<(), Error> {
        let Some(segment) = segment_at(&claimable.segments, found.read_to.0 + 1) else {
            return Ok(());
        };
        // A process with an old version claims only below the border.
        if claimable.hosted < segment.number {
            return Ok(());
        }
        let border = segment.valid_to.saturating_sub(1);
        let end = border.min(self.readable(ground)?);
        let known = ground.known.up_to(Seq(end));
        let mut taking = Taking {
            segment,
            max: self.want.max.clamp(1, CLAIM_EVENTS_MAX),
            rows_left: self.rows_max,
            read_to: found.read_to,
            bytes: 0,
            events: Vec::new(),
        };
        let reader = self.want.subscription;
        let keep = lasting == Lasting::Committed && self.recent.is_awaited(reader, found.read_to);
        let stopped = self.recall(known, &mut taking).is_break() || {
            let types = &segment.definition.types;
            let _turn = keep.then(|| self.recent.turn(taking.read_to, types));
            self.recall(known, &mut taking).is_break()
                || self.read_rows(tx, known, end, &mut taking, keep)?
        };
        self.recent.note(reader, taking.read_to);
        found.read_to = taking.read_to;
        found.events = Arc::new(taking.events);
        if stopped {
            found.more = true;
        } else {
            // Also where retention has left no row; at the end of an old version the next look
            // begins at the border.
            found.read_to = found.read_to.max(Seq(end));
            found.more = end == border && segment.valid_to != i64::MAX;
        }
        Ok(())
    }

    /// Takes what another subscription of this process has read before.
    fn recall(&self, known: Known, taking: &mut Taking<'_>) -> ControlFlow<()> {
        let types = &taking.segment.definition.types;
        while let Some((events, to)) = self.recent.after(taking.read_to, types, known) {
            for event in events {
                taking.look_at(event.seq.unwrap_or(to), Some(&event))?;
            }
            taking.read_to = to;
        }
        ControlFlow::Continue(())
    }

    /// Takes what the log has, and keeps it for others if it should; says whether there may be more.
    fn read_rows(
        &self,
        tx: &Tx<'_>,
        known: Known,
        end: i64,
        taking: &mut Taking<'_>,
        keep: bool,
    ) -> Result<bool, Error> {
        let types = &taking.segment.definition.types;
        let after = taking.read_to;
        let mut read = Vec::new();
        let mut stretch = Stretch::new(tx.conn, after.0, end)?;
        let stopped = stretch.each(|row| {
            let seq = row.seq();
            if !row.is_of(types) {
                return Ok(taking.look_at(seq, None));
            }
            let event = Arc::new(row.event()?);
            let next = taking.look_at(seq, Some(&event));
            if keep && taking.read_to == seq {
                read.push(event);
            }
            Ok(next)
        })?;
        if keep {
            let part = (after, taking.read_to);
            self.recent.keep(part, types, known, read);
        }
        Ok(stopped)
    }

    /// The last place that readers may act on.
    fn readable(&self, ground: &Ground) -> Result<i64, Error> {
        // The end was read before the synced place: a sync in between only shows more.
        let end = ground.log_end.0;
        match &self.presence {
            Some(presence) => Ok(end.min(readable(presence, ground.incarnation()?))),
            None => Ok(end),
        }
    }
}

/// What a look has taken so far, and what bounds it.
struct Taking<'s> {
    segment: &'s Segment,
    max: usize,
    rows_left: usize,
    /// Everything up to here was looked at.
    read_to: Seq,
    bytes: usize,
    events: Vec<Arc<Event>>,
}

impl Taking<'_> {
    /// Looks at the next row, and the event in it if it is of the right type; says to stop at a bound,
    /// before the row or after it.
    fn look_at(&mut self, seq: Seq, event: Option<&Arc<Event>>) -> ControlFlow<()> {
        if self.rows_left == 0 {
            return ControlFlow::Break(());
        }
        self.rows_left -= 1;
        if let Some(event) = event
            && self.segment.takes(&event.event_type, &event.payload)
        {
            self.bytes += event.payload.as_str().len();
            if !self.events.is_empty() && self.bytes > CLAIM_BYTES_MAX {
                return ControlFlow::Break(());
            }
            self.events.push(Arc::clone(event));
        }
        self.read_to = seq;
        match self.events.len() == self.max {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// How often deleted events were restored.
pub(super) fn restores(tx: &Tx<'_>) -> Result<i64, Error> {
    let sql = "SELECT restores FROM poll_mark";
    Ok(tx
        .conn
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))?)
}

/// The version this process hosts.
pub(super) fn hosted_version(tx: &Tx<'_>, id: SubscriptionId) -> Result<Option<i64>, Error> {
    Ok(tx
        .conn
        .prepare_cached("SELECT version FROM hosts WHERE subscription = ?1 AND process = ?2")?
        .query_row([id.0, tx.process_row], |row| row.get(0))
        .optional()?)
}
