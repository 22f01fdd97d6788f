//! The questions a process may ask of its own system: why, why not, who would, and what led to it.

use super::System;
use crate::explain::{Asked, Draft, Error, Explanation, Prediction, Tree, WhyNot};

impl System {
    /// Explains what became of one event: who published it, and a verdict for every subscription
    /// that existed. `name` is its id, the first digits of it (at least four), its number in the
    /// log, or its idempotency key. Blocks for a few reads.
    ///
    /// # Errors
    /// An unknown or ambiguous name, and the store's.
    pub fn explain(&self, name: &str) -> Result<Explanation, Error> {
        Explanation::of(&**self.store(), name, self.clock().now())
    }

    /// Says why a handler is silent, when no event is known. Blocks for a few reads an event.
    ///
    /// # Errors
    /// An unknown or ambiguous name, and the store's.
    pub fn why_not(&self, asked: &Asked) -> Result<WhyNot, Error> {
        WhyNot::of(&**self.store(), self.catalog(), asked, self.clock().now())
    }

    /// Says who would get an event that this process might publish, and why others would not.
    /// Publishes nothing.
    ///
    /// # Errors
    /// What the door refuses, and the store's.
    pub fn route(&self, draft: &Draft) -> Result<Prediction, Error> {
        let draft = Draft {
            process: draft.process.or(Some(self.store().process())),
            ..draft.clone()
        };
        Prediction::of(&**self.store(), self.catalog(), &draft, self.clock().now())
    }

    /// The causal tree around one event, across processes. Blocks for a few reads an event.
    ///
    /// # Errors
    /// An unknown or ambiguous name, and the store's.
    pub fn tree(&self, name: &str) -> Result<Tree, Error> {
        Tree::of(&**self.store(), name, self.clock().now())
    }
}
