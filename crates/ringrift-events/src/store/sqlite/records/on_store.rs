//! The verbs as the store's handle offers them.

use super::{
    AskDeclaredHandlers, AskHostRecords, AskMissingFields, AskRefusals, AskUnbridged, CatalogText,
    CountMissingFields, CountUnbridged, DeclareHandlers, KeepHosts, KeepRefusals, ProcessCatalogs,
};
use crate::store::Pending;
use crate::store::records::{
    CatalogSince, DeclaredHandler, HostRecord, MissingField, Present, Records, Refusal, Stall,
    Unbridged,
};
use crate::store::registry::Slot;
use crate::store::sqlite::SqliteStore;
use crate::verdict::Effort;

impl Records for SqliteStore {
    fn show(&self, present: Present) {
        self.presence.show(&present);
    }

    fn show_stalls(&self, stalls: Vec<Stall>) {
        self.presence.show_stalls(&stalls);
    }

    fn progress(&self, slot: Slot, effort: Effort) {
        self.presence.progress(slot, &effort);
    }

    fn keep_refusals(&self, refusals: Vec<Refusal>) -> Pending<()> {
        if refusals.is_empty() {
            return self.nothing();
        }
        self.write(KeepRefusals { refusals })
    }

    fn refusals(&self) -> Pending<Vec<Refusal>> {
        self.read(AskRefusals)
    }

    fn count_unbridged(&self, counts: Vec<Unbridged>) -> Pending<()> {
        if counts.is_empty() {
            return self.nothing();
        }
        self.write(CountUnbridged { counts })
    }

    fn unbridged(&self) -> Pending<Vec<Unbridged>> {
        self.read(AskUnbridged)
    }

    fn count_missing_fields(&self, counts: Vec<MissingField>) -> Pending<()> {
        if counts.is_empty() {
            return self.nothing();
        }
        self.write(CountMissingFields { counts })
    }

    fn missing_fields(&self) -> Pending<Vec<MissingField>> {
        self.read(AskMissingFields)
    }

    fn declare_handlers(&self, handlers: Vec<DeclaredHandler>) -> Pending<()> {
        if handlers.is_empty() {
            return self.nothing();
        }
        self.write(DeclareHandlers { handlers })
    }

    fn declared_handlers(&self) -> Pending<Vec<DeclaredHandler>> {
        self.read(AskDeclaredHandlers)
    }

    fn keep_hosts(&self, hosts: Vec<HostRecord>) -> Pending<()> {
        if hosts.is_empty() {
            return self.nothing();
        }
        self.write(KeepHosts { hosts })
    }

    fn host_records(&self) -> Pending<Vec<HostRecord>> {
        self.read(AskHostRecords)
    }

    fn process_catalogs(&self) -> Pending<Vec<CatalogSince>> {
        self.read(ProcessCatalogs)
    }

    fn catalog(&self, hash: u64) -> Pending<Option<String>> {
        self.read(CatalogText { hash })
    }
}
