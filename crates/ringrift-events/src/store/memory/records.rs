//! What is kept so that it can be told later.

use std::collections::BTreeMap;

use super::hub::MemoryStore;
use super::state::World;
use crate::event::{EventType, ProcessId};
use crate::store::Pending;
use crate::store::records::{
    self, CYCLES_SHOWN_MAX, CatalogSince, DeclaredHandler, HOSTS_SHOWN_MAX, HostRecord,
    MissingField, Present, REFUSALS_MAX, Refusal, STALLS_SHOWN_MAX, Stall, Unbridged,
};
use crate::store::registry::Slot;
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Effort;

/// What was kept, each under what it is counted by.
#[derive(Default)]
pub(super) struct Records {
    refusals: Vec<Refusal>,
    unbridged: BTreeMap<(ProcessId, EventType), Unbridged>,
    missing: BTreeMap<(ProcessId, SubscriptionId, String), MissingField>,
    declared: BTreeMap<(ProcessId, String), DeclaredHandler>,
    hosts: BTreeMap<(ProcessId, SubscriptionId), HostRecord>,
    /// Oldest first.
    catalogs: Vec<CatalogSince>,
}

impl World {
    pub(super) fn keep_catalog(&mut self, me: ProcessId, hash: u64, text: String) {
        self.catalogs.entry(hash).or_insert(text);
        if let Some(member) = self.members.get_mut(&me) {
            member.process.catalog_hash = hash;
        }
        let of_me = |one: &&CatalogSince| one.process == me;
        let catalogs = &mut self.records.catalogs;
        if catalogs.iter().rev().find(of_me).map(|one| one.hash) != Some(hash) {
            catalogs.push(CatalogSince {
                process: me,
                hash,
                since: self.now,
            });
        }
    }

    /// Ends the records of a process that is gone, with what its page said last.
    pub(super) fn end_host_records(&mut self, process: ProcessId) {
        let now = self.now;
        let of_process = self
            .records
            .hosts
            .iter_mut()
            .filter(|(of, _)| of.0 == process);
        for ((_, id), record) in of_process {
            record.until.get_or_insert(now);
            let shown = self.members.get(&process).into_iter();
            let mut shown = shown.flat_map(|member| &member.present.hosts);
            if let Some(host) = shown.find(|host| host.subscription == *id) {
                record.ends = record.ends.max(host.ends);
            }
        }
    }
}

impl Records {
    fn refuse(&mut self, mut new: Refusal) {
        let same = |one: &Refusal, new: &Refusal| {
            (
                one.process,
                &one.verb,
                &one.name,
                &one.code,
                &one.subscription,
            ) == (
                new.process,
                &new.verb,
                &new.name,
                &new.code,
                &new.subscription,
            )
        };
        let of_process = |one: &&Refusal| one.process == new.process;
        let kept = self.refusals.iter().filter(of_process).count();
        if kept >= REFUSALS_MAX && !self.refusals.iter().any(|one| same(one, &new)) {
            new.name.clear();
            new.subscription.clear();
            new.nearest = None;
        }
        match self.refusals.iter_mut().find(|one| same(one, &new)) {
            Some(one) => {
                one.count += new.count;
                one.nearest = new.nearest;
                one.call_site = new.call_site.or(one.call_site.take());
                one.last_at = one.last_at.max(new.last_at);
            }
            None => self.refusals.push(new),
        }
    }

    fn add_unbridged(&mut self, new: Unbridged) {
        let key = (new.process, new.event_type.clone());
        match self.unbridged.get_mut(&key) {
            Some(one) => {
                one.count += new.count;
                one.last = new.last.or(one.last);
            }
            None => drop(self.unbridged.insert(key, new)),
        }
    }

    fn add_missing(&mut self, new: MissingField) {
        let key = (new.process, new.subscription, new.field.clone());
        match self.missing.get_mut(&key) {
            Some(one) => {
                one.count += new.count;
                one.last = new.last;
            }
            None => drop(self.missing.insert(key, new)),
        }
    }

    fn declare(&mut self, new: DeclaredHandler) {
        let key = (new.process, new.name.clone());
        match self.declared.get_mut(&key) {
            Some(one) => {
                one.types = new.types;
                one.declared_at = one.declared_at.min(new.declared_at);
                one.started_at = one.started_at.or(new.started_at);
            }
            None => drop(self.declared.insert(key, new)),
        }
    }

    fn keep_host(&mut self, mut new: HostRecord) {
        let key = (new.process, new.subscription);
        if let Some(one) = self.hosts.get(&key) {
            new.since = one.since.min(new.since);
        }
        self.hosts.insert(key, new);
    }
}

impl records::Records for MemoryStore {
    fn show(&self, mut present: Present) {
        present.hosts.truncate(HOSTS_SHOWN_MAX);
        present.cycles.truncate(CYCLES_SHOWN_MAX);
        self.touch(|world, me| {
            if let Some(member) = world.members.get_mut(&me) {
                member.present = present;
            }
        });
    }

    fn show_stalls(&self, mut stalls: Vec<Stall>) {
        stalls.truncate(STALLS_SHOWN_MAX);
        self.touch(|world, me| {
            if let Some(member) = world.members.get_mut(&me) {
                member.stalls = stalls;
            }
        });
    }

    fn progress(&self, slot: Slot, effort: Effort) {
        self.touch(|world, me| {
            if let Some(running) = world.running(me, slot) {
                running.effort = effort;
            }
        });
    }

    fn keep_refusals(&self, refusals: Vec<Refusal>) -> Pending<()> {
        self.verb(|world, me| {
            for refusal in refusals {
                let process = me;
                world.records.refuse(Refusal { process, ..refusal });
            }
            Ok(())
        })
    }

    fn refusals(&self) -> Pending<Vec<Refusal>> {
        self.verb(|world, _| {
            let mut refusals = world.records.refusals.clone();
            let last_first = |one: &Refusal| (std::cmp::Reverse(one.last_at), one.name.clone());
            refusals.sort_by_key(last_first);
            Ok(refusals)
        })
    }

    fn count_unbridged(&self, counts: Vec<Unbridged>) -> Pending<()> {
        self.verb(|world, me| {
            for count in counts {
                let process = me;
                world.records.add_unbridged(Unbridged { process, ..count });
            }
            Ok(())
        })
    }

    fn unbridged(&self) -> Pending<Vec<Unbridged>> {
        self.verb(|world, _| Ok(world.records.unbridged.values().cloned().collect()))
    }

    fn count_missing_fields(&self, counts: Vec<MissingField>) -> Pending<()> {
        self.verb(|world, me| {
            for count in counts {
                let process = me;
                world.records.add_missing(MissingField { process, ..count });
            }
            Ok(())
        })
    }

    fn missing_fields(&self) -> Pending<Vec<MissingField>> {
        self.verb(|world, _| Ok(world.records.missing.values().cloned().collect()))
    }

    fn declare_handlers(&self, handlers: Vec<DeclaredHandler>) -> Pending<()> {
        self.verb(|world, me| {
            for handler in handlers {
                let process = me;
                world
                    .records
                    .declare(DeclaredHandler { process, ..handler });
            }
            Ok(())
        })
    }

    fn declared_handlers(&self) -> Pending<Vec<DeclaredHandler>> {
        self.verb(|world, _| Ok(world.records.declared.values().cloned().collect()))
    }

    fn keep_hosts(&self, hosts: Vec<HostRecord>) -> Pending<()> {
        self.verb(|world, me| {
            for host in hosts {
                let process = me;
                world.records.keep_host(HostRecord { process, ..host });
            }
            Ok(())
        })
    }

    fn host_records(&self) -> Pending<Vec<HostRecord>> {
        self.verb(|world, _| Ok(world.records.hosts.values().cloned().collect()))
    }

    fn process_catalogs(&self) -> Pending<Vec<CatalogSince>> {
        self.verb(|world, _| {
            let mut catalogs = world.records.catalogs.clone();
            catalogs.sort_by_key(|one| (one.process, std::cmp::Reverse(one.since)));
            Ok(catalogs)
        })
    }

    fn catalog(&self, hash: u64) -> Pending<Option<String>> {
        self.verb(|world, _| Ok(world.catalogs.get(&hash).cloned()))
    }
}
