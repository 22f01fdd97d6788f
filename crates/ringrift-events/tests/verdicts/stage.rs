//! What the scenarios have in common.

use std::time::Duration;

use ringrift_events::catalog::{DeclaredIn, TypeDeclaration};
use ringrift_events::event::{EventId, EventType};
use ringrift_events::explain::{Explanation, Standing};
use ringrift_events::handler::{Function, NotDone, Policy, RetryPolicy};
use ringrift_events::router::{Subscribe, Subscription};
use ringrift_events::store::log::TypeSet;
use ringrift_events::store::subscriptions::{Definition, Kind, Start, SubscriptionId};
use ringrift_events::system::System;
use ringrift_events::verdict::Code;

use crate::support::{World, publish, until};

/// The type that scenarios publish.
pub(crate) const TYPE: &str = "MODEL_PROMOTED";

/// The same, as it stands in rows.
pub(crate) const VALUE: &str = "model_promoted";

/// A type that no scenario publishes.
pub(crate) const OTHER: &str = "training_started";

pub(crate) fn publish_one(system: &System) -> EventId {
    publish(system, TYPE, r#"{"config_key":"a","number":1}"#).id
}

/// A type that stays in its process.
pub(crate) fn volatile_type(system: &System) -> String {
    let types = system.catalog().types();
    let of = types
        .iter()
        .find(|entry| !entry.bridged && entry.required.is_empty());
    of.expect("some type is volatile").event_type.to_string()
}

pub(crate) fn explained(system: &System, id: EventId) -> Explanation {
    system.explain(&id.to_string()).expect("it is explained")
}

/// What a subscription of this name is told.
pub(crate) fn standing(system: &System, id: EventId, name: &str) -> Option<Standing> {
    let findings = explained(system, id).findings;
    let mut all = findings.deliveries.into_iter().chain(findings.others);
    all.find(|one| one.name == name)
}

/// Waits until the subscription is told this code, changes everything that may be changed since,
/// and expects the same.
#[track_caller]
pub(crate) fn told(
    world: &World,
    system: &System,
    id: EventId,
    name: &str,
    code: Code,
) -> Standing {
    let is = || standing(system, id, name).is_some_and(|one| one.verdict.code == code);
    until(
        &format!("{name} is told {code}, not {:?}", last(system, id, name)),
        is,
    );
    change(world, system, name);
    let said = standing(system, id, name).expect("it is still told");
    assert_eq!(said.verdict.code, code, "after the changes: {said:?}");
    assert!(
        !said.verdict.sentence.is_empty() && !said.verdict.next.is_empty(),
        "{said:?}"
    );
    said
}

/// Waits until this is recorded of the delivery, and expects it after the changes as well.
#[track_caller]
pub(crate) fn recorded(world: &World, system: &System, id: EventId, name: &str, code: Code) {
    let is = || {
        let standing = standing(system, id, name);
        standing.is_some_and(|one| one.history.iter().any(|fact| fact.code == Some(code)))
    };
    until(&format!("{code} is recorded of {name}"), is);
    change(world, system, name);
    assert!(is(), "{code} is forgotten after the changes");
}

fn last(system: &System, id: EventId, name: &str) -> Option<Code> {
    standing(system, id, name).map(|one| one.verdict.code)
}

/// Changes types and filter of the subscription, if it stands and can be changed, and the bridge
/// rule of the type, from another process.
pub(crate) fn change(world: &World, system: &System, name: &str) {
    let operator = world.process();
    let states = operator.store().subscriptions().wait().unwrap();
    let state = states.iter().find(|one| one.current().name == name);
    if let Some(state) = state.filter(|one| one.ended_at.is_none())
        && state.current().kind == Kind::Durable
    {
        let definition = Definition {
            types: TypeSet::only([EventType::from_canonical(OTHER)]),
            filter: Some("changed = true".to_owned()),
            ..state.current().clone()
        };
        let store = operator.store();
        let changed = store.subscribe(definition, true).wait().unwrap();
        store.unsubscribe(changed.id, None).wait().unwrap();
    }
    let volatile = TypeDeclaration {
        volatile: Some(true),
        ..TypeDeclaration::new(TYPE)
    };
    operator
        .catalog()
        .declare(&volatile, DeclaredIn::Code)
        .unwrap();
    operator
        .catalog()
        .set_bridged(&EventType::from_canonical(VALUE), false);
    system
        .catalog()
        .set_bridged(&EventType::from_canonical(VALUE), false);
    operator.close();
}

/// A policy whose failures are tried again in an hour.
pub(crate) fn in_an_hour() -> Policy {
    let hour = Duration::from_secs(3_600);
    Policy {
        retry: RetryPolicy {
            first: hour,
            most: hour,
            ..RetryPolicy::default()
        },
        ..Policy::default()
    }
}

pub(crate) fn broken() -> Function {
    Function::asynchronous(|_| async { Err(NotDone::failed("it is broken")) })
}

/// A durable subscription to [`TYPE`] that this process hosts.
pub(crate) fn durable(
    system: &System,
    name: &str,
    policy: Policy,
    function: Function,
) -> Subscription {
    let subscribe = Subscribe::durable(name).to([TYPE]).policy(policy);
    system.router().subscribe(subscribe, function).unwrap()
}

/// A live subscription to one type.
pub(crate) fn live(
    system: &System,
    name: &str,
    event_type: &str,
    function: Function,
) -> Subscription {
    let subscribe = Subscribe::live(name).to([event_type]);
    system.router().subscribe(subscribe, function).unwrap()
}

/// A durable subscription whose host takes nothing from it.
pub(crate) fn idle(system: &System, name: &str) -> SubscriptionId {
    let definition = Definition {
        name: name.to_owned(),
        kind: Kind::Durable,
        types: TypeSet::only([EventType::from_canonical(VALUE)]),
        filter: None,
        start: Start::Now,
        dedup: Vec::new(),
        ordered_by_key: false,
    };
    let made = system.store().subscribe(definition, false).wait();
    made.unwrap().id
}

/// The same that nobody hosts.
pub(crate) fn orphan(system: &System, name: &str) -> SubscriptionId {
    let id = idle(system, name);
    system.store().unsubscribe(id, None).wait().unwrap();
    id
}
