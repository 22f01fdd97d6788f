//! 3.4: an operator moved the subscription past events that it had not handled; and every filter of
//! a type turns away whatever comes.

use std::rc::Rc;

use ringrift_events::router::Subscribe;

use crate::cause::Cause;
use crate::part::{Part, TRAINED, noting};
use crate::scene::{Process, Scene, until};

pub(crate) const CAUSE: Cause = Cause {
    slug: "acked-not-processed",
    parts: &[("host", host)],
    inject,
    below,
};

/// The type that nobody takes.
const EVALUATED: &str = "EVALUATION_COMPLETED";

/// The type whose filter is set after its events were handled.
const PROMOTED: &str = "MODEL_PROMOTED";

/// From so many events on, filters that take none are a finding.
const FILTERED: u64 = 20;

fn inject(scene: &Scene) -> Vec<String> {
    let host = start(scene);
    scene.publish_numbers(EVALUATED, 0..FILTERED);
    scene.ok(&["subs", "pause", "trainer"]);
    let ids = scene.publish_numbers(TRAINED, 0..3);
    scene.ok(&["subs", "seek", "trainer", "--end", "--yes"]);
    scene.ok(&["subs", "resume", "trainer"]);
    scene.publish(TRAINED, "{\"number\":9}");
    host.hears("handled 9");
    ["trainer", &ids[0], "promoter"].map(str::to_owned).to_vec()
}

fn start(scene: &Scene) -> Rc<Process> {
    let host = scene.start("host");
    host.hears_times("ready", 3);
    host
}

fn below(scene: &Scene) {
    let host = start(scene);
    scene.publish_numbers(EVALUATED, 0..FILTERED - 1);
    scene.publish_numbers(TRAINED, 0..3);
    host.hears("handled 2");
    // Handled is not yet settled: what the seek skips must be nothing.
    until("nothing is left to skip", || {
        let would = scene.answer(&["subs", "seek", "trainer", "--end", "--dry-run"], &[0]);
        would["data"]["skipped"] == 0
    });
    scene.ok(&["subs", "seek", "trainer", "--end", "--yes"]);
    scene.publish(TRAINED, "{\"number\":9}");
    host.hears("handled 9");
    replaced_afterwards(scene, &host);
}

/// Events that were handled, by a handler whose filter would turn them away today.
fn replaced_afterwards(scene: &Scene, host: &Process) {
    scene.publish_numbers(PROMOTED, 100..100 + FILTERED + 5);
    host.hears_times("handled 1", usize::try_from(FILTERED + 5).unwrap_or(0));
    let strict = ["--where", "elo__gte = 1000", "--replace", "--for", "1ms"];
    let subscribe = ["subscribe", PROMOTED, "--durable", "archiver"];
    scene.ok(&[subscribe.as_slice(), &strict].concat());
}

fn host(part: &Part) {
    part.durable("trainer", part.policy(), noting());
    let wanted = Subscribe::durable("promoter")
        .to([EVALUATED])
        .filter("config_key = \"hex9\"");
    part.subscribe(wanted, noting());
    part.subscribe(Subscribe::durable("archiver").to([PROMOTED]), noting());
    part.until_over();
}
