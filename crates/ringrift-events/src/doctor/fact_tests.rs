//! Findings of facts and letters: who is named, in which words, and with which command.

use std::time::Duration;

use super::chart::{Chart, Owed};
use super::code::{FindingCode, Severity};
use super::examine::examine;
use super::finding::Finding;
use super::rules::Rules;
use super::scene;
use super::tests::{ID, NOW, ago, codes, event, quiet, subscription};
use crate::clock::Time;
use crate::event::{EventType, ProcessId, Seq};
use crate::store::deliveries::LetterId;
use crate::store::letters::{Letter, LetterState};
use crate::store::log::{Logged, TypeSet};
use crate::store::records::Unbridged;
use crate::store::registry::{DaemonState, Fact, Liveness};
use crate::store::subscriptions::Kind;
use crate::store::trail::{Again, Trail};
use crate::store::upkeep::WriteLock;
use crate::verdict::{Code, FailureKind};

const PROCESS: ProcessId = ProcessId(uuid::Uuid::from_u128(7));

fn found(chart: &Chart) -> Vec<Finding> {
    examine(chart, &Rules::default())
}

/// A home whose only process ended so, and which owes an event since.
fn stopped(liveness: Liveness, at: Time) -> Chart {
    let mut chart = quiet();
    let mut host = scene::process(PROCESS, ago(600), at);
    host.liveness = liveness;
    chart.processes = vec![host];
    chart.is_stopped = true;
    chart.as_of = at;
    chart.subscriptions = vec![subscription(&[], None)];
    chart.recorded.last_owner.insert(ID, PROCESS);
    chart.recorded.unhosted.insert(ID, at);
    let oldest = Some(event(1, "{}", ago(60)).event);
    chart.owed.insert(ID, Owed { events: 1, oldest });
    chart
}

#[test]
fn a_stopped_home_that_owes_work_is_told_once_a_restart_would_be_over() {
    let lost = [FindingCode::HandlerLost];
    assert_eq!(codes(&stopped(Liveness::Dead, ago(10))), lost);
    assert_eq!(codes(&stopped(Liveness::Dead, ago(86_400))), lost);
    assert_eq!(codes(&stopped(Liveness::Dead, ago(9))), []);
    let not_started = [FindingCode::HandlerNotStarted];
    assert_eq!(codes(&stopped(Liveness::Left, ago(10))), not_started);
    assert_eq!(codes(&stopped(Liveness::Left, ago(9))), []);
    let mut paid = stopped(Liveness::Left, ago(10));
    paid.owed.clear();
    assert_eq!(codes(&paid), [], "it ended in order");
    let named = &found(&stopped(Liveness::Dead, ago(10)))[0];
    assert_eq!(named.evidence["start_again"], "trainer");
    assert!(named.says.contains("pid 4711 (trainer)"), "{}", named.says);
}

/// Keys and names that others wrote: each stays one word of the command that is printed.
#[test]
fn what_others_wrote_is_quoted_in_the_commands() {
    for (word, as_word) in [
        ("app.main.<locals>.on_event", "'app.main.<locals>.on_event'"),
        ("x; touch /tmp/pwned #", "'x; touch /tmp/pwned #'"),
        ("it's", r"'it'\''s'"),
        ("a\nb", r"$'a\nb'"),
        ("--all", "-- --all"),
    ] {
        let mut chart = quiet();
        let evidence = serde_json::json!({
            "pipeline": "ringrift", "key": word, "next": format!("ringrift pipeline verify {word}"),
        });
        chart.stalled = vec![scene::stall(&evidence.to_string())];
        let command = format!("ringrift pipeline verify --pipeline ringrift {as_word}");
        assert_eq!(found(&chart)[0].command, command);
    }
    let mut chart = stopped(Liveness::Dead, ago(60));
    chart.subscriptions[0].versions[0].definition.name = "app.<locals>.on".to_owned();
    let command = &found(&chart)[0].command;
    assert_eq!(command, "ringrift subs show 'app.<locals>.on'");
}

#[test]
fn hosts_by_an_older_definition_alone_are_named_from_the_grace_on() {
    let with = |seconds: u64, version: i64| {
        let mut chart = quiet();
        chart.processes = vec![scene::process(PROCESS, ago(600), NOW)];
        let mut state = subscription(&[], None);
        let mut second = state.versions[0].clone();
        (second.number, second.created_at) = (2, ago(seconds));
        state.versions.push(second);
        state.hosts.insert(PROCESS, version);
        chart.subscriptions = vec![state];
        if version < 2 {
            let oldest = Some(event(1, "{}", ago(60)).event);
            chart.outdated.insert(ID, Owed { events: 1, oldest });
        }
        chart.daemons = vec![poller("running", None)];
        chart
    };
    let named = &found(&with(10, 1))[0];
    assert_eq!(named.cause, Some("handler-not-started"));
    assert!(
        named.says.contains("pid 4711 (trainer) by version 1"),
        "{}",
        named.says
    );
    assert_eq!(codes(&with(9, 1)), []);
    assert_eq!(codes(&with(10, 2)), []);
}

fn poller(state: &str, error: Option<&str>) -> DaemonState {
    DaemonState {
        process: PROCESS,
        name: crate::daemons::CROSS_PROCESS_POLLER.to_owned(),
        state: state.to_owned(),
        stopped_by: None,
        restarts: 5,
        error: error.map(str::to_owned),
        cycle_at: None,
        since: ago(60),
    }
}

#[test]
fn a_daemon_of_a_process_that_has_ended_is_not_to_be_started() {
    let mut chart = stopped(Liveness::Dead, NOW);
    chart.subscriptions[0].hosts.insert(PROCESS, 1);
    chart.owed.clear();
    chart.daemons = vec![poller("failed", Some("disk I/O error"))];
    let named = &found(&chart)[0];
    assert_eq!(named.code, FindingCode::PollerStopped);
    assert_eq!(named.command, format!("ringrift processes show {PROCESS}"));
    chart.is_stopped = false;
    chart.processes[0].liveness = Liveness::Alive;
    let command = found(&chart)[0].command.clone();
    assert!(command.starts_with("ringrift daemons start"), "{command}");
}

#[test]
fn a_lock_that_keeps_an_opening_command_waiting_is_named_from_the_threshold_on() {
    let with = |ms: u64, waits: Option<u32>| {
        let mut chart = quiet();
        chart.figures.write_lock = Some(WriteLock {
            pid: 99,
            command: "sqlite3".to_owned(),
            since: NOW.before(Duration::from_millis(ms)),
            waits,
        });
        chart
    };
    let named = &found(&with(1_000, Some(5)))[0];
    assert_eq!(named.cause, Some("sqlite-locked"));
    assert_eq!(named.subject.pid, Some(99));
    assert_eq!(named.evidence["waiting"], serde_json::json!([5]));
    assert_eq!(codes(&with(999, Some(5))), []);
    assert_eq!(codes(&with(1_000, None)), [], "nobody waits");
}

#[test]
fn a_lock_that_was_let_go_is_of_the_past_and_weighs_less() {
    let with = |ongoing: bool| {
        let mut chart = quiet();
        let mut host = scene::process(PROCESS, ago(600), NOW);
        host.blocked_by = ongoing.then(|| (99, "sqlite3".to_owned(), ago(2)));
        chart.processes = vec![host];
        let (since, until) = (ago(40).to_sql(), ago(30).to_sql());
        let known = format!(
            "{{\"pid\":99,\"command\":\"sqlite3\",\"since\":\"{since}\",\"until\":\"{until}\"}}"
        );
        let logged = event(1, "{}", ago(90));
        chart.facts = vec![Fact {
            process: Some(PROCESS),
            ..told(Code::WtStoreBusy, &logged, known)
        }];
        found(&chart).remove(0)
    };
    let held = with(true);
    assert_eq!(held.severity, Severity::Critical);
    assert_eq!(held.evidence["ongoing"], true);
    assert_eq!(held.evidence["ended_at"], serde_json::Value::Null);
    assert_eq!(held.command, "ps -fp 99");
    let over = with(false);
    assert_eq!(over.cause, Some("sqlite-locked"));
    assert_eq!(over.severity, Severity::Warning);
    assert_eq!(over.evidence["ongoing"], false);
    assert_eq!(over.evidence["held_ms"], 10_000);
    let ended = over.evidence["ended_at"].as_str().expect("a time");
    assert!(over.says.contains(ended), "{}", over.says);
    assert!(over.meaning.ends_with("It is over."), "{}", over.meaning);
    assert_eq!(over.command, "ringrift status");
}

fn letter(number: i64, logged: &Logged, kind: FailureKind, error: &str) -> Letter {
    Letter {
        id: LetterId(number),
        event: (*logged.event).clone(),
        subscription: ID,
        handler: "trainer".to_owned(),
        state: LetterState::Dead,
        error: error.to_owned(),
        error_kind: kind,
        step: None,
        attempts: 1,
        attempts_total: 1,
        deaths: 3,
        created_at: ago(60),
        last_attempt_at: ago(60),
        next_retry_at: None,
        linked: None,
    }
}

fn with_letters(letters: &[(FailureKind, &str)]) -> Chart {
    let mut chart = quiet();
    chart.subscriptions = vec![subscription(&[], None)];
    let numbered = (1..).zip(letters);
    chart.letters = numbered
        .map(|(number, (kind, error))| {
            let logged = event(number, &format!("{{\"n\":{number}}}"), ago(90));
            letter(number, &logged, *kind, error)
        })
        .collect();
    chart
}

#[test]
fn different_errors_are_not_told_as_one() {
    let error = FailureKind::Error;
    let chart = with_letters(&[
        (error, "exit 1"),
        (error, "no such table: games_1"),
        (error, "no such table: games_2"),
    ]);
    let named = &found(&chart)[0];
    assert_eq!(named.code, FindingCode::HandlerError);
    assert!(named.says.contains("2 different errors"), "{}", named.says);
    let errors = named.evidence["errors"].as_array().expect("errors");
    assert_eq!(
        (&errors[0]["letters"], &errors[1]["letters"]),
        (&2.into(), &1.into())
    );
    assert_ne!(errors[0]["fingerprint"], errors[1]["fingerprint"]);
    let same = with_letters(&[(error, "game 1 is bad"), (error, "game 2 is bad")]);
    let named = &found(&same)[0];
    assert!(!named.says.contains("different"), "{}", named.says);
}

fn told(code: Code, logged: &Logged, evidence: String) -> Fact {
    Fact {
        at: NOW,
        code: Some(code),
        event: Some(logged.event.id),
        seq: logged.event.seq,
        seq_to: None,
        event_type: Some(logged.event.event_type.clone()),
        subscription: Some(ID),
        process: None,
        act: None,
        generation: None,
        evidence,
    }
}

#[test]
fn poison_names_the_process_that_died_with_it() {
    let mut chart = with_letters(&[(FailureKind::Poison, "its process died 3 times")]);
    let mut host = scene::process(PROCESS, ago(600), ago(60));
    host.liveness = Liveness::Dead;
    chart.processes = vec![host];
    let logged = event(1, "{\"n\":1}", ago(90));
    let known = format!("{{\"process\":\"{PROCESS}\",\"kind\":\"poison\"}}");
    chart.facts = vec![told(Code::StDead, &logged, known)];
    let named = &found(&chart)[0];
    assert_eq!(named.cause, Some("poison-message"));
    assert_eq!(named.subject.process, Some(PROCESS));
    assert_eq!(named.evidence["process"], "pid 4711");
}

#[test]
fn who_died_while_the_kernel_killed_for_memory_is_short_of_it_or_poisoned() {
    let logged = event(1, "{\"n\":1}", ago(90));
    let lost = |kills: &str| {
        let known =
            format!("{{\"process\":\"{PROCESS}\",\"reason\":\"died\",\"oom_kills\":{kills}}}");
        told(Code::HnLeaseLost, &logged, known)
    };
    let mut chart = quiet();
    let mut host = scene::process(PROCESS, ago(600), ago(60));
    host.liveness = Liveness::Dead;
    chart.processes = vec![host];
    chart.subscriptions = vec![subscription(&[], None)];
    for unknown in ["null", "0"] {
        chart.facts = vec![lost(unknown)];
        assert_eq!(codes(&chart), [], "{unknown}");
    }
    chart.facts = vec![lost("1")];
    let named = &found(&chart)[0];
    assert_eq!(named.cause, Some("resource-exhaustion"));
    assert_eq!(named.subject.process, Some(PROCESS));
    assert!(named.says.contains("killed 1 process of"), "{}", named.says);
    // Once it is set aside, that is what is said.
    chart.letters = vec![letter(1, &logged, FailureKind::Poison, "its process died")];
    let known = "{\"kind\":\"poison\",\"oom_kills\":2}".to_owned();
    chart.facts.insert(0, told(Code::StDead, &logged, known));
    let named = found(&chart);
    assert_eq!(named.len(), 1);
    assert_eq!(named[0].cause, Some("poison-message"));
    assert_eq!(named[0].evidence["oom_kills"], 2);
    assert!(
        named[0].says.contains("killed 2 processes"),
        "{}",
        named[0].says
    );
}

#[test]
fn a_step_that_is_neither_db_nor_network_is_named_and_not_asked_for() {
    let mut chart = with_letters(&[(FailureKind::Timeout, "exceeded its time limit")]);
    let place = found(&chart)[0].says.clone();
    assert!(place.contains("add a step"), "{place}");
    chart.letters[0].step = Some("command:sleep 4".to_owned());
    let place = found(&chart)[0].says.clone();
    assert!(
        place.contains("in step command:sleep 4") && !place.contains("add a step"),
        "{place}"
    );
}

#[test]
fn a_process_that_was_only_stopped_has_not_died() {
    let with = |reason: &str| {
        let mut chart = quiet();
        chart.subscriptions = vec![subscription(&[], None)];
        let logged = event(1, "{}", ago(90));
        let known = format!("{{\"process\":\"{PROCESS}\",\"reason\":\"{reason}\"}}");
        chart.facts = vec![told(Code::HnLeaseLost, &logged, known)];
        let again = Again {
            id: LetterId(1),
            subscription: ID,
            generation: crate::store::subscriptions::Generation(1),
            event: logged.event.id,
            seq: logged.event.seq,
            why: crate::store::deliveries::Why::LeaseLost,
            state: LetterState::Recovered,
            failed: false,
            attempts: 1,
            attempts_total: 2,
            deaths: 0,
            error: None,
            error_kind: None,
            due: None,
            held: false,
            owner: None,
            linked: None,
        };
        chart.trails = vec![Trail {
            again: vec![again],
            ..Trail::default()
        }];
        let named = found(&chart).remove(0);
        assert_eq!(named.cause, Some("missing-dedup-check"));
        named.says
    };
    assert!(with("died").contains("had died"));
    let hung = with("hung");
    assert!(
        hung.contains("had stopped answering") && !hung.contains("died"),
        "{hung}"
    );
}

#[test]
fn a_type_that_alerts_are_raised_of_is_taken() {
    let mut chart = quiet();
    chart.events = vec![event(1, "{}", ago(10))];
    let mut state = subscription(&[], None);
    let other = EventType::from_canonical("model_promoted");
    state.versions[0].definition.types = TypeSet::only([other]);
    chart.subscriptions = vec![state];
    let named = found(&chart);
    assert_eq!(named[0].code, FindingCode::NobodySubscribes);
    assert_eq!(named[0].severity, Severity::Note);
    let own = EventType::from_canonical("training_completed");
    chart.alerted = Some(TypeSet::only([own]));
    assert_eq!(found(&chart), []);
    chart.subscriptions.clear();
    assert_eq!(found(&chart), [], "nor is it one where nobody subscribes");
    chart.alerted = None;
    let named = found(&chart);
    assert_eq!(named[0].code, FindingCode::NoSubscriptions);
    assert!(
        named[0].says.starts_with("1 event was"),
        "{}",
        named[0].says
    );
}

#[test]
fn who_began_to_wait_afterwards_has_missed_nothing_that_stayed_in_its_process() {
    let with = |subscribed: u64| {
        let host = ProcessId(uuid::Uuid::from_u128(8));
        let mut chart = quiet();
        chart.processes = vec![
            scene::process(PROCESS, ago(600), NOW),
            scene::process(host, ago(600), NOW),
        ];
        let mut state = subscription(&[], None);
        state.versions[0].definition.kind = Kind::Live;
        state.versions[0].created_at = ago(subscribed);
        state.process = Some(host);
        chart.subscriptions = vec![state];
        chart.daemons = vec![DaemonState {
            process: host,
            ..poller("running", None)
        }];
        let last = event(1, "{}", ago(100)).event;
        chart.recorded.unbridged = vec![Unbridged {
            process: PROCESS,
            event_type: last.event_type.clone(),
            count: 1,
            last: Some((last.id, ago(100))),
        }];
        codes(&chart)
    };
    assert_eq!(with(101), [FindingCode::NotBridged]);
    assert_eq!(with(99), []);
}

#[test]
fn what_a_seek_left_out_is_what_was_owed_then() {
    let mut chart = quiet();
    let mut state = subscription(&[], None);
    let mut newer = state.versions[0].clone();
    (newer.number, newer.valid_from) = (2, Seq(2));
    newer.definition.filter = Some("elo__gte=1000".to_owned());
    state.versions[0].valid_to = Some(Seq(2));
    state.versions.push(newer);
    chart.subscriptions = vec![state];
    let logged = event(1, "{}", ago(90));
    chart.facts = vec![Fact {
        seq_to: Some(Seq(1)),
        event: None,
        ..told(Code::StSkippedBySeek, &logged, "{\"skipped\":1}".to_owned())
    }];
    chart.events = vec![logged];
    let named = &found(&chart)[0];
    assert_eq!(named.code, FindingCode::SkippedBySeek);
    assert_eq!(named.subject.event, Some(chart.events[0].event.id));
}
