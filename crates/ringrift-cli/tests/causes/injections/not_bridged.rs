//! 3.1: process A publishes a type that stays in its process, process B subscribes to it.

use ringrift_events::router::Subscribe;

use crate::cause::Cause;
use crate::part::{Part, TRAINED, noting};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "not-bridged",
    parts: &[("host", host)],
    inject,
    below,
};

fn inject(scene: &Scene) -> Vec<String> {
    scene.start_ready("host");
    scene.publish("QUEUED_EVENTS_SYNCED", "{\"number\":1}");
    vec!["mirror".to_owned(), "queued_events_synced".to_owned()]
}

fn below(scene: &Scene) {
    let host = scene.start_ready("host");
    scene.publish(TRAINED, "{\"number\":1}");
    host.hears("handled 1");
}

fn host(part: &Part) {
    let wanted = Subscribe::live("mirror").to(["QUEUED_EVENTS_SYNCED", TRAINED]);
    part.subscribe(wanted, noting());
    part.until_over();
}
