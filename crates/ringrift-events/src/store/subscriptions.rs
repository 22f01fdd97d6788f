//! Who wants what, since which place in the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::log::TypeSet;
use super::{Error, ErrorCode, Pending};
use crate::clock::Time;
use crate::coded::quoted;
use crate::event::{ProcessId, Seq};

/// Names one subscription of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubscriptionId(pub i64);

/// Counts rewinds: a delivery belongs to one generation, and each keeps its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub i64);

/// Whether a subscription outlives its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Named, has a position, shared by every process that subscribes under its name.
    Durable,
    /// Belongs to one process and ends with it.
    Live,
}

/// Where a new durable subscription begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With the next event.
    #[default]
    Now,
    /// With the oldest event kept.
    Beginning,
    /// With the first event after this place.
    After(Seq),
}

/// What a name stands for. Two processes that use one durable name must mean the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The handler's name.
    pub name: String,
    /// Durable or live.
    pub kind: Kind,
    /// The types it takes.
    pub types: TypeSet,
    /// Its filter in canonical text ([`crate::catalog::filter::Filter`]); none takes everything.
    pub filter: Option<String>,
    /// Where it begins: looked at when it is made, and no part of what the name stands for.
    pub start: Start,
    /// The payload fields that make its dedup key; empty means no dedup.
    pub dedup: Vec<String>,
    /// Order holds per key, and a key waits while its event is retrying.
    pub ordered_by_key: bool,
}

impl Definition {
    /// Whether both stand for the same. Where to begin was decided when the subscription was made:
    /// whoever joins it goes on where it is.
    #[must_use]
    pub fn is_same(&self, asked: &Definition) -> bool {
        let begun = Definition {
            start: self.start,
            ..asked.clone()
        };
        *self == begun
    }

    /// The error for a subscribe that means something else by the same name: shows what differs.
    #[must_use]
    pub fn differs(&self, asked: &Definition) -> Error {
        let pairs = [
            (
                "kind",
                format!("{:?}", self.kind),
                format!("{:?}", asked.kind),
            ),
            ("types", self.types.to_string(), asked.types.to_string()),
            ("filter", or_none(&self.filter), or_none(&asked.filter)),
            ("dedup", self.dedup.join(","), asked.dedup.join(",")),
            (
                "ordered_by_key",
                self.ordered_by_key.to_string(),
                asked.ordered_by_key.to_string(),
            ),
        ];
        let differing = pairs.iter().filter(|(_, stands, asked)| stands != asked);
        let texts: Vec<String> = differing
            .map(|(field, stands, asked)| format!("{field} is {stands}, not {asked}"))
            .collect();
        Error::new(
            ErrorCode::SubscriptionDiffers,
            format!(
                "subscription {:?} has another definition: {}",
                self.name,
                texts.join("; ")
            ),
        )
        .with_next(format!("ringrift subs show {}", quoted(&self.name)))
    }
}

fn or_none(filter: &Option<String>) -> String {
    filter.clone().unwrap_or_else(|| "none".to_owned())
}

/// One version of a definition and the part of the log it is for: an event is delivered exactly
/// when `valid_from ≤ seq < valid_to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Counts from 1.
    pub number: i64,
    /// What the name stood for.
    pub definition: Definition,
    /// The first place it is for.
    pub valid_from: Seq,
    /// The first place it is no longer for.
    pub valid_to: Option<Seq>,
    /// When it was made.
    pub created_at: Time,
}

/// The answer to a subscribe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// Its id.
    pub id: SubscriptionId,
    /// The version this process now hosts.
    pub version: i64,
    /// Its generation.
    pub generation: Generation,
    /// The first place this version is for.
    pub valid_from: Seq,
    /// Whether it stood already.
    pub existed: bool,
}

/// A subscription as operators see it.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionState {
    /// Its id.
    pub id: SubscriptionId,
    /// Its versions, oldest first; the last is current. Never empty.
    pub versions: Vec<Version>,
    /// The process a live one belongs to.
    pub process: Option<ProcessId>,
    /// Its generation.
    pub generation: Generation,
    /// When it was paused, and by whom.
    pub paused: Option<(Time, String)>,
    /// Everything up to here is claimed or passed (durable), or seen by its poller (live).
    pub cursor: Seq,
    /// Everything up to here is settled (durable) or passed (live).
    pub settled: Seq,
    /// How many of its deliveries are claimed and not settled.
    pub claimed: u64,
    /// How many dead letters of it wait for a retry.
    pub retrying: u64,
    /// How many of its dead letters are dead.
    pub dead: u64,
    /// How many of its deliveries come again, or run again, without having failed: taken over,
    /// handed back, replayed, restored, blocked by their key. They are settled in the log and owed
    /// all the same.
    pub again: u64,
    /// Whoever begins after this place misses nothing that is owed from the log: `settled`, or the
    /// place before the oldest delivery that comes again or is retrying. Replays and dead letters
    /// are left out: they lie anywhere.
    pub owed_after: Seq,
    /// When it was removed or unsubscribed.
    pub ended_at: Option<Time>,
    /// The live processes that host it now, each with the version that it takes events by: of none
    /// that belongs to a later one.
    pub hosts: BTreeMap<ProcessId, i64>,
}

impl SubscriptionState {
    /// What its name stands for now.
    #[must_use]
    pub fn current(&self) -> &Definition {
        &self.versions[self.versions.len() - 1].definition
    }
}

/// Where a seek goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekTo {
    /// The next event to handle is the first after this place.
    After(Seq),
    /// The next event to handle is the first committed at or after this.
    Time(Time),
    /// The oldest event kept.
    Beginning,
    /// Nothing that is in the log now.
    End,
}

/// What a seek did, or would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sought {
    /// Where the subscription stood.
    pub from: Seq,
    /// Where it stands.
    pub to: Seq,
    /// The generation it has now.
    pub generation: Generation,
    /// Matching events between the two, forwards: they will not be handled
    /// (`ST_SKIPPED_BY_SEEK`).
    pub skipped: u64,
    /// Matching events between the two, backwards: they will be handled, mostly again.
    pub again: u64,
}

/// The verbs on subscriptions. Each is one transaction, durable when it answers.
pub trait Subscriptions: Send + Sync {
    /// Makes a subscription of this process, or joins the durable one of that name.
    ///
    /// The same definition ([`Definition::is_same`]) again joins what stands and goes on where it is
    /// (idempotent by name; for live ones by name and process). Another definition is [`super::ErrorCode::SubscriptionDiffers`], showing the
    /// difference, unless `replace`: then a new version begins at the next place of the log, and
    /// processes that host the old one claim only below it.
    fn subscribe(&self, definition: Definition, replace: bool) -> Pending<Subscribed>;

    /// Ends a live subscription of this process: `at` is the first place it is no longer for
    /// (default: the log's next), and the first call's stays. Or makes this
    /// process stop hosting a durable one, which goes on without it. Idempotent.
    fn unsubscribe(&self, id: SubscriptionId, at: Option<Seq>) -> Pending<()>;

    /// Every subscription, ended live ones included until they are swept; by name.
    fn subscriptions(&self) -> Pending<Vec<SubscriptionState>>;

    /// Stops or resumes new claims; open ones finish. Says whether it changed anything. A resume
    /// records for which part of the log the pause kept events waiting (`RT_PAUSED`, with since when
    /// and by whom).
    fn pause(&self, id: SubscriptionId, paused: bool, by: String) -> Pending<bool>;

    /// Moves a durable subscription and raises its generation, which fences its open claims; its
    /// unfinished dead letters of the old generation become discarded. With `dry_run` nothing
    /// changes. What it skips is kept as a verdict range with `by`.
    fn seek(&self, id: SubscriptionId, to: SeekTo, by: String, dry_run: bool) -> Pending<Sought>;

    /// Removes a durable subscription: what it owed becomes `ST_SUBSCRIPTION_REMOVED`, its dead
    /// letters are discarded, its row stays for `explain`. Refused with
    /// [`super::ErrorCode::WrongState`] while a live process hosts it: one that was killed does not,
    /// swept or not. Answers how many deliveries it owed.
    fn remove(&self, id: SubscriptionId, by: String, dry_run: bool) -> Pending<u64>;
}
