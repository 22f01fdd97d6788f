//! More events, facts and letters than one look holds: what is rare among them is found all the
//! same, nothing is claimed of what was not looked at, and what that was is said.

use ringrift_events::doctor::{FindingCode, Report};
use ringrift_events::handler::{Function, NotDone};
use ringrift_events::router::Subscribe;
use ringrift_events::store::registry::Fact;
use ringrift_events::system::System;
use ringrift_events::verdict::Code;

use super::support::{Seen, World, publish, publish_numbers, swift_folder, until};
use super::{BACK, configured, found};

/// More than one look holds.
const MANY: u64 = 10_050;

/// What the report says was looked at in part only.
fn cut(system: &System) -> Vec<String> {
    let now = system.clock().now();
    let since = now.before(BACK);
    let ask = system.config().examination(system.catalog(), now, since);
    let report = Report::of(&**system.store(), system.catalog(), &ask).expect("a report");
    report.cut.into_iter().map(|cut| cut.what).collect()
}

#[test]
fn many_events_of_one_type_hide_no_other_type() {
    let folder = swift_folder();
    let types =
        ["ship_launched", "ships_launched"].map(|of| format!("[[types]]\nname = \"{of}\"\n"));
    let system = configured(folder.path(), &types.concat());
    let seen = Seen::default();
    let turns_away = |name: &str, of: &str| {
        let wanted = Subscribe::durable(name).to([of]);
        let wanted = wanted.filter("config_key = \"square8\"");
        let subscribed = system.router().subscribe(wanted, seen.noting());
        subscribed.expect("a subscription");
    };
    let waits = Subscribe::durable("waiter").to(["SHIP_LAUNCHED"]);
    let waits = system.router().subscribe(waits, seen.noting());
    waits.expect("a subscription");
    turns_away("rare", "EVALUATION_COMPLETED");
    turns_away("noisy", "TRAINING_COMPLETED");
    let near = publish(&system, "SHIPS_LAUNCHED", "{}").id;
    publish_numbers(&system, "EVALUATION_COMPLETED", 0..20);
    assert_eq!(cut(&system), Vec::<String>::new());
    publish_numbers(&system, "TRAINING_COMPLETED", 0..MANY);

    let named = found(&system, FindingCode::NearMiss, |_| ());
    assert_eq!(named.len(), 1, "{named:?}");
    assert_eq!(named[0].subject.event, Some(near));
    assert_eq!(named[0].evidence["events"], 1);
    let filtered = found(&system, FindingCode::FilteredOut, |_| ());
    let says: Vec<&str> = filtered.iter().map(|one| one.says.as_str()).collect();
    assert_eq!(says.len(), 2, "{says:?}");
    let of = |name: &str| {
        let mut all = says.iter().filter(|says| says.contains(name));
        (*all.next().expect("a finding")).to_owned()
    };
    let (rare, noisy) = (of("EVALUATION"), of("TRAINING"));
    assert!(rare.contains("all 20"), "{rare}");
    assert!(noisy.contains("the newest 10000"), "{noisy}");
    assert_eq!(cut(&system), ["events"]);
}

fn fact(system: &System, code: Code, evidence: &str) -> Fact {
    Fact {
        at: system.clock().now(),
        code: Some(code),
        event: None,
        seq: None,
        seq_to: None,
        event_type: None,
        subscription: None,
        process: Some(system.store().process()),
        act: None,
        generation: None,
        evidence: evidence.to_owned(),
    }
}

fn record(system: &System, facts: Vec<Fact>) {
    system.store().record(facts).wait().expect("recorded");
}

#[test]
fn many_facts_of_one_code_hide_no_other_code() {
    for world in [World::new(), World::sqlite()] {
        let system = world.process();
        let now = system.clock().now();
        let since = now.before(std::time::Duration::from_secs(20)).to_sql();
        let lock = format!("{{\"pid\":99,\"command\":\"sqlite3\",\"since\":\"{since}\"}}");
        record(&system, vec![fact(&system, Code::WtStoreBusy, &lock)]);
        let locked = |after: &str| {
            let found = found(&system, FindingCode::StoreLocked, |_| ());
            assert_eq!(found.len(), 1, "after many {after}");
        };
        locked("nothing");
        let many = |code: Code| {
            let facts = (0..MANY).map(|_| fact(&system, code, "{}"));
            record(&system, facts.collect());
        };
        many(Code::HnSkipped);
        locked("skips");
        assert_eq!(cut(&system), Vec::<String>::new(), "no look asks for skips");
        many(Code::PubDuplicateOf);
        locked("duplicates");
        assert_eq!(cut(&system), ["PUB_DUPLICATE_OF facts"]);
        let duplicates = found(&system, FindingCode::Deduplicated, |_| ());
        let says = &duplicates[0].says;
        assert!(says.starts_with("at least 10000 "), "{says}");
    }
}

#[test]
fn many_letters_of_one_handler_hide_no_other_handler() {
    let world = World::new();
    let system = world.process();
    let dead = |name: &str, of: &str| {
        let fails = Function::immediate(|_| Err(NotDone::Dead("no".to_owned())));
        let wanted = Subscribe::durable(name).to([of]);
        let subscribed = system.router().subscribe(wanted, fails);
        subscribed.expect("a subscription");
    };
    let letters = |count: u64| {
        until("all are dead", || {
            let figures = system.store().figures().wait().expect("figures");
            figures.letters == count
        });
    };
    dead("rare", "EVALUATION_COMPLETED");
    dead("noisy", "TRAINING_COMPLETED");
    publish(&system, "EVALUATION_COMPLETED", "{}");
    letters(1);
    publish_numbers(&system, "TRAINING_COMPLETED", 0..MANY);
    letters(MANY + 1);
    let failing = found(&system, FindingCode::HandlerError, |_| ());
    let names = failing.iter().map(|one| one.subject.handler.as_deref());
    assert!(names.flatten().any(|name| name == "rare"), "{failing:?}");
    assert!(cut(&system).contains(&"dead letters".to_owned()));
}
