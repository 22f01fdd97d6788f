//! Everything one home knows, as plain data.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::matching::Matcher;
use super::records::Records;
use super::watching::Watches;
use crate::clock::Time;
use crate::event::{Event, EventId, ProcessId, Seq};
use crate::store::deliveries::{LetterId, Why};
use crate::store::letters::LetterState;
use crate::store::log::Logged;
use crate::store::records::{Present, Stall};
use crate::store::registry::{
    Command, Counters, DaemonState, DeclaredType, Fact, ProcessIdentity, Recent, Running,
};
use crate::store::subscriptions::{Generation, Kind, SubscriptionId, Version};
use crate::verdict::Failure;

/// One home.
pub(super) struct World {
    pub(super) now: Time,
    pub(super) monotonic: Duration,
    pub(super) lease: Duration,
    pub(super) incarnation: u64,
    /// Who last looked for dead processes, and when.
    pub(super) swept: Option<(ProcessId, Time)>,
    /// The last place given out.
    pub(super) head: Seq,
    pub(super) log: BTreeMap<Seq, Logged>,
    pub(super) by_id: HashMap<EventId, Seq>,
    /// Publishers' keys: the event's place and when the window ends.
    pub(super) idempotency: HashMap<String, (Seq, Time)>,
    pub(super) subscriptions: BTreeMap<SubscriptionId, Subscription>,
    pub(super) claims: BTreeMap<i64, ClaimRow>,
    pub(super) last_claim: i64,
    pub(super) rows: BTreeMap<LetterId, Row>,
    pub(super) last_row: i64,
    pub(super) dedup: HashMap<(SubscriptionId, String), DedupRow>,
    pub(super) members: BTreeMap<ProcessId, Member>,
    pub(super) roles: BTreeMap<String, ProcessId>,
    pub(super) daemons: BTreeMap<(ProcessId, String), DaemonState>,
    pub(super) commands: BTreeMap<i64, Command>,
    pub(super) last_command: i64,
    pub(super) types: BTreeMap<String, DeclaredType>,
    pub(super) catalogs: BTreeMap<u64, String>,
    pub(super) records: Records,
    pub(super) facts: VecDeque<Fact>,
    pub(super) watches: Watches,
    /// Raised when something may be new.
    pub(super) bell: u64,
}

/// One subscription.
pub(super) struct Subscription {
    pub(super) id: SubscriptionId,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Oldest first, never empty; each with its parsed filter.
    pub(super) versions: Vec<(Version, Matcher)>,
    pub(super) process: Option<ProcessId>,
    pub(super) generation: Generation,
    pub(super) paused: Option<(Time, String)>,
    /// When the generation began.
    pub(super) began_at: Time,
    /// The generations before it, oldest first; see [`super::trail`] for the bound.
    pub(super) past: VecDeque<Past>,
    /// The generation covers the log after this place.
    pub(super) base: Seq,
    /// Everything up to here is claimed or passed.
    pub(super) cursor: Seq,
    pub(super) ended_at: Option<Time>,
    /// Since when no live process hosts it.
    pub(super) orphaned_since: Option<Time>,
    /// The numbers of its open claims.
    pub(super) open: BTreeSet<i64>,
    /// The deliveries of this generation that no longer wait.
    pub(super) deliveries: BTreeMap<Seq, Delivery>,
}

/// A generation that is over.
pub(super) struct Past {
    pub(super) generation: Generation,
    pub(super) began_at: Time,
    pub(super) ended_at: Time,
    pub(super) base: Seq,
    pub(super) cursor: Seq,
    pub(super) deliveries: BTreeMap<Seq, Delivery>,
}

/// The one state of a delivery that no longer waits beyond the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Part of this open claim; waiting if nobody owns the claim.
    Claimed(i64),
    /// It stands as this redelivery stands.
    Again(LetterId),
    Done,
    Expired,
    /// Its event was deleted before it was handled; it was part of this claim with this fence, if
    /// of any.
    Purged(Option<(i64, i64)>),
}

/// An open or closed claim.
pub(super) struct ClaimRow {
    pub(super) subscription: SubscriptionId,
    pub(super) generation: Generation,
    pub(super) version: i64,
    pub(super) owner: Option<ProcessId>,
    pub(super) fence: i64,
    /// Its events, in log order.
    pub(super) events: Vec<Seq>,
    pub(super) settled_to: Seq,
    pub(super) open: bool,
    /// A part of it went elsewhere.
    pub(super) is_cut: bool,
}

impl ClaimRow {
    /// The last place of its range.
    pub(super) fn last(&self) -> Seq {
        self.events.last().copied().unwrap_or_default()
    }
}

/// One redelivery; a dead letter if it has failed.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) id: LetterId,
    pub(super) subscription: SubscriptionId,
    pub(super) kind: Kind,
    pub(super) handler: String,
    pub(super) generation: Generation,
    pub(super) event: Arc<Event>,
    pub(super) why: Why,
    pub(super) state: LetterState,
    pub(super) due: Option<Time>,
    pub(super) owner: Option<ProcessId>,
    pub(super) fence: i64,
    pub(super) attempts: u32,
    pub(super) attempts_total: u32,
    pub(super) deaths: u32,
    pub(super) deaths_alone: u32,
    /// Its timed-out run goes on in the owner; it is not due before that ends.
    pub(super) held: bool,
    pub(super) failed: Option<Failed>,
    pub(super) linked: Option<EventId>,
    /// Where it stood before it was discarded or purged.
    pub(super) before: Option<LetterState>,
    /// Where it stood before it was discarded, once that is purged.
    pub(super) before_discard: Option<LetterState>,
    pub(super) changed_at: Time,
}

/// What is known of a row's failures.
#[derive(Clone)]
pub(super) struct Failed {
    pub(super) last: Failure,
    pub(super) first_at: Time,
    pub(super) last_at: Time,
}

/// A dedup key of a durable subscription.
pub(super) struct DedupRow {
    pub(super) event: EventId,
    /// Who reserved it.
    pub(super) owner: ProcessId,
    /// When the window of a confirmed key ends; `None` while it is only reserved.
    pub(super) window_ends_at: Option<Time>,
    pub(super) ttl: Duration,
    /// The event that had the key before, and when its window ended.
    pub(super) earlier: Option<(EventId, Time)>,
}

/// Whether a process's handle works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Alive,
    Left,
    Dead,
}

/// A process.
pub(super) struct Member {
    pub(super) process: ProcessIdentity,
    pub(super) life: Life,
    pub(super) beat_at: Time,
    pub(super) lease_from: Duration,
    /// Made hung by hand; a beat ends it.
    pub(super) hung: bool,
    pub(super) counters: Counters,
    pub(super) polled_to: Seq,
    pub(super) slots: Vec<Option<Running>>,
    pub(super) recent: VecDeque<Recent>,
    /// What it shows of itself.
    pub(super) present: Present,
    pub(super) stalls: Vec<Stall>,
    /// The versions it hosts.
    pub(super) hosts: BTreeMap<SubscriptionId, i64>,
    pub(super) ended_at: Option<Time>,
    /// Its death has been dealt with.
    pub(super) swept: bool,
}

impl World {
    pub(super) fn new(incarnation: u64, lease: Duration) -> World {
        World {
            now: Time::default(),
            monotonic: Duration::ZERO,
            lease,
            incarnation,
            swept: None,
            head: Seq::START,
            log: BTreeMap::new(),
            by_id: HashMap::new(),
            idempotency: HashMap::new(),
            subscriptions: BTreeMap::new(),
            claims: BTreeMap::new(),
            last_claim: 0,
            rows: BTreeMap::new(),
            last_row: 0,
            dedup: HashMap::new(),
            members: BTreeMap::new(),
            roles: BTreeMap::new(),
            daemons: BTreeMap::new(),
            commands: BTreeMap::new(),
            last_command: 0,
            types: BTreeMap::new(),
            catalogs: BTreeMap::new(),
            records: Records::default(),
            facts: VecDeque::new(),
            watches: Watches::default(),
            bell: 1,
        }
    }
}
