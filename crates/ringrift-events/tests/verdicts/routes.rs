//! Whether a subscription takes an event at all.

use ringrift_events::event::EventType;
use ringrift_events::explain::{Draft, Whole};
use ringrift_events::handler::Policy;
use ringrift_events::router::Subscribe;
use ringrift_events::verdict::Code;

use crate::stage::{
    OTHER, TYPE, VALUE, change, durable, explained, idle, live, publish_one, recorded, standing,
    told, volatile_type,
};
use crate::support::{Gate, Seen, World, publish, until};

pub(crate) fn matched(world: &World) {
    let system = world.process();
    idle(&system, "h");
    let draft = Draft {
        event_type: TYPE.to_owned(),
        payload: br#"{"config_key":"a"}"#.to_vec(),
        key: None,
        process: None,
    };
    let said = system.route(&draft).unwrap();
    assert_eq!(
        (said.reached, said.routes[0].verdict.code),
        (1, Code::RtMatched)
    );
    system.close();
}

pub(crate) fn nobody(world: &World) {
    let system = world.process();
    let id = publish_one(&system);
    idle(&system, "too-late");
    change(world, &system, "too-late");
    live(&system, "beside", OTHER, Seen::default().noting());
    let said = explained(&system, id).findings;
    assert_eq!(said.whole, Whole::NotWell);
    // Whoever came later and names other types now has nothing to do with it.
    let nobody = said.nobody.map(|one| one.code);
    let late = said.deliveries.first().map(|one| one.verdict.code);
    assert!(
        nobody == Some(Code::RtNoSubscribers) || late == Some(Code::RtSubscribedLater),
        "{nobody:?} {late:?}"
    );
    let other = publish(&system, "REGRESSION_CRITICAL", "{}").id;
    let said = explained(&system, other).findings;
    assert_eq!(said.nobody.map(|one| one.code), Some(Code::RtNoSubscribers));
    system.close();
}

pub(crate) fn another_type(world: &World) {
    let system = world.process();
    let near = "training_lock_acquired";
    live(&system, "h", near, Seen::default().noting());
    let id = publish_one(&system);
    let said = told(world, &system, id, "h", Code::RtTypeMismatch);
    assert!(said.verdict.actual.contains(near), "{said:?}");
    system.close();
}

pub(crate) fn refused(world: &World) {
    let system = world.process_with(|settings| settings.live.mailbox = 1);
    let (gate, seen) = (Gate::closed(), Seen::default());
    let volatile = volatile_type(&system);
    live(&system, "h", &volatile, gate.hanging(&seen));
    // One after the other, until those that hang and the mailbox are full.
    let mut last = None;
    until("an event is refused", || {
        let id = publish(&system, &volatile, "{}").id;
        last = Some(id);
        // One that was taken leaves nothing behind that could tell of it.
        let told = system.explain(&id.to_string());
        told.is_ok_and(|told| {
            let mut all = told
                .findings
                .deliveries
                .into_iter()
                .chain(told.findings.others);
            all.any(|one| one.verdict.code == Code::RtRefused)
        })
    });
    let last = last.expect("one was published");
    told(world, &system, last, "h", Code::RtRefused);
    gate.open();
    system.close();
}

pub(crate) fn filter_false(world: &World) {
    let system = world.process();
    let subscribe = Subscribe::durable("h").to([TYPE]).filter("elo__gte = 1500");
    let router = system.router();
    router
        .subscribe(subscribe, Seen::default().noting())
        .unwrap();
    let id = publish(&system, TYPE, r#"{"config_key":"a","elo":1400}"#).id;
    let said = told(world, &system, id, "h", Code::RtFilterFalse);
    assert_eq!(said.verdict.actual, "elo is 1400");
    assert!(said.verdict.expected.contains("1500"), "{said:?}");
    system.close();
}

pub(crate) fn not_bridged(world: &World) {
    let (system, other) = (world.process(), world.process());
    let seen = Seen::default();
    let volatile = volatile_type(&system);
    live(&system, "here", &volatile, seen.noting());
    live(&other, "there", &volatile, Seen::default().noting());
    let id = publish(&system, &volatile, "{}").id;
    until("it is handled here", || seen.count() == 1);
    until("the page tells", || system.explain(&id.to_string()).is_ok());
    told(world, &other, id, "there", Code::RtNotBridged);
    told(world, &other, id, "here", Code::HnOk);
    let said = explained(&other, id).findings;
    assert_eq!(
        (said.publication.code, said.whole),
        (Code::PubVolatile, Whole::NotWell)
    );
    system.close();
    other.close();
}

/// A process keeps a type that is bridged everywhere else; and lets it go again.
pub(crate) fn not_bridged_there(world: &World) {
    let (system, other) = (world.process(), world.process());
    let seen = Seen::default();
    live(&system, "here", TYPE, seen.noting());
    durable(&other, "there", Policy::default(), seen.noting());
    let rule = |bridged| {
        let event_type = EventType::from_canonical(VALUE);
        system.catalog().set_bridged(&event_type, bridged);
        system.router().save_counts().unwrap();
    };
    rule(false);
    let id = publish_one(&system);
    until("it is handled here", || seen.count() == 1);
    let not_bridged = |when| {
        until("the page tells", || other.explain(&id.to_string()).is_ok());
        let said = explained(&other, id).findings;
        assert_eq!(said.publication.code, Code::PubVolatile, "{when}: {said:?}");
        let there = standing(&other, id, "there").unwrap().verdict;
        assert_eq!(there.code, Code::RtNotBridged, "{when}: {there:?}");
        let pid = format!("volatile in pid {}", std::process::id());
        assert!(there.actual.contains(&pid), "{when}: {there:?}");
    };
    not_bridged("at once");
    let draft = Draft {
        event_type: TYPE.to_owned(),
        payload: b"{}".to_vec(),
        key: None,
        process: Some(system.store().process()),
    };
    let foreseen = |code| {
        let said = other.route(&draft).unwrap();
        assert_eq!(said.publication.code, code, "{said:?}");
    };
    foreseen(Code::PubVolatile);
    rule(true);
    not_bridged("the rule has changed since");
    foreseen(Code::PubAccepted);
    let next = publish_one(&system);
    told(world, &other, next, "there", Code::HnOk);
    // `told` made the type volatile there again.
    not_bridged("and again");
    told(world, &other, next, "there", Code::HnOk);
    system.close();
    other.close();
}

/// Nobody had it, and still its process says that it kept it.
pub(crate) fn volatile_unheard(world: &World) {
    let (system, other) = (world.process(), world.process());
    let volatile = volatile_type(&system);
    live(&other, "there", &volatile, Seen::default().noting());
    let id = publish(&system, &volatile, "{}").id;
    system.router().save_counts().unwrap();
    told(world, &other, id, "there", Code::RtNotBridged);
    system.close();
    other.close();
}

pub(crate) fn subscribed_later(world: &World) {
    let system = world.process();
    let id = publish_one(&system);
    durable(&system, "h", Policy::default(), Seen::default().noting());
    told(world, &system, id, "h", Code::RtSubscribedLater);
    system.close();
}

pub(crate) fn unsubscribed(world: &World) {
    let system = world.process();
    let subscription = live(&system, "h", TYPE, Seen::default().noting());
    subscription.unsubscribe().unwrap();
    let id = publish_one(&system);
    told(world, &system, id, "h", Code::RtUnsubscribed);
    system.close();
}

pub(crate) fn paused(world: &World) {
    let system = world.process();
    let seen = Seen::default();
    let subscription = durable(&system, "h", Policy::default(), seen.noting());
    subscription.pause("ann").unwrap();
    let id = publish_one(&system);
    let said = told(world, &system, id, "h", Code::RtPaused);
    assert!(said.verdict.actual.contains("ann"), "{said:?}");
    subscription.resume("ann").unwrap();
    until("it is handled after all", || seen.count() == 1);
    until("that is told", || {
        standing(&system, id, "h").is_some_and(|one| one.verdict.code == Code::HnOk)
    });
    system.close();
}

/// A pause that is over is told of what waited through it, and of nothing else.
pub(crate) fn paused_then(world: &World) {
    let system = world.process();
    let seen = Seen::default();
    let subscription = durable(&system, "h", Policy::default(), seen.noting());
    let before = publish_one(&system);
    until("the first is handled", || seen.count() == 1);
    subscription.pause("ann").unwrap();
    let id = publish_one(&system);
    subscription.resume("bob").unwrap();
    let after = publish_one(&system);
    until("all are handled", || seen.count() == 3);
    recorded(world, &system, id, "h", Code::RtPaused);
    let said = told(world, &system, id, "h", Code::HnOk);
    let pause = &said.history[0];
    assert_eq!(pause.by.as_deref(), Some("bob"), "{said:?}");
    assert!(pause.evidence.contains("ann"), "{said:?}");
    for other in [before, after] {
        let said = told(world, &system, other, "h", Code::HnOk);
        assert_eq!(said.history, [], "{said:?}");
    }
    system.close();
}
