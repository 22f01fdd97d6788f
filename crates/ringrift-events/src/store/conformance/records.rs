//! What is kept so that it can be told later: refusals, counts, hosts, catalogs, call sites.

use std::time::Duration;

use super::bench::Bench;
use super::harness::{Broken, Check, Harness, holds, promises, same};
use crate::event::{EventType, Seq};
use crate::store::log::{CallSite, EventRef};
use crate::store::records::{
    Cycle, DeclaredHandler, Ends, HostRecord, HostState, Load, MissingField, PolicyInForce,
    Present, REFUSALS_MAX, Refusal, Stall, StallClass, Unbridged,
};
use crate::store::registry::{Fact, FactFilter, ProcessState};
use crate::store::subscriptions::{Generation, SeekTo, SubscriptionId};
use crate::verdict::{Code, Effort};

promises!(
    a_page_shows_how_subscriptions_stand,
    a_page_shows_who_holds_threads,
    a_page_shows_since_when_a_run_is_in_its_step_and_what_it_used,
    refusals_are_counted_by_name,
    refusals_are_bounded,
    unbridged_publishes_are_counted_with_the_last,
    missing_key_fields_are_counted,
    a_declared_handler_that_was_started_stays_started,
    who_hosted_what_outlasts_the_process,
    a_dead_process_leaves_how_its_runs_ended,
    catalogs_are_kept_from_when_on,
    an_event_tells_where_it_was_published,
    a_fact_tells_its_generation,
);

fn state_of(asker: &Bench, of: &Bench) -> Result<ProcessState, Broken> {
    let states = asker.store.processes().wait()?;
    let mut states = states.into_iter();
    let state = states.find(|state| state.process.id == of.store.process());
    state.ok_or_else(|| Broken::new("a process is not listed"))
}

fn policy() -> PolicyInForce {
    PolicyInForce {
        concurrency: 3,
        time_limit_ms: 500_000,
        rate: Some((4, 1_000)),
        attempts_max: 5,
        dedup_fields: vec!["config_key".to_owned(), "run.id".to_owned()],
        dedup_ttl_ms: 300_000,
    }
}

fn ends(done: u64, failed: u64) -> Ends {
    Ends {
        done,
        failed,
        skipped: 7,
        duplicates: 8,
    }
}

fn host(bench: &Bench, id: SubscriptionId) -> HostState {
    HostState {
        subscription: id,
        in_flight: 3,
        waiting: 41,
        abandoned: 1,
        waits_for: Some((Code::WtProcessLimit, bench.now())),
        lagging_after: Some(Seq(0)),
        lagging_since: Some(bench.now()),
        ends: ends(100, 20),
        window: ends(10, 9),
        window_since: bench.now(),
        policy: policy(),
    }
}

fn a_page_shows_how_subscriptions_stand(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let plain = HostState {
        waits_for: None,
        lagging_after: None,
        lagging_since: None,
        policy: PolicyInForce::default(),
        ..host(&one, SubscriptionId(9))
    };
    let present = Present {
        hosts: vec![host(&one, SubscriptionId(4)), plain],
        load: Load {
            in_flight: 255,
            in_flight_max: 256,
            waiting: 40,
            waited: 300,
            lag_p99_us: 70_000,
            lag_max_us: 90_000,
            publishing: 2,
        },
        cycles: vec![Cycle {
            daemon: "CROSS_PROCESS_POLLER".to_owned(),
            at: one.now(),
        }],
    };
    one.store.show(present.clone());
    let state = state_of(&two, &one)?;
    same!(state.hosts, present.hosts, "each subscription is seen");
    same!(state.load, present.load, "how busy it is");
    same!(state.cycles, present.cycles, "and its daemons' cycles");
    one.store.show(Present::default());
    let state = state_of(&two, &one)?;
    holds!(
        state.hosts.is_empty() && state.cycles.is_empty(),
        "what is not shown any more is gone"
    );
    Ok(())
}

fn a_page_shows_who_holds_threads(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let stall = |bench: &Bench, class| Stall {
        subscription: Some(SubscriptionId(3)),
        handler: "evaluator".to_owned(),
        event: bench.event("a", "{}").id,
        seq: Some(Seq(7)),
        event_type: EventType::from_canonical("training_completed"),
        since: bench.now(),
        held_ms: 3_000,
        class,
        cpu_ms: Some(0),
        thread: "rr-handler".to_owned(),
        tid: 4_321,
        state: Some('S'),
        syscall: Some("read".to_owned()),
        object: Some("/tmp/a fifo".to_owned()),
        place: Some("evaluate.py:41 in on_event".to_owned()),
    };
    let mut second = stall(&one, StallClass::Unknown);
    (second.seq, second.cpu_ms, second.state) = (None, None, None);
    (second.syscall, second.object, second.place) = (None, None, None);
    second.subscription = None;
    let stalls = vec![stall(&one, StallClass::Io), second];
    one.store.show_stalls(stalls.clone());
    same!(state_of(&two, &one)?.stalls, stalls, "both are seen");
    harness.kill(&one.store);
    same!(
        state_of(&two, &one)?.stalls,
        stalls,
        "of a dead process what it was at"
    );
    Ok(())
}

fn a_page_shows_since_when_a_run_is_in_its_step_and_what_it_used(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    let event = one.event("a", "{}");
    let Some(slot) = one.start(id, &event) else {
        return Err(Broken::new("there was no slot for the first run"));
    };
    harness.clock().advance(Duration::from_secs(3));
    one.store.step(slot, "db:save");
    let effort = Effort {
        polls: 17,
        busy_us: 2_000_000,
        cpu_us: Some(0),
    };
    one.store.progress(slot, effort);
    let running = state_of(&two, &one)?.running;
    same!(running.len(), 1, "one runs");
    same!(
        running[0].step_since,
        Some(one.now()),
        "since its step began"
    );
    same!(running[0].effort, effort, "with what it used");
    Ok(())
}

fn refusal(bench: &Bench, name: &str) -> Refusal {
    Refusal {
        process: bench.store.process(),
        verb: "publish".to_owned(),
        name: name.to_owned(),
        code: "TYPE_UNKNOWN".to_owned(),
        subscription: String::new(),
        nearest: Some("training_completed".to_owned()),
        call_site: Some("main.rs:7".to_owned()),
        count: 1,
        first_at: bench.now(),
        last_at: bench.now(),
    }
}

fn refusals_are_counted_by_name(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let first = refusal(&one, "training_complted");
    one.store.keep_refusals(vec![first.clone()]).wait()?;
    harness.clock().advance(Duration::from_secs(5));
    let again = Refusal {
        count: 3,
        call_site: None,
        ..refusal(&one, "training_complted")
    };
    let other = Refusal {
        verb: "subscribe".to_owned(),
        subscription: "evaluator".to_owned(),
        nearest: None,
        ..refusal(&two, "nonsense")
    };
    one.store.keep_refusals(vec![again.clone()]).wait()?;
    two.store.keep_refusals(vec![other.clone()]).wait()?;
    let mut kept = two.store.refusals().wait()?;
    kept.sort_by_key(|one| one.verb.clone());
    let together = Refusal {
        count: 4,
        last_at: again.last_at,
        ..first
    };
    same!(kept, vec![together, other], "counted, from first to last");
    Ok(())
}

fn refusals_are_bounded(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let names = 0..REFUSALS_MAX + 5;
    let many = names
        .map(|n| refusal(&bench, &format!("name_{n}")))
        .collect();
    bench.store.keep_refusals(many).wait()?;
    let kept = bench.store.refusals().wait()?;
    same!(
        kept.len(),
        REFUSALS_MAX + 1,
        "a thousand, and the rest as one"
    );
    let rest: Vec<u64> = kept
        .iter()
        .filter(|one| one.name.is_empty())
        .map(|one| one.count)
        .collect();
    same!(rest, vec![5], "counted under no name");
    Ok(())
}

fn unbridged_publishes_are_counted_with_the_last(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let last = one.event("x", "{}");
    let count = |count, last| Unbridged {
        process: one.store.process(),
        event_type: EventType::from_canonical("x"),
        count,
        last,
    };
    let first = one.event("x", "{}").id;
    one.store
        .count_unbridged(vec![count(2, Some((first, one.now())))])
        .wait()?;
    one.store
        .count_unbridged(vec![count(3, Some((last.id, one.now())))])
        .wait()?;
    same!(
        two.store.unbridged().wait()?,
        vec![count(5, Some((last.id, one.now())))],
        "one row a type"
    );
    Ok(())
}

fn missing_key_fields_are_counted(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let count = |count, event: &crate::event::Event| MissingField {
        process: bench.store.process(),
        subscription: id,
        field: "config_key".to_owned(),
        count,
        last: (event.id, bench.now()),
    };
    let (first, last) = (bench.event("a", "{}"), bench.event("a", "{}"));
    let store = &bench.store;
    store.count_missing_fields(vec![count(2, &first)]).wait()?;
    store.count_missing_fields(vec![count(1, &last)]).wait()?;
    same!(
        store.missing_fields().wait()?,
        vec![count(3, &last)],
        "one row a field"
    );
    Ok(())
}

fn a_declared_handler_that_was_started_stays_started(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let declared = |name: &str, started: bool| DeclaredHandler {
        process: bench.store.process(),
        name: name.to_owned(),
        types: vec!["a".to_owned(), "b".to_owned()],
        declared_at: bench.now(),
        started_at: started.then(|| bench.now()),
    };
    let store = &bench.store;
    let (started, idle) = (declared("evaluator", true), declared("gate", false));
    store
        .declare_handlers(vec![started.clone(), idle.clone()])
        .wait()?;
    harness.clock().advance(Duration::from_secs(9));
    store
        .declare_handlers(vec![declared("evaluator", false)])
        .wait()?;
    same!(
        store.declared_handlers().wait()?,
        vec![started, idle],
        "with the first time of each"
    );
    Ok(())
}

fn record(bench: &Bench, id: SubscriptionId) -> HostRecord {
    HostRecord {
        process: bench.store.process(),
        subscription: id,
        policy: policy(),
        since: bench.now(),
        until: None,
        ends: Ends::default(),
    }
}

fn who_hosted_what_outlasts_the_process(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    let first = record(&one, id);
    one.store.keep_hosts(vec![first.clone()]).wait()?;
    same!(
        two.store.host_records().wait()?,
        vec![first.clone()],
        "it is seen"
    );
    harness.clock().advance(Duration::from_secs(9));
    let ended = HostRecord {
        until: Some(one.now()),
        ends: ends(5, 1),
        ..record(&one, id)
    };
    one.store.keep_hosts(vec![ended.clone()]).wait()?;
    one.store.close();
    let since = first.since;
    same!(
        two.store.host_records().wait()?,
        vec![HostRecord { since, ..ended }],
        "and outlasts its process"
    );
    Ok(())
}

fn a_dead_process_leaves_how_its_runs_ended(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    one.store.keep_hosts(vec![record(&one, id)]).wait()?;
    one.store.show(Present {
        hosts: vec![host(&one, id)],
        ..Present::default()
    });
    harness.kill(&one.store);
    two.store.take_over(super::bench::rules()).wait()?;
    let records = two.store.host_records().wait()?;
    same!(records.len(), 1, "it is kept");
    same!(records[0].ends, ends(100, 20), "as its page said last");
    holds!(records[0].until.is_some(), "and has ended");
    Ok(())
}

fn catalogs_are_kept_from_when_on(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let began = one.now();
    one.store.keep_catalog(1, "first".to_owned()).wait()?;
    one.store.keep_catalog(1, "first".to_owned()).wait()?;
    harness.clock().advance(Duration::from_secs(9));
    one.store.keep_catalog(2, "second".to_owned()).wait()?;
    let of_one: Vec<_> = two
        .store
        .process_catalogs()
        .wait()?
        .into_iter()
        .filter(|kept| kept.process == one.store.process())
        .map(|kept| (kept.hash, kept.since))
        .collect();
    same!(of_one, vec![(2, one.now()), (1, began)], "the last first");
    same!(
        two.store.catalog(1).wait()?,
        Some("first".to_owned()),
        "with their texts"
    );
    same!(
        two.store.catalog(3).wait()?,
        None,
        "of those that were kept"
    );
    same!(
        state_of(&two, &one)?.process.catalog_hash,
        2,
        "the process names its present one"
    );
    Ok(())
}

fn an_event_tells_where_it_was_published(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let site = CallSite::new("trainer/main.py", 41);
    let events = vec![bench.event("a", "{}"), bench.event("a", "{}")];
    let sites = [Some(site), None];
    let drafts = events.into_iter().zip(sites);
    let drafts = drafts.map(|(event, call_site)| crate::store::log::Draft {
        event: std::sync::Arc::new(event),
        idempotency_key: None,
        call_site,
    });
    let batch = crate::store::log::Batch {
        drafts: drafts.collect(),
        durability: crate::store::log::Durability::Process,
    };
    let appended = bench.store.append(batch, None).wait()?;
    let mut told = Vec::new();
    for one in appended {
        for logged in bench.store.find(EventRef::Seq(one.seq)).wait()? {
            told.push(logged.call_site);
        }
    }
    same!(
        told,
        vec![Some("trainer/main.py:41".to_owned()), None],
        "file and line, where they were given"
    );
    Ok(())
}

fn a_fact_tells_its_generation(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let fact = |generation| Fact {
        at: bench.now(),
        code: Some(Code::HnSkipped),
        event: None,
        seq: None,
        seq_to: None,
        event_type: None,
        subscription: Some(id),
        process: None,
        act: None,
        generation,
        evidence: "{}".to_owned(),
    };
    let now = bench.state(id)?.generation;
    let seek = bench
        .store
        .seek(id, SeekTo::Beginning, "ann".to_owned(), false);
    seek.wait()?;
    let then = bench.state(id)?.generation;
    holds!(now != then, "a seek begins a generation");
    bench
        .store
        .record(vec![fact(Some(now)), fact(None)])
        .wait()?;
    let filter = FactFilter {
        codes: vec![Code::HnSkipped],
        limit: 10,
        ..FactFilter::default()
    };
    let facts = bench.store.facts(filter).wait()?;
    let told: Vec<Option<Generation>> = facts.iter().map(|fact| fact.generation).collect();
    same!(
        told,
        vec![Some(then), Some(now)],
        "the one it names, or the present one"
    );
    Ok(())
}
