//! Letters of one fault, critical types that stay, pipelines that stand still, sinks that fail.

use ringrift_events::doctor::FindingCode;
use ringrift_events::event::EventType;
use ringrift_events::handler::{Function, NotDone};
use ringrift_events::metrics::Standing;
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::store::letters::LetterState;

use super::support::{World, letters, publish, publish_numbers, swift_folder, until};
use super::{configured, ends, finds, found};

/// What a number's run fails with: one fault for the first `alike`, another one for each further.
fn fault(number: u64, alike: u64) -> String {
    const WORDS: [&str; 6] = ["ash", "birch", "cedar", "elm", "fir", "hazel"];
    match number < alike {
        true => format!("no such table: games_{number}"),
        false => format!("the {} is not there", WORDS[(number % 6) as usize]),
    }
}

#[test]
fn one_fault_that_makes_most_of_the_letters_is_named_from_its_share_and_their_number_on() {
    // Letters, how many of them alike, and whether that is 80 % of at least 20.
    for (all, alike, is_found) in [(20, 16, true), (20, 15, false), (19, 19, false)] {
        let world = World::sqlite();
        let system = world.process();
        let wanted = Subscribe::durable("trainer").to(["TRAINING_COMPLETED"]);
        let fails = Function::immediate(move |context| {
            let number = context.payload().fields()["number"].as_u64();
            Err(NotDone::Dead(fault(number.unwrap_or(0), alike)))
        });
        system
            .router()
            .subscribe(wanted, fails)
            .expect("a subscription");
        publish_numbers(&system, "TRAINING_COMPLETED", 0..all);
        until("all are dead", || {
            letters(&system, &[LetterState::Dead]).len() as u64 == all
        });
        let findings = found(&system, FindingCode::OneFault, |_| ());
        assert_eq!(!findings.is_empty(), is_found, "{alike} of {all}");
        if let Some(finding) = findings.first() {
            assert_eq!(finding.subject.handler.as_deref(), Some("trainer"));
            assert_eq!(finding.evidence["letters"], alike);
            assert_eq!(finding.evidence["of"], all);
            assert_eq!(finding.evidence["pattern"], "error: no such table: games_N");
            let fingerprint = finding.evidence["fingerprint"].as_str().expect("an id");
            let named = finding.subject.thing.as_deref().expect("a subject");
            assert!(named.contains(fingerprint), "{named}");
        }
    }
}

#[test]
fn a_type_that_raises_an_alert_and_stays_in_its_process_is_named_with_that_process() {
    for world in [World::new(), World::sqlite()] {
        let (system, other) = (world.process(), world.process());
        assert_eq!(found(&other, FindingCode::CriticalNotBridged, |_| ()), []);
        let critical = EventType::from_canonical("training_failed");
        assert!(system.catalog().set_bridged(&critical, false));
        let own = finds(&system, FindingCode::CriticalNotBridged, |_| ());
        assert_eq!(own.subject.event_type.as_ref(), Some(&critical));
        // Another process knows once such an event has stayed.
        let stays = Publish::new("TRAINING_FAILED", "{}");
        system.router().publish_blocking(stays).expect("published");
        system.router().save_counts().expect("saved");
        let told = finds(&other, FindingCode::CriticalNotBridged, |_| ());
        assert_eq!(told.subject.event_type.as_ref(), Some(&critical));
        assert_eq!(told.subject.process, Some(system.store().process()));
        assert_eq!(told.evidence["stayed_in_their_process"], 1);
    }
}

#[test]
fn a_step_that_does_not_follow_in_time_is_found_until_it_comes() {
    let folder = swift_folder();
    let text = "[alerts]\nlook_interval = \"100ms\"\n\n\
        [[pipeline]]\nname = \"ringrift\"\nlimits = { TRAINING_COMPLETED = \"1s\" }\n";
    let system = configured(folder.path(), text);
    system.host_daemons().expect("daemons");
    let key = "{\"config_key\":\"hex8\"}";
    // A step without a limit may be followed whenever it likes.
    publish(&system, "NEW_GAMES_AVAILABLE", key);
    let event = publish(&system, "NPZ_EXPORT_COMPLETE", key).id;
    let finding = finds(&system, FindingCode::PipelineStalled, |_| ());
    let named = "ringrift/hex8/training_completed";
    assert_eq!(finding.subject.thing.as_deref(), Some(named));
    assert_eq!(finding.subject.event, Some(event));
    let exact = "ringrift pipeline verify --pipeline ringrift hex8";
    assert_eq!(finding.command, exact);
    let stalled = Standing::look(&**system.store()).expect("a look").stalled;
    assert_eq!(
        stalled.len(),
        1,
        "status and check know it too: {stalled:?}"
    );
    publish(&system, "TRAINING_COMPLETED", key);
    ends(&system, FindingCode::PipelineStalled, |_| ());
}

#[test]
fn a_sink_whose_last_message_failed_is_found_until_one_gets_through() {
    let folder = swift_folder();
    let text =
        "[[sink]]\nname = \"phone\"\ncommand = \"test -e there || { echo busy >&2; exit 3; }\"\n";
    let system = configured(folder.path(), text);
    assert_eq!(found(&system, FindingCode::SinkFailing, |_| ()), []);
    let tested = system.alerts().test(Some("phone")).expect("a test");
    assert!(tested[0].error.is_some(), "{tested:?}");
    let finding = finds(&system, FindingCode::SinkFailing, |_| ());
    assert_eq!(finding.subject.thing.as_deref(), Some("phone"));
    assert_eq!(finding.evidence["failures"], 1);
    assert_eq!(finding.command, "ringrift alerts test phone");
    // A process whose configuration has no such sink any more, as the home after it was taken out.
    let other = configured(
        folder.path(),
        "[[sink]]\nname = \"ops\"\ncommand = \"true\"\n",
    );
    assert_eq!(found(&other, FindingCode::SinkFailing, |_| ()), []);
    other.close();
    let error = finding.evidence["error"].as_str().expect("an error");
    assert!(error.contains("busy"), "{error}");
    std::fs::write(folder.path().join("there"), "").expect("a file");
    let tested = system.alerts().test(Some("phone")).expect("a test");
    assert_eq!(tested[0].error, None);
    assert_eq!(found(&system, FindingCode::SinkFailing, |_| ()), []);
}
