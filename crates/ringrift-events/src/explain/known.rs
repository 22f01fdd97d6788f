//! Everything recorded that bears on one event.

use std::sync::Arc;
use std::time::Duration;

use super::judge;
use super::standing::Standing;
use crate::catalog::{Catalog, NearNames};
use crate::clock::Time;
use crate::event::{EventId, ProcessId};
use crate::store::letters::{Letter, LetterFilter, LetterState};
use crate::store::log::Logged;
use crate::store::records::HostRecord;
use crate::store::registry::{DaemonState, Fact, FactFilter, Liveness, ProcessState};
use crate::store::subscriptions::SubscriptionState;
use crate::store::trail::Trail;
use crate::store::{Error, Store};

/// Most facts read about one event and the ranges that cover it.
pub(super) const FACTS_MAX: usize = 1_000;

/// A process younger than this may not have said yet how its daemons stand.
const REPORT_GRACE: Duration = Duration::from_secs(5);

/// What bears on every event alike: subscriptions, processes and their daemons, read once.
#[derive(Clone, Debug)]
pub struct Scenery {
    /// When it was read.
    pub now: Time,
    /// Every subscription, ended ones too.
    pub subscriptions: Vec<SubscriptionState>,
    /// Every process known.
    pub processes: Vec<ProcessState>,
    /// How daemons stand in each.
    pub daemons: Vec<DaemonState>,
    /// Who hosted what.
    pub hosted: Vec<HostRecord>,
    /// Which names of types are near misses of each other: those that ship, unless a catalog says
    /// more.
    pub near_names: NearNames,
}

/// What the store and the processes' pages hold about one event, read once.
#[derive(Clone, Debug)]
pub struct Known {
    /// The event.
    pub logged: Logged,
    /// What it shares with all events.
    pub scenery: Arc<Scenery>,
    /// Facts about the event and about ranges that cover it, newest first.
    pub facts: Vec<Fact>,
    /// Positions, claims and redeliveries.
    pub trail: Trail,
    /// The letters of the events that edits made of it.
    pub edits: Vec<Letter>,
}

/// A process that does not run a daemon, and what it last said of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle<'a> {
    pub(super) process: &'a ProcessState,
    pub(super) daemon: Option<&'a DaemonState>,
}

impl Scenery {
    /// Reads it. Blocks for four reads, each bounded.
    ///
    /// # Errors
    /// The store's.
    pub fn read(store: &dyn Store, now: Time) -> Result<Scenery, Error> {
        Ok(Scenery {
            now,
            subscriptions: store.subscriptions().wait()?,
            processes: store.processes().wait()?,
            daemons: store.daemons().wait()?,
            hosted: store.host_records().wait()?,
            near_names: NearNames::default(),
        })
    }

    /// The same by the names that this catalog knows.
    pub(super) fn by(self, catalog: &Catalog) -> Scenery {
        Scenery {
            near_names: catalog.near_names(),
            ..self
        }
    }

    /// The process of this id, if it is still known.
    #[must_use]
    pub fn process(&self, id: ProcessId) -> Option<&ProcessState> {
        self.processes.iter().find(|state| state.process.id == id)
    }
}

impl Known {
    /// Reads it. Blocks for a few reads, each bounded.
    ///
    /// Pages are in no transaction, so neither is this. Each part is a later look than the one
    /// before, in the order in which a delivery goes on: positions, then pages, then facts. So a
    /// delivery that ends meanwhile is told as on its way or as ended, never as lost.
    ///
    /// # Errors
    /// The store's.
    pub fn read(store: &dyn Store, logged: Logged, now: Time) -> Result<Known, Error> {
        let trail = store.trail(logged.event.seq.unwrap_or_default()).wait()?;
        let scenery = Arc::new(Scenery::read(store, now)?);
        Known::with(store, logged, scenery, trail)
    }

    /// The same within a scenery that was read before: two reads. For many events at once; what
    /// began since is told from positions and facts alone.
    ///
    /// # Errors
    /// The store's.
    pub fn within(
        store: &dyn Store,
        logged: Logged,
        scenery: &Arc<Scenery>,
    ) -> Result<Known, Error> {
        let trail = store.trail(logged.event.seq.unwrap_or_default()).wait()?;
        Known::with(store, logged, Arc::clone(scenery), trail)
    }

    fn with(
        store: &dyn Store,
        logged: Logged,
        scenery: Arc<Scenery>,
        trail: Trail,
    ) -> Result<Known, Error> {
        let about = FactFilter {
            event: Some(logged.event.id),
            limit: FACTS_MAX,
            ..FactFilter::default()
        };
        Ok(Known {
            facts: store.facts(about).wait()?,
            edits: edits(store, &trail)?,
            scenery,
            trail,
            logged,
        })
    }

    /// Where the event stands with each subscription that named its type when it was published, or
    /// that came too late for it; by name.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        let all = self.scenery.subscriptions.iter();
        all.filter_map(|state| judge::of(self, state)).collect()
    }

    /// The subscriptions that stood at the event's place and name other types, so that it was
    /// nothing to them: those with a similar type first, then by name.
    #[must_use]
    pub fn others(&self) -> Vec<Standing> {
        let all = self.scenery.subscriptions.iter();
        let mut others: Vec<(bool, Standing)> = all
            .filter_map(|state| judge::stranger(self, state))
            .collect();
        others.sort_by_key(|(near, _)| !near);
        others.into_iter().map(|(_, standing)| standing).collect()
    }

    /// The facts that belong to this event: its own, and those about ranges of subscriptions that
    /// might have had it. A range of the log holds other events as well.
    pub fn facts_of_event(&self) -> impl Iterator<Item = &Fact> {
        let concerns = |fact: &&Fact| {
            let state = self
                .scenery
                .subscriptions
                .iter()
                .find(|state| Some(state.id) == fact.subscription);
            fact.event.is_some() || state.is_none_or(|state| judge::concerns(self, state))
        };
        self.facts.iter().filter(concerns)
    }

    pub(super) fn process(&self, id: ProcessId) -> Option<&ProcessState> {
        self.scenery.process(id)
    }

    /// The process as people know it.
    pub(super) fn named(&self, id: Option<ProcessId>) -> String {
        match id.and_then(|id| self.process(id)) {
            Some(state) => format!("pid {}", state.process.pid),
            None => "a process that is forgotten".to_owned(),
        }
    }

    /// The living processes that host the subscription, hung ones too, each with the version that
    /// it takes events by.
    pub(super) fn hosts(
        &self,
        state: &SubscriptionState,
    ) -> impl Iterator<Item = (&ProcessState, i64)> {
        let hosts = state.hosts.iter();
        let known = hosts.filter_map(|(id, version)| Some((self.process(*id)?, *version)));
        known.filter(|(process, _)| lives(process))
    }

    /// Those of `hosts` that do not run this daemon, if none of them does.
    pub(super) fn all_idle<'a>(
        &'a self,
        hosts: &[&'a ProcessState],
        daemon: &str,
    ) -> Option<Vec<Idle<'a>>> {
        let idle: Option<Vec<_>> = hosts.iter().map(|host| self.idle(host, daemon)).collect();
        idle.filter(|idle| !idle.is_empty())
    }

    fn idle<'a>(&'a self, process: &'a ProcessState, name: &str) -> Option<Idle<'a>> {
        let of =
            |daemon: &&DaemonState| daemon.process == process.process.id && daemon.name == name;
        let daemon = self.scenery.daemons.iter().find(of);
        // Its page tells sooner than its row, and still tells when the row cannot be written.
        let cycle = process.cycles.iter().find(|cycle| cycle.daemon == name);
        let started_at = process.process.started_at;
        let works = match daemon {
            Some(daemon) if matches!(daemon.state.as_str(), "running" | "standby") => true,
            Some(daemon) if cycle.is_some_and(|cycle| cycle.at > daemon.since) => true,
            // Nobody stopped it: so it stood before it was started.
            Some(daemon) if daemon.stopped_by.is_none() && daemon.error.is_none() => {
                daemon.state == "stopped" && daemon.since.since(started_at) < REPORT_GRACE
            }
            Some(_) => false,
            None => self.scenery.now.since(started_at) < REPORT_GRACE,
        };
        (!works).then_some(Idle { process, daemon })
    }
}

/// The letters that edits put in the place of these redeliveries. Nothing is read where there was
/// no edit.
fn edits(store: &dyn Store, trail: &Trail) -> Result<Vec<Letter>, Error> {
    let mut heirs: Vec<_> = trail.again.iter().filter_map(|row| row.linked).collect();
    heirs.sort_unstable();
    heirs.dedup();
    let mut letters = Vec::new();
    for heir in heirs {
        letters.extend(store.letters(letters_of(heir)).wait()?);
    }
    Ok(letters)
}

/// Most letters read of one event.
const LETTERS_MAX: usize = 1_000;

/// Every letter of one event, whatever its state.
pub(super) fn letters_of(event: EventId) -> LetterFilter {
    LetterFilter {
        event: Some(event),
        states: LetterState::ALL.to_vec(),
        limit: LETTERS_MAX,
        ..LetterFilter::default()
    }
}

#[cfg(test)]
impl Known {
    /// The scenery, to be changed.
    pub(super) fn scene(&mut self) -> &mut Scenery {
        Arc::make_mut(&mut self.scenery)
    }
}

impl Idle<'_> {
    /// `pid 4711 stopped it at … (by ann)`, or whatever else keeps it from running.
    pub(super) fn text(&self) -> String {
        let pid = self.process.process.pid;
        let Some(daemon) = self.daemon else {
            return format!("pid {pid} does not run it");
        };
        let since = format!("pid {pid}: {} since {}", daemon.state, utc(daemon.since));
        match (&daemon.stopped_by, &daemon.error) {
            (Some(by), _) => format!("{since}, by {by}"),
            (None, Some(error)) => format!("{since}: {error}"),
            (None, None) => since,
        }
    }
}

/// Whether a process lives, hung or not.
pub(super) fn lives(state: &ProcessState) -> bool {
    match state.liveness {
        Liveness::Alive | Liveness::Hung => true,
        Liveness::Left | Liveness::Dead => false,
    }
}

/// A time in words.
pub(super) fn utc(at: Time) -> String {
    format!("{} UTC", at.to_sql())
}
