//! 1.2: somebody subscribes to a misspelling, somebody publishes one; both are refused.

use crate::cause::Cause;
use crate::part::{Part, TRAINED, noting};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "wrong-type-name",
    parts: &[("host", host)],
    inject,
    below,
};

fn inject(scene: &Scene) -> Vec<String> {
    scene.start_ready("host");
    scene.answer(&["publish", "TRAINNING_COMPLETED", "{}"], &[3]);
    let evaluator = ["subscribe", "TRAINING_COMPLETE", "--durable", "evaluator"];
    scene.answer(&evaluator, &[3]);
    ["TRAINNING_COMPLETED", "TRAINING_COMPLETE", TRAINED]
        .map(str::to_owned)
        .to_vec()
}

fn below(scene: &Scene) {
    let host = scene.start_ready("host");
    scene.publish(TRAINED, "{\"number\":1}");
    host.hears("handled 1");
}

fn host(part: &Part) {
    part.durable("trainer", part.policy(), noting());
    part.until_over();
}
