//! 3.2: the poller of process B was stopped.

use crate::cause::Cause;
use crate::part::{Part, TRAINED, noting};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "poller-not-running",
    parts: &[("host", host)],
    inject,
    below,
};

const POLLER: &str = "CROSS_PROCESS_POLLER";

fn inject(scene: &Scene) -> Vec<String> {
    let host = scene.start_ready("host");
    let pid = host.pid().to_string();
    scene.ok(&["daemons", "stop", POLLER, "--process", &pid]);
    scene.publish(TRAINED, "{\"number\":1}");
    vec![pid]
}

fn below(scene: &Scene) {
    let host = scene.start_ready("host");
    let pid = host.pid().to_string();
    scene.ok(&["daemons", "stop", POLLER, "--process", &pid]);
    scene.ok(&["daemons", "start", POLLER, "--process", &pid]);
    scene.publish(TRAINED, "{\"number\":1}");
    host.hears("handled 1");
}

fn host(part: &Part) {
    part.durable("trainer", part.policy(), noting());
    part.until_over();
}
