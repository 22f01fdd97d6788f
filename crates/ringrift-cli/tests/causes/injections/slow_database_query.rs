//! 2.1: a query inside a step of the database runs beyond the handler's time limit.

use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock};
use ringrift_events::handler::{Function, Policy, Reply, StepKind};
use rusqlite::Connection;

use crate::cause::Cause;
use crate::part::{Part, TRAINED, distant_retry, say};
use crate::scene::Scene;

pub(crate) const CAUSE: Cause = Cause {
    slug: "slow-database-query",
    parts: &[("slow", slow), ("in_time", in_time)],
    inject,
    below,
};

/// The handler's limit; the slow query runs until it has passed.
const LIMIT: Duration = Duration::from_millis(300);

fn inject(scene: &Scene) -> Vec<String> {
    let host = scene.start_ready("slow");
    let event = scene.publish(TRAINED, "{\"config_key\":\"hex8\"}");
    host.hears("asked");
    vec![
        "trainer".to_owned(),
        event,
        "db:games of a config".to_owned(),
    ]
}

fn below(scene: &Scene) {
    let host = scene.start_ready("in_time");
    scene.publish(TRAINED, "{\"config_key\":\"hex8\"}");
    host.hears("asked");
}

fn slow(part: &Part) {
    host(part, LIMIT, 4 * LIMIT);
}

/// A fifth below its limit: a machine that is busy takes no second longer.
fn in_time(part: &Part) {
    host(part, Duration::from_secs(5), Duration::from_secs(4));
}

fn host(part: &Part, time_limit: Duration, least: Duration) {
    let policy = Policy {
        time_limit,
        retry: distant_retry(),
        ..part.policy()
    };
    let function = Function::blocking(move |context| {
        context.step(StepKind::Db, "games of a config");
        ask(least)?;
        say("asked");
        Ok(())
    });
    part.durable("trainer", policy, function);
    part.until_over();
}

/// Asks a database of its own the same question until `least` has passed.
fn ask(least: Duration) -> Reply {
    let until = SystemClock.monotonic() + least;
    let games = Connection::open_in_memory()?;
    loop {
        games.query_row(
            "WITH RECURSIVE game(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM game WHERE n < 50000)
             SELECT COUNT(*) FROM game WHERE n % 7 = 0",
            [],
            |row| row.get::<_, i64>(0),
        )?;
        if SystemClock.monotonic() >= until {
            return Ok(());
        }
    }
}
