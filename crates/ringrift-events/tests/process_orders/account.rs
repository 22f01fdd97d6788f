//! What everybody told, and what is still owed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ringrift_events::event::EventId;

use super::parts::{Fact, SUBSCRIBERS, is_from_the_beginning};

/// The account of one round.
#[derive(Default)]
pub(crate) struct Account {
    /// When each publish began.
    published: BTreeMap<EventId, Duration>,
    publisher_ended: bool,
    /// When each subscribe had returned.
    ready: BTreeMap<String, Duration>,
    handled: BTreeMap<String, BTreeSet<EventId>>,
    twice: Vec<(String, EventId)>,
    /// How many processes ended.
    pub(crate) gone: usize,
}

impl Account {
    pub(crate) fn note(&mut self, fact: Fact) {
        match fact {
            Fact::Published { id, began } => {
                self.published.insert(id, began);
            }
            Fact::Gone => self.gone += 1,
            Fact::Ended => self.publisher_ended = true,
            Fact::Ready { name, at } => {
                self.ready.insert(name, at);
            }
            Fact::Handled { name, id } => {
                if !self.handled.entry(name.clone()).or_default().insert(id) {
                    self.twice.push((name, id));
                }
            }
        }
    }

    /// Whether every subscribe has returned.
    pub(crate) fn all_began(&self) -> bool {
        self.ready.len() == SUBSCRIBERS.len()
    }

    /// Whether everything was published and everything owed was handled.
    pub(crate) fn is_settled(&self) -> bool {
        self.publisher_ended
            && self.all_began()
            && SUBSCRIBERS.iter().all(|name| self.missing(name).is_empty())
    }

    /// What this subscription must still handle.
    fn missing(&self, name: &str) -> Vec<EventId> {
        let ready = self.ready.get(name);
        let handled = self.handled.get(name);
        let owed = self.published.iter().filter(|(id, began)| {
            let of_it = is_from_the_beginning(name) || ready.is_some_and(|ready| *began > ready);
            of_it && !handled.is_some_and(|handled| handled.contains(id))
        });
        owed.map(|(id, _)| *id).collect()
    }

    /// What is missing, in words.
    pub(crate) fn owed(&self) -> String {
        let each = SUBSCRIBERS.iter().map(|name| {
            let missing = self.missing(name);
            let ready = match self.ready.get(*name) {
                Some(_) => "ready",
                None => "not ready",
            };
            let lost = missing.len();
            format!(
                "{name} ({ready}) never saw {lost} of {}: {missing:?}",
                self.published.len()
            )
        });
        let ended = match self.publisher_ended {
            true => "the publisher ended",
            false => "the publisher did not end",
        };
        std::iter::once(ended.to_owned())
            .chain(each)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// What came twice although nobody crashed, or before anybody had published it.
    pub(crate) fn repeated(&self) -> Result<(), String> {
        let unknown = self.handled.iter().flat_map(|(name, ids)| {
            let unknown = ids.iter().filter(|id| !self.published.contains_key(*id));
            unknown.map(move |id| format!("{name} handled {id}, which nobody published"))
        });
        let twice = self
            .twice
            .iter()
            .map(|(name, id)| format!("{name} handled {id} twice"));
        let all: Vec<String> = twice.chain(unknown).collect();
        match all.is_empty() {
            true => Ok(()),
            false => Err(all.join("\n")),
        }
    }
}
