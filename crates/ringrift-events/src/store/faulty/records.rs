//! What is kept to be told later, each verb behind its fault.

use super::plan::{Effect, FaultyStore};
use crate::store::Pending;
use crate::store::records::{
    CatalogSince, DeclaredHandler, HostRecord, MissingField, Present, Records, Refusal, Stall,
    Unbridged,
};
use crate::store::registry::Slot;
use crate::verdict::Effort;

impl Records for FaultyStore {
    fn show(&self, present: Present) {
        self.inner.show(present);
    }

    fn show_stalls(&self, stalls: Vec<Stall>) {
        self.inner.show_stalls(stalls);
    }

    fn progress(&self, slot: Slot, effort: Effort) {
        self.inner.progress(slot, effort);
    }

    fn keep_refusals(&self, refusals: Vec<Refusal>) -> Pending<()> {
        self.through(Effect::Writes, "keep refusals", |s| {
            s.keep_refusals(refusals)
        })
    }

    fn refusals(&self) -> Pending<Vec<Refusal>> {
        self.through(Effect::Reads, "refusals", |s| s.refusals())
    }

    fn count_unbridged(&self, counts: Vec<Unbridged>) -> Pending<()> {
        self.through(Effect::Writes, "count unbridged", |s| {
            s.count_unbridged(counts)
        })
    }

    fn unbridged(&self) -> Pending<Vec<Unbridged>> {
        self.through(Effect::Reads, "unbridged", |s| s.unbridged())
    }

    fn count_missing_fields(&self, counts: Vec<MissingField>) -> Pending<()> {
        self.through(Effect::Writes, "count missing fields", |s| {
            s.count_missing_fields(counts)
        })
    }

    fn missing_fields(&self) -> Pending<Vec<MissingField>> {
        self.through(Effect::Reads, "missing fields", |s| s.missing_fields())
    }

    fn declare_handlers(&self, handlers: Vec<DeclaredHandler>) -> Pending<()> {
        self.through(Effect::Writes, "declare handlers", |s| {
            s.declare_handlers(handlers)
        })
    }

    fn declared_handlers(&self) -> Pending<Vec<DeclaredHandler>> {
        self.through(Effect::Reads, "declared handlers", |s| {
            s.declared_handlers()
        })
    }

    fn keep_hosts(&self, hosts: Vec<HostRecord>) -> Pending<()> {
        self.through(Effect::Writes, "keep hosts", |s| s.keep_hosts(hosts))
    }

    fn host_records(&self) -> Pending<Vec<HostRecord>> {
        self.through(Effect::Reads, "host records", |s| s.host_records())
    }

    fn process_catalogs(&self) -> Pending<Vec<CatalogSince>> {
        self.through(Effect::Reads, "process catalogs", |s| s.process_catalogs())
    }

    fn catalog(&self, hash: u64) -> Pending<Option<String>> {
        self.through(Effect::Reads, "catalog", |s| s.catalog(hash))
    }
}
