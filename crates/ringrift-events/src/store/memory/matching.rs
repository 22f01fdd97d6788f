//! Which events a version of a subscription takes.

use std::sync::Arc;

use super::state::{Subscription, World};
use crate::catalog::filter::Filter;
use crate::event::{Event, Seq};
use crate::store::log::TypeSet;
use crate::store::subscriptions::{Definition, Version};
use crate::store::{Error, ErrorCode};

/// A definition's types and parsed filter.
pub(super) struct Matcher {
    types: TypeSet,
    filter: Option<Filter>,
}

impl Matcher {
    pub(super) fn new(definition: &Definition) -> Result<Matcher, Error> {
        let filter = definition.filter.as_deref().map(Filter::parse).transpose();
        Ok(Matcher {
            types: definition.types.clone(),
            filter: filter.map_err(|error| {
                Error::new(
                    ErrorCode::WrongState,
                    format!("cannot subscribe {:?}: {error}", definition.name),
                )
            })?,
        })
    }

    /// Whether the version names the event's type, whatever its filter says.
    pub(super) fn names(&self, event: &Event) -> bool {
        self.types.takes(&event.event_type)
    }

    pub(super) fn takes(&self, event: &Event) -> bool {
        let filter = self.filter.as_ref();
        self.names(event) && filter.is_none_or(|filter| filter.evaluate(&event.payload))
    }
}

impl Subscription {
    /// The version a place belongs to; places before the first version, which only a seek
    /// reaches, belong to the first.
    pub(super) fn version_at(&self, seq: Seq) -> &(Version, Matcher) {
        let after = self.versions.partition_point(|(v, _)| v.valid_from <= seq);
        &self.versions[after.max(1) - 1]
    }

    pub(super) fn current(&self) -> &(Version, Matcher) {
        &self.versions[self.versions.len() - 1]
    }

    pub(super) fn ordered(&self) -> bool {
        self.current().0.definition.ordered_by_key
    }

    /// Whether some version is for this place.
    pub(super) fn covers(&self, seq: Seq) -> bool {
        self.versions[0].0.valid_from <= seq
    }

    /// Whether an event at this place is a delivery of the current generation.
    pub(super) fn owes(&self, seq: Seq, event: &Event) -> bool {
        seq > self.base && self.version_at(seq).1.takes(event)
    }
}

impl World {
    /// The events of the current generation's part of the log, hidden ones too, after `after`.
    pub(super) fn owed_after<'a>(
        &'a self,
        subscription: &'a Subscription,
        after: Seq,
    ) -> impl Iterator<Item = (Seq, &'a Arc<Event>)> + 'a {
        let from = after.max(subscription.base).next();
        self.log
            .range(from..)
            .filter(|(seq, logged)| subscription.owes(**seq, &logged.event))
            .map(|(seq, logged)| (*seq, &logged.event))
    }

    /// Whether the event at this place was deleted through the public view.
    pub(super) fn hidden(&self, seq: Seq) -> bool {
        self.log
            .get(&seq)
            .is_none_or(|logged| logged.deleted_at.is_some())
    }
}
