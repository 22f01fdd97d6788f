//! Keeps a live handler's failed delivery.

use std::sync::Arc;

use super::settle::record_failure;
use crate::clock::Time;
use crate::event::Event;
use crate::store::Error;
use crate::store::deliveries::LetterId;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::letters::{NewRow, insert_row};
use crate::store::sqlite::verbs::positions::standing;
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Failure;

/// See [`crate::store::Deliveries::park`].
pub(crate) struct Park {
    pub(crate) subscription: SubscriptionId,
    pub(crate) event: Arc<Event>,
    pub(crate) failure: Failure,
    pub(crate) retry_at: Option<Time>,
    pub(crate) held: bool,
}

impl Plain for Park {}
impl Plain for LetterId {}

impl Verb for Park {
    type Answer = LetterId;

    fn run(self, tx: &Tx<'_>) -> Result<LetterId, Error> {
        let standing = standing(tx, self.subscription)?;
        let row = NewRow::failed(
            &standing,
            &self.event,
            &self.failure,
            self.retry_at,
            self.held,
        );
        let (id, _) = insert_row(tx, &row)?;
        record_failure(
            tx,
            standing.id,
            &self.event,
            &self.failure,
            (id, 1),
            self.retry_at,
        )?;
        Ok(LetterId(id))
    }

    fn bytes(&self) -> usize {
        self.failure.message.len() + self.event.payload.as_str().len()
    }
}
