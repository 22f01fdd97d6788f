//! The verbs on subscriptions, as this store answers them.

use super::SqliteStore;
use super::verbs::subscriptions::{ListSubscriptions, Pause, Remove, Seek, Subscribe, Unsubscribe};
use crate::event::Seq;
use crate::store::Pending;
use crate::store::subscriptions::{
    Definition, SeekTo, Sought, Subscribed, SubscriptionId, SubscriptionState, Subscriptions,
};

impl Subscriptions for SqliteStore {
    fn subscribe(&self, definition: Definition, replace: bool) -> Pending<Subscribed> {
        self.write(Subscribe {
            definition,
            replace,
        })
    }

    fn unsubscribe(&self, id: SubscriptionId, at: Option<Seq>) -> Pending<()> {
        self.write(Unsubscribe { id, at })
    }

    fn subscriptions(&self) -> Pending<Vec<SubscriptionState>> {
        self.read(ListSubscriptions {
            presence: std::sync::Arc::clone(&self.presence),
        })
    }

    fn pause(&self, id: SubscriptionId, paused: bool, by: String) -> Pending<bool> {
        self.write(Pause { id, paused, by })
    }

    fn seek(&self, id: SubscriptionId, to: SeekTo, by: String, dry_run: bool) -> Pending<Sought> {
        let seek = Seek { id, to, by };
        match dry_run {
            true => self.read(seek),
            false => self.write(seek),
        }
    }

    fn remove(&self, id: SubscriptionId, by: String, dry_run: bool) -> Pending<u64> {
        let presence = std::sync::Arc::clone(&self.presence);
        let remove = Remove { id, by, presence };
        match dry_run {
            true => self.read(remove),
            false => self.write(remove),
        }
    }
}
