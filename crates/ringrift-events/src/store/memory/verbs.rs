//! The traits on a handle: each verb enters the world, does it, and leaves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::hub::MemoryStore;
use crate::clock::Time;
use crate::event::{Event, EventId, ProcessId, Seq};
use crate::store::deliveries::{
    Claim, ClaimToken, LetterId, Redelivery, Reserved, Settle, Settlement, Want,
};
use crate::store::letters::{Acted, Letter, LetterAct, LetterFilter, Seen};
use crate::store::log::{Appended, Batch, EventRef, Head, Logged, OnCommit, Page, TypeSet};
use crate::store::registry::{
    Command, Counters, DaemonState, DeclaredType, Fact, FactFilter, Liveness, ProcessState, Recent,
    Running, Slot,
};
use crate::store::subscriptions::{
    Definition, SeekTo, Sought, Subscribed, SubscriptionId, SubscriptionState,
};
use crate::store::trail::Trail;
use crate::store::upkeep::{Checked, Deletion, Figures, SweepRules, Swept, Tally, Touched};
use crate::store::{
    Deliveries, Error, ErrorCode, Letters, Log, Pending, Registry, Store, Subscriptions, Upkeep,
};
use crate::verdict::{Failure, Outcome};

impl Store for MemoryStore {
    fn close(&self) {
        self.leave();
    }
}

impl Log for MemoryStore {
    fn append(&self, batch: Batch, then: Option<OnCommit>) -> Pending<Vec<Appended>> {
        self.append_verb(then, |world| world.append(batch))
    }

    fn head(&self) -> Pending<Head> {
        self.verb(|world, _| Ok(world.head()))
    }

    fn read(&self, after: Seq, types: TypeSet, limit: usize) -> Pending<(Vec<Arc<Event>>, Seq)> {
        self.verb(|world, _| Ok(world.read(after, &types, limit)))
    }

    fn find(&self, name: EventRef) -> Pending<Vec<Logged>> {
        self.verb(|world, _| world.find(&name))
    }

    fn list(&self, page: Page) -> Pending<Vec<Logged>> {
        self.verb(|world, _| Ok(world.list(&page)))
    }

    fn children(&self, id: EventId) -> Pending<Vec<Logged>> {
        self.verb(|world, _| Ok(world.children(id)))
    }
}

impl Subscriptions for MemoryStore {
    fn subscribe(&self, definition: Definition, replace: bool) -> Pending<Subscribed> {
        self.verb(|world, me| world.subscribe(me, definition, replace))
    }

    fn unsubscribe(&self, id: SubscriptionId, at: Option<Seq>) -> Pending<()> {
        self.verb(|world, me| world.unsubscribe(me, id, at))
    }

    fn subscriptions(&self) -> Pending<Vec<SubscriptionState>> {
        self.verb(|world, _| Ok(world.subscription_states()))
    }

    fn pause(&self, id: SubscriptionId, paused: bool, by: String) -> Pending<bool> {
        let changed = self.verb(|world, _| world.pause(id, paused, by));
        self.ring_all();
        changed
    }

    fn seek(&self, id: SubscriptionId, to: SeekTo, by: String, dry_run: bool) -> Pending<Sought> {
        let sought = self.verb(|world, _| world.seek(id, to, by, dry_run));
        self.ring_all();
        sought
    }

    fn remove(&self, id: SubscriptionId, by: String, dry_run: bool) -> Pending<u64> {
        self.verb(|world, _| world.remove(id, by, dry_run))
    }
}

impl Deliveries for MemoryStore {
    fn claim(&self, want: Want) -> Pending<Option<Claim>> {
        self.verb(|world, me| world.claim(me, want))
    }

    fn settle(&self, settle: Settle) -> Pending<bool> {
        self.verb(|world, me| world.settle(me, settle))
    }

    fn hand_back(&self, token: ClaimToken, keep_to: Seq) -> Pending<()> {
        let back = self.verb(|world, me| world.hand_back(me, token, keep_to));
        self.ring_all();
        back
    }

    fn give_up(&self, token: ClaimToken, seq: Seq, started: bool) -> Pending<()> {
        let given = self.verb(|world, me| world.give_up(me, token, seq, started));
        self.ring_all();
        given
    }

    fn reserve(
        &self,
        subscription: SubscriptionId,
        keys: Vec<(String, EventId)>,
        ttl: Duration,
    ) -> Pending<Vec<Reserved>> {
        self.verb(|world, me| world.reserve(me, subscription, keys, ttl))
    }

    fn forget_keys(
        &self,
        subscription: SubscriptionId,
        key: Option<String>,
        by: String,
        dry_run: bool,
    ) -> Pending<u64> {
        self.verb(|world, _| world.forget_some_keys(subscription, key.as_deref(), by, dry_run))
    }

    fn claim_due(
        &self,
        subscriptions: Vec<SubscriptionId>,
        max: usize,
    ) -> Pending<Vec<Redelivery>> {
        self.verb(|world, me| world.claim_due(me, &subscriptions, max))
    }

    fn next_due(&self, subscriptions: Vec<SubscriptionId>) -> Pending<Option<Time>> {
        self.verb(|world, me| world.next_due(me, &subscriptions))
    }

    fn settle_due(&self, id: LetterId, fence: i64, settlement: Settlement) -> Pending<bool> {
        self.verb(|world, me| world.settle_due(me, id, fence, &settlement))
    }

    fn hand_back_due(&self, id: LetterId, fence: i64, dedup_key: Option<String>) -> Pending<bool> {
        let given = self.verb(|world, me| world.hand_back_due(me, id, fence, dedup_key.as_deref()));
        self.ring_all();
        given
    }

    fn park(
        &self,
        subscription: SubscriptionId,
        event: Arc<Event>,
        failure: Failure,
        retry_at: Option<Time>,
        held: bool,
    ) -> Pending<LetterId> {
        self.verb(|world, me| world.park(me, subscription, event, &failure, (retry_at, held)))
    }

    fn late(
        &self,
        subscription: SubscriptionId,
        event: EventId,
        outcome: Outcome,
    ) -> Pending<bool> {
        self.verb(|world, me| Ok(world.late(me, subscription, event, &outcome)))
    }

    fn replay(&self, subscription: SubscriptionId, seq: Seq, by: String) -> Pending<LetterId> {
        let letter = self.verb(|world, _| world.replay(subscription, seq, by));
        self.ring_all();
        letter
    }

    fn trail(&self, seq: Seq) -> Pending<Trail> {
        self.verb(|world, _| Ok(world.trail(seq)))
    }
}

impl Letters for MemoryStore {
    fn letters(&self, filter: LetterFilter) -> Pending<Vec<Letter>> {
        self.verb(|world, _| Ok(world.letters(&filter)))
    }

    fn count_letters(&self) -> Pending<u64> {
        self.verb(|world, _| Ok(world.count_letters()))
    }

    fn act(&self, act: LetterAct, seen: Vec<Seen>, by: String) -> Pending<Acted> {
        let acted = self.verb(|world, _| Ok(world.act(act, seen, &by)));
        self.ring_all();
        acted
    }

    fn edit(&self, seen: Seen, edited: Event, by: String) -> Pending<LetterId> {
        let letter = self.verb(|world, _| world.edit(seen, edited, &by));
        self.ring_all();
        letter
    }
}

impl Registry for MemoryStore {
    fn process(&self) -> ProcessId {
        self.me
    }

    fn processes(&self) -> Pending<Vec<ProcessState>> {
        self.verb(|world, _| Ok(world.process_states()))
    }

    fn beat(&self, counters: Counters, polled_to: Seq) {
        self.touch(|world, me| world.beat(me, counters, polled_to));
    }

    fn started(&self, running: Running) -> Option<Slot> {
        self.touch(|world, me| world.started(me, running)).flatten()
    }

    fn next(&self, slot: Option<Slot>, running: Running) -> Option<Slot> {
        let next = |slot| self.touch(|world, me| world.next(me, slot, running.clone()));
        match slot {
            Some(slot) => next(slot).flatten(),
            None => self.started(running),
        }
    }

    fn vacant(&self, slot: Option<Slot>) {
        self.touch(|world, me| world.vacant(me, slot));
    }

    fn recent(&self, recent: &[Recent]) {
        for one in recent {
            self.ended(None, one.clone());
        }
    }

    fn step(&self, slot: Slot, step: &str) {
        self.touch(|world, me| {
            let now = world.now;
            if let Some(running) = world.running(me, slot) {
                running.step = Some(step.to_owned());
                running.step_since = Some(now);
            }
        });
    }

    fn abandoned(&self, slot: Slot) {
        self.touch(|world, me| {
            if let Some(running) = world.running(me, slot) {
                running.abandoned = true;
            }
        });
    }

    fn ended(&self, slot: Option<Slot>, recent: Recent) {
        self.touch(|world, me| world.ended(me, slot, recent));
    }

    fn wait_for_news(&self, seen: u64, at_most: Duration) -> u64 {
        self.wait_bell(seen, at_most)
    }

    fn ring(&self) {
        self.ring_all();
    }

    fn elect(&self, role: &str) -> Pending<bool> {
        self.verb(|world, me| Ok(world.elect(me, role)))
    }

    fn resign(&self, role: &str) -> Pending<()> {
        self.verb(|world, me| {
            world.resign(me, role);
            Ok(())
        })
    }

    fn elected(&self, role: &str) -> Pending<Option<ProcessId>> {
        self.verb(|world, _| Ok(world.roles.get(role).copied()))
    }

    fn host_hangs(&self, role: &str) -> Pending<bool> {
        self.verb(|world, _| {
            let host = world.roles.get(role);
            let states = world.process_states();
            let mut hung = states
                .iter()
                .filter(|state| state.liveness == Liveness::Hung);
            Ok(hung.any(|state| Some(&state.process.id) == host))
        })
    }

    fn report_daemons(&self, states: Vec<DaemonState>) -> Pending<()> {
        self.verb(|world, _| {
            world.report_daemons(states);
            Ok(())
        })
    }

    fn daemons(&self) -> Pending<Vec<DaemonState>> {
        self.verb(|world, _| Ok(world.daemons.values().cloned().collect()))
    }

    fn send(&self, process: ProcessId, verb: String, args: String, by: String) -> Pending<i64> {
        let sent = self.verb(|world, _| world.send(process, verb, args, by));
        self.ring_all();
        sent
    }

    fn take_commands(&self) -> Pending<Vec<Command>> {
        self.verb(|world, me| Ok(world.take_commands(me)))
    }

    fn answer(&self, id: i64, result: String) -> Pending<()> {
        let answered = self.verb(|world, _| world.answer(id, result));
        self.ring_all();
        answered
    }

    fn command(&self, id: i64) -> Pending<Command> {
        self.verb(|world, _| world.command(id))
    }

    fn declare_types(&self, types: Vec<DeclaredType>) -> Pending<()> {
        self.verb(|world, _| world.declare_types(types))
    }

    fn declared_types(&self) -> Pending<Vec<DeclaredType>> {
        self.verb(|world, _| Ok(world.types.values().cloned().collect()))
    }

    fn keep_catalog(&self, hash: u64, text: String) -> Pending<()> {
        self.verb(|world, me| {
            world.keep_catalog(me, hash, text);
            Ok(())
        })
    }

    fn record(&self, facts: Vec<Fact>) -> Pending<()> {
        self.verb(|world, _| {
            facts.into_iter().for_each(|fact| world.note(fact));
            Ok(())
        })
    }

    fn facts(&self, filter: FactFilter) -> Pending<Vec<Fact>> {
        self.verb(|world, _| Ok(world.facts_of(&filter)))
    }
}

impl Upkeep for MemoryStore {
    fn take_over(&self, rules: SweepRules) -> Pending<Swept> {
        let swept = self.verb(|world, me| Ok(world.take_over(me, &rules)));
        self.ring_all();
        swept
    }

    fn retain(&self, rules: SweepRules) -> Pending<Swept> {
        self.verb(|world, _| Ok(world.retain(&rules)))
    }

    fn count_pending(&self) -> Pending<u64> {
        self.verb(|world, _| Ok(world.count_pending()))
    }

    fn tallies(&self) -> Pending<Vec<Tally>> {
        self.verb(|world, _| Ok(world.tallies()))
    }

    fn figures(&self) -> Pending<Figures> {
        self.verb(|world, _| Ok(world.figures()))
    }

    fn clear_queue_to(&self, by: String, last: Seq, dry_run: bool) -> Pending<u64> {
        self.verb(|world, _| Ok(world.clear_queue(by, last, dry_run)))
    }

    fn restore_queue_to(&self, by: String, last: Seq, dry_run: bool) -> Pending<u64> {
        let restored = self.verb(|world, _| Ok(world.restore_queue(by, last, dry_run)));
        self.ring_all();
        restored
    }

    fn check(&self) -> Pending<Checked> {
        self.verb(|world, _| Ok(world.check()))
    }

    fn backup(&self, to: PathBuf) -> Pending<()> {
        let text = format!("cannot back up to {}: the store is in memory", to.display());
        self.verb(|_, _| Err(Error::new(ErrorCode::WrongState, text)))
    }

    fn query(
        &self,
        _sql: String,
        _limit: usize,
        _time_limit: Duration,
    ) -> Pending<(Vec<String>, Vec<Vec<serde_json::Value>>)> {
        self.verb(|_, _| Err(no_sql()))
    }

    fn delete_by_sql(&self, _deletion: Deletion) -> Pending<Touched> {
        self.verb(|_, _| Err(no_sql()))
    }
}

fn no_sql() -> Error {
    Error::new(
        ErrorCode::WrongState,
        "cannot run SQL: the store is in memory",
    )
}
