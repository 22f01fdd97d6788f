//! Subscribing, unsubscribing, pausing, removing, and how subscriptions stand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::json;

use super::matching::Matcher;
use super::state::{Delivery, Life, Subscription, World};
use crate::event::{ProcessId, Seq};
use crate::store::deliveries::Why;
use crate::store::letters::LetterState;
use crate::store::registry::Fact;
use crate::store::subscriptions::{
    Definition, Generation, Kind, Start, Subscribed, SubscriptionId, Version,
};
use crate::store::{Error, ErrorCode};
use crate::verdict::Code;

impl World {
    pub(super) fn subscribe(
        &mut self,
        me: ProcessId,
        definition: Definition,
        replace: bool,
    ) -> Result<Subscribed, Error> {
        let matcher = Matcher::new(&definition)?;
        let standing = self.subscriptions.values().find(|s| {
            s.name == definition.name
                && s.kind == definition.kind
                && s.ended_at.is_none()
                && (s.kind == Kind::Durable || s.process == Some(me))
        });
        let id = match standing {
            Some(standing) => standing.id,
            None => return Ok(self.create(me, definition, matcher)),
        };
        let next = self.head.next();
        let now = self.now;
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return Err(no_subscription(id));
        };
        let current = &subscription.current().0.definition;
        if !current.is_same(&definition) {
            if !replace {
                return Err(current.differs(&definition));
            }
            subscription.add_version(definition, matcher, next, now);
        }
        self.host(me, id);
        self.subscribed(id, true)
    }

    fn create(&mut self, me: ProcessId, definition: Definition, matcher: Matcher) -> Subscribed {
        let last = self.subscriptions.keys().next_back().map_or(0, |id| id.0);
        let id = SubscriptionId(last + 1);
        let valid_from = match (definition.kind, definition.start) {
            (Kind::Live, _) | (Kind::Durable, Start::Now) => self.head.next(),
            (Kind::Durable, Start::Beginning) => self.oldest_kept(),
            (Kind::Durable, Start::After(seq)) => seq.clamp(Seq::START, self.head).next(),
        };
        let before = Seq(valid_from.0 - 1);
        let is_live = definition.kind == Kind::Live;
        let version = Version {
            number: 1,
            definition: definition.clone(),
            valid_from,
            valid_to: None,
            created_at: self.now,
        };
        let subscription = Subscription {
            id,
            name: definition.name,
            kind: definition.kind,
            versions: vec![(version, matcher)],
            process: is_live.then_some(me),
            generation: Generation(1),
            paused: None,
            began_at: self.now,
            past: VecDeque::new(),
            base: before,
            cursor: before,
            ended_at: None,
            orphaned_since: None,
            open: BTreeSet::new(),
            deliveries: BTreeMap::new(),
        };
        self.subscriptions.insert(id, subscription);
        self.host(me, id);
        Subscribed {
            id,
            version: 1,
            generation: Generation(1),
            valid_from,
            existed: false,
        }
    }

    /// The place of the oldest event kept, or the next place of an empty log.
    pub(super) fn oldest_kept(&self) -> Seq {
        let kept = self.log.keys().next();
        kept.map_or(self.head.next(), |seq| *seq)
    }

    fn host(&mut self, me: ProcessId, id: SubscriptionId) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.orphaned_since = None;
            let version = subscription.current().0.number;
            if let Some(member) = self.members.get_mut(&me) {
                member.hosts.insert(id, version);
            }
        }
    }

    fn subscribed(&self, id: SubscriptionId, existed: bool) -> Result<Subscribed, Error> {
        let subscription = self.subscription(id)?;
        let version = &subscription.current().0;
        Ok(Subscribed {
            id,
            version: version.number,
            generation: subscription.generation,
            valid_from: version.valid_from,
            existed,
        })
    }

    pub(super) fn unsubscribe(
        &mut self,
        me: ProcessId,
        id: SubscriptionId,
        at: Option<Seq>,
    ) -> Result<(), Error> {
        let subscription = self.subscription(id)?;
        if subscription.kind == Kind::Durable {
            self.unhost(me, id);
            return Ok(());
        }
        self.end_live(id, at);
        self.unhost(me, id);
        Ok(())
    }

    /// Ends a live subscription before `at` (default: the log's end); an ended one stays as it is.
    pub(super) fn end_live(&mut self, id: SubscriptionId, at: Option<Seq>) {
        let (now, head) = (self.now, self.head);
        if let Some(subscription) = self.subscriptions.get_mut(&id)
            && subscription.ended_at.is_none()
        {
            subscription.ended_at = Some(now);
            if let Some((version, _)) = subscription.versions.last_mut() {
                let end = at.unwrap_or(head.next());
                version.valid_to = Some(end.max(version.valid_from));
            }
        }
    }

    pub(super) fn unhost(&mut self, me: ProcessId, id: SubscriptionId) {
        if let Some(member) = self.members.get_mut(&me) {
            member.hosts.remove(&id);
        }
        let now = self.now;
        if self.hosts_of(id).is_empty()
            && let Some(subscription) = self.subscriptions.get_mut(&id)
        {
            subscription.orphaned_since.get_or_insert(now);
        }
    }

    /// The living processes that host it, each with its version.
    pub(super) fn hosts_of(&self, id: SubscriptionId) -> BTreeMap<ProcessId, i64> {
        let living = self
            .members
            .iter()
            .filter(|(_, member)| member.life == Life::Alive);
        living
            .filter_map(|(process, member)| Some((*process, *member.hosts.get(&id)?)))
            .collect()
    }

    pub(super) fn subscription(&self, id: SubscriptionId) -> Result<&Subscription, Error> {
        self.subscriptions
            .get(&id)
            .ok_or_else(|| no_subscription(id))
    }

    /// A durable subscription, removed or not.
    pub(super) fn durable(&self, id: SubscriptionId, verb: &str) -> Result<&Subscription, Error> {
        let subscription = self.subscription(id)?;
        if subscription.kind == Kind::Durable {
            return Ok(subscription);
        }
        let name = &subscription.name;
        let text = format!("cannot {verb} {name:?}: it is a live subscription");
        Err(Error::new(ErrorCode::WrongState, text).with_next("ringrift subs ls"))
    }

    /// A durable subscription that has not been removed.
    pub(super) fn standing(&self, id: SubscriptionId, verb: &str) -> Result<&Subscription, Error> {
        let subscription = self.durable(id, verb)?;
        let name = &subscription.name;
        if subscription.ended_at.is_some() {
            let text = format!("cannot {verb} {name:?}: it was removed");
            return Err(Error::new(ErrorCode::WrongState, text));
        }
        Ok(subscription)
    }

    pub(super) fn pause(
        &mut self,
        id: SubscriptionId,
        paused: bool,
        by: String,
    ) -> Result<bool, Error> {
        let subscription = self.subscription(id)?;
        if subscription.ended_at.is_some() {
            let text = format!("cannot pause {:?}: it has ended", subscription.name);
            return Err(Error::new(ErrorCode::WrongState, text).with_next("ringrift subs ls"));
        }
        let (now, head) = (self.now, self.head);
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return Err(no_subscription(id));
        };
        if subscription.paused.is_some() == paused {
            return Ok(false);
        }
        let next = paused.then(|| (now, by.clone()));
        let before = std::mem::replace(&mut subscription.paused, next);
        let Some((paused_at, paused_by)) = before else {
            self.note_act(id, "subs.pause", by);
            return Ok(true);
        };
        // What it kept from being claimed is told of those events for ever.
        let held = subscription.kind == Kind::Durable && subscription.cursor < head;
        let held = held.then(|| (subscription.cursor.next(), head));
        let evidence = json!({
            "name": subscription.name, "paused_at": paused_at.to_sql(), "paused_by": paused_by
        });
        let fact = Fact {
            seq: held.map(|(first, _)| first),
            seq_to: held.map(|(_, last)| last),
            subscription: Some(id),
            act: Some((by, "subs.resume".to_owned())),
            evidence: evidence.to_string(),
            ..self.fact(held.map(|_| Code::RtPaused))
        };
        self.note(fact);
        Ok(true)
    }

    /// Deliveries that come yet: dead letters wait for an operator and are not owed, unfinished
    /// replays are.
    fn count_owed(&self, subscription: &Subscription, unfinished: &[Seq]) -> u64 {
        let dead = unfinished.iter().filter(|seq| {
            let state = subscription.deliveries.get(seq);
            matches!(state, Some(Delivery::Again(row)) if self.rows[row].state == LetterState::Dead)
        });
        let replays = self.rows.values().filter(|row| {
            row.subscription == subscription.id && row.why == Why::Replay && row.is_going()
        });
        (unfinished.len() - dead.count() + replays.count()) as u64
    }

    pub(super) fn remove(
        &mut self,
        id: SubscriptionId,
        by: String,
        dry_run: bool,
    ) -> Result<u64, Error> {
        let subscription = self.standing(id, "remove")?;
        let hosts = self.hosts_of(id);
        if let Some((host, _)) = hosts.first_key_value() {
            let text = format!(
                "cannot remove {:?}: process {host} hosts it",
                subscription.name
            );
            return Err(Error::new(ErrorCode::WrongState, text));
        }
        let owed = self.unfinished(subscription);
        let count = self.count_owed(subscription, &owed);
        if dry_run {
            return Ok(count);
        }
        self.end_owed(id, &owed, self.head, Code::StSubscriptionRemoved, &by);
        self.discard_rows(id);
        self.close_claims(id);
        let now = self.now;
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.ended_at = Some(now);
        }
        self.note_act(id, "subs.rm", by);
        Ok(count)
    }
}

impl Subscription {
    fn add_version(
        &mut self,
        definition: Definition,
        matcher: Matcher,
        from: Seq,
        now: crate::clock::Time,
    ) {
        let mut number = 1;
        if let Some((last, _)) = self.versions.last_mut() {
            last.valid_to = Some(from);
            number = last.number + 1;
        }
        let version = Version {
            number,
            definition,
            valid_from: from,
            valid_to: None,
            created_at: now,
        };
        self.versions.push((version, matcher));
    }
}

pub(super) fn no_subscription(id: SubscriptionId) -> Error {
    Error::new(ErrorCode::NotFound, format!("no subscription {}", id.0))
        .with_next("ringrift subs ls")
}
