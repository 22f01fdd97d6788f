//! A system in which nothing is wrong and much is going on: several processes, durable and live
//! subscriptions, filters, dedup, publishers that go on while the doctor looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringrift_events::handler::{Context, Dedup, Function, Policy};
use ringrift_events::router::{Publish, Subscribe};

use crate::doctor::Diagnosis;
use crate::part::{Part, Run, TRAINED, number, say};
use crate::scene::{Scene, pause, until};

/// The name under which it is chosen.
pub(crate) const SLUG: &str = "healthy";

/// Its parts.
pub(crate) const PARTS: &[(&str, Run)] = &[
    ("trainer", trainer),
    ("evaluator", evaluator),
    ("publisher", publisher),
];

/// What a trained model is answered with, and what that is answered with.
const EVALUATED: &str = "EVALUATION_COMPLETED";
const CANDIDATE: &str = "PROMOTION_CANDIDATE";

/// How often the doctor looks while events flow.
const LOOKS: usize = 8;

/// Events of one publisher that are on their way at once, and of one transaction.
const UNDER_WAY: u64 = 100;
const BATCH: u64 = 5;

/// Between two of them: with what handlers publish in turn, two publishers make 500 events a second.
const PACE: Duration = Duration::from_millis(60);

/// Brings it about and looks at it meanwhile. Every event was handled when it returns.
pub(crate) fn run(scene: &Scene) -> Vec<Diagnosis> {
    // What the other homes have for the sake of speed are findings by themselves, and the disk is
    // the machine's.
    scene.set("store.lease", "30s");
    scene.set("doctor.disk_free_percent", "0");
    scene.expect("trainer");
    scene.start_ready("trainer");
    scene.start_ready("trainer");
    scene.start("evaluator").hears_times("ready", 2);
    let publishers = [(); 2].map(|()| scene.start_ready("publisher"));
    for publisher in &publishers {
        publisher.hears("published");
    }
    let mut known = events(scene);
    let looks = (0..LOOKS).map(|_| {
        let found = Diagnosis::of(scene);
        let now = events(scene);
        assert!(now > known, "nothing was published while the doctor looked");
        known = now;
        found
    });
    let looks = looks.collect();
    for publisher in publishers {
        publisher.go();
        publisher.hears("answered");
    }
    until("nothing is owed", || {
        let checks = ["check", "backlog", "--warn", "0", "--crit", "0"];
        scene.run(&checks).status.success()
    });
    looks
}

/// How many events the log has.
fn events(scene: &Scene) -> u64 {
    let answer = scene.answer(&["db", "sql", "SELECT COUNT(*) FROM events"], &[0]);
    let number = answer["data"]["rows"][0][0].as_u64();
    number.unwrap_or_else(|| panic!("no number in {answer}"))
}

/// Shares a subscription with another process, and publishes what it handled.
fn trainer(part: &Part) {
    let policy = Policy {
        concurrency: 8,
        dedup: Some(Dedup::by(["number"])),
        ..part.policy()
    };
    part.durable("trainer", policy, answering(part, EVALUATED));
    part.until_over();
}

fn evaluator(part: &Part) {
    let policy = Policy {
        concurrency: 8,
        ..part.policy()
    };
    let wanted = Subscribe::durable("evaluator")
        .to([EVALUATED])
        .policy(policy);
    part.subscribe(wanted, answering(part, CANDIDATE));
    let wanted = Subscribe::live("auditor")
        .to([TRAINED])
        .filter("config_key = \"hex8\"");
    part.subscribe(wanted, silent(|_| ()));
    part.until_over();
}

/// Publishes the number of what it handled as this type. The commit is waited for by nobody: a
/// handler must not hold its thread.
fn answering(part: &Part, with: &'static str) -> Function {
    let router = part.system.router().clone();
    silent(move |context| {
        let number = number(context);
        let payload = format!("{{\"config_key\":\"k{number}\",\"number\":{number}}}");
        drop(router.publish(Publish::new(with, payload)));
    })
}

/// Publishes at its pace, and no faster than the last of them answers, so that no backlog forms,
/// until the parent has seen enough.
fn publisher(part: &Part) {
    let own = u64::from(std::process::id()) * 1_000_000;
    let answered = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&answered);
    let function = silent(move |context| {
        let is_own = number(context) / 1_000_000 == own / 1_000_000;
        count.fetch_add(u64::from(is_own), Ordering::AcqRel);
    });
    part.subscribe(Subscribe::live("counter").to([CANDIDATE]), function);
    let mut published = 0;
    let under_way = |published: u64| published - answered.load(Ordering::Acquire);
    while !part.orders.went() {
        if under_way(published) + BATCH > UNDER_WAY {
            pause(Duration::from_millis(1));
            continue;
        }
        let batch = (published..published + BATCH).map(|at| {
            let key = ["hex8", "square8", "square19", "hexagonal"][(at % 4) as usize];
            let payload = format!("{{\"config_key\":\"{key}\",\"number\":{}}}", own + at);
            Publish::new(TRAINED, payload)
        });
        let publishing = part.system.router().publish_many(batch.collect());
        publishing.and_then(|one| one.wait()).expect("a commit");
        published += BATCH;
        say("published");
        pause(PACE);
    }
    until("each was answered", || under_way(published) == 0);
    say("answered");
    part.until_over();
}

/// An async handler that says nothing to the parent, which would not keep up.
fn silent(what: impl Fn(&Context) + Send + Sync + 'static) -> Function {
    let what = Arc::new(what);
    Function::asynchronous(move |context| {
        let what = Arc::clone(&what);
        async move {
            what(&context);
            Ok(())
        }
    })
}
