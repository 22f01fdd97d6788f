//! 1.4: the handler answers an error for one event, others pass.

use ringrift_events::handler::{NotDone, Policy};

use crate::cause::Cause;
use crate::part::{Part, TRAINED, deciding, distant_retry, number};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "handler-exception",
    parts: &[("host", host)],
    inject,
    below,
};

/// The event that fails.
const BAD: u64 = 7;

fn inject(scene: &Scene) -> Vec<String> {
    let host = scene.start_ready("host");
    let ids = scene.publish_numbers(TRAINED, 0..30);
    host.hears("handled 29");
    let bad = ids[usize::try_from(BAD).unwrap_or(0)].clone();
    let words = "no board of size seven".to_owned();
    vec!["trainer".to_owned(), bad, words]
}

fn below(scene: &Scene) {
    let host = scene.start_ready("host");
    scene.publish_numbers(TRAINED, BAD + 1..BAD + 30);
    host.hears_times("handled", 29);
}

fn host(part: &Part) {
    let function = deciding(|context| match number(context) {
        BAD => Err(NotDone::failed("no board of size seven")),
        _ => Ok(()),
    });
    let policy = Policy {
        retry: distant_retry(),
        ..part.policy()
    };
    part.durable("trainer", policy, function);
    part.until_over();
}
