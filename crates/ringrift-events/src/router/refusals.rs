//! What this process refused or could not tell elsewhere, counted until it is saved.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::publish_failed;
use super::publish::Accepted;
use super::{Error, Router, Shared};
use crate::catalog;
use crate::clock::Time;
use crate::coded::Coded as _;
use crate::event::{Event, EventId, EventType};
use crate::store;
use crate::store::log::{Appended, CallSite, IDEMPOTENCY_WINDOW};
use crate::store::records::{MissingField, REFUSALS_MAX, Refusal, Unbridged};
use crate::store::registry::Fact;
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Code;

/// Counts since they were saved last; each map is bounded.
#[derive(Debug, Default)]
pub(super) struct Unsaved(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// By type; the catalog bounds how many types there are.
    unbridged: HashMap<EventType, Unbridged>,
    refusals: BTreeMap<[String; 4], Refusal>,
    /// By subscription and field: both are bounded where they are declared.
    missing: BTreeMap<(SubscriptionId, String), MissingField>,
    /// When it was last told that these events were published again.
    again: HashMap<EventId, Time>,
}

impl Unsaved {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_unbridged(&self, new: Unbridged) {
        let mut counts = self.lock();
        match counts.unbridged.get_mut(&new.event_type) {
            Some(one) => {
                one.count += new.count;
                // Ids of one millisecond are in no order; what is added later is later, unless it
                // comes back from a store that did not take it.
                let at = |last: Option<(_, crate::clock::Time)>| last.map(|(_, at)| at);
                if at(new.last) >= at(one.last) {
                    one.last = new.last;
                }
            }
            None => drop(counts.unbridged.insert(new.event_type.clone(), new)),
        }
    }

    fn add_refusal(&self, mut new: Refusal) {
        let mut counts = self.lock();
        let key_of = |one: &Refusal| {
            let words = [&one.verb, &one.name, &one.code, &one.subscription];
            words.map(String::clone)
        };
        let mut key = key_of(&new);
        if counts.refusals.len() >= REFUSALS_MAX && !counts.refusals.contains_key(&key) {
            new.name.clear();
            new.subscription.clear();
            new.nearest = None;
            key = key_of(&new);
        }
        match counts.refusals.get_mut(&key) {
            Some(one) => {
                one.count += new.count;
                one.first_at = one.first_at.min(new.first_at);
                one.last_at = one.last_at.max(new.last_at);
                one.nearest = new.nearest;
                one.call_site = new.call_site.or(one.call_site.take());
            }
            None => drop(counts.refusals.insert(key, new)),
        }
    }

    /// Whether it is to be told now that this event was published again, once in `every`.
    fn tells_again(&self, original: EventId, now: Time, every: Duration) -> bool {
        let again = &mut self.lock().again;
        if let Some(told) = again.get(&original)
            && now.since(*told) < every
        {
            return false;
        }
        if again.len() >= REFUSALS_MAX {
            again.clear();
        }
        again.insert(original, now);
        true
    }

    fn add_missing(&self, new: MissingField) {
        let mut counts = self.lock();
        let key = (new.subscription, new.field.clone());
        match counts.missing.get_mut(&key) {
            Some(one) => {
                one.count += new.count;
                one.last = new.last;
            }
            None => drop(counts.missing.insert(key, new)),
        }
    }
}

impl Shared {
    /// Keeps the fact that an event was published again, under its id or an idempotency key.
    pub(super) fn note_published_again(
        &self,
        again: &Accepted,
        (original, place): (EventId, &Appended),
    ) {
        let now = self.clock.now();
        let every = self.settings.recording.repeat_every;
        if !self.unsaved.tells_again(original, now, every) {
            return;
        }
        let key = again.idempotency_key.as_ref();
        let window_ends_at = place.committed_at.after(IDEMPOTENCY_WINDOW).to_sql();
        let evidence = serde_json::json!({
            "original": original, "key": key, "id": again.event.id,
            "window_ends_at": key.map(|_| window_ends_at),
            "source": again.event.source, "call_site": again.call_site.as_ref().map(CallSite::to_string),
        });
        let fact = Fact {
            at: now,
            code: Some(Code::PubDuplicateOf),
            event: Some(original),
            seq: Some(place.seq),
            seq_to: None,
            event_type: Some(again.event.event_type.clone()),
            subscription: None,
            process: Some(self.process),
            act: None,
            generation: None,
            evidence: evidence.to_string(),
        };
        self.store.record(vec![fact]).forget();
    }

    /// Notes an event that stays in this process.
    pub(super) fn note_unbridged(&self, event: &Event) {
        self.unsaved.add_unbridged(Unbridged {
            process: self.process,
            event_type: event.event_type.clone(),
            count: 1,
            last: Some((event.id, event.published_at)),
        });
    }

    /// Notes publishes of `name` that were refused.
    pub(super) fn note_refused(&self, name: &str, error: &Error, call_site: Option<&CallSite>) {
        let refusal = Refusal {
            nearest: nearest(error),
            call_site: call_site.map(CallSite::to_string),
            ..self.refusal("publish", (name, ""), error.code())
        };
        self.unsaved.add_refusal(refusal);
    }

    /// Notes that `subscription` was refused the type `name`.
    pub(super) fn note_refused_subscribe(&self, name: &str, subscription: &str, error: &Error) {
        let refusal = Refusal {
            nearest: nearest(error),
            ..self.refusal("subscribe", (name, subscription), error.code())
        };
        self.unsaved.add_refusal(refusal);
    }

    /// Notes a publish that the store did not take.
    pub(super) fn note_not_stored(
        &self,
        event: &Event,
        error: &store::Error,
        call_site: Option<&CallSite>,
    ) {
        let code = publish_failed(error.code);
        let refusal = Refusal {
            call_site: call_site.map(CallSite::to_string),
            ..self.refusal("publish", (event.event_type.as_str(), ""), code)
        };
        self.unsaved.add_refusal(refusal);
    }

    fn refusal(&self, verb: &str, (name, subscription): (&str, &str), code: &str) -> Refusal {
        let now = self.clock.now();
        Refusal {
            process: self.process,
            verb: verb.to_owned(),
            name: name[..name.floor_char_boundary(NAME_BYTES_MAX)].to_owned(),
            code: code.to_owned(),
            subscription: subscription[..subscription.floor_char_boundary(NAME_BYTES_MAX)]
                .to_owned(),
            nearest: None,
            call_site: None,
            count: 1,
            first_at: now,
            last_at: now,
        }
    }

    /// Notes an event that lacks a field of a dedup key.
    pub(super) fn note_missing_field(&self, of: SubscriptionId, event: &Event, field: &str) {
        self.unsaved.add_missing(MissingField {
            process: self.process,
            subscription: of,
            field: field.to_owned(),
            count: 1,
            last: (event.id, self.clock.now()),
        });
    }
}

impl Shared {
    /// Tells the store which catalog this process publishes by, if that has changed: a decision is
    /// judged by the catalog of its time.
    fn save_catalog(&self) -> Result<(), store::Error> {
        let hash = self.catalog.hash();
        if hash != self.kept_catalog.load(Ordering::Relaxed) {
            let kept = self.store.keep_catalog(hash, self.catalog.text());
            kept.wait()?;
            self.kept_catalog.store(hash, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Bytes kept of a refused name, which may be anything.
const NAME_BYTES_MAX: usize = 100;

/// The known name that may have been meant.
fn nearest(error: &Error) -> Option<String> {
    if let Error::Catalog(
        catalog::Error::TypeUnknown { nearest, .. } | catalog::Error::StageUnknown { nearest, .. },
    ) = error
    {
        return nearest.first().cloned();
    }
    None
}

impl Router {
    /// Hands what was counted since the last call to the store: unbridged publishes, refusals,
    /// events without a key field; and the catalog, if types were declared since. Blocks for at
    /// most four transactions, and for none when there is nothing to save.
    ///
    /// # Errors
    /// The store's; what it did not take is kept for the next call.
    pub fn save_counts(&self) -> Result<(), store::Error> {
        let shared = &self.shared;
        let (unbridged, refusals, missing) = {
            let mut counts = shared.unsaved.lock();
            (
                std::mem::take(&mut counts.unbridged),
                std::mem::take(&mut counts.refusals),
                std::mem::take(&mut counts.missing),
            )
        };
        let unbridged: Vec<Unbridged> = unbridged.into_values().collect();
        let refusals: Vec<Refusal> = refusals.into_values().collect();
        let missing: Vec<MissingField> = missing.into_values().collect();
        let saved = some(&unbridged, |all| shared.store.count_unbridged(all));
        if saved.is_err() {
            let again = unbridged.into_iter();
            again.for_each(|one| shared.unsaved.add_unbridged(one));
        }
        let kept = some(&refusals, |all| shared.store.keep_refusals(all));
        if kept.is_err() {
            let again = refusals.into_iter();
            again.for_each(|one| shared.unsaved.add_refusal(one));
        }
        let counted = some(&missing, |all| shared.store.count_missing_fields(all));
        if counted.is_err() {
            let again = missing.into_iter();
            again.for_each(|one| shared.unsaved.add_missing(one));
        }
        saved.and(kept).and(counted).and(shared.save_catalog())
    }
}

/// Asks the store to keep these, if there are any.
fn some<T: Clone>(
    all: &[T],
    keep: impl FnOnce(Vec<T>) -> store::Pending<()>,
) -> Result<(), store::Error> {
    if all.is_empty() {
        return Ok(());
    }
    keep(all.to_vec()).wait()
}
