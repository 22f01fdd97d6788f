//! Findings about times: exactly from their threshold on. What brings them about is tried on real
//! stores; a threshold to the second is tried here, where nobody is slow.

use std::time::Duration;

use super::chart::Chart;
use super::code::FindingCode;
use super::examine::examine;
use super::rules::Rules;
use super::scene;
use super::tests::{ID, NOW, ago, codes, event, fact, quiet, subscription};
use crate::clock::Time;
use crate::daemons::{CROSS_PROCESS_POLLER, DLQ_RETRY, SWEEPER};
use crate::event::{EventId, ProcessId, Seq};
use crate::store::deliveries::LetterId;
use crate::store::letters::{Letter, LetterState};
use crate::store::records::{Ends, HostState, PolicyInForce};
use crate::store::registry::{DaemonState, Fact, Liveness, Recent, Running};
use crate::verdict::{Code, Effort, FailureKind};

/// The publisher of every event here, and the process that is looked at.
const PROCESS: ProcessId = ProcessId(uuid::Uuid::from_u128(7));

const EVENT: EventId = EventId(uuid::Uuid::from_u128(9));

fn with_process(beat_at: Time) -> Chart {
    let mut chart = quiet();
    chart.processes = vec![scene::process(PROCESS, ago(600), beat_at)];
    chart
}

fn daemon(name: &str, since: Time) -> DaemonState {
    DaemonState {
        process: PROCESS,
        name: name.to_owned(),
        state: "running".to_owned(),
        stopped_by: None,
        restarts: 0,
        error: None,
        cycle_at: Some(NOW),
        since,
    }
}

fn runs(since: Time) -> Running {
    Running {
        subscription: ID,
        event: EVENT,
        seq: Some(Seq(1)),
        since,
        step: None,
        step_since: None,
        abandoned: false,
        effort: Effort::default(),
    }
}

#[test]
fn a_clock_is_skewed_from_the_threshold_on_by_its_beat_or_by_its_events() {
    let skewed = [FindingCode::ClockSkew];
    let five = Duration::from_secs(5);
    assert_eq!(codes(&with_process(NOW.after(five))), skewed);
    let less = five.saturating_sub(Duration::from_millis(1));
    assert_eq!(codes(&with_process(NOW.after(less))), []);
    // An event that was published after it was committed.
    let with = |ahead: Duration| {
        let mut chart = with_process(NOW);
        let mut logged = event(1, "{}", ago(60));
        logged.committed_at = logged.event.published_at.before(ahead);
        chart.events = vec![logged];
        chart.subscriptions = vec![subscription(&[], None)];
        chart
    };
    assert_eq!(codes(&with(five)), skewed);
    assert_eq!(codes(&with(less)), []);
    let mut gone = with_process(NOW.after(five));
    gone.processes[0].liveness = Liveness::Dead;
    assert_eq!(codes(&gone), [], "it is over");
}

#[test]
fn nothing_moves_once_nothing_began_and_nothing_ended_for_so_long() {
    let with = |since: u64, ended: Option<u64>| {
        let mut chart = with_process(NOW);
        chart.subscriptions = vec![subscription(&[], None)];
        let state = &mut chart.processes[0];
        state.running = vec![runs(ago(since)), runs(ago(since + 60))];
        state.recent = ended
            .map(|ended| Recent {
                subscription: ID,
                event: EVENT,
                code: Code::HnOk,
                took_us: 1,
                at: ago(ended),
            })
            .into_iter()
            .collect();
        chart
    };
    assert_eq!(codes(&with(120, None)), [FindingCode::NoProgress]);
    assert_eq!(codes(&with(120, Some(120))), [FindingCode::NoProgress]);
    assert_eq!(codes(&with(119, None)), [], "one has begun since");
    assert_eq!(codes(&with(120, Some(119))), [], "one has ended since");
}

#[test]
fn a_poller_is_stuck_once_an_event_was_left_for_so_long_and_it_ran_for_so_long() {
    let with = |committed: u64, running: u64, read_to: i64| {
        let mut chart = with_process(NOW);
        chart.subscriptions = vec![subscription(&[], None)];
        chart.events = vec![event(1, "{}", ago(committed))];
        chart.daemons = vec![daemon(CROSS_PROCESS_POLLER, ago(running))];
        chart.processes[0].polled_to = Seq(read_to);
        chart
    };
    assert_eq!(codes(&with(30, 600, 0)), [FindingCode::PollerStuck]);
    assert_eq!(codes(&with(29, 600, 0)), []);
    assert_eq!(codes(&with(30, 29, 0)), [], "it has only begun");
    assert_eq!(codes(&with(30, 600, 1)), [], "it has read it");
    let mut stopped = with(30, 600, 0);
    stopped.daemons[0].state = "stopped".to_owned();
    assert_eq!(codes(&stopped), [], "one that does not run is no stuck one");
}

#[test]
fn a_stall_that_is_recorded_twice_happened_once() {
    let mut chart = with_process(NOW);
    chart.subscriptions = vec![subscription(&[], None)];
    let logged = event(1, "{}", ago(60));
    let stall = |since: u64, held_ms: u64, ended: bool| {
        let since_us = ago(since).0;
        let known = format!(
            "{{\"handler\":\"trainer\",\"tid\":7,\"since_us\":{since_us},\
             \"held_ms\":{held_ms},\"class\":\"cpu\",\"ended\":{ended}}}"
        );
        Fact {
            process: Some(PROCESS),
            ..fact(Code::WtLoopBlocked, &logged, &known)
        }
    };
    // Recorded while it lasted, and once more when it had ended.
    chart.facts = vec![stall(50, 9_000, true), stall(50, 5_000, false)];
    let found = examine(&chart, &Rules::default());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].code, FindingCode::LoopBusy);
    assert_eq!(
        (&found[0].evidence["times"], &found[0].evidence["held_ms"]),
        (&1.into(), &9_000.into())
    );
    chart.facts.push(stall(40, 2_000, true));
    let found = examine(&chart, &Rules::default());
    assert_eq!(
        (&found[0].evidence["times"], &found[0].evidence["held_ms"]),
        (&2.into(), &9_000.into())
    );
}

#[test]
fn nobody_sweeps_once_the_last_sweep_and_the_start_are_so_long_ago() {
    let with = |since: u64, swept: Option<u64>| {
        let mut chart = with_process(NOW);
        chart.daemons = vec![daemon(SWEEPER, ago(since))];
        chart.figures.swept = swept.map(|swept| (PROCESS, ago(swept)));
        chart
    };
    assert_eq!(codes(&with(30, None)), [FindingCode::NoSweeper]);
    assert_eq!(codes(&with(600, Some(30))), [FindingCode::NoSweeper]);
    assert_eq!(codes(&with(29, None)), [], "it has only begun");
    assert_eq!(codes(&with(600, Some(29))), []);
    let mut idle = with(600, None);
    idle.daemons.clear();
    assert_eq!(codes(&idle), [], "nobody is there who should");
}

#[test]
fn a_clock_is_behind_once_a_commit_is_dated_before_one_that_came_before_it() {
    let other = ProcessId(uuid::Uuid::from_u128(8));
    let five = Duration::from_secs(5);
    let with = |late: Duration, next: Time| {
        let mut chart = with_process(NOW);
        chart.processes.push(scene::process(other, ago(600), NOW));
        chart.subscriptions = vec![subscription(&[], None)];
        let mut slow = event(2, "{}", ago(60).before(late));
        std::sync::Arc::make_mut(&mut slow.event).origin = other;
        chart.events = vec![event(3, "{}", next), slow, event(1, "{}", ago(60))];
        examine(&chart, &Rules::default())
    };
    let found = with(five, ago(60));
    assert_eq!(found[0].code, FindingCode::ClockSkew);
    assert_eq!(found[0].subject.process, Some(other));
    assert_eq!(found[0].evidence["behind_ms"], 5_000);
    assert_eq!(
        with(five.saturating_sub(Duration::from_millis(1)), ago(60)),
        []
    );
    let set_back = with(five, ago(65));
    assert_eq!(set_back, [], "the clock of both was set back");
}

/// A letter that has failed once, and is due since then.
fn letter(error_kind: FailureKind, due: Option<Time>) -> Letter {
    Letter {
        id: LetterId(1),
        event: (*event(1, "{}", ago(600)).event).clone(),
        subscription: ID,
        handler: "trainer".to_owned(),
        state: match due {
            Some(_) => LetterState::Retrying,
            None => LetterState::Dead,
        },
        error: "no".to_owned(),
        error_kind,
        step: None,
        attempts: 1,
        attempts_total: 1,
        deaths: 0,
        created_at: ago(600),
        last_attempt_at: ago(600),
        next_retry_at: due,
        linked: None,
    }
}

#[test]
fn a_letter_is_overdue_once_nobody_retried_it_for_so_long() {
    let with = |due: Time| {
        let mut chart = with_process(NOW);
        let mut state = subscription(&[], None);
        state.hosts.insert(PROCESS, 1);
        chart.subscriptions = vec![state];
        let mut retry = daemon(DLQ_RETRY, ago(300));
        (retry.state, retry.stopped_by) = ("stopped".to_owned(), Some("ann".to_owned()));
        chart.daemons = vec![daemon(CROSS_PROCESS_POLLER, ago(300)), retry];
        chart.letters = vec![letter(FailureKind::Error, Some(due))];
        codes(&chart)
    };
    let ten = Duration::from_secs(10);
    assert_eq!(with(NOW.before(ten)), []);
    let more = ten + Duration::from_millis(1);
    assert_eq!(with(NOW.before(more)), [FindingCode::RetryStopped]);
}

#[test]
fn a_process_is_crowded_once_a_delivery_waited_so_long_for_one_of_its_places() {
    let with = |waits: Duration, in_flight: u64| {
        let mut chart = with_process(NOW);
        chart.subscriptions = vec![subscription(&[], None)];
        let state = &mut chart.processes[0];
        state.load.in_flight = in_flight;
        state.load.in_flight_max = 32;
        state.hosts = vec![HostState {
            subscription: ID,
            in_flight: 32,
            waiting: 1,
            abandoned: 0,
            waits_for: Some((Code::WtProcessLimit, NOW.before(waits))),
            lagging_after: None,
            lagging_since: None,
            ends: Ends::default(),
            window: Ends::default(),
            window_since: ago(300),
            policy: PolicyInForce {
                concurrency: 300,
                time_limit_ms: 60_000,
                rate: None,
                attempts_max: 5,
                dedup_fields: Vec::new(),
                dedup_ttl_ms: 0,
            },
        }];
        codes(&chart)
    };
    let one = Duration::from_secs(1);
    assert_eq!(with(one, 32), [FindingCode::Crowded]);
    let less = one.saturating_sub(Duration::from_millis(1));
    assert_eq!(with(less, 32), []);
    assert_eq!(with(one, 31), [], "there is a place again");
}

#[test]
fn a_run_over_its_limit_has_computed_from_its_share_of_the_processor_on() {
    let with = |cpu_us: u64, state: &str| {
        let mut chart = quiet();
        chart.subscriptions = vec![subscription(&[], None)];
        chart.letters = vec![letter(FailureKind::Timeout, None)];
        let logged = event(1, "{}", ago(600));
        let known = format!(
            "{{\"took_us\":1000000,\"effort\":{{\"cpu_us\":{cpu_us},\"polls\":1}},\"state\":\"{state}\"}}"
        );
        chart.facts = vec![fact(Code::HnTimeout, &logged, &known)];
        codes(&chart)
    };
    assert_eq!(with(200_000, "S"), [FindingCode::EndlessLoop]);
    assert_eq!(with(199_999, "S"), [FindingCode::HandlerSlow]);
    assert_eq!(
        with(0, "R"),
        [FindingCode::EndlessLoop],
        "it would if it could"
    );
}
