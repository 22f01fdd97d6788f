//! A log that lets go at its beginning what comes at its end.

use anyhow::{Result, bail};

use ringrift_events::handler::Function;
use ringrift_events::router::Subscribe;

use super::{TYPE, event, open_with};
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, now, since};

/// Retention that has as much to delete each second as is published.
const LETS_GO: [&str; 2] = ["retention.settled=1s", "daemons.retention_interval=1s"];

/// Publishes at a rate, waiting for each, with such a retention or with the ordinary one; says what
/// of the log is still there, in seconds of publishing.
pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    let rules: &[&str] = match orders.handler.as_str() {
        "keeps" => &[],
        "lets-go" => &LETS_GO,
        other => bail!("a log keeps or lets-go, not {other}"),
    };
    let system = open_with(orders, rules)?;
    // Somebody handles them; what nobody settled is not let go.
    let subscribe = Subscribe::durable("bench-retain").to([TYPE]);
    system
        .router()
        .subscribe(subscribe, Function::immediate(|_| Ok(())))?;
    ready()?;
    let (began, mut took) = (now(), Vec::new());
    while since(began) < orders.lasts {
        let due = took.len() as f64 / orders.rate;
        let early = due - since(began).as_secs_f64();
        if early > 0.0 {
            std::thread::park_timeout(std::time::Duration::from_secs_f64(early));
        }
        let asked = now();
        system.router().publish_blocking(event())?;
        took.push(since(asked));
    }
    let lasted = since(began);
    let figures = system.store().figures().wait()?;
    system.close();
    let there = figures.head.0 - figures.oldest.0;
    Ok(Outcome::new(took.len(), lasted)
        .with("kept_seconds", there as f64 / orders.rate)
        .latencies(took))
}
