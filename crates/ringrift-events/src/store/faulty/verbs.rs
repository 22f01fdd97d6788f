//! The traits, each verb behind its fault.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::plan::{Effect, Fault, FaultyStore, error_of};
use crate::clock::Time;
use crate::event::{Event, EventId, ProcessId, Seq};
use crate::store::counting::{ArrivalCounts, FactCounts, PlaceCounts, Window};
use crate::store::deliveries::{
    Claim, ClaimToken, LetterId, Redelivery, Reserved, Settle, Settlement, Want,
};
use crate::store::letters::{Acted, Letter, LetterAct, LetterFilter, Seen};
use crate::store::log::{Appended, Batch, EventRef, Head, Logged, OnCommit, Page, TypeSet};
use crate::store::registry::{
    Command, Counters, DaemonState, DeclaredType, Fact, FactFilter, ProcessState, Recent, Running,
    Slot,
};
use crate::store::subscriptions::{
    Definition, SeekTo, Sought, Subscribed, SubscriptionId, SubscriptionState,
};
use crate::store::trail::Trail;
use crate::store::upkeep::{Checked, Deletion, Figures, SweepRules, Swept, Tally, Touched};
use crate::store::{
    Counting, Deliveries, Error, Letters, Log, Pending, Registry, Store, Subscriptions, Upkeep,
};
use crate::verdict::{Code, Failure, Outcome};

impl Store for FaultyStore {
    fn close(&self) {
        self.inner.close();
    }
}

impl Log for FaultyStore {
    fn append(&self, batch: Batch, then: Option<OnCommit>) -> Pending<Vec<Appended>> {
        match self.draw(Effect::Writes) {
            None => self.inner.append(batch, then),
            Some(Fault::Late) => self.late(self.inner.append(batch, then)),
            Some(Fault::Lost) => {
                // The follow-up keeps its place in the order of the commits and learns as little.
                let told = then.map(|then| -> OnCommit {
                    Box::new(move |_: &Result<Vec<Appended>, Error>| {
                        then(&Err(error_of(Fault::Lost, "append")));
                    })
                });
                drop(self.inner.append(batch, told).wait());
                Pending::ready(Err(error_of(Fault::Lost, "append")))
            }
            Some(fault @ (Fault::Refused | Fault::Busy | Fault::Full)) => {
                let result = Err(error_of(fault, "append"));
                if let Some(then) = then {
                    then(&result);
                }
                Pending::ready(result)
            }
        }
    }

    fn head(&self) -> Pending<Head> {
        self.through(Effect::Reads, "head", |s| s.head())
    }

    fn read(&self, after: Seq, types: TypeSet, limit: usize) -> Pending<(Vec<Arc<Event>>, Seq)> {
        self.through(Effect::Reads, "read", |s| s.read(after, types, limit))
    }

    fn find(&self, name: EventRef) -> Pending<Vec<Logged>> {
        self.through(Effect::Reads, "find", |s| s.find(name))
    }

    fn list(&self, page: Page) -> Pending<Vec<Logged>> {
        self.through(Effect::Reads, "list", |s| s.list(page))
    }

    fn children(&self, id: EventId) -> Pending<Vec<Logged>> {
        self.through(Effect::Reads, "children", |s| s.children(id))
    }
}

impl Subscriptions for FaultyStore {
    fn subscribe(&self, definition: Definition, replace: bool) -> Pending<Subscribed> {
        self.through(Effect::Writes, "subscribe", |s| {
            s.subscribe(definition, replace)
        })
    }

    fn unsubscribe(&self, id: SubscriptionId, at: Option<Seq>) -> Pending<()> {
        self.through(Effect::Writes, "unsubscribe", |s| s.unsubscribe(id, at))
    }

    fn subscriptions(&self) -> Pending<Vec<SubscriptionState>> {
        self.through(Effect::Reads, "subscriptions", |s| s.subscriptions())
    }

    fn pause(&self, id: SubscriptionId, paused: bool, by: String) -> Pending<bool> {
        self.through(Effect::Writes, "pause", |s| s.pause(id, paused, by))
    }

    fn seek(&self, id: SubscriptionId, to: SeekTo, by: String, dry_run: bool) -> Pending<Sought> {
        self.through(Effect::Writes, "seek", |s| s.seek(id, to, by, dry_run))
    }

    fn remove(&self, id: SubscriptionId, by: String, dry_run: bool) -> Pending<u64> {
        self.through(Effect::Writes, "remove", |s| s.remove(id, by, dry_run))
    }
}

impl Deliveries for FaultyStore {
    fn claim(&self, want: Want) -> Pending<Option<Claim>> {
        self.through(Effect::Writes, "claim", |s| s.claim(want))
    }

    fn settle(&self, settle: Settle) -> Pending<bool> {
        self.through(Effect::Writes, "settle", |s| s.settle(settle))
    }

    fn hand_back(&self, token: ClaimToken, keep_to: Seq) -> Pending<()> {
        self.through(Effect::Writes, "hand back", |s| s.hand_back(token, keep_to))
    }

    fn give_up(&self, token: ClaimToken, seq: Seq, started: bool) -> Pending<()> {
        self.through(Effect::Writes, "give up", |s| {
            s.give_up(token, seq, started)
        })
    }

    fn reserve(
        &self,
        subscription: SubscriptionId,
        keys: Vec<(String, EventId)>,
        ttl: Duration,
    ) -> Pending<Vec<Reserved>> {
        self.through(Effect::Writes, "reserve", |s| {
            s.reserve(subscription, keys, ttl)
        })
    }

    fn forget_keys(
        &self,
        subscription: SubscriptionId,
        key: Option<String>,
        by: String,
        dry_run: bool,
    ) -> Pending<u64> {
        self.through(Effect::Writes, "forget keys", |s| {
            s.forget_keys(subscription, key, by, dry_run)
        })
    }

    fn claim_due(
        &self,
        subscriptions: Vec<SubscriptionId>,
        max: usize,
    ) -> Pending<Vec<Redelivery>> {
        self.through(Effect::Writes, "claim due", |s| {
            s.claim_due(subscriptions, max)
        })
    }

    fn next_due(&self, subscriptions: Vec<SubscriptionId>) -> Pending<Option<Time>> {
        self.through(Effect::Reads, "next due", |s| s.next_due(subscriptions))
    }

    fn settle_due(&self, id: LetterId, fence: i64, settlement: Settlement) -> Pending<bool> {
        self.through(Effect::Writes, "settle due", |s| {
            s.settle_due(id, fence, settlement)
        })
    }

    fn hand_back_due(&self, id: LetterId, fence: i64, dedup_key: Option<String>) -> Pending<bool> {
        self.through(Effect::Writes, "hand back due", |s| {
            s.hand_back_due(id, fence, dedup_key)
        })
    }

    fn park(
        &self,
        subscription: SubscriptionId,
        event: Arc<Event>,
        failure: Failure,
        retry_at: Option<Time>,
        held: bool,
    ) -> Pending<LetterId> {
        self.through(Effect::Writes, "park", |s| {
            s.park(subscription, event, failure, retry_at, held)
        })
    }

    fn late(
        &self,
        subscription: SubscriptionId,
        event: EventId,
        outcome: Outcome,
    ) -> Pending<bool> {
        self.through(Effect::Writes, "late", |s| {
            s.late(subscription, event, outcome)
        })
    }

    fn replay(&self, subscription: SubscriptionId, seq: Seq, by: String) -> Pending<LetterId> {
        self.through(Effect::Writes, "replay", |s| {
            s.replay(subscription, seq, by)
        })
    }

    fn trail(&self, seq: Seq) -> Pending<Trail> {
        self.through(Effect::Reads, "trail", |s| s.trail(seq))
    }
}

impl Letters for FaultyStore {
    fn letters(&self, filter: LetterFilter) -> Pending<Vec<Letter>> {
        self.through(Effect::Reads, "letters", |s| s.letters(filter))
    }

    fn count_letters(&self) -> Pending<u64> {
        self.through(Effect::Reads, "count letters", |s| s.count_letters())
    }

    fn act(&self, act: LetterAct, seen: Vec<Seen>, by: String) -> Pending<Acted> {
        self.through(Effect::Writes, "act", |s| s.act(act, seen, by))
    }

    fn edit(&self, seen: Seen, edited: Event, by: String) -> Pending<LetterId> {
        self.through(Effect::Writes, "edit", |s| s.edit(seen, edited, by))
    }
}

impl Registry for FaultyStore {
    fn process(&self) -> ProcessId {
        self.inner.process()
    }

    fn processes(&self) -> Pending<Vec<ProcessState>> {
        self.through(Effect::Reads, "processes", |s| s.processes())
    }

    fn beat(&self, counters: Counters, polled_to: Seq) {
        self.inner.beat(counters, polled_to);
    }

    fn started(&self, running: Running) -> Option<Slot> {
        self.inner.started(running)
    }

    fn next(&self, slot: Option<Slot>, running: Running) -> Option<Slot> {
        self.inner.next(slot, running)
    }

    fn vacant(&self, slot: Option<Slot>) {
        self.inner.vacant(slot);
    }

    fn recent(&self, recent: &[Recent]) {
        self.inner.recent(recent);
    }

    fn step(&self, slot: Slot, step: &str) {
        self.inner.step(slot, step);
    }

    fn abandoned(&self, slot: Slot) {
        self.inner.abandoned(slot);
    }

    fn ended(&self, slot: Option<Slot>, recent: Recent) {
        self.inner.ended(slot, recent);
    }

    fn wait_for_news(&self, seen: u64, at_most: Duration) -> u64 {
        self.inner.wait_for_news(seen, at_most)
    }

    fn wait_for_news_of(&self, types: Option<&TypeSet>, seen: u64, at_most: Duration) -> u64 {
        self.inner.wait_for_news_of(types, seen, at_most)
    }

    fn ring(&self) {
        self.inner.ring();
    }

    fn elect(&self, role: &str) -> Pending<bool> {
        self.through(Effect::Writes, "elect", |s| s.elect(role))
    }

    fn resign(&self, role: &str) -> Pending<()> {
        self.through(Effect::Writes, "resign", |s| s.resign(role))
    }

    fn elected(&self, role: &str) -> Pending<Option<ProcessId>> {
        self.through(Effect::Reads, "elected", |s| s.elected(role))
    }

    fn host_hangs(&self, role: &str) -> Pending<bool> {
        self.through(Effect::Reads, "host hangs", |s| s.host_hangs(role))
    }

    fn report_daemons(&self, states: Vec<DaemonState>) -> Pending<()> {
        self.through(Effect::Writes, "report daemons", |s| {
            s.report_daemons(states)
        })
    }

    fn daemons(&self) -> Pending<Vec<DaemonState>> {
        self.through(Effect::Reads, "daemons", |s| s.daemons())
    }

    fn send(&self, process: ProcessId, verb: String, args: String, by: String) -> Pending<i64> {
        self.through(Effect::Writes, "send", |s| s.send(process, verb, args, by))
    }

    fn take_commands(&self) -> Pending<Vec<Command>> {
        self.through(Effect::Writes, "take commands", |s| s.take_commands())
    }

    fn answer(&self, id: i64, result: String) -> Pending<()> {
        self.through(Effect::Writes, "answer", |s| s.answer(id, result))
    }

    fn command(&self, id: i64) -> Pending<Command> {
        self.through(Effect::Reads, "command", |s| s.command(id))
    }

    fn declare_types(&self, types: Vec<DeclaredType>) -> Pending<()> {
        self.through(Effect::Writes, "declare types", |s| s.declare_types(types))
    }

    fn declared_types(&self) -> Pending<Vec<DeclaredType>> {
        self.through(Effect::Reads, "declared types", |s| s.declared_types())
    }

    fn keep_catalog(&self, hash: u64, text: String) -> Pending<()> {
        self.through(Effect::Writes, "keep catalog", |s| {
            s.keep_catalog(hash, text)
        })
    }

    fn record(&self, facts: Vec<Fact>) -> Pending<()> {
        self.through(Effect::Writes, "record", |s| s.record(facts))
    }

    fn facts(&self, filter: FactFilter) -> Pending<Vec<Fact>> {
        self.through(Effect::Reads, "facts", |s| s.facts(filter))
    }
}

impl Upkeep for FaultyStore {
    fn take_over(&self, rules: SweepRules) -> Pending<Swept> {
        self.through(Effect::Writes, "take over", |s| s.take_over(rules))
    }

    fn retain(&self, rules: SweepRules) -> Pending<Swept> {
        self.through(Effect::Writes, "retain", |s| s.retain(rules))
    }

    fn count_pending(&self) -> Pending<u64> {
        self.through(Effect::Reads, "count pending", |s| s.count_pending())
    }

    fn tallies(&self) -> Pending<Vec<Tally>> {
        self.through(Effect::Reads, "tallies", |s| s.tallies())
    }

    fn figures(&self) -> Pending<Figures> {
        self.through(Effect::Reads, "figures", |s| s.figures())
    }

    fn clear_queue_to(&self, by: String, last: Seq, dry_run: bool) -> Pending<u64> {
        self.through(Effect::Writes, "clear queue", |s| {
            s.clear_queue_to(by, last, dry_run)
        })
    }

    fn restore_queue_to(&self, by: String, last: Seq, dry_run: bool) -> Pending<u64> {
        self.through(Effect::Writes, "restore queue", |s| {
            s.restore_queue_to(by, last, dry_run)
        })
    }

    fn check(&self) -> Pending<Checked> {
        self.through(Effect::Reads, "check", |s| s.check())
    }

    fn backup(&self, to: PathBuf) -> Pending<()> {
        self.through(Effect::Reads, "backup", |s| s.backup(to))
    }

    fn query(
        &self,
        sql: String,
        limit: usize,
        time_limit: Duration,
    ) -> Pending<(Vec<String>, Vec<Vec<serde_json::Value>>)> {
        self.through(Effect::Reads, "query", |s| s.query(sql, limit, time_limit))
    }

    fn delete_by_sql(&self, deletion: Deletion) -> Pending<Touched> {
        self.through(Effect::Writes, "delete by SQL", |s| {
            s.delete_by_sql(deletion)
        })
    }
}

impl Counting for FaultyStore {
    fn count_places(&self, after: Seq, to: Seq) -> Pending<PlaceCounts> {
        self.through(Effect::Reads, "count places", |s| s.count_places(after, to))
    }

    fn count_arrivals(
        &self,
        window: Window,
        by_process: bool,
        rest: Option<(Time, Seq)>,
    ) -> Pending<ArrivalCounts> {
        self.through(Effect::Reads, "count arrivals", |s| {
            s.count_arrivals(window, by_process, rest)
        })
    }

    fn count_facts(
        &self,
        window: Window,
        codes: Vec<Code>,
        rest: Option<i64>,
    ) -> Pending<FactCounts> {
        self.through(Effect::Reads, "count facts", |s| {
            s.count_facts(window, codes, rest)
        })
    }
}
