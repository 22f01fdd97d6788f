//! The registry's verbs as the store's handle offers them.

use std::sync::Arc;
use std::time::Duration;

use super::{
    AnswerCommand, Daemons, DeclareTypes, DeclaredTypes, Elect, Elected, Facts, HasCommands,
    HostHangs, Processes, Record, ReportDaemons, Resign, SendCommand, ShowCommand, TakeCommands,
};
use crate::event::{ProcessId, Seq};
use crate::store::Pending;
use crate::store::log::TypeSet;
use crate::store::pages;
use crate::store::pages::Bells;
use crate::store::registry::{
    Command, Counters, DaemonState, DeclaredType, Fact, FactFilter, ProcessState, Recent, Registry,
    Running, Slot,
};
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::presence::CommandsDue;
use crate::store::sqlite::records::KeepCatalog;

/// A wait for news on a handle that cannot get any still waits a little: callers wait in loops.
const USELESS_WAIT: Duration = Duration::from_millis(200);

impl Registry for SqliteStore {
    fn process(&self) -> ProcessId {
        self.presence.process()
    }

    fn processes(&self) -> Pending<Vec<ProcessState>> {
        let presence = Arc::clone(&self.presence);
        self.read(Processes { presence })
    }

    fn beat(&self, counters: Counters, polled_to: Seq) {
        self.presence.beat(counters, polled_to);
        self.mark_polled(polled_to);
    }

    fn started(&self, running: Running) -> Option<Slot> {
        self.presence.started(&running)
    }

    fn next(&self, slot: Option<Slot>, running: Running) -> Option<Slot> {
        self.presence.next(slot, &running)
    }

    fn vacant(&self, slot: Option<Slot>) {
        self.presence.vacant(slot);
    }

    fn recent(&self, recent: &[Recent]) {
        self.presence.recent(recent);
    }

    fn step(&self, slot: Slot, step: &str) {
        self.presence.step(slot, step);
    }

    fn abandoned(&self, slot: Slot) {
        self.presence.abandoned(slot);
    }

    fn ended(&self, slot: Option<Slot>, recent: Recent) {
        self.presence.ended(slot, &recent);
    }

    fn wait_for_news(&self, seen: u64, at_most: Duration) -> u64 {
        self.wait_for_bells(Bells::ALL, seen, at_most)
    }

    fn wait_for_news_of(&self, types: Option<&TypeSet>, seen: u64, at_most: Duration) -> u64 {
        let bells = types.map_or(Bells::NONE, bells_of);
        self.wait_for_bells(bells.and(Bells::WORK), seen, at_most)
    }

    fn ring(&self) {
        self.presence.ring(Bells::WORK);
    }

    fn elect(&self, role: &str) -> Pending<bool> {
        // Its lock is this process's for life: nobody needs to be asked.
        if self.presence.roles().holds(role) {
            return Pending::ready(self.check().map(|()| true));
        }
        self.read(Elect {
            presence: Arc::clone(&self.presence),
            role: role.to_owned(),
        })
    }

    fn resign(&self, role: &str) -> Pending<()> {
        self.read(Resign {
            presence: Arc::clone(&self.presence),
            role: role.to_owned(),
        })
    }

    fn elected(&self, role: &str) -> Pending<Option<ProcessId>> {
        self.read(Elected {
            presence: Arc::clone(&self.presence),
            role: role.to_owned(),
        })
    }

    fn host_hangs(&self, role: &str) -> Pending<bool> {
        self.read(HostHangs {
            presence: Arc::clone(&self.presence),
            role: role.to_owned(),
        })
    }

    fn report_daemons(&self, states: Vec<DaemonState>) -> Pending<()> {
        if states.is_empty() {
            return self.nothing();
        }
        self.write(ReportDaemons { states })
    }

    fn daemons(&self) -> Pending<Vec<DaemonState>> {
        self.read(Daemons)
    }

    fn send(&self, process: ProcessId, verb: String, args: String, by: String) -> Pending<i64> {
        self.write(SendCommand {
            presence: Arc::clone(&self.presence),
            process,
            verb,
            args,
            by,
        })
    }

    fn take_commands(&self) -> Pending<Vec<Command>> {
        if self.is_read_only() {
            return self.nothing();
        }
        match self.presence.may_have_commands() {
            CommandsDue::Take => self.write(TakeCommands),
            CommandsDue::No => self.nothing(),
            CommandsDue::Look(found) => {
                self.read(HasCommands { found }).forget();
                self.nothing()
            }
        }
    }

    fn answer(&self, id: i64, result: String) -> Pending<()> {
        self.write(AnswerCommand { id, result })
    }

    fn command(&self, id: i64) -> Pending<Command> {
        self.read(ShowCommand { id })
    }

    fn declare_types(&self, types: Vec<DeclaredType>) -> Pending<()> {
        if types.is_empty() {
            return self.nothing();
        }
        self.write(DeclareTypes { types })
    }

    fn declared_types(&self) -> Pending<Vec<DeclaredType>> {
        self.read(DeclaredTypes)
    }

    fn keep_catalog(&self, hash: u64, text: String) -> Pending<()> {
        self.write(KeepCatalog { hash, text })
    }

    fn record(&self, facts: Vec<Fact>) -> Pending<()> {
        if facts.is_empty() {
            return self.nothing();
        }
        self.write(Record { facts })
    }

    fn facts(&self, filter: FactFilter) -> Pending<Vec<Fact>> {
        self.read(Facts { filter })
    }
}

impl SqliteStore {
    /// The answer where there is nothing to do: no transaction, but the refusals of every verb.
    pub(in crate::store::sqlite) fn nothing<T: Default + Clone + Send + 'static>(
        &self,
    ) -> Pending<T> {
        Pending::ready(self.check().map(|()| T::default()))
    }
}

impl SqliteStore {
    fn wait_for_bells(&self, bells: Bells, seen: u64, at_most: Duration) -> u64 {
        if self.check().is_err() {
            pages::pause(at_most.min(USELESS_WAIT));
            return seen;
        }
        self.look_out();
        self.presence.wait_for_news(bells, seen, at_most)
    }
}

/// The bells that appends of these types ring.
fn bells_of(types: &TypeSet) -> Bells {
    match types {
        TypeSet::All => Bells::APPENDS,
        TypeSet::Only(types) => types.iter().fold(Bells::NONE, |bells, one| {
            bells.and(Bells::of_type(one.as_str()))
        }),
    }
}
