//! A handler with dedup, a time limit and retries: what it does when it is slow, fails, or is given
//! the same thing twice.
//!
//! Run it with `cargo run -p ringrift-events --example careful_handler`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::handler::{
    Context, Dedup, Function, NotDone, Policy, Reply, RetryPolicy, StepKind,
};
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::store::letters::{LetterFilter, LetterState};
use ringrift_events::system::System;

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let system = System::open(Config::load(ConfigSources::of_process(Home::at(
        folder.path(),
    )))?)?;
    let runs = Arc::new(AtomicU32::new(0));
    let policy = Policy {
        time_limit: Duration::from_millis(200),
        dedup: Some(Dedup::by(["config_key", "model_path"])),
        retry: RetryPolicy {
            attempts: 4,
            first: Duration::from_millis(20),
            most: Duration::from_millis(100),
            ..RetryPolicy::default()
        },
        ..Policy::default()
    };
    let counted = Arc::clone(&runs);
    system.router().subscribe(
        Subscribe::durable("promoter")
            .to(["EVALUATION_COMPLETED"])
            .policy(policy),
        Function::asynchronous(move |context| promote(context, Arc::clone(&counted))),
    )?;

    let payload = r#"{"config_key":"hex8_2p","model_path":"models/7.pt","elo":1910}"#;
    for _ in 0..2 {
        system
            .router()
            .publish(Publish::new("EVALUATION_COMPLETED", payload))?
            .wait()?;
    }
    let recovered = LetterFilter {
        states: vec![LetterState::Recovered],
        limit: 10,
        ..LetterFilter::default()
    };
    let mut settled = false;
    for _ in 0..300 {
        let tallies = system.store().tallies().wait()?;
        settled = tallies.iter().any(|tally| tally.done == 2);
        if settled {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let letters = system.dead_letters().list(recovered)?;
    for letter in &letters {
        println!(
            "recovered after {} attempts; it had failed with: {}",
            letter.attempts, letter.error
        );
    }
    println!(
        "two equal events, {} runs: a time-out, an error, a success; the other one was its duplicate",
        runs.load(Ordering::SeqCst)
    );
    system.close();
    anyhow::ensure!(settled, "both deliveries are settled");
    anyhow::ensure!(letters.len() == 2 && runs.load(Ordering::SeqCst) == 3);
    Ok(())
}

async fn promote(context: Context, runs: Arc<AtomicU32>) -> Reply {
    match runs.fetch_add(1, Ordering::SeqCst) {
        0 => {
            context.step(StepKind::Network, "upload");
            // A network that never answers: the time limit ends this run, and names the step.
            std::future::pending::<()>().await;
            Ok(())
        }
        1 => Err(NotDone::failed("the registry said 503")),
        _ => Ok(()),
    }
}
