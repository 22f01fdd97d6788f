//! 4.2: the same key comes again a little after its window; below, a little before its end.

use std::time::Duration;

use ringrift_events::handler::{Dedup, Policy};

use crate::cause::Cause;
use crate::part::{Part, TRAINED, noting};
use crate::scene::{Scene, pause};

pub(crate) const CAUSE: Cause = Cause {
    slug: "dedup-ttl-too-short",
    parts: &[("narrow", narrow), ("wide", wide)],
    inject,
    below,
};

/// The window; an expired key is known for ten times as long, which no machine is too busy for.
const WINDOW: Duration = Duration::from_secs(3);

/// One of which a tenth is long enough for a busy machine.
const WIDE: Duration = Duration::from_secs(12);

fn inject(scene: &Scene) -> Vec<String> {
    let host = scene.start_ready("narrow");
    let first = scene.publish(TRAINED, "{\"config_key\":\"hex8\",\"number\":1}");
    host.hears("handled 1");
    pause(WINDOW + WINDOW / 10);
    let second = scene.publish(TRAINED, "{\"config_key\":\"hex8\",\"number\":2}");
    host.hears("handled 2");
    vec!["trainer".to_owned(), first, second]
}

fn below(scene: &Scene) {
    let host = scene.start_ready("wide");
    scene.publish(TRAINED, "{\"config_key\":\"hex8\",\"number\":1}");
    host.hears("handled 1");
    pause(WIDE - WIDE / 10);
    // By the process that is there: starting one takes a while.
    host.go();
    host.hears("handled 3");
}

fn narrow(part: &Part) {
    host(part, WINDOW);
    part.until_over();
}

fn wide(part: &Part) {
    host(part, WIDE);
    part.orders.until_go();
    part.publish(TRAINED, "{\"config_key\":\"hex8\",\"number\":2}");
    part.publish(TRAINED, "{\"config_key\":\"square8\",\"number\":3}");
    part.until_over();
}

fn host(part: &Part, ttl: Duration) {
    let dedup = Dedup {
        ttl,
        ..Dedup::by(["config_key"])
    };
    let policy = Policy {
        dedup: Some(dedup),
        ..part.policy()
    };
    part.durable("trainer", policy, noting());
}
