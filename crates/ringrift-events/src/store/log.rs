//! The append-only log.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, ErrorCode, Pending};
use crate::clock::Time;
use crate::event::{Event, EventId, EventType, Seq};

/// What an acknowledged publish survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The death of any process; a power loss may take the last moments (SQLite's NORMAL).
    #[default]
    Process,
    /// Power loss too: answered after a sync that began after the commit.
    Power,
}

/// One event to append.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The event; its `seq` is ignored.
    pub event: Arc<Event>,
    /// The publisher's idempotency key: fixed window of [`IDEMPOTENCY_WINDOW`].
    pub idempotency_key: Option<String>,
    /// Where the program published it.
    pub call_site: Option<CallSite>,
}

/// A line of a program that publishes. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallSite {
    file: Cow<'static, str>,
    line: u32,
}

impl CallSite {
    /// Most bytes of a file's path; of a longer one the end is kept.
    pub const FILE_BYTES_MAX: usize = 200;

    /// A line of a source file, for programs in other languages.
    #[must_use]
    pub fn new(file: &str, line: u32) -> CallSite {
        let from = file.len().saturating_sub(CallSite::FILE_BYTES_MAX);
        let file = file[file.ceil_char_boundary(from)..].to_owned();
        CallSite {
            file: Cow::Owned(file),
            line,
        }
    }

    /// The line that called the function which calls this.
    #[must_use]
    #[track_caller]
    pub fn here() -> CallSite {
        let place = std::panic::Location::caller();
        CallSite {
            file: Cow::Borrowed(place.file()),
            line: place.line(),
        }
    }

    /// The source file.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// The line in it.
    pub(crate) fn line(&self) -> u32 {
        self.line
    }
}

impl std::fmt::Display for CallSite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// How long a publisher's idempotency key is known: a fixed window from its first use.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// Where an appended event stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its place in the log, or the original's when it is a duplicate.
    pub seq: Seq,
    /// When it was committed, by this machine's clock.
    pub committed_at: Time,
    /// The event that was there first, by id or idempotency key.
    pub duplicate_of: Option<EventId>,
}

/// Most events in one append: more would hold the write lock too long.
pub const APPEND_DRAFTS_MAX: usize = 10_000;

/// One append: each event on its own, or all or none.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The events, in the order in which they are to stand in the log.
    pub drafts: Vec<Draft>,
    /// What the acknowledgement survives.
    pub durability: Durability,
}

/// The event that an id or idempotency key already names: what a repetition must have in common
/// with it. Who published, when and in which trace may differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Original<'a> {
    pub(crate) id: EventId,
    pub(crate) event_type: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) key: Option<&'a str>,
}

impl<'a> Original<'a> {
    /// What a repetition of `event` must have in common with it.
    pub(crate) fn of(event: &'a Event) -> Original<'a> {
        Original {
            id: event.id,
            event_type: event.event_type.as_str(),
            payload: event.payload.as_str(),
            key: event.key.as_deref(),
        }
    }

    /// Refuses `event`, which was published under the same id or `idempotency_key`, unless it is
    /// the same once more.
    pub(crate) fn check_repeated(
        &self,
        event: &Event,
        idempotency_key: Option<&str>,
    ) -> Result<(), Error> {
        let mut differs = Vec::new();
        let event_type = event.event_type.as_str();
        if self.event_type != event_type {
            differs.push(format!("its type is {}, not {event_type}", self.event_type));
        }
        if self.key != event.key.as_deref() {
            let key = |key: Option<&str>| key.map_or("none".to_owned(), |key| format!("{key:?}"));
            let (there, here) = (key(self.key), key(event.key.as_deref()));
            differs.push(format!("its key is {there}, not {here}"));
        }
        if !event.payload.is_same_json(self.payload) {
            differs.push("its payload is another".to_owned());
        }
        if differs.is_empty() {
            return Ok(());
        }
        let name = match idempotency_key {
            Some(key) => format!("idempotency key {key:?} was used for event {}", self.id),
            None => format!("event {} is in the log already", self.id),
        };
        let message = format!("{name}, and {}", differs.join(", "));
        Err(Error::new(ErrorCode::IdempotencyConflict, message)
            .with_next(format!("ringrift events show {}", self.id)))
    }
}

/// Called in commit order once an append is answered, on a thread that may own descriptors.
pub type OnCommit = Box<dyn FnOnce(&Result<Vec<Appended>, Error>) + Send>;

/// How an event is named by people: id, unique prefix of an id, number in the log, key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventRef {
    /// The whole id.
    Id(EventId),
    /// The first digits of an id, as text, at least four.
    Prefix(String),
    /// The number in the log.
    Seq(Seq),
    /// The publisher's idempotency key.
    IdempotencyKey(String),
}

/// An event as it stands in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// The event; `seq` is set.
    pub event: Arc<Event>,
    /// When it was committed.
    pub committed_at: Time,
    /// When it was deleted through the public view; restorable for a time.
    pub deleted_at: Option<Time>,
    /// Where the program published it, as `file:line`.
    pub call_site: Option<String>,
}

/// What to list of the log, newest first or oldest first, by pages.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Only these types; empty means all.
    pub types: Vec<EventType>,
    /// Only events with this key.
    pub key: Option<String>,
    /// Only events committed at or after this.
    pub since: Option<Time>,
    /// Only events before this place (newest first) or after it (oldest first).
    pub from: Option<Seq>,
    /// Newest first.
    pub newest_first: bool,
    /// At most this many.
    pub limit: usize,
}

/// The log's end and identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last committed place that readers may act on (with power durability: synced).
    pub seq: Seq,
    /// Random, changed by each restore or repair: positions of another incarnation mean nothing.
    pub incarnation: u64,
}

/// Most payload bytes of one read, about: it is held in memory whole.
pub const READ_BYTES_MAX: usize = 4 << 20;

/// Most places of the log that one read looks at, of whatever type: its transaction stays short.
pub const READ_PLACES_MAX: i64 = 50_000;

/// Whether a read after `after`, of at most `limit` events, met none of its bounds: then it went to
/// what was the log's end, and there is nothing to read at once.
#[must_use]
pub fn is_to_the_end(after: Seq, limit: usize, events: &[Arc<Event>], read_to: Seq) -> bool {
    let bytes: usize = events.iter().map(|one| one.payload.as_str().len()).sum();
    events.len() < limit
        && bytes < READ_BYTES_MAX
        && read_to.0.saturating_sub(after.0) < READ_PLACES_MAX
}

/// What [`super::Store::follow`] waits for and reads.
#[derive(Clone, Debug)]
pub struct Follow {
    /// Events after this place.
    pub after: Seq,
    /// Of these types.
    pub types: TypeSet,
    /// Most events.
    pub limit: usize,
    /// What the last call answered; 0 at first.
    pub seen: u64,
    /// Longest wait.
    pub at_most: Duration,
}

/// What to pass as `seen` next time, and what was read; nothing where nothing is new.
pub type Followed = (u64, Option<(Vec<Arc<Event>>, Seq)>);

/// The verbs on the log.
pub trait Log: Send + Sync {
    /// Appends events in one transaction, all or none. At most [`APPEND_DRAFTS_MAX`] drafts; more
    /// are [`super::ErrorCode::WrongState`].
    ///
    /// Durable as asked when it answers. Idempotent by event id and by idempotency key: a
    /// duplicate is answered with the original's place (and waits for the original's commit); the
    /// same id or idempotency key with another type, payload or key is
    /// [`super::ErrorCode::IdempotencyConflict`] and nothing of the batch is appended. [`Error::may_have_applied`] says when the outcome is
    /// unknown; appending the same ids again is then safe.
    ///
    /// `then` runs exactly once, in commit order over all appends of this handle, before an async
    /// caller is woken, on a thread that is no database thread.
    fn append(&self, batch: Batch, then: Option<OnCommit>) -> Pending<Vec<Appended>>;

    /// The same for a caller that is going to wait on this thread: it may block here already, and
    /// answers sooner where other processes write at the same time.
    fn append_here(&self, batch: Batch, then: Option<OnCommit>) -> Pending<Vec<Appended>> {
        self.append(batch, then)
    }

    /// The log's end. Cheap: at most one indexed read.
    fn head(&self) -> Pending<Head>;

    /// Events after `after` in log order; deleted ones are left out. It goes to the log's end,
    /// unless it meets one of the bounds that [`is_to_the_end`] knows. The second value is the place up to which was read: events of other
    /// types may lie between.
    fn read(&self, after: Seq, types: TypeSet, limit: usize) -> Pending<(Vec<Arc<Event>>, Seq)>;

    /// The events that `name` could mean, deleted ones too; at most 10. None is an empty list.
    fn find(&self, name: EventRef) -> Pending<Vec<Logged>>;

    /// One page of the log, deleted ones left out; bounded by `limit` ≤ 1,000.
    fn list(&self, page: Page) -> Pending<Vec<Logged>>;

    /// The events whose parent is `id`, at most 1,000.
    fn children(&self, id: EventId) -> Pending<Vec<Logged>>;
}

/// Which types a subscription or a reader takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypeSet {
    /// Every type.
    All,
    /// These; sorted, without repeats, never empty.
    Only(Vec<EventType>),
}

impl std::fmt::Display for TypeSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TypeSet::All => f.write_str("all types"),
            TypeSet::Only(types) => {
                let names: Vec<&str> = types.iter().map(EventType::as_str).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

impl TypeSet {
    /// A set of these types, sorted and without repeats.
    #[must_use]
    pub fn only(types: impl IntoIterator<Item = EventType>) -> TypeSet {
        let mut list: Vec<EventType> = types.into_iter().collect();
        list.sort();
        list.dedup();
        TypeSet::Only(list)
    }

    /// Whether it takes whatever `other` takes.
    pub(crate) fn covers(&self, other: &TypeSet) -> bool {
        match (self, other) {
            (TypeSet::All, _) => true,
            (TypeSet::Only(_), TypeSet::All) => false,
            (TypeSet::Only(_), TypeSet::Only(types)) => types.iter().all(|one| self.takes(one)),
        }
    }

    /// Whether it takes `event_type`.
    #[must_use]
    pub fn takes(&self, event_type: &EventType) -> bool {
        match self {
            TypeSet::All => true,
            TypeSet::Only(types) => types.binary_search(event_type).is_ok(),
        }
    }
}
