//! 6.2: two handlers loop beyond their limit, one without yielding, one with.

use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock};
use ringrift_events::handler::{Function, Policy};

use crate::cause::Cause;
use crate::part::{Part, TRAINED, distant_retry, say};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "infinite-loop",
    parts: &[("endless", endless), ("ending", ending)],
    inject,
    below,
};

/// The handlers' limit.
const LIMIT: Duration = Duration::from_millis(700);

fn inject(scene: &Scene) -> Vec<String> {
    let host = scene.start("endless");
    host.hears_times("ready", 2);
    let event = scene.publish(TRAINED, "{\"number\":1}");
    host.hears_times("loops", 2);
    vec!["spinner".to_owned(), "yielder".to_owned(), event]
}

fn below(scene: &Scene) {
    let host = scene.start("ending");
    host.hears_times("ready", 2);
    scene.publish(TRAINED, "{\"number\":1}");
    host.hears_times("ended", 2);
}

fn endless(part: &Part) {
    host(part, LIMIT, Duration::from_secs(3_600));
}

/// A fifth below the limit: a machine that is busy takes no second longer.
fn ending(part: &Part) {
    host(part, Duration::from_secs(5), Duration::from_secs(4));
}

fn host(part: &Part, time_limit: Duration, lasts: Duration) {
    let policy = Policy {
        time_limit,
        retry: distant_retry(),
        ..part.policy()
    };
    let orders = part.orders.clone();
    let spinner = Function::blocking(move |_| {
        say("loops");
        let ends = SystemClock.monotonic() + lasts;
        while SystemClock.monotonic() < ends && !orders.went() {
            std::hint::spin_loop();
        }
        say("ended");
        Ok(())
    });
    let orders = part.orders.clone();
    let yielder = Function::asynchronous(move |_| {
        let orders = orders.clone();
        async move {
            say("loops");
            let ends = SystemClock.monotonic() + lasts;
            while SystemClock.monotonic() < ends && !orders.went() {
                tokio::task::yield_now().await;
            }
            say("ended");
            Ok(())
        }
    });
    part.durable("spinner", policy.clone(), spinner);
    part.durable("yielder", policy, yielder);
    part.until_over();
}
