//! 4.4: one emitter publishes the same bytes twice.

use crate::cause::Cause;
use crate::part::{Part, TRAINED, noting, say};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "event-emitted-twice",
    parts: &[("host", host), ("twice", twice), ("differing", differing)],
    inject,
    below,
};

fn inject(scene: &Scene) -> Vec<String> {
    let host = scene.start_ready("host");
    let emitter = scene.start("twice");
    let ids = [(); 2].map(|()| emitter.hears("emitted ").replace("emitted ", ""));
    host.hears_times("handled", 2);
    let place = "event_emitted_twice.rs:".to_owned();
    [ids.to_vec(), vec![place]].concat()
}

fn below(scene: &Scene) {
    let host = scene.start_ready("host");
    scene.start("differing").hears_times("emitted", 2);
    host.hears_times("handled", 2);
}

fn host(part: &Part) {
    part.durable("trainer", part.policy(), noting());
    part.until_over();
}

fn twice(part: &Part) {
    emit(part, [1, 1]);
}

fn differing(part: &Part) {
    emit(part, [1, 2]);
}

fn emit(part: &Part, numbers: [u64; 2]) {
    use ringrift_events::router::Publish;
    for number in numbers {
        let payload = format!("{{\"config_key\":\"hex8\",\"number\":{number}}}");
        let publish = Publish::new(TRAINED, payload).source("selfplay");
        let receipt = part.system.router().publish_blocking(publish);
        say(&format!("emitted {}", receipt.expect("a commit").id));
    }
    part.until_over();
}
