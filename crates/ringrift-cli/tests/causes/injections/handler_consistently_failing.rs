//! 5.1: whatever comes, the handler fails.

use std::time::Duration;

use ringrift_events::handler::{NotDone, Policy, RetryPolicy};

use crate::cause::Cause;
use crate::part::{Part, TRAINED, deciding, number, say};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "handler-consistently-failing",
    parts: &[("often", often), ("seldom", seldom)],
    inject,
    below,
};

/// Events that fail: 5 runs each are 25, above the threshold of 20; 4 each are 20 less one.
const EVENTS: u64 = 5;

fn inject(scene: &Scene) -> Vec<String> {
    let host = scene.start_ready("often");
    scene.publish_numbers(TRAINED, 0..EVENTS);
    host.hears_times("failed", 25);
    vec!["trainer".to_owned(), "no such table".to_owned()]
}

fn below(scene: &Scene) {
    let host = scene.start_ready("seldom");
    scene.publish_numbers(TRAINED, 0..EVENTS - 1);
    host.hears_times("failed", 16);
}

fn often(part: &Part) {
    host(part, 5);
}

fn seldom(part: &Part) {
    host(part, 4);
}

fn host(part: &Part, attempts: u32) {
    let policy = Policy {
        retry: RetryPolicy {
            attempts,
            first: Duration::from_millis(5),
            factor: 1,
            most: Duration::from_millis(5),
        },
        ..part.policy()
    };
    let function = deciding(|context| {
        let number = number(context);
        say(&format!("failed {number}"));
        let text = format!("no such table: games_{number}");
        Err(NotDone::failed(text))
    });
    part.durable("trainer", policy, function);
    part.until_over();
}
