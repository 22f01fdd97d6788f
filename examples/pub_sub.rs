//! In-process publish and subscribe: one type, two handlers, one of them with a filter.
//!
//! Run it with `cargo run -p ringrift-events --example pub_sub`.

use std::time::Duration;

use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::handler::Function;
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::system::System;

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let config = Config::load(ConfigSources::of_process(Home::at(folder.path())))?;
    let system = System::open(config)?;
    let router = system.router();

    router.subscribe(
        Subscribe::live("everybody").to(["TRAINING_COMPLETED"]),
        Function::asynchronous(|context| async move {
            println!("everybody: {}", context.event().payload.as_str());
            Ok(())
        }),
    )?;
    router.subscribe(
        Subscribe::live("only-strong")
            .to(["TRAINING_COMPLETED"])
            .filter("elo__gte = 1900"),
        Function::blocking(|context| {
            println!("only-strong: {}", context.event().payload.as_str());
            Ok(())
        }),
    )?;

    for elo in [1_850, 1_920] {
        let payload = format!(r#"{{"config_key":"hex8_2p","elo":{elo}}}"#);
        let receipt = router
            .publish(
                Publish::new("TRAINING_COMPLETED", payload)
                    .source("example")
                    .wait_handlers(Duration::from_secs(5)),
            )?
            .wait()?;
        println!(
            "published {}: went to {:?}, not to {:?}",
            receipt.id, receipt.matched, receipt.skipped
        );
        anyhow::ensure!(
            receipt.running.is_empty(),
            "both handlers have ended by now"
        );
        anyhow::ensure!(receipt.matched.len() == if elo >= 1_900 { 2 } else { 1 });
    }
    system.close();
    Ok(())
}
