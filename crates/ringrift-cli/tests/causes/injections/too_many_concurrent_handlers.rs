//! 6.4: 300 handlers want to run, more than the process allows, and none of them blocks for long.

use std::time::Duration;

use ringrift_events::handler::{Function, Policy};

use crate::cause::Cause;
use crate::part::{Part, TRAINED, say};
use crate::scene::{Scene, pause};

pub(crate) const CAUSE: Cause = Cause {
    slug: "too-many-concurrent-handlers",
    parts: &[("host", host)],
    inject,
    below,
};

/// Runs that the process allows at once.
const LIMIT: usize = 32;

fn inject(scene: &Scene) -> Vec<String> {
    scene.set("handler.in_flight_max", &LIMIT.to_string());
    let host = scene.start_ready("host");
    scene.publish_numbers(TRAINED, 0..300);
    host.hears_times("runs", LIMIT);
    // Whoever waits for a place for more than a second is counted.
    pause(Duration::from_millis(1_500));
    vec![host.pid().to_string(), LIMIT.to_string()]
}

fn below(scene: &Scene) {
    scene.set("handler.in_flight_max", &LIMIT.to_string());
    let host = scene.start_ready("host");
    // Every place is taken, and nobody waits for one.
    scene.publish_numbers(TRAINED, 0..LIMIT as u64);
    host.hears_times("runs", LIMIT);
    pause(Duration::from_millis(1_500));
}

/// Each run computes a little and waits a little, again and again, until the parent has seen enough.
fn host(part: &Part) {
    let policy = Policy {
        concurrency: 300,
        ..part.policy()
    };
    let orders = part.orders.clone();
    let function = Function::asynchronous(move |_| {
        let orders = orders.clone();
        async move {
            say("runs");
            while !orders.went() {
                for n in 0..100_000_u64 {
                    std::hint::black_box(n);
                }
                let gone = orders.gone();
                drop(tokio::time::timeout(Duration::from_millis(50), gone).await);
            }
            Ok(())
        }
    });
    part.durable("cruncher", policy, function);
    part.until_over();
}
