//! 4.1: a handler without dedup dies after its effect and before its answer; the event comes again
//! elsewhere, and the effect with it.

use std::fs::OpenOptions;
use std::io::Write as _;

use ringrift_events::handler::{Dedup, Policy};

use crate::cause::Cause;
use crate::part::{Part, TRAINED, deciding, is_first};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "missing-dedup-check",
    parts: &[("careless", careless), ("careful", careful)],
    inject,
    below,
};

/// Where the effect goes.
const EFFECT: &str = "effects.txt";

fn inject(scene: &Scene) -> Vec<String> {
    let event = die_and_go_on(scene, "careless");
    let effects = std::fs::read_to_string(scene.file(EFFECT)).expect("effects");
    assert_eq!(effects, "x\nx\n", "the effect happened twice");
    vec!["trainer".to_owned(), event]
}

fn below(scene: &Scene) {
    die_and_go_on(scene, "careful");
}

fn die_and_go_on(scene: &Scene, part: &str) -> String {
    let first = scene.start_ready(part);
    let event = scene.publish(TRAINED, "{\"number\":1}");
    first.until_ended();
    let second = scene.start_ready(part);
    second.hears("handled 1");
    event
}

fn careless(part: &Part) {
    host(part, part.policy());
}

fn careful(part: &Part) {
    let policy = Policy {
        dedup: Some(Dedup::by(["number"])),
        ..part.policy()
    };
    host(part, policy);
}

fn host(part: &Part, policy: Policy) {
    let (effect, mark) = (part.file(EFFECT), part.file("died"));
    let function = deciding(move |_| {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).open(&effect)?;
        file.write_all(b"x\n")?;
        if is_first(&mark) {
            std::process::abort();
        }
        Ok(())
    });
    part.durable("trainer", policy, function);
    part.until_over();
}
