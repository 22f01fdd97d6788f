//! Failed deliveries and what operators do with them.
//!
//! Every act works on a snapshot: the letters as the operator saw them. One that moved on since is
//! left alone and named. A retry reaches the handler that failed, and nobody else.

mod fingerprint;

use std::sync::Arc;

use crate::catalog::{Catalog, key_of_edited};
use crate::event::{Event, EventId, Payload, Seq, bounded_by};
use crate::store::deliveries::LetterId;
use crate::store::letters::{Acted, Letter, LetterAct, LetterFilter, LetterState};
use crate::store::subscriptions::SubscriptionId;
use crate::store::{Error, ErrorCode, Store};

pub use fingerprint::{Alike, Fingerprint, alike};

/// What an edit makes of an event: the same under a new id, in no log. Its key follows the payload
/// where the original's did.
#[must_use]
pub fn edited(original: &Event, catalog: &Catalog, id: EventId, payload: Payload) -> Event {
    let key = match catalog.resolve(original.event_type.as_str()) {
        Ok(entry) => {
            let was = (&original.payload, original.key.as_deref());
            key_of_edited(&entry, was, &payload)
        }
        // A type that is forgotten has no key field.
        Err(_) => original.key.clone(),
    };
    Event {
        id,
        payload,
        key,
        parent_id: Some(original.id),
        seq: None,
        ..original.clone()
    }
}

/// The dead letter queue of one store. Cheap to clone; every call blocks for one transaction.
#[derive(Clone)]
pub struct DeadLetters {
    store: Arc<dyn Store>,
}

impl DeadLetters {
    /// The dead letters of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> DeadLetters {
        DeadLetters { store }
    }

    /// Letters, newest first.
    ///
    /// # Errors
    /// The store's.
    pub fn list(&self, filter: LetterFilter) -> Result<Vec<Letter>, Error> {
        self.store.letters(filter).wait()
    }

    /// How many letters `dead_letter_queue` shows.
    ///
    /// # Errors
    /// The store's.
    pub fn count(&self) -> Result<u64, Error> {
        self.store.count_letters().wait()
    }

    /// One letter, whatever its state.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] names the id.
    pub fn show(&self, id: LetterId) -> Result<Letter, Error> {
        let filter = LetterFilter {
            ids: vec![id],
            states: LetterState::ALL.to_vec(),
            limit: 1,
            ..LetterFilter::default()
        };
        self.list(filter)?.pop().ok_or_else(|| {
            Error::new(ErrorCode::NotFound, format!("no dead letter {}", id.0))
                .with_next("ringrift dlq ls")
        })
    }

    /// Makes letters due at once, with a fresh budget of attempts.
    ///
    /// # Errors
    /// The store's. A letter that is in no state for it is in [`Acted::left`].
    pub fn retry(&self, seen: &[Letter], by: &str) -> Result<Acted, Error> {
        self.act(LetterAct::Retry, seen, by)
    }

    /// Ends letters by hand.
    ///
    /// # Errors
    /// As [`DeadLetters::retry`].
    pub fn discard(&self, seen: &[Letter], by: &str) -> Result<Acted, Error> {
        self.act(LetterAct::Discard, seen, by)
    }

    /// Brings discarded or purged letters back to where they stood.
    ///
    /// # Errors
    /// As [`DeadLetters::retry`].
    pub fn restore(&self, seen: &[Letter], by: &str) -> Result<Acted, Error> {
        self.act(LetterAct::Restore, seen, by)
    }

    /// Hides letters; they can be restored for seven days, then they are gone.
    ///
    /// # Errors
    /// As [`DeadLetters::retry`].
    pub fn purge(&self, seen: &[Letter], by: &str) -> Result<Acted, Error> {
        self.act(LetterAct::Purge, seen, by)
    }

    /// Tries again with another payload: the letter is discarded in favour of a new event that
    /// only its handler gets and that links to the original.
    ///
    /// # Errors
    /// [`ErrorCode::WrongState`] if the letter moved on since it was seen.
    pub fn edit(
        &self,
        seen: &Letter,
        catalog: &Catalog,
        id: EventId,
        payload: Payload,
        by: &str,
    ) -> Result<LetterId, Error> {
        let edited = edited(&seen.event, catalog, id, payload);
        self.store.edit(seen.seen(), edited, bounded_by(by)).wait()
    }

    /// Delivers a past event again, to one subscription only.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] if the event or the subscription is gone.
    pub fn replay(
        &self,
        subscription: SubscriptionId,
        seq: Seq,
        by: &str,
    ) -> Result<LetterId, Error> {
        self.store.replay(subscription, seq, bounded_by(by)).wait()
    }

    fn act(&self, act: LetterAct, seen: &[Letter], by: &str) -> Result<Acted, Error> {
        let seen = seen.iter().map(Letter::seen).collect();
        self.store.act(act, seen, bounded_by(by)).wait()
    }
}
