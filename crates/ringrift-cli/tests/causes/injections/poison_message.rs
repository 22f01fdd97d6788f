//! 5.3: one event kills its process each time, its neighbours pass.

use ringrift_events::handler::{Dedup, Policy};

use crate::cause::Cause;
use crate::part::{Part, TRAINED, deciding, is_first, number};
use crate::scene::{Scene, until};

pub(crate) const CAUSE: Cause = Cause {
    slug: "poison-message",
    parts: &[("always", always), ("once", once)],
    inject,
    below,
};

/// The event that kills.
const POISON: u64 = 4;

fn inject(scene: &Scene) -> Vec<String> {
    let mut host = scene.start_ready("always");
    let ids = scene.publish_numbers(TRAINED, 0..10);
    until("the event is a dead letter", || {
        if host.has_ended() {
            host = scene.start_ready("always");
        }
        let letters = scene.answer(&["dlq", "ls"], &[0]);
        letters["data"].to_string().contains("\"dead\"")
    });
    let poison = ids[usize::try_from(POISON).unwrap_or(0)].clone();
    vec!["trainer".to_owned(), poison]
}

fn below(scene: &Scene) {
    let host = scene.start_ready("once");
    scene.publish_numbers(TRAINED, 0..10);
    host.until_ended();
    let second = scene.start_ready("once");
    second.hears(&format!("handled {POISON}"));
}

fn always(part: &Part) {
    host(part, |_| true);
}

fn once(part: &Part) {
    let mark = part.file("died");
    host(part, move |_| is_first(&mark));
}

fn host(part: &Part, kills: impl Fn(u64) -> bool + Send + Sync + 'static) {
    let function = deciding(move |context| {
        let number = number(context);
        if number == POISON && kills(number) {
            std::process::abort();
        }
        Ok(())
    });
    // With dedup, since a death without it is a finding of its own.
    let policy = Policy {
        dedup: Some(Dedup::by(["number"])),
        ..part.policy()
    };
    part.durable("trainer", policy, function);
    part.until_over();
}
