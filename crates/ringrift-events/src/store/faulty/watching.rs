//! The verbs of watchers, each behind its fault.

use super::plan::{Effect, FaultyStore};
use crate::store::Pending;
use crate::store::watching::{
    Alert, AlertAct, AlertFilter, AlertId, Message, MessageReport, Silence, SinkState, WatchStep,
    Watched, Watching,
};

impl Watching for FaultyStore {
    fn watched(&self, watcher: String) -> Pending<Watched> {
        self.through(Effect::Reads, "watched", |s| s.watched(watcher))
    }

    fn keep_watch(&self, step: WatchStep) -> Pending<Option<Vec<AlertId>>> {
        self.through(Effect::Writes, "keep watch", |s| s.keep_watch(step))
    }

    fn alerts(&self, filter: AlertFilter) -> Pending<Vec<Alert>> {
        self.through(Effect::Reads, "alerts", |s| s.alerts(filter))
    }

    fn act_on_alerts(&self, ids: Vec<AlertId>, act: AlertAct, by: String) -> Pending<Vec<AlertId>> {
        self.through(Effect::Writes, "act on alerts", |s| {
            s.act_on_alerts(ids, act, by)
        })
    }

    fn silence(&self, silence: Silence) -> Pending<i64> {
        self.through(Effect::Writes, "silence", |s| s.silence(silence))
    }

    fn unsilence(&self, id: i64, by: String) -> Pending<bool> {
        self.through(Effect::Writes, "unsilence", |s| s.unsilence(id, by))
    }

    fn silences(&self) -> Pending<Vec<Silence>> {
        self.through(Effect::Reads, "silences", |s| s.silences())
    }

    fn waiting_messages(&self, limit: usize) -> Pending<Vec<Message>> {
        self.through(Effect::Reads, "waiting messages", |s| {
            s.waiting_messages(limit)
        })
    }

    fn report_message(&self, report: MessageReport) -> Pending<bool> {
        self.through(Effect::Writes, "report message", |s| {
            s.report_message(report)
        })
    }

    fn sinks(&self) -> Pending<Vec<SinkState>> {
        self.through(Effect::Reads, "sinks", |s| s.sinks())
    }
}
