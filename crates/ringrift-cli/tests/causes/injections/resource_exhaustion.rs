//! 5.2: the handler's process has no descriptor left.

use std::fs::File;
use std::sync::Mutex;

use ringrift_events::handler::{Policy, Reply};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::cause::Cause;
use crate::part::{Part, TRAINED, deciding, distant_retry, say};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "resource-exhaustion",
    parts: &[("short", short), ("rich", rich)],
    inject,
    below,
};

fn inject(scene: &Scene) -> Vec<String> {
    let host = scene.start_ready("short");
    let event = scene.publish(TRAINED, "{\"number\":1}");
    host.hears("tried");
    vec!["trainer".to_owned(), event, "EMFILE".to_owned()]
}

fn below(scene: &Scene) {
    let host = scene.start_ready("rich");
    scene.publish(TRAINED, "{\"number\":1}");
    host.hears("handled 1");
}

fn short(part: &Part) {
    host(part, 0);
}

fn rich(part: &Part) {
    host(part, 8);
}

/// A handler that opens one file while `spare` descriptors are left.
fn host(part: &Part, spare: u64) {
    static LIMITS: Mutex<()> = Mutex::new(());
    let policy = Policy {
        retry: distant_retry(),
        ..part.policy()
    };
    let file = part.file("ringrift.toml");
    let function = deciding(move |_| {
        let _alone = LIMITS.lock().expect("no panic");
        let tried = with_spare(spare, || File::open(&file));
        say("tried");
        tried.map(drop)?;
        Reply::Ok(())
    });
    part.durable("trainer", policy, function);
    part.until_over();
}

/// Lowers the limit to so many descriptors above those that are open, for the time of one call: the
/// process's own threads need theirs.
fn with_spare<T>(spare: u64, call: impl FnOnce() -> T) -> T {
    let free = File::open("/dev/null").expect("one more");
    let next = std::os::fd::AsRawFd::as_raw_fd(&free);
    drop(free);
    let before = getrlimit(Resource::Nofile);
    let next = u64::try_from(next).unwrap_or(0);
    let limit = Rlimit {
        current: Some(next + spare),
        maximum: before.maximum,
    };
    setrlimit(Resource::Nofile, limit).expect("a lower limit");
    let answer = call();
    setrlimit(Resource::Nofile, before).expect("the limit as it was");
    answer
}
