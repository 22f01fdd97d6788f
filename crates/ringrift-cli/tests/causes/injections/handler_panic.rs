//! 2.4: the handler panics on one event.

use ringrift_events::handler::Policy;

use crate::cause::Cause;
use crate::part::{Part, TRAINED, deciding, distant_retry, number};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "handler-panic",
    parts: &[("host", host)],
    inject,
    below,
};

fn inject(scene: &Scene) -> Vec<String> {
    let host = scene.start_ready("host");
    let ids = scene.publish_numbers(TRAINED, 0..5);
    host.hears("handled 4");
    vec![
        "trainer".to_owned(),
        ids[3].clone(),
        "no such move".to_owned(),
        "handler_panic.rs:".to_owned(),
    ]
}

fn below(scene: &Scene) {
    let host = scene.start_ready("host");
    scene.publish_numbers(TRAINED, 4..8);
    host.hears("handled 7");
}

fn host(part: &Part) {
    let function = deciding(|context| {
        assert_ne!(number(context), 3, "no such move");
        Ok(())
    });
    let policy = Policy {
        retry: distant_retry(),
        ..part.policy()
    };
    part.durable("trainer", policy, function);
    part.until_over();
}
