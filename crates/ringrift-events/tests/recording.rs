//! What is recorded so that it can be told why: each by what really happens, in memory and on SQLite.

#[path = "support/mod.rs"]
mod support;

use std::io::Read as _;
use std::time::Duration;

use ringrift_events::handler::{Dedup, Function, NotDone, Policy, StepKind};
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::store::log::{Batch, Durability, EventRef};
use ringrift_events::store::records::{HostState, StallClass};
use ringrift_events::store::registry::{Fact, FactFilter};
use ringrift_events::system::System;
use ringrift_events::verdict::Code;
use serde_json::Value;
use support::{World, until};

fn worlds() -> [World; 2] {
    [World::new(), World::sqlite()]
}

fn facts(system: &System, code: Code) -> Vec<Fact> {
    let filter = FactFilter {
        codes: vec![code],
        limit: 100,
        ..FactFilter::default()
    };
    system.store().facts(filter).wait().expect("facts")
}

fn evidence(fact: &Fact) -> Value {
    serde_json::from_str(&fact.evidence).expect("evidence is JSON")
}

fn publish(system: &System, payload: &str) -> ringrift_events::event::EventId {
    let publish = Publish::new("TRAINING_COMPLETED", payload);
    let receipt = system.router().publish_blocking(publish);
    receipt.expect("published").id
}

fn host(system: &System) -> Option<HostState> {
    let states = system.store().processes().wait().expect("processes");
    states.into_iter().flat_map(|state| state.hosts).next()
}

#[test]
fn a_misspelt_name_is_counted_with_what_was_meant_and_where() {
    for world in worlds() {
        let system = world.process();
        for _ in 0..3 {
            let misspelt = Publish::new("TRAINING_COMPLTED", "{}");
            assert!(system.router().publish(misspelt).is_err());
        }
        let subscribe = Subscribe::live("evaluator").to(["EVALUATION_COMPLTED"]);
        let refused = system
            .router()
            .subscribe(subscribe, Function::immediate(|_| Ok(())));
        assert!(refused.is_err());
        system.router().save_counts().expect("saved");
        let mut refusals = system.store().refusals().wait().expect("refusals");
        refusals.sort_by_key(|one| one.verb.clone());
        let told: Vec<_> = refusals
            .iter()
            .map(|one| (one.verb.as_str(), one.count, one.nearest.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("publish", 3, Some("training_completed")),
                ("subscribe", 1, Some("evaluation_completed"))
            ]
        );
        assert_eq!(refusals[0].code, "TYPE_UNKNOWN");
        let site = refusals[0].call_site.as_deref().expect("a call site");
        assert!(site.contains("recording.rs:"), "{site}");
        assert_eq!(refusals[1].subscription, "evaluator");
    }
}

#[test]
fn an_event_says_which_line_published_it_whichever_verb_did() {
    for world in worlds() {
        let system = world.process();
        let make = || Publish::new("TRAINING_COMPLETED", "{}");
        let router = system.router();
        let line = line!();
        let one = router.publish(make()).expect("sent");
        let two = router.publish_blocking(make());
        let three = router.publish_async(make());
        let one = one.wait().expect("published");
        let three = router.runtime().block_on(three).expect("published");
        let ids = [one.id, two.expect("published").id, three.id];
        for (id, line) in ids.into_iter().zip(line + 1..) {
            let found = system.store().find(EventRef::Id(id)).wait().expect("found");
            let site = found[0].call_site.clone().expect("a call site");
            assert!(site.ends_with(&format!("recording.rs:{line}")), "{site}");
        }
    }
}

#[test]
fn what_stays_in_its_process_is_counted_with_the_last_event() {
    for world in worlds() {
        let system = world.process();
        let volatile = system
            .catalog()
            .types()
            .into_iter()
            .find(|entry| !entry.bridged)
            .expect("an unbridged type");
        let mut last = None;
        for _ in 0..3 {
            let publish = Publish::new(volatile.event_type.as_str(), "{}");
            let receipt = system.router().publish_blocking(publish);
            last = Some(receipt.expect("published").id);
        }
        system.router().save_counts().expect("saved");
        let counts = system.store().unbridged().wait().expect("counts");
        assert_eq!(counts.len(), 1);
        assert_eq!(counts[0].count, 3);
        assert_eq!(counts[0].last.map(|last| last.0), last);
    }
}

#[test]
fn a_repeated_key_leaves_a_fact_about_the_original() {
    for world in worlds() {
        let system = world.process();
        let make = || Publish::new("TRAINING_COMPLETED", "{}").idempotency_key("run-7");
        let first = system.router().publish_blocking(make()).expect("published");
        for _ in 0..4 {
            let again = system.router().publish_blocking(make()).expect("published");
            assert_eq!(again.duplicate_of, Some(first.id));
        }
        until("it is recorded", || {
            let facts = facts(&system, Code::PubDuplicateOf);
            facts.len() == 1 && facts[0].event == Some(first.id)
        });
    }
}

#[test]
fn what_a_process_published_last_is_recorded_though_it_ends_at_once() {
    let world = World::sqlite();
    let reader = world.process();
    let make = || Publish::new("TRAINING_COMPLETED", "{}").idempotency_key("run-7");
    let publish = |system: &System| system.router().publish_blocking(make()).expect("published");
    publish(&reader);
    let short = world.process();
    // Whoever does what follows a commit is busy: the caller has its answer long before.
    let nothing = Batch {
        drafts: Vec::new(),
        durability: Durability::Process,
    };
    let busy = |_: &_| std::thread::park_timeout(Duration::from_millis(500));
    short.store().append(nothing, Some(Box::new(busy))).forget();
    assert!(publish(&short).duplicate_of.is_some());
    short.close();
    assert_eq!(facts(&reader, Code::PubDuplicateOf).len(), 1);
}

#[test]
fn a_live_handlers_skips_and_duplicates_leave_facts() {
    for world in worlds() {
        let system = world.process();
        let policy = Policy {
            dedup: Some(Dedup::by(["run"])),
            ..Policy::default()
        };
        let subscribe = Subscribe::live("evaluator")
            .to(["TRAINING_COMPLETED"])
            .policy(policy);
        let function = Function::immediate(|context| match context.payload().as_str() {
            text if text.contains("other") => Err(NotDone::skip("not mine")),
            _ => Ok(()),
        });
        system
            .router()
            .subscribe(subscribe, function)
            .expect("subscribed");
        let first = publish(&system, r#"{"run":1}"#);
        publish(&system, r#"{"run":1}"#);
        publish(&system, r#"{"run":2,"other":1}"#);
        publish(&system, r#"{"none":2}"#);
        until("both are recorded", || {
            facts(&system, Code::HnDuplicate).len() == 1
                && facts(&system, Code::HnSkipped).len() == 1
        });
        let duplicate = evidence(&facts(&system, Code::HnDuplicate)[0]);
        assert_eq!(duplicate["original"], first.to_string());
        until("a missing field is counted", || {
            system.router().save_counts().expect("saved");
            let missing = system.store().missing_fields().wait().expect("fields");
            missing
                .iter()
                .any(|one| one.field == "run" && one.count == 1)
        });
    }
}

#[test]
fn a_failure_tells_its_steps_its_error_numbers_and_what_the_process_had() {
    for world in worlds() {
        let system = world.process();
        let subscribe = Subscribe::durable("evaluator").to(["TRAINING_COMPLETED"]);
        let function = Function::blocking(|context| {
            context.step(StepKind::Disk, "load");
            context.step(StepKind::Db, "save");
            Err(std::io::Error::from_raw_os_error(24))?;
            Ok(())
        });
        system
            .router()
            .subscribe(subscribe, function)
            .expect("subscribed");
        publish(&system, "{}");
        until("it failed", || !facts(&system, Code::HnError).is_empty());
        let told = facts(&system, Code::HnError);
        assert!(told[0].generation.is_some());
        let told = evidence(&told[0]);
        assert_eq!(told["kind"], "resource");
        assert_eq!(told["errno"], serde_json::json!([24]));
        assert_eq!(told["steps"][0][0], "disk:load");
        assert_eq!(told["steps"][1][0], "db:save");
        assert!(told["effort"]["cpu_us"].is_u64(), "{told}");
        for figure in ["rss_bytes", "descriptors", "descriptors_max", "threads"] {
            assert!(told["resources"][figure].as_u64() > Some(0), "{told}");
        }
    }
}

#[test]
fn an_async_handler_that_reads_a_silent_fifo_is_recorded_with_the_file() {
    for world in worlds() {
        let system = world.process_with(|settings| {
            settings.handler.held_max = Duration::from_millis(200);
        });
        let fifo = world.folder().join("silent");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).expect("a fifo");
        // Open for both, so that no open waits and a read waits until somebody writes.
        let both = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&fifo)
            .expect("the fifo");
        let reader = std::sync::Arc::new(both.try_clone().expect("a descriptor"));
        let function = Function::asynchronous(move |_| {
            let reader = std::sync::Arc::clone(&reader);
            async move {
                let mut byte = [0];
                (&*reader).read_exact(&mut byte)?;
                Ok(())
            }
        });
        let subscribe = Subscribe::durable("evaluator").to(["TRAINING_COMPLETED"]);
        let hosted = system.router().subscribe(subscribe, function);
        let id = hosted.expect("subscribed").id();
        let event = publish(&system, "{}");
        let stalls = || {
            let states = system.store().processes().wait().expect("processes");
            states
                .into_iter()
                .flat_map(|state| state.stalls)
                .collect::<Vec<_>>()
        };
        until("the page shows it", || !stalls().is_empty());
        let shown = stalls().remove(0);
        assert_eq!((shown.handler.as_str(), shown.event), ("evaluator", event));
        assert_eq!(shown.syscall.as_deref(), Some("read"));
        let object = shown.object.expect("a file");
        assert!(object.ends_with("silent"), "{object}");
        std::io::Write::write_all(&mut &both, b"x").expect("written");
        until("its end is recorded", || {
            facts(&system, Code::WtLoopBlocked)
                .iter()
                .any(|fact| evidence(fact)["ended"] == true)
        });
        let told = facts(&system, Code::WtLoopBlocked).remove(0);
        assert_eq!((told.event, told.subscription), (Some(event), Some(id)));
        assert_eq!(evidence(&told)["class"], StallClass::Io.as_str());
        until("the page is empty again", || stalls().is_empty());
    }
}

#[test]
fn a_page_says_what_a_subscription_waits_for_and_a_record_outlasts_the_process() {
    for world in worlds() {
        let (system, other) = (world.process(), world.process());
        let (open, gate) = std::sync::mpsc::sync_channel::<()>(8);
        let gate = std::sync::Mutex::new(gate);
        let function = Function::blocking(move |_| {
            let waited = gate.lock().expect("a gate").recv();
            Ok(waited?)
        });
        let subscribe = Subscribe::live("evaluator").to(["TRAINING_COMPLETED"]);
        system
            .router()
            .subscribe(subscribe, function)
            .expect("subscribed");
        for _ in 0..3 {
            publish(&system, "{}");
        }
        until("two wait for the first", || {
            host(&other).is_some_and(|host| {
                host.waiting == 2
                    && host.in_flight == 1
                    && host
                        .waits_for
                        .is_some_and(|(code, _)| code == Code::WtConcurrency)
            })
        });
        assert_eq!(host(&other).expect("shown").policy.attempts_max, 5);
        for _ in 0..3 {
            open.send(()).expect("a handler");
        }
        until("all are done", || {
            host(&other).is_some_and(|host| host.ends.done == 3 && host.window.done == 3)
        });
        system.close();
        let records = other.store().host_records().wait().expect("records");
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].ends.done, 3);
        assert!(records[0].until.is_some());
        let declared = other.store().declared_handlers().wait().expect("handlers");
        assert_eq!(declared[0].name, "evaluator");
        assert!(declared[0].started_at.is_some());
    }
}

#[test]
fn a_handler_that_is_declared_and_never_started_is_known() {
    for world in worlds() {
        let system = world.process();
        let declared = system
            .router()
            .declare_handler("gate", &["TRAINING_COMPLETED"]);
        declared.expect("declared");
        let handlers = system.store().declared_handlers().wait().expect("handlers");
        assert_eq!(handlers.len(), 1);
        assert_eq!(
            (handlers[0].name.as_str(), handlers[0].started_at),
            ("gate", None)
        );
    }
}

#[test]
fn daemons_cycles_and_the_lag_of_tasks_are_shown() {
    for world in worlds() {
        let system = world.process();
        let subscribe = Subscribe::live("evaluator").to(["TRAINING_COMPLETED"]);
        let function = Function::immediate(|_| Ok(()));
        system
            .router()
            .subscribe(subscribe, function)
            .expect("subscribed");
        let shown = || {
            system
                .store()
                .processes()
                .wait()
                .expect("processes")
                .remove(0)
        };
        until("the poller's cycle is shown", || {
            let cycles = shown().cycles;
            cycles
                .iter()
                .any(|cycle| cycle.daemon == "CROSS_PROCESS_POLLER")
        });
        until("tasks were timed", || shown().load.lag_max_us > 0);
        assert!(shown().load.in_flight_max > 0);
    }
}

#[test]
fn a_long_wait_for_the_processs_limit_is_recorded() {
    for world in worlds() {
        let system = world.process_with(|settings| settings.handler.in_flight_max = 1);
        let (open, gate) = std::sync::mpsc::sync_channel::<()>(8);
        let gate = std::sync::Mutex::new(gate);
        let slow = Function::blocking(move |_| {
            let waited = gate.lock().expect("a gate").recv();
            Ok(waited?)
        });
        let to = |name: &str| Subscribe::live(name).to(["TRAINING_COMPLETED"]);
        system
            .router()
            .subscribe(to("slow"), slow)
            .expect("subscribed");
        publish(&system, "{}");
        until("it runs", || system.router().local_stats().running == 1);
        let swift = Function::immediate(|_| Ok(()));
        let swift = system.router().subscribe(to("swift"), swift);
        let swift = swift.expect("subscribed").id();
        let event = publish(&system, "{}");
        until("the page shows the limit", || {
            let states = system.store().processes().wait().expect("processes");
            states[0].load.waiting == 1
        });
        std::thread::park_timeout(Duration::from_millis(1_200));
        open.send(()).expect("a handler");
        open.send(()).expect("a handler");
        until("it is recorded", || {
            facts(&system, Code::WtProcessLimit)
                .iter()
                .any(|fact| (fact.event, fact.subscription) == (Some(event), Some(swift)))
        });
    }
}

/// A shell that holds the write lock of the system's database until its input is dropped.
fn shell_with_the_lock(system: &System) -> (std::process::Child, std::process::ChildStdin) {
    let mut shell = std::process::Command::new("sqlite3")
        .arg(system.config().home.database())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("sqlite3");
    let mut input = shell.stdin.take().expect("its input");
    let mut output = shell.stdout.take().expect("its output");
    std::io::Write::write_all(&mut input, b"BEGIN IMMEDIATE; SELECT 'held';\n").expect("asked");
    output.read_exact(&mut [0; 5]).expect("it holds the lock");
    (shell, input)
}

#[test]
fn a_process_that_waits_while_it_opens_the_store_is_told_then_and_afterwards() {
    let world = World::sqlite();
    let system = world.process();
    publish(&system, "{}");
    let (mut shell, input) = shell_with_the_lock(&system);
    std::thread::scope(|scope| {
        let opened = scope.spawn(|| world.process());
        until("it is known who waits for whom", || {
            let figures = system.store().figures().wait().expect("figures");
            figures.write_lock.is_some_and(|lock| {
                lock.pid == shell.id() && lock.waits == Some(std::process::id())
            })
        });
        std::thread::park_timeout(Duration::from_millis(1_500));
        drop(input);
        shell.wait().expect("ended");
        let opened = opened.join().expect("a system");
        let told = facts(&system, Code::WtStoreBusy);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].process, Some(opened.store().process()));
        let told = evidence(&told[0]);
        assert_eq!(told["pid"], shell.id());
        assert!(told["waited_ms"].as_u64() > Some(1_000), "{told}");
    });
}

#[test]
fn a_long_wait_for_the_write_lock_is_recorded_with_its_holder() {
    let world = World::sqlite();
    let system = world.process();
    publish(&system, "{}");
    let (mut shell, input) = shell_with_the_lock(&system);
    let sent = Publish::new("TRAINING_COMPLETED", "{}");
    let sent = system.router().publish(sent).expect("sent");
    std::thread::park_timeout(Duration::from_millis(1_500));
    // Its end rolls the transaction back.
    drop(input);
    shell.wait().expect("ended");
    sent.wait().expect("published");
    let told = facts(&system, Code::WtStoreBusy);
    assert_eq!(told.len(), 1);
    let told = evidence(&told[0]);
    assert_eq!(told["pid"], shell.id());
    assert!(
        told["command"]
            .as_str()
            .is_some_and(|text| text.contains("sqlite3"))
    );
    assert!(told["waited_ms"].as_u64() > Some(1_000), "{told}");
}
