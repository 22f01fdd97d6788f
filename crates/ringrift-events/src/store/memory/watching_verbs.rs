//! The verbs of watchers on a handle.

use super::hub::MemoryStore;
use crate::store::Pending;
use crate::store::watching::{
    Alert, AlertAct, AlertFilter, AlertId, Message, MessageReport, Silence, SinkState, WatchStep,
    Watched, Watching,
};

impl Watching for MemoryStore {
    fn watched(&self, watcher: String) -> Pending<Watched> {
        self.verb(|world, _| Ok(world.watched(&watcher)))
    }

    fn keep_watch(&self, step: WatchStep) -> Pending<Option<Vec<AlertId>>> {
        self.verb(|world, _| Ok(world.keep_watch(step)))
    }

    fn alerts(&self, filter: AlertFilter) -> Pending<Vec<Alert>> {
        self.verb(|world, _| Ok(world.alerts(&filter)))
    }

    fn act_on_alerts(&self, ids: Vec<AlertId>, act: AlertAct, by: String) -> Pending<Vec<AlertId>> {
        self.verb(|world, _| Ok(world.act_on_alerts(ids, act, &by)))
    }

    fn silence(&self, silence: Silence) -> Pending<i64> {
        self.verb(|world, _| Ok(world.silence(silence)))
    }

    fn unsilence(&self, id: i64, by: String) -> Pending<bool> {
        self.verb(|world, _| Ok(world.unsilence(id, &by)))
    }

    fn silences(&self) -> Pending<Vec<Silence>> {
        self.verb(|world, _| Ok(world.silences()))
    }

    fn waiting_messages(&self, limit: usize) -> Pending<Vec<Message>> {
        self.verb(|world, _| Ok(world.waiting_messages(limit)))
    }

    fn report_message(&self, report: MessageReport) -> Pending<bool> {
        self.verb(|world, _| Ok(world.report_message(&report)))
    }

    fn sinks(&self) -> Pending<Vec<SinkState>> {
        self.verb(|world, _| Ok(world.sinks()))
    }
}
