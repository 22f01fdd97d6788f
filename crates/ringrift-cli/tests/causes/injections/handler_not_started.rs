//! 1.1: a durable subscription was created and its handler never started; a handler that must exist
//! was never declared.

use ringrift_events::router::Subscribe;

use crate::cause::Cause;
use crate::part::{Part, TRAINED, noting};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "handler-not-started",
    parts: &[
        ("creator", creator),
        ("host", host),
        ("bystander", bystander),
    ],
    inject,
    below,
};

fn inject(scene: &Scene) -> Vec<String> {
    scene.set("doctor.unhosted_after", "1s");
    scene.expect("promoter");
    scene.start_ready("bystander");
    let creator = scene.start_ready("creator");
    creator.until_ended();
    let event = scene.publish(TRAINED, "{\"config_key\":\"hex8\"}");
    vec!["evaluator".to_owned(), "promoter".to_owned(), event]
}

fn below(scene: &Scene) {
    scene.expect("evaluator");
    let host = scene.start_ready("host");
    scene.publish(TRAINED, "{\"config_key\":\"hex8\",\"number\":1}");
    host.hears("handled 1");
}

/// Creates the subscription and is gone.
fn creator(part: &Part) {
    part.durable("evaluator", part.policy(), noting());
}

/// Lives on with another handler: the system is up.
fn bystander(part: &Part) {
    let wanted = Subscribe::durable("archiver").to(["NEW_GAMES_AVAILABLE"]);
    part.subscribe(wanted, noting());
    part.until_over();
}

fn host(part: &Part) {
    creator(part);
    part.until_over();
}
