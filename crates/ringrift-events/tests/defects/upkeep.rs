//! What operators and time ask of it: questions, refusals, one place, and an end of old rows.

use std::path::Path;
use std::time::Duration;

use ringrift_events::coded::Coded;
use ringrift_events::config::Home;
use ringrift_events::handler::{Dedup, Function, NotDone, Policy};
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::store::log::EventRef;
use ringrift_events::store::registry::FactFilter;
use ringrift_events::store::subscriptions::Start;
use ringrift_events::system::System;

use crate::support::{Seen, World, publish, publish_numbers, quick_retry, until};

over_both_stores! {
    every_question_is_answered_while_the_history_holds_every_kind_of_end;
    a_refused_call_says_what_and_why_and_leaves_nothing_half_made;
    old_rows_go_although_nobody_calls_for_it;
    who_comes_late_gets_what_it_asked_for_and_nothing_is_lost_between;
}

/// One durable handler that ends every fifth event in another way.
fn ending_in_every_way() -> Function {
    Function::asynchronous(|context| async move {
        match context.event().payload.fields()["number"].as_u64() {
            Some(1) => Err(NotDone::failed("an error")),
            Some(2) => Err(NotDone::skip("not mine")),
            Some(3) => panic!("a panic"),
            Some(4) => std::future::pending().await,
            _ => Ok(()),
        }
    })
}

fn ask_everything(system: &System) {
    let health = system.health();
    assert!(health.healthy, "{health:?}");
    assert!(!serde_json::to_string(&health).unwrap().is_empty());
    let store = system.store();
    assert_eq!(store.processes().wait().unwrap().len(), 1);
    assert!(!system.daemons().list().is_empty());
    assert!(!store.subscriptions().wait().unwrap().is_empty());
    store.figures().wait().unwrap();
    store.count_pending().wait().unwrap();
    assert!(store.check().wait().unwrap().problems.is_empty());
    for tally in store.tallies().wait().unwrap() {
        let parts = tally.waiting + tally.claimed + tally.done + tally.retrying + tally.dead;
        assert_eq!(parts + tally.discarded + tally.expired, tally.matching);
    }
    let facts = FactFilter {
        limit: 1_000,
        ..FactFilter::default()
    };
    store.facts(facts).wait().unwrap();
    assert!(!system.catalog().text().is_empty());
    assert!(system.router().local_stats().subscriptions > 0);
    assert!(system.router().stages().all().is_empty());
}

/// B15: `health_check`, `get_status` and the validation of the flow crashed once one event was in
/// the history.
fn every_question_is_answered_while_the_history_holds_every_kind_of_end(world: &World) {
    let system = world.process();
    let policy = Policy {
        time_limit: Duration::from_millis(100),
        dedup: Some(Dedup::by(["number"])),
        ..quick_retry(2)
    };
    for subscribe in [Subscribe::durable("durable"), Subscribe::live("live")] {
        let subscribe = subscribe.to(["MODEL_PROMOTED"]).policy(policy.clone());
        let router = system.router();
        router.subscribe(subscribe, ending_in_every_way()).unwrap();
    }
    system.router().audit().set_enabled(true);
    ask_everything(&system);
    publish_numbers(&system, "MODEL_PROMOTED", 0..6);
    publish_numbers(&system, "MODEL_PROMOTED", 0..1);
    ask_everything(&system);
    until("three ways to fail are dead letters of both", || {
        ask_everything(&system);
        let dead = [ringrift_events::store::letters::LetterState::Dead];
        crate::support::letters(&system, &dead).len() == 6
    });
    let subscribe = Subscribe::live("live");
    let live = system
        .router()
        .subscribe(subscribe, Function::immediate(|_| Ok(())));
    assert!(live.is_err(), "another function took a standing name");
    assert!(!system.router().audit().last(100).is_empty());
    let last = publish(
        &system,
        "MODEL_PROMOTED",
        r#"{"config_key":"a","number":9}"#,
    );
    let found = system.store().find(EventRef::Id(last.id)).wait().unwrap();
    assert_eq!(found.len(), 1);
    ask_everything(&system);
    system.close();
    assert!(
        !system.health().healthy,
        "what was shut down is not healthy"
    );
}

/// B20: "safe" wrappers passed wrong arguments and hid the error.
fn a_refused_call_says_what_and_why_and_leaves_nothing_half_made(world: &World) {
    let system = world.process();
    let router = system.router();
    let none = || Function::immediate(|_| Ok(()));
    let bad = [
        Subscribe::live("a").to(["TRAINING_COMPLETE_D"]),
        Subscribe::live("a")
            .to(["TRAINING_COMPLETED"])
            .filter("elo__gte=="),
        Subscribe::live("a"),
        Subscribe::live("").to(["TRAINING_COMPLETED"]),
        Subscribe::live("a").to_stage("no_such_stage"),
        Subscribe::durable("a").to(["TRAINING_COMPLETED", "nonsense"]),
    ];
    for subscribe in bad {
        let shown = format!("{subscribe:?}");
        let refused = router.subscribe(subscribe, none()).map(drop);
        coded(&shown, refused.expect_err(&shown));
    }
    assert_eq!(router.local_stats().subscriptions, 0);
    assert!(system.store().subscriptions().wait().unwrap().is_empty());
    let refused = [
        Publish::new("TRAINING_COMPLETE_D", "{}"),
        Publish::new("TRAINING_COMPLETED", "no object"),
        Publish::new("", "{}"),
    ];
    for publish in refused {
        let shown = format!("{publish:?}");
        let refused = router.publish(publish).map(drop);
        coded(&shown, refused.expect_err(&shown));
    }
    assert_eq!(system.store().figures().wait().unwrap().head.0, 0);
    let unknown = router
        .publish(Publish::new("TRAINING_COMPLETE_D", "{}"))
        .map(drop);
    let text = unknown.expect_err("unknown").to_string();
    assert!(text.to_lowercase().contains("training_completed"), "{text}");
    let stopped = system.daemons().stop("NO_SUCH_DAEMON", "test");
    coded("a daemon's name", stopped.expect_err("unknown daemon"));
    system.close();
    let late = router
        .publish(Publish::new("TRAINING_COMPLETED", "{}"))
        .map(drop);
    coded("after the end", late.expect_err("the router is stopped"));
}

fn coded(attempted: &str, error: impl Coded) {
    assert!(!error.code().is_empty(), "{attempted}");
    assert!(!error.to_string().is_empty(), "{attempted}");
    assert!(error.next().is_some(), "{attempted}: no next command");
}

/// B18: the queue file's place depended on user, environment and working directory; two processes
/// silently used different queues.
#[test]
fn every_folder_of_a_home_leads_to_the_same_queue() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path()).unwrap().home;
    let deep = folder.path().join("models/hex8/v3");
    std::fs::create_dir_all(&deep).unwrap();
    let other = tempfile::tempdir().unwrap();
    let ways: [(Option<&Path>, Option<&Path>, &Path); 5] = [
        (None, None, folder.path()),
        (None, None, &deep),
        (Some(folder.path()), Some(other.path()), other.path()),
        (None, Some(folder.path()), other.path()),
        (None, Some(Path::new("")), &deep),
    ];
    for (explicit, variable, current) in ways {
        let found = Home::find(explicit, variable, current).unwrap();
        assert_eq!(found.database(), home.database(), "from {current:?}");
    }
    let link = other.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    let found = Home::find(Some(&link), None, other.path()).unwrap();
    assert_eq!(found.database(), home.database(), "through a symbolic link");
    let missing = Home::find(Some(Path::new("/no/such/home")), None, folder.path());
    assert!(
        missing.is_err(),
        "a named home that is not there was replaced"
    );
}

/// B19: nothing was ever cleaned up; the code for it existed, but nothing called it.
fn old_rows_go_although_nobody_calls_for_it(world: &World) {
    let system = world.process_with(|settings| {
        settings.retention.settled = Duration::from_secs(1);
        settings.daemons.retention_interval = Duration::from_millis(100);
        settings.daemons.sweep_interval = Duration::from_millis(50);
    });
    let seen = Seen::default();
    let to = ["MODEL_PROMOTED"];
    let router = system.router();
    router
        .subscribe(Subscribe::durable("worker").to(to), seen.noting())
        .unwrap();
    router
        .subscribe(
            Subscribe::durable("owing").to(["HOST_OFFLINE"]),
            Function::asynchronous(|_| std::future::pending()),
        )
        .unwrap();
    let owed = publish(&system, "HOST_OFFLINE", "{}");
    publish_numbers(&system, "MODEL_PROMOTED", 0..2_500);
    until("all are handled", || seen.count() == 2_500);
    let list = || {
        let page = ringrift_events::store::log::Page {
            limit: 1_000,
            ..Default::default()
        };
        system.store().list(page).wait().unwrap()
    };
    until("the settled ones are gone", || list().len() == 1);
    assert_eq!(list()[0].event.id, owed.id, "unsettled work went silently");
    system.shutdown(Duration::ZERO);
}

/// B21: late subscribers lost events, hence brittle orders of starting everywhere.
fn who_comes_late_gets_what_it_asked_for_and_nothing_is_lost_between(world: &World) {
    let publisher = world.process();
    publish_numbers(&publisher, "MODEL_PROMOTED", 0..10);
    let first = world.process();
    let (all, next) = (Seen::default(), Seen::default());
    let subscribe = |system: &System, name: &str, start, seen: &Seen| {
        let subscribe = Subscribe::durable(name).to(["MODEL_PROMOTED"]).start(start);
        system.router().subscribe(subscribe, seen.noting()).unwrap()
    };
    let from_now = subscribe(&first, "from-now", Start::Now, &next);
    publish_numbers(&publisher, "MODEL_PROMOTED", 10..20);
    until("the ten after its beginning came", || next.count() >= 10);
    from_now.unsubscribe().unwrap();
    first.close();
    publish_numbers(&publisher, "MODEL_PROMOTED", 20..30);
    let second = world.process();
    subscribe(&second, "from-now", Start::Now, &next);
    subscribe(&second, "from-the-beginning", Start::Beginning, &all);
    publish_numbers(&publisher, "MODEL_PROMOTED", 30..40);
    until("both have all of theirs", || {
        next.count() >= 30 && all.count() >= 40
    });
    second.close();
    publisher.close();
    assert_eq!(next.numbers(), (10..40).collect::<Vec<u64>>());
    assert_eq!(all.numbers(), (0..40).collect::<Vec<u64>>());
}
