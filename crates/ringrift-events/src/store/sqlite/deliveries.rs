//! The verbs on deliveries, as this store answers them.

use std::sync::Arc;
use std::time::Duration;

use super::SqliteStore;
use super::verbs::deliveries::{
    ClaimDue, ForgetKeys, GiveUp, HandBack, HandBackDue, Late, NextDue, Park, Replay, ReserveKeys,
    SettleClaim, SettleDue, TrailOf,
};
use crate::clock::Time;
use crate::event::{Event, EventId, Seq};
use crate::store::Pending;
use crate::store::deliveries::{
    Claim, ClaimToken, Deliveries, LetterId, Redelivery, Reserved, Settle, Settlement, Want,
};
use crate::store::subscriptions::SubscriptionId;
use crate::store::trail::Trail;
use crate::verdict::{Failure, Outcome};

impl Deliveries for SqliteStore {
    fn claim(&self, want: Want) -> Pending<Option<Claim>> {
        self.claim_next(want)
    }

    fn settle(&self, settle: Settle) -> Pending<bool> {
        self.write(SettleClaim { settle })
    }

    fn hand_back(&self, token: ClaimToken, keep_to: Seq) -> Pending<()> {
        self.write(HandBack { token, keep_to })
    }

    fn give_up(&self, token: ClaimToken, seq: Seq, started: bool) -> Pending<()> {
        self.write(GiveUp {
            token,
            seq,
            started,
        })
    }

    fn reserve(
        &self,
        subscription: SubscriptionId,
        keys: Vec<(String, EventId)>,
        ttl: Duration,
    ) -> Pending<Vec<Reserved>> {
        self.write(ReserveKeys {
            subscription,
            keys,
            ttl,
        })
    }

    fn forget_keys(
        &self,
        subscription: SubscriptionId,
        key: Option<String>,
        by: String,
        dry_run: bool,
    ) -> Pending<u64> {
        let forget = ForgetKeys {
            subscription,
            key,
            by,
        };
        if dry_run {
            self.read(forget)
        } else {
            self.write(forget)
        }
    }

    fn claim_due(
        &self,
        subscriptions: Vec<SubscriptionId>,
        max: usize,
    ) -> Pending<Vec<Redelivery>> {
        self.write(ClaimDue { subscriptions, max })
    }

    fn next_due(&self, subscriptions: Vec<SubscriptionId>) -> Pending<Option<Time>> {
        self.read(NextDue { subscriptions })
    }

    fn settle_due(&self, id: LetterId, fence: i64, settlement: Settlement) -> Pending<bool> {
        self.write(SettleDue {
            id,
            fence,
            settlement,
        })
    }

    fn hand_back_due(&self, id: LetterId, fence: i64, dedup_key: Option<String>) -> Pending<bool> {
        self.write(HandBackDue {
            id,
            fence,
            dedup_key,
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
        self.write(Park {
            subscription,
            event,
            failure,
            retry_at,
            held,
        })
    }

    fn late(
        &self,
        subscription: SubscriptionId,
        event: EventId,
        outcome: Outcome,
    ) -> Pending<bool> {
        self.write(Late {
            subscription,
            event,
            outcome,
        })
    }

    fn replay(&self, subscription: SubscriptionId, seq: Seq, by: String) -> Pending<LetterId> {
        self.write(Replay {
            subscription,
            seq,
            by,
        })
    }

    fn trail(&self, seq: Seq) -> Pending<Trail> {
        self.read(TrailOf { seq })
    }
}
