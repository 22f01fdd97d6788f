//! What one look knows: every name in use, and who uses it how.

use std::collections::BTreeMap;

use serde::Serialize;

use super::sources::Place;
use crate::event::ProcessId;

/// Somebody who subscribes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subscriber {
    /// The subscription's name.
    pub name: String,
    /// The process of a live one; none for a durable one, which outlives its processes.
    pub process: Option<ProcessId>,
}

/// How one name is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Use {
    /// Events published in the time looked at.
    pub events: u64,
    /// Of those, events that stayed in their process.
    pub unbridged: u64,
    /// How often the door refused it, as an unknown name.
    pub refused: u64,
    /// The processes that published it.
    pub publishers: Vec<ProcessId>,
    /// Who subscribed to it by name.
    pub subscribers: Vec<Subscriber>,
    /// Where sources publish it.
    pub published_in: Vec<Place>,
    /// Where sources subscribe to it.
    pub subscribed_in: Vec<Place>,
}

impl Use {
    /// Whether anybody publishes it.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.events > 0 || !self.published_in.is_empty()
    }

    /// Whether anybody subscribes to it by name.
    #[must_use]
    pub fn is_subscribed(&self) -> bool {
        !self.subscribers.is_empty() || !self.subscribed_in.is_empty()
    }

    /// The subscribers that live in another process than every publisher, if there is one: events
    /// that stay in their process never reach them.
    pub(super) fn across(&self) -> Vec<&Subscriber> {
        let elsewhere = |one: &&Subscriber| {
            one.process
                .is_some_and(|process| !self.publishers.contains(&process))
        };
        if self.publishers.is_empty() {
            return Vec::new();
        }
        self.subscribers.iter().filter(elsewhere).collect()
    }
}

/// Everything one look knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wiring {
    /// By canonical value; a name of the sources that is no such value stands as it is written.
    pub names: BTreeMap<String, Use>,
    /// Subscriptions that take every type. They count for none: whoever writes down everything
    /// waits for nothing.
    pub takes_all: Vec<String>,
}

impl Wiring {
    /// How this name is used, made if it is new.
    pub fn of(&mut self, name: &str) -> &mut Use {
        self.names.entry(name.to_owned()).or_default()
    }
}
