//! 1.3: the second event has the key of the first, within its window; and an event is published
//! again under the idempotency key of another.

use std::time::Duration;

use ringrift_events::handler::{Dedup, Policy};

use crate::cause::Cause;
use crate::part::{Part, TRAINED, noting};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "deduplicated",
    parts: &[("host", host)],
    inject,
    below,
};

fn inject(scene: &Scene) -> Vec<String> {
    let host = scene.start_ready("host");
    let original = scene.publish(TRAINED, "{\"config_key\":\"hex8\",\"number\":1}");
    host.hears("handled 1");
    let second = scene.publish(TRAINED, "{\"config_key\":\"hex8\",\"number\":2}");
    scene.publish(TRAINED, "{\"config_key\":\"square8\",\"number\":3}");
    host.hears("handled 3");
    let run = "{\"config_key\":\"run\",\"number\":4}";
    let keyed = ["publish", TRAINED, run, "--idempotency-key", "run-7"];
    scene.ok(&keyed);
    host.hears("handled 4");
    scene.ok(&keyed);
    ["trainer", &original, &second, "run-7"]
        .map(str::to_owned)
        .to_vec()
}

fn below(scene: &Scene) {
    let host = scene.start_ready("host");
    scene.publish(TRAINED, "{\"config_key\":\"hex8\",\"number\":1}");
    scene.publish(TRAINED, "{\"config_key\":\"square8\",\"number\":2}");
    host.hears("handled 2");
}

fn host(part: &Part) {
    let dedup = Dedup {
        // Long: however busy the machine is, the second comes within it.
        ttl: Duration::from_secs(3_600),
        ..Dedup::by(["config_key"])
    };
    let policy = Policy {
        dedup: Some(dedup),
        ..part.policy()
    };
    part.durable("trainer", policy, noting());
    part.until_over();
}
