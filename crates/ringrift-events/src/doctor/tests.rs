//! Charts drawn by hand, and what is found in them: each finding from its threshold on, none below.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::chart::{Chart, Owed};
use super::code::FindingCode;
use super::examine::examine;
use super::rules::Rules;
use crate::clock::{ManualClock, Time};
use crate::event::{Event, EventId, EventType, Payload, ProcessId, Seq, TraceId};
use crate::store::log::{Logged, TypeSet};
use crate::store::registry::{DaemonState, Fact};
use crate::store::subscriptions::{
    Definition, Generation, Kind, Start, SubscriptionId, SubscriptionState, Version,
};
use crate::store::upkeep::Figures;
use crate::verdict::Code;

/// The present of every chart here.
pub(super) const NOW: Time = Time(1_700_000_000_000_000);

/// The subscription of every chart here.
pub(super) const ID: SubscriptionId = SubscriptionId(1);

pub(super) fn ago(seconds: u64) -> Time {
    NOW.before(Duration::from_secs(seconds))
}

/// A home in which nothing happened.
pub(super) fn quiet() -> Chart {
    Chart {
        now: NOW,
        since: ago(86_400),
        as_of: NOW,
        is_stopped: false,
        figures: Figures::default(),
        processes: Vec::new(),
        subscriptions: Vec::new(),
        daemons: Vec::new(),
        facts: Vec::new(),
        letters: Vec::new(),
        events: Vec::new(),
        is_log_cut: false,
        older: Vec::new(),
        counted: BTreeMap::new(),
        is_count_cut: false,
        more_facts: std::collections::BTreeSet::new(),
        unread: BTreeMap::new(),
        cut: Vec::new(),
        owed: std::collections::BTreeMap::new(),
        outdated: std::collections::BTreeMap::new(),
        trails: Vec::new(),
        pending: 0,
        types: Vec::new(),
        near_names: crate::catalog::NearNames::default(),
        recorded: super::Recorded::default(),
        stalled: Vec::new(),
        sinks: Vec::new(),
        expected: Vec::new(),
        conflicts: Vec::new(),
        alerted: None,
        ground: super::Ground::default(),
    }
}

pub(super) fn subscription(dedup: &[&str], filter: Option<&str>) -> SubscriptionState {
    let definition = Definition {
        name: "trainer".to_owned(),
        kind: Kind::Durable,
        types: TypeSet::only([EventType::from_canonical("training_completed")]),
        filter: filter.map(str::to_owned),
        start: Start::Now,
        dedup: dedup.iter().map(|field| (*field).to_owned()).collect(),
        ordered_by_key: false,
    };
    SubscriptionState {
        id: ID,
        versions: vec![Version {
            number: 1,
            definition,
            valid_from: Seq(1),
            valid_to: None,
            created_at: ago(1_000),
        }],
        process: None,
        generation: Generation(1),
        paused: None,
        cursor: Seq(0),
        settled: Seq(0),
        claimed: 0,
        retrying: 0,
        dead: 0,
        again: 0,
        owed_after: Seq(0),
        ended_at: None,
        hosts: BTreeMap::new(),
    }
}

pub(super) fn event(seq: i64, payload: &str, at: Time) -> Logged {
    let clock = ManualClock::new(at, u64::try_from(seq).unwrap_or(0));
    Logged {
        event: Arc::new(Event {
            id: EventId::new(&clock),
            event_type: EventType::from_canonical("training_completed"),
            payload: Payload::from_checked(payload),
            source: "selfplay".to_owned(),
            key: None,
            published_at: at,
            trace_id: TraceId(uuid::Uuid::from_u128(1)),
            parent_id: None,
            depth: 0,
            origin: ProcessId(uuid::Uuid::from_u128(7)),
            stage: None,
            seq: Some(Seq(seq)),
        }),
        committed_at: at,
        deleted_at: None,
        call_site: None,
    }
}

pub(super) fn fact(code: Code, logged: &Logged, evidence: &str) -> Fact {
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
        evidence: evidence.to_owned(),
    }
}

pub(super) fn codes(chart: &Chart) -> Vec<FindingCode> {
    let found = examine(chart, &Rules::default());
    found.iter().map(|finding| finding.code).collect()
}

#[test]
fn a_quiet_home_has_no_finding() {
    assert_eq!(codes(&quiet()), []);
}

#[test]
fn a_subscription_without_a_process_is_named_after_the_grace_and_only_if_it_owes() {
    let owing = |unhosted: Time| {
        let mut chart = quiet();
        chart.subscriptions = vec![subscription(&[], None)];
        let oldest = event(1, "{}", ago(60)).event;
        let oldest = Some(oldest);
        chart.owed.insert(ID, Owed { events: 1, oldest });
        chart.recorded.unhosted.insert(ID, unhosted);
        chart
    };
    let found = examine(&owing(ago(10)), &Rules::default());
    assert_eq!(found[0].cause, Some("handler-not-started"));
    assert_eq!(found[0].subject.handler.as_deref(), Some("trainer"));
    assert_eq!(codes(&owing(ago(9))), [], "a restart takes a moment");
    let mut paid = owing(ago(10));
    paid.owed.clear();
    assert_eq!(codes(&paid), [], "nothing waits");
    let mut paused = owing(ago(10));
    paused.subscriptions[0].paused = Some((ago(5), "ann".to_owned()));
    assert_eq!(codes(&paused), [FindingCode::Paused]);
}

#[test]
fn equal_content_is_a_slip_when_it_comes_twice_soon_and_a_beat_when_it_comes_often() {
    let with = |times: &[u64]| {
        let mut chart = quiet();
        let mut taken = subscription(&[], None);
        taken.paused = Some((ago(5), "ann".to_owned()));
        chart.subscriptions = vec![taken];
        let payload = "{\"config_key\":\"hex8\"}";
        let events = times.iter().enumerate();
        chart.events = events
            .map(|(at, seconds)| event(i64::try_from(at).unwrap_or(0) + 1, payload, ago(*seconds)))
            .collect();
        chart.events.reverse();
        chart
    };
    assert_eq!(codes(&with(&[20, 15])), [FindingCode::EmittedTwice]);
    assert_eq!(codes(&with(&[20, 15, 12])), [FindingCode::EmittedTwice]);
    assert_eq!(codes(&with(&[20])), []);
    assert_eq!(codes(&with(&[20, 9])), [], "too far apart");
    assert_eq!(codes(&with(&[20, 18, 16, 14])), [], "a beat");
}

#[test]
fn a_slip_that_dedup_caught_is_a_duplicate_and_nothing_else() {
    let mut chart = quiet();
    chart.subscriptions = vec![subscription(&["config_key"], None)];
    let payload = "{\"config_key\":\"hex8\"}";
    chart.events = vec![event(2, payload, ago(1)), event(1, payload, ago(2))];
    let known = "{\"key\":\"hex8\",\"window_ends_at\":\"soon\"}";
    chart.facts = vec![fact(Code::HnDuplicate, &chart.events[0], known)];
    assert_eq!(codes(&chart), [FindingCode::Deduplicated]);
}

#[test]
fn a_handler_fails_consistently_from_its_share_starts_and_events_on() {
    let with = |failed: usize, done: u64, events: usize| {
        let mut chart = quiet();
        chart.subscriptions = vec![subscription(&[], None)];
        let all: Vec<Logged> = (1..=events)
            .map(|n| {
                event(
                    i64::try_from(n).unwrap_or(1),
                    &format!("{{\"n\":{n}}}"),
                    ago(100),
                )
            })
            .collect();
        let known = "{\"kind\":\"error\",\"error\":\"no such table: games_1\"}";
        chart.facts = (0..failed)
            .map(|n| fact(Code::HnError, &all[n % events], known))
            .collect();
        chart.recorded.done.insert(ID, done);
        chart
    };
    let found = examine(&with(16, 4, 3), &Rules::default());
    assert_eq!(found[0].cause, Some("handler-consistently-failing"));
    assert_eq!(found[0].evidence["percent"], 80);
    assert_eq!(
        found[0].evidence["pattern"],
        "error: no such table: games_N"
    );
    assert_eq!(codes(&with(15, 5, 3)), [], "75 %");
    assert_eq!(codes(&with(19, 0, 3)), [], "19 starts");
    assert_eq!(codes(&with(20, 0, 2)), [], "two events");
}

#[test]
fn a_key_that_comes_soon_after_its_window_has_missed_it_and_much_later_it_has_not() {
    let with = |late_ms: u64| {
        let mut chart = quiet();
        chart.subscriptions = vec![subscription(&["config_key"], None)];
        let logged = event(2, "{\"config_key\":\"hex8\"}", ago(1));
        let known = format!("{{\"window_ended_ms_ago\":{late_ms},\"ttl_ms\":1000}}");
        chart.facts = vec![fact(Code::HnDedupExpired, &logged, &known)];
        chart
    };
    assert_eq!(codes(&with(100)), [FindingCode::DedupWindow]);
    assert_eq!(codes(&with(1_000)), [FindingCode::DedupWindow]);
    assert_eq!(codes(&with(1_001)), []);
}

#[test]
fn filters_that_take_nothing_are_named_once_there_was_enough_to_take() {
    let with = |events: i64, filter: &str| {
        let mut chart = quiet();
        chart.subscriptions = vec![subscription(&[], Some(filter))];
        chart.events = (1..=events)
            .map(|n| event(n, &format!("{{\"elo\":{n}}}"), ago(100)))
            .rev()
            .collect();
        chart
    };
    assert_eq!(
        codes(&with(20, "elo__gte=1000")),
        [FindingCode::FilteredOut]
    );
    assert_eq!(codes(&with(19, "elo__gte=1000")), []);
    assert_eq!(codes(&with(20, "elo__gte=20")), [], "one passes");
}

#[test]
fn events_are_judged_by_the_filter_of_their_time_and_not_by_todays() {
    // Handled without a filter, which was set afterwards.
    let with = |first: Option<&str>, second: Option<&str>, events_since: i64| {
        let mut chart = quiet();
        let mut state = subscription(&[], first);
        let mut newer = subscription(&[], second).versions.remove(0);
        (newer.number, newer.valid_from) = (2, Seq(26));
        state.versions[0].valid_to = Some(Seq(26));
        state.versions.push(newer);
        chart.subscriptions = vec![state];
        chart.events = (1..=25 + events_since)
            .map(|n| event(n, &format!("{{\"elo\":{n}}}"), ago(100)))
            .rev()
            .collect();
        chart
    };
    let strict = Some("elo__gte=1000");
    assert_eq!(codes(&with(None, strict, 0)), []);
    assert_eq!(codes(&with(None, strict, 19)), []);
    let found = examine(&with(None, strict, 20), &Rules::default());
    assert_eq!(found[0].code, FindingCode::FilteredOut);
    assert_eq!(found[0].evidence["events"], 20);
    assert!(!found[0].says.contains("all"), "{}", found[0].says);
    // It turned them away, whatever it does since.
    let found = examine(&with(strict, None, 0), &Rules::default());
    assert_eq!(found[0].code, FindingCode::FilteredOut);
    assert_eq!(found[0].evidence["replaced_since"], true);
    assert_eq!(codes(&with(strict, None, 1)), [], "it takes them now");
}

#[test]
fn who_waits_for_a_type_since_a_moment_has_not_waited_for_long() {
    let mut chart = quiet();
    chart.events = vec![event(1, "{}", ago(10))];
    let mut state = subscription(&[], None);
    state.versions[0].created_at = ago(90_000);
    let mut newer = state.versions[0].clone();
    (newer.number, newer.valid_from) = (2, Seq(1));
    let more = ["training_completed", "model_promoted"].map(EventType::from_canonical);
    newer.definition.types = TypeSet::only(more);
    state.versions[0].valid_to = Some(Seq(1));
    state.versions.push(newer);
    chart.subscriptions = vec![state];
    assert_eq!(codes(&chart), [FindingCode::NeverPublished]);
    chart.subscriptions[0].versions[1].created_at = ago(60);
    assert_eq!(codes(&chart), []);
}

#[test]
fn an_event_that_was_taken_is_not_said_to_be_taken_by_nobody() {
    let other = TypeSet::only([EventType::from_canonical("model_promoted")]);
    let mut chart = quiet();
    let mut state = subscription(&[], None);
    let mut newer = state.versions[0].clone();
    (newer.number, newer.valid_from) = (2, Seq(2));
    newer.definition.types = other;
    state.versions[0].valid_to = Some(Seq(2));
    state.versions.push(newer);
    chart.subscriptions = vec![state];
    chart.events = vec![event(1, "{}", ago(10))];
    assert_eq!(codes(&chart), []);
    chart.events.insert(0, event(2, "{}", ago(9)));
    assert_eq!(codes(&chart), [FindingCode::NobodySubscribes]);
}

#[test]
fn backlog_and_dead_letters_are_findings_above_their_thresholds() {
    let mut chart = quiet();
    (chart.pending, chart.figures.letters) = (1_000, 100);
    assert_eq!(codes(&chart), []);
    (chart.pending, chart.figures.letters) = (1_001, 101);
    assert_eq!(
        codes(&chart),
        [FindingCode::Backlog, FindingCode::DeadLetters]
    );
}

#[test]
fn the_ground_is_judged_by_what_is_known_of_it() {
    let mut chart = quiet();
    chart.ground.disk_free = Some((10, 1 << 30));
    chart.ground.written_by = Some(3_051_003);
    assert_eq!(codes(&chart), []);
    chart.ground.disk_free = Some((9, 1 << 30));
    chart.ground.written_by = Some(3_040_001);
    chart
        .ground
        .deleted
        .insert(7, "coordination.db-wal".to_owned());
    chart.conflicts = vec!["handler.slow is 10s: more than handler.time_limit".to_owned()];
    let found = examine(&chart, &Rules::default());
    let codes: Vec<FindingCode> = found.iter().map(|finding| finding.code).collect();
    let expected = [
        FindingCode::WalDeleted,
        FindingCode::Disk,
        FindingCode::OldSqlite,
        FindingCode::Settings,
    ];
    assert_eq!(codes, expected, "the worst first");
    assert_eq!(found[2].evidence["version"], "3.40.1");
}

#[test]
fn what_is_published_and_what_is_awaited_meet_or_are_named() {
    let mut chart = quiet();
    let logged = event(1, "{}", ago(10));
    chart.events = vec![logged];
    assert_eq!(codes(&chart), [FindingCode::NoSubscriptions]);
    let mut state = subscription(&[], None);
    let near = EventType::from_canonical("training_complete");
    state.versions[0].definition.types = TypeSet::only([near]);
    chart.subscriptions = vec![state];
    assert_eq!(codes(&chart), [FindingCode::NearMiss]);
    let other = EventType::from_canonical("model_promoted");
    chart.subscriptions[0].versions[0].definition.types = TypeSet::only([other]);
    assert_eq!(codes(&chart), [FindingCode::NobodySubscribes]);
    chart.subscriptions[0].versions[0].created_at = ago(90_000);
    assert_eq!(
        codes(&chart),
        [FindingCode::NobodySubscribes, FindingCode::NeverPublished]
    );
}

#[test]
fn a_near_miss_is_measured_as_lint_does_and_by_the_one_setting() {
    let catalog = crate::catalog::Catalog::ringrift();
    let mut chart = quiet();
    let mut logged = event(1, "{}", ago(10));
    Arc::make_mut(&mut logged.event).event_type = EventType::from_canonical("sync_complete");
    chart.events = vec![logged];
    let mut state = subscription(&[], None);
    let meant = EventType::from_canonical("data_sync_completed");
    state.versions[0].definition.types = TypeSet::only([meant]);
    chart.subscriptions = vec![state];
    assert_eq!(codes(&chart), [FindingCode::NearMiss]);
    catalog.set_near_miss_percent(99);
    chart.near_names = catalog.near_names();
    assert_eq!(codes(&chart), [FindingCode::NobodySubscribes]);
}

#[test]
fn a_daemon_that_a_person_stopped_is_left_to_that_person() {
    let daemon = |by: Option<&str>, error: Option<&str>| DaemonState {
        process: ProcessId(uuid::Uuid::from_u128(7)),
        name: crate::daemons::CROSS_PROCESS_POLLER.to_owned(),
        state: "failed".to_owned(),
        stopped_by: by.map(str::to_owned),
        restarts: 5,
        error: error.map(str::to_owned),
        cycle_at: None,
        since: ago(60),
    };
    let host = super::scene::process(ProcessId(uuid::Uuid::from_u128(7)), ago(600), NOW);
    let mut chart = quiet();
    let mut state = subscription(&[], None);
    state.hosts = BTreeMap::from([(host.process.id, 1)]);
    chart.subscriptions = vec![state];
    chart.processes = vec![host];
    let look = |chart: &Chart| examine(chart, &Rules::default());
    chart.daemons = vec![daemon(None, Some("disk I/O error"))];
    let found = look(&chart);
    assert_eq!(found[0].cause, Some("poller-not-running"));
    assert!(
        found[0].fix.is_some(),
        "it failed: starting it again is safe"
    );
    chart.daemons = vec![daemon(Some("ann"), None)];
    let found = look(&chart);
    assert_eq!(found[0].cause, Some("poller-not-running"));
    assert_eq!(found[0].fix, None);
    chart.daemons = vec![daemon(Some("shutdown"), None)];
    assert_eq!(look(&chart), [], "a process that ends stops its own");
}
