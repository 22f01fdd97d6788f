//! A pipeline by stages: each stage completes for a key, and completing it starts the next one.
//!
//! Run it with `cargo run -p ringrift-events --example pipeline`.

use std::time::Duration;

use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::handler::{Function, NotDone};
use ringrift_events::router::{Publish, Router, Subscribe};
use ringrift_events::stages::StageCompletionResult;
use ringrift_events::system::System;
use serde_json::{Map, json};

/// Each stage and the one that it starts.
const STEPS: [(&str, &str); 5] = [
    ("SELFPLAY_COMPLETE", "SYNC_COMPLETE"),
    ("SYNC_COMPLETE", "NPZ_EXPORT_COMPLETE"),
    ("NPZ_EXPORT_COMPLETE", "TRAINING_COMPLETE"),
    ("TRAINING_COMPLETE", "EVALUATION_COMPLETE"),
    ("EVALUATION_COMPLETE", "PROMOTION_COMPLETE"),
];

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let system = System::open(Config::load(ConfigSources::of_process(Home::at(
        folder.path(),
    )))?)?;
    for (stage, next) in STEPS {
        let router = system.router().clone();
        system.router().subscribe(
            Subscribe::durable(format!("after-{}", stage.to_lowercase())).to_stage(stage),
            Function::asynchronous(move |context| {
                let router = router.clone();
                async move {
                    let key = context.event().key.clone().unwrap_or_default();
                    println!("{stage} for {key}: now {next}");
                    complete(&router, next, &key).map_err(NotDone::failed)
                }
            }),
        )?;
    }
    // A data event that names no stage completes none: this one must start nothing.
    system
        .router()
        .publish(Publish::new(
            "TRAINING_COMPLETED",
            r#"{"config_key":"stray"}"#,
        ))?
        .wait()?;
    for key in ["hex8_2p", "square19_2p"] {
        complete(system.router(), "SELFPLAY_COMPLETE", key)?;
    }
    let stages = system.router().stages();
    let is_promoted = |key: &str| stages.last("promotion_complete", key).is_some();
    for _ in 0..300 {
        if is_promoted("hex8_2p") && is_promoted("square19_2p") {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    for done in stages.all() {
        println!(
            "{} completed {} time(s) for {}",
            done.stage, done.count, done.key
        );
    }
    anyhow::ensure!(is_promoted("hex8_2p") && is_promoted("square19_2p") && !is_promoted("stray"));
    system.close();
    Ok(())
}

fn complete(router: &Router, stage: &str, key: &str) -> Result<(), ringrift_events::router::Error> {
    let mut fields = Map::new();
    fields.insert("games".to_owned(), json!(1_000));
    let result = StageCompletionResult {
        stage: stage.to_owned(),
        config_key: key.to_owned(),
        success: true,
        fields,
    };
    // The commit is not waited for: the event is published at the call.
    router.complete_stage(result, "example").map(drop)
}
