//! Everything doctor looks at, gathered once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::ground::Ground;
use super::recorded::Recorded;
use super::rules::Rules;
use super::sample::{self, Cut, Events};
use crate::catalog::{Catalog, NearNames, TypeEntry, filter::Filter};
use crate::clock::Time;
use crate::event::{Event, EventType, ProcessId, Seq};
use crate::health;
pub use crate::metrics::Owed;
use crate::metrics::hosted_version;
use crate::store::letters::Letter;
use crate::store::log::{Logged, Page, TypeSet};
use crate::store::records::PolicyInForce;
use crate::store::registry::{DaemonState, Fact, Liveness, ProcessState};
use crate::store::subscriptions::{Definition, Kind, SubscriptionId, SubscriptionState, Version};
use crate::store::trail::Trail;
use crate::store::upkeep::Figures;
use crate::store::watching::{Alert, AlertFilter, SinkState};
use crate::store::{Error, Store};
use crate::verdict::Code;

/// Most alerts looked at.
const ALERTS_MAX: usize = 100;

/// Most events whose whole way is looked at, because their process died with them.
const TRAILS_MAX: usize = 100;

/// In a stopped system, processes that ended this long before the last one belong to the same stop.
const ENDED_TOGETHER: Duration = Duration::from_secs(30);

/// What to look at.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Now.
    pub now: Time,
    /// What ended before is not looked at.
    pub since: Time,
    /// The thresholds.
    pub rules: Rules,
    /// Handlers that must exist, each with the place that says so.
    pub expected: Vec<(String, String)>,
    /// Settings that contradict each other, in words.
    pub conflicts: Vec<String>,
    /// Types that rules of alerts take.
    pub alerted: Option<TypeSet>,
    /// The sinks that are configured; none where that cannot be read, and all that ever were count.
    pub sinks: Option<Vec<String>>,
    /// The database's file, whose surroundings are looked at; none for a store in memory.
    pub database: Option<PathBuf>,
}

impl Ask {
    /// A sink that was taken out of the configuration has no alerts to deliver any more; the store
    /// keeps how it did.
    fn configured(&self, mut sinks: Vec<SinkState>) -> Vec<SinkState> {
        if let Some(names) = &self.sinks {
            sinks.retain(|state| names.contains(&state.sink));
        }
        sinks
    }
}

/// What the store, the processes' pages and the machine say, read once.
#[derive(Clone, Debug)]
pub struct Chart {
    /// When it was read.
    pub now: Time,
    /// What ended before is not looked at.
    pub since: Time,
    /// The moment whose state is judged: now, or, when no process lives, the moment at which the
    /// last one ended.
    pub as_of: Time,
    /// No process of this home lives.
    pub is_stopped: bool,
    /// Cheap figures of the store.
    pub figures: Figures,
    /// Every process known.
    pub processes: Vec<ProcessState>,
    /// Every subscription, ended ones too.
    pub subscriptions: Vec<SubscriptionState>,
    /// How daemons stand.
    pub daemons: Vec<DaemonState>,
    /// Facts since then, newest first.
    pub facts: Vec<Fact>,
    /// Dead letters that wait, newest first; then those that exceeded their limit and recovered.
    pub letters: Vec<Letter>,
    /// The newest events since then, newest first.
    pub events: Vec<Logged>,
    /// There were more events since then than were looked at.
    pub is_log_cut: bool,
    /// The newest events before those, of types that are rare among them.
    pub older: Vec<Logged>,
    /// How many events there were of each type, where more than are looked at.
    pub counted: BTreeMap<EventType, u64>,
    /// There were more events since then than were counted.
    pub is_count_cut: bool,
    /// Codes of which there are more facts than were looked at.
    pub more_facts: BTreeSet<Code>,
    /// The first event that a process has not read, where that is older than what is looked at.
    pub unread: BTreeMap<ProcessId, Logged>,
    /// What was not looked at, since there is more than one look may hold.
    pub cut: Vec<Cut>,
    /// What durable subscriptions owe, those that owe something.
    pub owed: BTreeMap<SubscriptionId, Owed>,
    /// What no process takes of the subscriptions that processes host by an older definition only.
    pub outdated: BTreeMap<SubscriptionId, Owed>,
    /// The ways of events whose process died with them.
    pub trails: Vec<Trail>,
    /// Pending events, exactly only above the threshold.
    pub pending: u64,
    /// Every known type.
    pub types: Vec<Arc<TypeEntry>>,
    /// Which of their names are near misses of each other.
    pub near_names: NearNames,
    /// What else is recorded.
    pub recorded: Recorded,
    /// Alerts of pipelines that stand still.
    pub stalled: Vec<Alert>,
    /// How the sinks of alerts have done.
    pub sinks: Vec<SinkState>,
    /// Handlers that must exist, each with the place that says so.
    pub expected: Vec<(String, String)>,
    /// Settings that contradict each other, in words.
    pub conflicts: Vec<String>,
    /// Types that rules of alerts take: whoever is told of an event takes it.
    pub alerted: Option<TypeSet>,
    /// The files and what the machine says of them.
    pub ground: Ground,
}

impl Chart {
    /// Reads it. Blocks for a few reads, each bounded in rows and time.
    ///
    /// # Errors
    /// The store's.
    pub fn read(store: &dyn Store, catalog: &Catalog, ask: &Ask) -> Result<Chart, Error> {
        let (now, since) = (ask.now, ask.since);
        // Asked at once, so that the answers come together.
        let (figures, processes) = (store.figures(), store.processes());
        let (subscriptions, daemons) = (store.subscriptions(), store.daemons());
        let (figures, processes) = (figures.wait()?, processes.wait()?);
        let subscriptions = subscriptions.wait()?;
        let is_stopped = !processes.iter().any(lives);
        let last = processes.iter().map(|state| state.beat_at).max();
        let mut cut = Vec::new();
        let events = Events::read(store, ask, &mut cut)?;
        let (facts, more_facts) = sample::facts(store, since, &mut cut)?;
        let letters = sample::letters(store, since, &subscriptions, &mut cut)?;
        let stalled = store.alerts(AlertFilter::stalled(ALERTS_MAX)).wait()?;
        cut.extend(full(
            "pipelines that stand still",
            ALERTS_MAX,
            stalled.len(),
        ));
        let [owed, outdated] = owed(store, &subscriptions, &processes, figures.head)?;
        Ok(Chart {
            now,
            since,
            as_of: last.filter(|_| is_stopped).unwrap_or(now),
            is_stopped,
            owed,
            outdated,
            trails: trails(store, &facts, &mut cut)?,
            pending: health::backlog(store, &subscriptions, figures.head, ask.rules.backlog)?,
            unread: unread(store, &processes, &events)?,
            is_log_cut: events.is_cut,
            older: events.older,
            counted: events.counted,
            is_count_cut: events.is_count_cut,
            events: events.newest,
            more_facts,
            stalled,
            cut,
            sinks: ask.configured(store.sinks().wait()?),
            recorded: Recorded::read(store, since)?,
            types: catalog.types(),
            near_names: catalog.near_names(),
            expected: ask.expected.clone(),
            conflicts: ask.conflicts.clone(),
            alerted: ask.alerted.clone(),
            ground: Ground::look(ask.database.as_deref(), &processes, &figures.notes),
            daemons: daemons.wait()?,
            figures,
            processes,
            subscriptions,
            facts,
            letters,
        })
    }

    /// The facts with one of these codes, newest first.
    pub fn facts_of<'a>(&'a self, codes: &'a [Code]) -> impl Iterator<Item = &'a Fact> {
        let one = |fact: &&Fact| fact.code.is_some_and(|code| codes.contains(&code));
        self.facts.iter().filter(one)
    }

    /// `at least `, where there are more facts with one of these codes than were looked at.
    #[must_use]
    pub fn at_least(&self, codes: &[Code]) -> &'static str {
        let is_cut = codes.iter().any(|code| self.more_facts.contains(code));
        if is_cut { "at least " } else { "" }
    }

    /// The events of each type that were looked at, newest first.
    #[must_use]
    pub fn by_type(&self) -> BTreeMap<&EventType, Vec<&Logged>> {
        let mut types: BTreeMap<&EventType, Vec<&Logged>> = BTreeMap::new();
        for logged in self.events.iter().chain(&self.older) {
            let of_type = types.entry(&logged.event.event_type);
            of_type.or_default().push(logged);
        }
        types
    }

    /// How many events of a type there were, of which so many were looked at.
    #[must_use]
    pub fn number_of(&self, event_type: &EventType, looked_at: usize) -> u64 {
        let counted = self.counted.get(event_type).copied().unwrap_or(0);
        counted.max(looked_at as u64)
    }

    /// Whether somebody was there to take an event of this type where this one came.
    #[must_use]
    pub fn was_taken(&self, logged: &Logged) -> bool {
        let seq = logged.event.seq.unwrap_or_default();
        self.subscriptions.iter().any(|state| {
            definition_at(state, seq).is_some_and(|at| at.types.takes(&logged.event.event_type))
        })
    }

    /// The first event that a process has not read.
    #[must_use]
    pub fn first_unread(&self, state: &ProcessState) -> Option<&Logged> {
        let is_unread = |logged: &&Logged| logged.event.seq > Some(state.polled_to);
        let first = self.unread.get(&state.process.id);
        first.or_else(|| self.events.iter().rev().find(is_unread))
    }

    /// The process with this id.
    #[must_use]
    pub fn process(&self, id: ProcessId) -> Option<&ProcessState> {
        self.processes.iter().find(|state| state.process.id == id)
    }

    /// The process as people know it.
    #[must_use]
    pub fn named(&self, id: Option<ProcessId>) -> String {
        match id.map(|id| self.process(id)) {
            Some(Some(state)) => format!("pid {}", state.process.pid),
            Some(None) => "a process that is forgotten".to_owned(),
            None => "unknown".to_owned(),
        }
    }

    /// Processes that live; in a stopped system those that ended with the last one.
    pub fn present(&self) -> impl Iterator<Item = &ProcessState> {
        self.processes.iter().filter(|state| self.is_present(state))
    }

    /// Whether a process lives; in a stopped system, whether it ended with the last one.
    #[must_use]
    pub fn is_present(&self, state: &ProcessState) -> bool {
        match self.is_stopped {
            true => self.is_at_end(state.beat_at),
            false => lives(state),
        }
    }

    /// Until when events have waited for a process. A system that has just stopped is about to go
    /// on; one that has been stopped for longer than this leaves them waiting.
    #[must_use]
    pub fn waits_until(&self, restart: Duration) -> Time {
        let is_gone = self.now.since(self.as_of) >= restart;
        if is_gone { self.now } else { self.as_of }
    }

    /// Whether a time belongs to the end of a stopped system.
    #[must_use]
    pub fn is_at_end(&self, at: Time) -> bool {
        self.as_of.since(at) <= ENDED_TOGETHER
    }

    /// The subscription with this id.
    #[must_use]
    pub fn subscription(&self, id: SubscriptionId) -> Option<&SubscriptionState> {
        self.subscriptions.iter().find(|state| state.id == id)
    }

    /// The handler's name of a fact.
    #[must_use]
    pub fn handler_of(&self, fact: &Fact) -> Option<String> {
        let state = self.subscription(fact.subscription?)?;
        Some(state.current().name.clone())
    }

    /// Durable subscriptions that were not removed.
    pub fn durable(&self) -> impl Iterator<Item = &SubscriptionState> {
        let stands = |state: &&SubscriptionState| {
            state.current().kind == Kind::Durable && state.ended_at.is_none()
        };
        self.subscriptions.iter().filter(stands)
    }

    /// How a daemon of a process stands, as it last said.
    #[must_use]
    pub fn daemon(&self, process: ProcessId, name: &str) -> Option<&DaemonState> {
        let of = |daemon: &&DaemonState| daemon.process == process && daemon.name == name;
        self.daemons.iter().find(of)
    }

    /// The processes that host a subscription and are present; in a stopped system those that
    /// hosted it at the end.
    pub fn hosts<'a>(
        &'a self,
        state: &'a SubscriptionState,
    ) -> impl Iterator<Item = &'a ProcessState> {
        let recorded = self.recorded.hosts.iter();
        let at_end = recorded.filter(|host| {
            self.is_stopped
                && host.subscription == state.id
                && host.until.is_none_or(|until| self.is_at_end(until))
        });
        let hosts = state.hosts.keys().chain(state.process.as_ref());
        let hosts = hosts.chain(at_end.map(|host| &host.process));
        let hosts = hosts.filter_map(|id| self.process(*id));
        hosts.filter(|process| self.is_present(process))
    }

    /// The policy under which a handler runs, or ran last.
    #[must_use]
    pub fn policy(&self, id: SubscriptionId) -> Option<&PolicyInForce> {
        self.recorded.last_host(id).map(|host| &host.policy)
    }
}

/// A fact's evidence; an empty object where it cannot be read.
pub(super) fn evidence(fact: &Fact) -> Value {
    serde_json::from_str(&fact.evidence).unwrap_or_else(|_| Value::Object(serde_json::Map::new()))
}

/// A time in words.
pub(super) fn utc(at: Time) -> String {
    format!("{} UTC", at.to_sql())
}

/// Whether a process lives, hung or not.
pub(super) fn lives(state: &ProcessState) -> bool {
    match state.liveness {
        Liveness::Alive | Liveness::Hung => true,
        Liveness::Left | Liveness::Dead => false,
    }
}

/// The filter's answer, as the bus would give it; one that cannot be read takes nothing.
pub(super) fn passes(filter: Option<&str>, event: &Event) -> bool {
    filter
        .is_none_or(|text| Filter::parse(text).is_ok_and(|filter| filter.evaluate(&event.payload)))
}

/// What a name stood for where an event came, and not what it stands for today: none where it did
/// not stand yet, or no more.
pub(super) fn definition_at(state: &SubscriptionState, seq: Seq) -> Option<&Definition> {
    let covers = |version: &&Version| {
        version.valid_from <= seq && version.valid_to.is_none_or(|to| seq < to)
    };
    let version = state.versions.iter().find(covers);
    version.map(|version| &version.definition)
}

/// What a name stood for at a moment, for what is in no log; none before it was made.
pub(super) fn definition_on(state: &SubscriptionState, at: Time) -> Option<&Definition> {
    let mut made = state.versions.iter().rev();
    let version = made.find(|version| version.created_at <= at);
    version.map(|version| &version.definition)
}

/// What every durable subscription owes; and, of those that processes host, but by an older
/// definition only, what came since that was replaced.
fn owed(
    store: &dyn Store,
    subscriptions: &[SubscriptionState],
    processes: &[ProcessState],
    head: Seq,
) -> Result<[BTreeMap<SubscriptionId, Owed>; 2], Error> {
    let (mut all, mut outdated) = (BTreeMap::new(), BTreeMap::new());
    for state in subscriptions {
        if let Some(owed) = Owed::of(store, state, head)? {
            all.insert(state.id, owed);
        }
        if hosted_version(state, processes).is_some()
            && let Some(owed) = Owed::unattended(store, state, processes, head)?
        {
            outdated.insert(state.id, owed);
        }
    }
    Ok([all, outdated])
}

fn trails(store: &dyn Store, facts: &[Fact], cut: &mut Vec<Cut>) -> Result<Vec<Trail>, Error> {
    let lost = |fact: &&Fact| fact.code == Some(Code::HnLeaseLost);
    let mut places: Vec<Seq> = facts
        .iter()
        .filter(lost)
        .filter_map(|fact| fact.seq)
        .collect();
    places.sort();
    places.dedup();
    let lost_ones = "events whose process died with them";
    cut.extend(full(lost_ones, TRAILS_MAX, places.len()).filter(|_| places.len() > TRAILS_MAX));
    let newest = places.into_iter().rev().take(TRAILS_MAX);
    newest.map(|seq| store.trail(seq).wait()).collect()
}

/// What is said where a look was full.
fn full(what: &str, most: usize, found: usize) -> Option<Cut> {
    (found >= most).then(|| Cut {
        what: what.to_owned(),
        looked_at: most as u64,
        back_to: None,
    })
}

/// The first event that each live process has not read, where what is looked at begins later.
fn unread(
    store: &dyn Store,
    processes: &[ProcessState],
    events: &Events,
) -> Result<BTreeMap<ProcessId, Logged>, Error> {
    let mut unread = BTreeMap::new();
    let begin = events.newest.last().and_then(|logged| logged.event.seq);
    let Some(begin) = begin.filter(|_| events.is_cut) else {
        return Ok(unread);
    };
    let behind = |state: &&ProcessState| lives(state) && state.polled_to < begin;
    for state in processes.iter().filter(behind) {
        let page = Page {
            from: Some(state.polled_to),
            limit: 1,
            ..Page::default()
        };
        let first = store.list(page).wait()?.pop();
        unread.extend(first.map(|logged| (state.process.id, logged)));
    }
    Ok(unread)
}
