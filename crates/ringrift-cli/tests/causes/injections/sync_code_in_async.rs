//! 6.1: an async handler computes for two seconds without yielding.

use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock};
use rustix::time::{ClockId, clock_gettime};

use crate::cause::Cause;
use crate::part::{Part, TRAINED, deciding, say};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "sync-code-in-async",
    parts: &[("long", long), ("short", short)],
    inject,
    below,
};

fn inject(scene: &Scene) -> Vec<String> {
    let host = scene.start_ready("long");
    let event = scene.publish(TRAINED, "{\"number\":1}");
    host.hears("computed");
    vec!["trainer".to_owned(), event]
}

fn below(scene: &Scene) {
    scene.set("handler.held_max", "5s");
    let host = scene.start_ready("short");
    scene.publish(TRAINED, "{\"number\":1}");
    host.hears("computed");
}

fn long(part: &Part) {
    host(part, processor_time, Duration::from_secs(2));
}

/// A fifth below what is too long, however little of it the processor is had.
fn short(part: &Part) {
    host(part, || SystemClock.monotonic(), Duration::from_secs(4));
}

fn host(part: &Part, clock: fn() -> Duration, work: Duration) {
    let function = deciding(move |_| {
        compute(clock, work);
        say("computed");
        Ok(())
    });
    part.durable("trainer", part.policy(), function);
    part.until_over();
}

/// Computes for this long by this clock, whoever else wants the processor.
fn compute(clock: fn() -> Duration, work: Duration) {
    let until = clock() + work;
    let mut sum = 1_u64;
    while clock() < until {
        for n in 0..10_000_u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(n));
        }
    }
}

/// What this thread has had of the processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}
