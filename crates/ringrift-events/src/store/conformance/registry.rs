//! Processes, roles, daemons, commands, types, facts.

use std::sync::Arc;
use std::time::Duration;

use super::bench::Bench;
use super::harness::{Broken, Check, Harness, holds, promises, refused, same};
use crate::event::Seq;
use crate::store::ErrorCode;
use crate::store::registry::{
    Counters, DaemonState, DeclaredType, Fact, FactFilter, Liveness, ProcessState,
};
use crate::verdict::Code;

promises!(
    processes_see_each_other,
    a_page_shows_what_runs_and_what_ran,
    a_role_has_one_host,
    a_role_goes_with_its_process,
    daemons_are_reported_by_their_process,
    a_command_is_taken_once_and_answered,
    a_command_for_the_dead_is_refused,
    one_value_has_one_declaration,
    facts_come_newest_first_and_narrowed,
    an_append_rings_every_process,
);

fn state_of(asker: &Bench, of: &Bench) -> Result<ProcessState, Broken> {
    let states = asker.store.processes().wait()?;
    let mut states = states.into_iter();
    let state = states.find(|state| state.process.id == of.store.process());
    state.ok_or_else(|| Broken::new("a process is not listed"))
}

fn processes_see_each_other(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let counters = Counters {
        published: 7,
        ..Counters::default()
    };
    one.store.beat(counters, Seq(0));
    let state = state_of(&two, &one)?;
    same!(state.liveness, Liveness::Alive, "it lives");
    same!(state.counters.published, 7, "its counters are seen");
    harness.kill(&one.store);
    same!(
        state_of(&two, &one)?.liveness,
        Liveness::Dead,
        "its death is seen at once"
    );
    same!(
        state_of(&two, &two)?.liveness,
        Liveness::Alive,
        "and nobody else's"
    );
    Ok(())
}

fn a_page_shows_what_runs_and_what_ran(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    let event = one.event("a", "{}");
    let slot = one.start(id, &event);
    let Some(number) = slot else {
        return Err(Broken::new("there was no slot for the first run"));
    };
    one.store.step(number, "db:save");
    one.store.abandoned(number);
    let running = state_of(&two, &one)?.running;
    same!(running.len(), 1, "one runs");
    same!(
        (running[0].event, running[0].subscription),
        (event.id, id),
        "that one"
    );
    same!(running[0].step.as_deref(), Some("db:save"), "with its step");
    holds!(running[0].abandoned, "given up");
    one.stop(id, &event, slot);
    let state = state_of(&two, &one)?;
    holds!(state.running.is_empty(), "then it has ended");
    same!(state.recent.len(), 1, "and is remembered");
    same!(
        (state.recent[0].event, state.recent[0].code),
        (event.id, Code::HnOk),
        "with its end"
    );
    Ok(())
}

fn a_role_has_one_host(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    same!(
        one.store.elected("SWEEPER").wait()?,
        None,
        "nobody hosts it"
    );
    holds!(one.store.elect("SWEEPER").wait()?, "the first one does");
    holds!(one.store.elect("SWEEPER").wait()?, "asking again too");
    holds!(!two.store.elect("SWEEPER").wait()?, "the second does not");
    holds!(
        two.store.elect("ALERTS").wait()?,
        "another role is another role"
    );
    same!(
        two.store.elected("SWEEPER").wait()?,
        Some(one.store.process()),
        "it is known who"
    );
    two.store.resign("SWEEPER").wait()?;
    same!(
        two.store.elected("SWEEPER").wait()?,
        Some(one.store.process()),
        "nobody resigns for it"
    );
    one.store.resign("SWEEPER").wait()?;
    holds!(two.store.elect("SWEEPER").wait()?, "then the second may");
    Ok(())
}

fn a_role_goes_with_its_process(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    one.store.elect("SWEEPER").wait()?;
    harness.kill(&one.store);
    holds!(two.store.elect("SWEEPER").wait()?, "the dead host nothing");
    Ok(())
}

fn daemons_are_reported_by_their_process(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let state = |bench: &Bench, state: &str| DaemonState {
        process: bench.store.process(),
        name: "DLQ_RETRY".to_owned(),
        state: state.to_owned(),
        stopped_by: None,
        restarts: 2,
        error: Some("it broke".to_owned()),
        cycle_at: None,
        since: crate::clock::Time(1_767_225_600_000_000),
    };
    one.store
        .report_daemons(vec![state(&one, "running")])
        .wait()?;
    two.store
        .report_daemons(vec![state(&two, "running")])
        .wait()?;
    one.store
        .report_daemons(vec![state(&one, "stopped")])
        .wait()?;
    let mut daemons = two.store.daemons().wait()?;
    daemons.sort_by_key(|daemon| daemon.process != one.store.process());
    same!(
        daemons,
        vec![state(&one, "stopped"), state(&two, "running")],
        "one row a daemon"
    );
    Ok(())
}

fn a_command_is_taken_once_and_answered(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let send = two.store.send(
        one.store.process(),
        "daemon.stop".to_owned(),
        r#"{"name":"DLQ_RETRY"}"#.to_owned(),
        "ann".to_owned(),
    );
    let id = send.wait()?;
    holds!(
        two.store.take_commands().wait()?.is_empty(),
        "it is not for the sender"
    );
    let taken = one.store.take_commands().wait()?;
    same!(taken.len(), 1, "it is taken");
    same!(
        (taken[0].id, taken[0].verb.as_str()),
        (id, "daemon.stop"),
        "that one"
    );
    holds!(one.store.take_commands().wait()?.is_empty(), "once");
    same!(two.store.command(id).wait()?.result, None, "no answer yet");
    one.store.answer(id, "ok stopped".to_owned()).wait()?;
    let command = two.store.command(id).wait()?;
    same!(
        command.result.as_deref(),
        Some("ok stopped"),
        "the answer is seen"
    );
    holds!(
        command.taken_at.is_some() && command.by == "ann",
        "with its story"
    );
    same!(
        refused(two.store.command(999).wait())?,
        ErrorCode::NotFound,
        "no such command"
    );
    Ok(())
}

fn a_command_for_the_dead_is_refused(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let send = |to| {
        two.store
            .send(to, "x".to_owned(), "{}".to_owned(), "ann".to_owned())
            .wait()
    };
    harness.kill(&one.store);
    same!(
        refused(send(one.store.process()))?,
        ErrorCode::WrongState,
        "nobody would take it"
    );
    let stranger = crate::event::ProcessId::new(&**harness.clock());
    same!(
        refused(send(stranger))?,
        ErrorCode::NotFound,
        "nobody knows it"
    );
    Ok(())
}

fn one_value_has_one_declaration(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let declared = |value: &str, text: &str| DeclaredType {
        value: value.to_owned(),
        declaration: text.to_owned(),
    };
    let first = vec![declared("mine", r#"{"bridged":true}"#)];
    one.store.declare_types(first.clone()).wait()?;
    two.store.declare_types(first.clone()).wait()?;
    let other = vec![
        declared("fresh", "{}"),
        declared("mine", r#"{"bridged":false}"#),
    ];
    let result = two.store.declare_types(other).wait();
    same!(
        refused(result)?,
        ErrorCode::TypeDiffers,
        "another declaration"
    );
    same!(two.store.declared_types().wait()?, first, "all or nothing");
    Ok(())
}

fn facts_come_newest_first_and_narrowed(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let appended = bench.append(vec![bench.event("a", "{}"), bench.event("a", "{}")])?;
    let logged = bench
        .store
        .find(crate::store::log::EventRef::Seq(appended[0].seq))
        .wait()?;
    let event = &logged[0].event;
    let fact = |code: Code, about: bool| Fact {
        at: bench.now(),
        code: Some(code),
        event: about.then_some(event.id),
        seq: about.then_some(appended[0].seq),
        seq_to: None,
        event_type: Some(event.event_type.clone()),
        subscription: Some(id),
        process: Some(bench.store.process()),
        act: None,
        generation: None,
        evidence: r#"{"n":1}"#.to_owned(),
    };
    bench
        .store
        .record(vec![fact(Code::HnSkipped, true), fact(Code::WtRate, false)])
        .wait()?;
    harness.clock().advance(Duration::from_secs(60));
    let since = bench.now();
    bench
        .store
        .record(vec![fact(Code::HnTimeout, false)])
        .wait()?;
    let codes = |filter: FactFilter| -> Result<Vec<Code>, Broken> {
        let filter = FactFilter {
            limit: 10,
            ..filter
        };
        let facts = bench.store.facts(filter).wait()?;
        Ok(facts.iter().filter_map(|fact| fact.code).collect())
    };
    let all = codes(FactFilter::default())?;
    same!(
        all,
        vec![Code::HnTimeout, Code::WtRate, Code::HnSkipped],
        "newest first"
    );
    let of_event = FactFilter {
        event: Some(event.id),
        ..FactFilter::default()
    };
    same!(codes(of_event)?, vec![Code::HnSkipped], "by event");
    let of_codes = FactFilter {
        codes: vec![Code::WtRate],
        ..FactFilter::default()
    };
    same!(codes(of_codes)?, vec![Code::WtRate], "by code");
    let recent = FactFilter {
        since: Some(since),
        ..FactFilter::default()
    };
    same!(codes(recent)?, vec![Code::HnTimeout], "by age");
    Ok(())
}

fn an_append_rings_every_process(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let mut seen = 0;
    // Rings of the start are over once a call has waited in vain.
    for _ in 0..20 {
        let now = two.store.wait_for_news(seen, Duration::from_millis(20));
        if now == seen {
            break;
        }
        seen = now;
    }
    let store = Arc::clone(&two.store);
    let waiter = std::thread::spawn(move || store.wait_for_news(seen, Duration::from_secs(20)));
    one.publish(1)?;
    let rung = waiter
        .join()
        .map_err(|_| Broken::new("waiting for news panicked"))?;
    holds!(rung != seen, "another process's append was heard");
    Ok(())
}
