//! 5.4: the retry daemon was stopped, and a retry fell due.

use std::time::Duration;

use ringrift_events::handler::NotDone;

use crate::cause::Cause;
use crate::part::{Part, TRAINED, deciding, say};
use crate::scene::{Scene, pause};

pub(crate) const CAUSE: Cause = Cause {
    slug: "retry-not-running",
    parts: &[("host", host)],
    inject,
    below,
};

const RETRY: &str = "DLQ_RETRY";

fn inject(scene: &Scene) -> Vec<String> {
    scene.set("doctor.overdue", "1s");
    let host = scene.start_ready("host");
    let pid = host.pid().to_string();
    scene.ok(&["daemons", "stop", RETRY, "--process", &pid]);
    scene.publish(TRAINED, "{\"number\":1}");
    host.hears("failed");
    vec!["trainer".to_owned(), pid]
}

/// It does not run either, and what is due is not overdue yet, nor when all have stopped.
fn below(scene: &Scene) {
    scene.set("doctor.overdue", "30s");
    let host = scene.start_ready("host");
    let pid = host.pid().to_string();
    scene.ok(&["daemons", "stop", RETRY, "--process", &pid]);
    scene.publish(TRAINED, "{\"number\":1}");
    host.hears("failed");
    pause(Duration::from_secs(12));
}

fn host(part: &Part) {
    let function = deciding(|context| {
        if context.attempt() == 1 {
            say("failed");
            return Err(NotDone::failed("not the first time"));
        }
        Ok(())
    });
    part.durable("trainer", part.policy(), function);
    part.until_over();
}
