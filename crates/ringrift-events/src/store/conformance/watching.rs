//! Watchers' steps, alerts, silences, messages.

use std::time::Duration;

use super::bench::Bench;
use super::harness::{Broken, Check, Harness, holds, promises, same};
use crate::clock::Time;
use crate::event::Seq;
use crate::store::registry::FactFilter;
use crate::store::watching::{
    Alert, AlertAct, AlertChange, AlertFilter, AlertId, AlertState, Fold, Message, MessageReport,
    Raise, Severity, Silence, WatchStep, Watched,
};

promises!(
    a_step_is_made_once_whoever_makes_it,
    what_a_watcher_kept_outlives_its_process,
    an_occurrence_folds_as_it_asks,
    the_end_of_an_alert_leaves_what_is_due_and_tells_the_end,
    an_alert_without_an_occurrence_is_forgotten,
    operators_ack_and_resolve_once,
    a_silence_keeps_from_sending_not_from_raising,
    a_message_is_tried_until_it_is_sent_or_given_up,
    a_stale_report_changes_no_message,
);

fn raise(rule: &str, group: &str, at: Time, fold: Fold) -> AlertChange {
    AlertChange::Raise(Raise {
        rule: rule.to_owned(),
        group: group.to_owned(),
        severity: Severity::Critical,
        summary: "it happened".to_owned(),
        evidence: "{}".to_owned(),
        event: None,
        at,
        fold,
        sinks: vec!["ops".to_owned()],
    })
}

fn step(seen: u64, changes: Vec<AlertChange>) -> WatchStep {
    WatchStep {
        watcher: "w".to_owned(),
        seen,
        place: Seq(0),
        marks: Vec::new(),
        changes,
    }
}

fn watched(bench: &Bench) -> Result<Watched, Broken> {
    Ok(bench.store.watched("w".to_owned()).wait()?)
}

/// Makes one step from where the watcher stands; the new alerts.
fn make(bench: &Bench, changes: Vec<AlertChange>) -> Result<Vec<AlertId>, Broken> {
    let seen = watched(bench)?.steps;
    let new = bench.store.keep_watch(step(seen, changes)).wait()?;
    new.ok_or_else(|| Broken::new("a step in its turn was refused"))
}

fn all(bench: &Bench) -> Result<Vec<Alert>, Broken> {
    let filter = AlertFilter {
        limit: 100,
        ..AlertFilter::default()
    };
    Ok(bench.store.alerts(filter).wait()?)
}

fn waiting(bench: &Bench) -> Result<Vec<Message>, Broken> {
    Ok(bench.store.waiting_messages(100).wait()?)
}

fn silence(rule: Option<&str>, group: Option<&str>, until: Time) -> Silence {
    Silence {
        id: 0,
        rule: rule.map(str::to_owned),
        group: group.map(str::to_owned),
        until,
        made_at: Time(0),
        by: "me".to_owned(),
        why: "it is known".to_owned(),
    }
}

fn report(message: &Message, error: Option<&str>, retry_at: Option<Time>) -> MessageReport {
    MessageReport {
        alert: Some((message.alert.id, message.resolved)),
        sink: message.sink.clone(),
        attempts_seen: message.attempts,
        error: error.map(str::to_owned),
        retry_at,
    }
}

fn a_step_is_made_once_whoever_makes_it(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    same!(watched(&one)?, Watched::default(), "it begins at the start");
    let now = one.now();
    let same_step = || step(0, vec![raise("r", "", now, Fold::Never)]);
    let first = one.store.keep_watch(same_step()).wait()?;
    let second = two.store.keep_watch(same_step()).wait()?;
    same!(first.map(|new| new.len()), Some(1), "the first raises it");
    same!(second, None, "the second is refused");
    same!(all(&two)?.len(), 1, "it is one alert");
    same!(waiting(&two)?.len(), 1, "and one message");
    Ok(())
}

fn what_a_watcher_kept_outlives_its_process(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let mut first = step(0, Vec::new());
    first.place = Seq(7);
    first.marks = vec![
        ("a".to_owned(), Some("1".to_owned())),
        ("b".to_owned(), Some("2".to_owned())),
    ];
    one.store.keep_watch(first).wait()?;
    let mut second = step(1, Vec::new());
    second.place = Seq(9);
    second.marks = vec![
        ("a".to_owned(), None),
        ("b".to_owned(), Some("3".to_owned())),
    ];
    one.store.keep_watch(second).wait()?;
    harness.kill(&one.store);
    let kept = watched(&two)?;
    same!((kept.place, kept.steps), (Seq(9), 2), "its place");
    same!(
        kept.marks,
        vec![("b".to_owned(), "3".to_owned())],
        "and what it remembers"
    );
    Ok(())
}

fn an_occurrence_folds_as_it_asks(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let at = bench.now();
    let later = |s: u64| at.after(Duration::from_secs(s));
    same!(
        make(&bench, vec![raise("r", "k", at, Fold::Open)])?.len(),
        1,
        "the first is new"
    );
    let folds = [
        (raise("r", "k", later(1), Fold::Open), 0),
        (raise("r", "other", later(1), Fold::Open), 1),
        (raise("other", "k", later(1), Fold::Open), 1),
        (raise("r", "third", later(2), Fold::OpenOfRule), 0),
        (
            raise("r", "k", later(61), Fold::Within(Duration::from_secs(60))),
            0,
        ),
        (
            raise("r", "k", later(200), Fold::Within(Duration::from_secs(60))),
            1,
        ),
        (raise("r", "k", later(201), Fold::Never), 1),
    ];
    for (n, (change, new)) in folds.into_iter().enumerate() {
        same!(make(&bench, vec![change])?.len(), new, "occurrence {n}");
    }
    let alerts = all(&bench)?;
    let counts: Vec<u64> = alerts.iter().map(|alert| alert.count).collect();
    same!(counts, vec![1, 1, 1, 2, 3], "newest first, each counted");
    same!(alerts[4].last_at, later(61), "with its last occurrence");
    Ok(())
}

fn the_end_of_an_alert_leaves_what_is_due_and_tells_the_end(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    make(&bench, vec![raise("r", "k", bench.now(), Fold::Open)])?;
    let end = AlertChange::Resolve {
        rule: "r".to_owned(),
        group: "k".to_owned(),
        why: "it moves again".to_owned(),
        sinks: vec!["ops".to_owned()],
    };
    make(&bench, vec![end.clone()])?;
    let alert = &all(&bench)?[0];
    same!(alert.state, AlertState::Resolved, "it is over");
    same!(
        alert.resolved.as_ref().map(|(_, why)| why.as_str()),
        Some("it moves again"),
        "and says why"
    );
    let kinds: Vec<bool> = waiting(&bench)?.iter().map(|one| one.resolved).collect();
    same!(kinds, vec![false, true], "both are still to be told");
    make(&bench, vec![end])?;
    same!(waiting(&bench)?.len(), 2, "it ends once");
    same!(
        make(&bench, vec![raise("r", "k", bench.now(), Fold::Open)])?.len(),
        1,
        "the next one is new"
    );
    Ok(())
}

fn an_alert_without_an_occurrence_is_forgotten(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let at = bench.now();
    make(
        &bench,
        vec![
            raise("r", "", at, Fold::Never),
            raise("s", "", at, Fold::Never),
        ],
    )?;
    let forget = |before| AlertChange::Forget {
        rules: vec!["r".to_owned()],
        before,
    };
    make(&bench, vec![forget(at)])?;
    same!(
        all(&bench)?
            .iter()
            .filter(|one| one.state == AlertState::Open)
            .count(),
        2,
        "none is older"
    );
    make(&bench, vec![forget(at.after(Duration::from_micros(1)))])?;
    let states: Vec<AlertState> = all(&bench)?.iter().map(|one| one.state).collect();
    same!(
        states,
        vec![AlertState::Open, AlertState::Resolved],
        "of that rule only"
    );
    Ok(())
}

fn operators_ack_and_resolve_once(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let new = make(&bench, vec![raise("r", "", bench.now(), Fold::Open)])?;
    let act = |act| {
        bench
            .store
            .act_on_alerts(vec![new[0], AlertId(99)], act, "me".to_owned())
    };
    same!(act(AlertAct::Ack).wait()?, new, "it is known now");
    same!(act(AlertAct::Ack).wait()?, vec![], "and was before");
    same!(all(&bench)?[0].state, AlertState::Acked, "acked");
    same!(waiting(&bench)?.len(), 1, "who was to be told is told");
    same!(act(AlertAct::Resolve).wait()?, new, "it is over");
    same!(act(AlertAct::Resolve).wait()?, vec![], "and was before");
    same!(
        act(AlertAct::Ack).wait()?,
        vec![],
        "what is over is not acked"
    );
    same!(waiting(&bench)?.len(), 0, "nobody is told any more");
    let acts = bench.store.facts(FactFilter {
        acts_only: true,
        limit: 10,
        ..FactFilter::default()
    });
    same!(acts.wait()?.len(), 2, "both acts are kept");
    Ok(())
}

fn a_silence_keeps_from_sending_not_from_raising(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let now = bench.now();
    make(
        &bench,
        vec![
            raise("r", "k", now, Fold::Never),
            raise("s", "k", now, Fold::Never),
        ],
    )?;
    let until = now.after(Duration::from_secs(60));
    let id = bench
        .store
        .silence(silence(Some("r"), None, until))
        .wait()?;
    same!(
        waiting(&bench)?.len(),
        1,
        "what waited for that rule is taken back"
    );
    make(&bench, vec![raise("r", "k", now, Fold::Never)])?;
    same!(all(&bench)?.len(), 3, "it is raised");
    same!(
        all(&bench)?[0].silenced,
        Some(id),
        "with the silence that covers it"
    );
    same!(waiting(&bench)?.len(), 1, "and not sent");
    same!(bench.store.silences().wait()?.len(), 1, "the silence holds");
    holds!(
        bench.store.unsilence(id, "me".to_owned()).wait()?,
        "until it ends"
    );
    holds!(!bench.store.unsilence(id, "me".to_owned()).wait()?, "once");
    same!(
        bench.store.silences().wait()?.len(),
        0,
        "then it holds no more"
    );
    make(&bench, vec![raise("r", "k", now, Fold::Never)])?;
    same!(waiting(&bench)?.len(), 2, "and alerts are sent again");
    let other = silence(None, Some("other"), until);
    bench.store.silence(other).wait()?;
    make(&bench, vec![raise("r", "k", now, Fold::Never)])?;
    same!(
        waiting(&bench)?.len(),
        3,
        "another group's silence does not cover it"
    );
    harness.clock().advance(Duration::from_secs(61));
    same!(
        bench.store.silences().wait()?.len(),
        0,
        "silences end by themselves"
    );
    Ok(())
}

fn a_message_is_tried_until_it_is_sent_or_given_up(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let now = bench.now();
    make(
        &bench,
        vec![
            raise("r", "a", now, Fold::Never),
            raise("r", "b", now, Fold::Never),
        ],
    )?;
    let first = waiting(&bench)?[0].clone();
    let later = now.after(Duration::from_secs(5));
    let failed = report(&first, Some("refused"), Some(later));
    holds!(bench.store.report_message(failed).wait()?, "it failed");
    let waits = waiting(&bench)?;
    same!(
        (waits.len(), waits[1].attempts, waits[1].due),
        (2, 1, later),
        "it waits behind the other"
    );
    let sink = bench.store.sinks().wait()?.remove(0);
    same!(
        (sink.failures, sink.error.as_deref()),
        (1, Some("refused")),
        "its sink's failure"
    );
    let again = report(&waits[1], None, None);
    holds!(bench.store.report_message(again).wait()?, "it is sent");
    let sink = bench.store.sinks().wait()?.remove(0);
    same!(
        (sink.failures, sink.given_up),
        (0, 0),
        "its sink is well again"
    );
    let other = waiting(&bench)?[0].clone();
    let given_up = report(&other, Some("gone"), None);
    holds!(
        bench.store.report_message(given_up).wait()?,
        "it is given up"
    );
    same!(waiting(&bench)?.len(), 0, "nothing waits");
    let sink = bench.store.sinks().wait()?.remove(0);
    same!((sink.failures, sink.given_up), (1, 1), "which is kept");
    let states: Vec<String> = all(&bench)?
        .iter()
        .flat_map(|alert| alert.sends.iter().map(|send| send.state.clone()))
        .collect();
    same!(states, vec!["failed", "sent"], "and each alert tells it");
    Ok(())
}

fn a_stale_report_changes_no_message(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    make(&bench, vec![raise("r", "", bench.now(), Fold::Never)])?;
    let first = waiting(&bench)?[0].clone();
    holds!(
        bench
            .store
            .report_message(report(&first, None, None))
            .wait()?,
        "sent"
    );
    let late = report(&first, Some("late"), None);
    holds!(
        !bench.store.report_message(late).wait()?,
        "a second report is refused"
    );
    same!(all(&bench)?[0].sends[0].state, "sent", "it stays sent");
    let test = MessageReport {
        alert: None,
        sink: "other".to_owned(),
        attempts_seen: 0,
        error: Some("no such host".to_owned()),
        retry_at: None,
    };
    holds!(
        bench.store.report_message(test).wait()?,
        "a test of a sink is kept"
    );
    let sinks = bench.store.sinks().wait()?;
    same!(
        (sinks[1].sink.as_str(), sinks[1].failures),
        ("other", 1),
        "as the sink's"
    );
    Ok(())
}
