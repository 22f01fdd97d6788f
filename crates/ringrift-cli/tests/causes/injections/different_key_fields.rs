//! 4.3: two handlers of one type, in two processes, make their dedup keys of different fields.

use ringrift_events::handler::{Dedup, Policy};

use crate::cause::Cause;
use crate::part::{Part, TRAINED, noting};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "different-key-fields",
    parts: &[
        ("trainer", trainer),
        ("evaluator", evaluator),
        ("agreeing", agreeing),
    ],
    inject,
    below,
};

fn inject(scene: &Scene) -> Vec<String> {
    with(scene, "evaluator");
    ["trainer", "evaluator", "config_key", "model_path"]
        .map(str::to_owned)
        .to_vec()
}

fn below(scene: &Scene) {
    with(scene, "agreeing");
}

fn with(scene: &Scene, other: &str) {
    let trainer = scene.start_ready("trainer");
    let other = scene.start_ready(other);
    let payload = "{\"config_key\":\"hex8\",\"model_path\":\"m1\",\"number\":1}";
    scene.publish(TRAINED, payload);
    trainer.hears("handled 1");
    other.hears("handled 1");
}

fn trainer(part: &Part) {
    host(part, "trainer", &["config_key"]);
}

fn evaluator(part: &Part) {
    host(part, "evaluator", &["config_key", "model_path"]);
}

fn agreeing(part: &Part) {
    host(part, "evaluator", &["config_key"]);
}

fn host(part: &Part, name: &str, fields: &[&str]) {
    let policy = Policy {
        dedup: Some(Dedup::by(fields.iter().copied())),
        ..part.policy()
    };
    part.durable(name, policy, noting());
    part.until_over();
}
