//! The verbs of watchers, as this store answers them.

use super::act::ActOnAlerts;
use super::keep::KeepWatch;
use super::list::Alerts;
use super::messages::{ReportMessage, Sinks, WaitingMessages};
use super::silences::{BeginSilence, EndSilence, Silences};
use super::watched::AskWatched;
use crate::store::Pending;
use crate::store::sqlite::SqliteStore;
use crate::store::watching::{
    Alert, AlertAct, AlertFilter, AlertId, Message, MessageReport, Silence, SinkState, WatchStep,
    Watched, Watching,
};

impl Watching for SqliteStore {
    fn watched(&self, watcher: String) -> Pending<Watched> {
        SqliteStore::read(self, AskWatched { watcher })
    }

    fn keep_watch(&self, step: WatchStep) -> Pending<Option<Vec<AlertId>>> {
        SqliteStore::write(self, KeepWatch { step })
    }

    fn alerts(&self, filter: AlertFilter) -> Pending<Vec<Alert>> {
        SqliteStore::read(self, Alerts { filter })
    }

    fn act_on_alerts(&self, ids: Vec<AlertId>, act: AlertAct, by: String) -> Pending<Vec<AlertId>> {
        SqliteStore::write(self, ActOnAlerts { ids, act, by })
    }

    fn silence(&self, silence: Silence) -> Pending<i64> {
        SqliteStore::write(self, BeginSilence { silence })
    }

    fn unsilence(&self, id: i64, by: String) -> Pending<bool> {
        SqliteStore::write(self, EndSilence { id, by })
    }

    fn silences(&self) -> Pending<Vec<Silence>> {
        SqliteStore::read(self, Silences)
    }

    fn waiting_messages(&self, limit: usize) -> Pending<Vec<Message>> {
        SqliteStore::read(self, WaitingMessages { limit })
    }

    fn report_message(&self, report: MessageReport) -> Pending<bool> {
        SqliteStore::write(self, ReportMessage { report })
    }

    fn sinks(&self) -> Pending<Vec<SinkState>> {
        SqliteStore::read(self, Sinks)
    }
}
