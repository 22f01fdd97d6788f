//! 6.3: a handler holds the store's write lock through another copy of SQLite, publishes, and waits
//! for the commit that its own lock keeps back.

use std::time::Duration;

use ringrift_events::handler::{Context, Function, NotDone, Reply};
use ringrift_events::router::Publish;

use crate::cause::Cause;
use crate::part::{Orders, Part, TRAINED, say};
use crate::scene::Scene;
use crate::twice::SecondSqlite;

pub(crate) const CAUSE: Cause = Cause {
    slug: "database-deadlock",
    parts: &[
        ("locking", locking),
        ("polite", polite),
        ("publisher", publisher),
    ],
    inject,
    below,
};

fn inject(scene: &Scene) -> Vec<String> {
    let host = scene.start_ready("locking");
    let publisher = scene.start("publisher");
    let event = publisher.hears("published ").replace("published ", "");
    host.hears("waits");
    vec!["trainer".to_owned(), event, host.pid().to_string()]
}

fn below(scene: &Scene) {
    let host = scene.start_ready("polite");
    scene.publish(TRAINED, "{\"number\":1}");
    host.hears("committed");
}

/// Publishes and lives on: a process that ends writes to the store.
fn publisher(part: &Part) {
    let id = part.publish(TRAINED, "{\"number\":1}").id;
    say(&format!("published {id}"));
    part.until_over();
}

fn locking(part: &Part) {
    host(part, true);
}

fn polite(part: &Part) {
    host(part, false);
}

fn host(part: &Part, locks: bool) {
    let database = part.file("data/coordination/coordination.db");
    let router = part.system.router().clone();
    let orders = part.orders.clone();
    let function = Function::blocking(move |context: &Context| {
        let second = SecondSqlite::load();
        let connection = second.open(&database);
        connection.run("BEGIN IMMEDIATE").map_err(NotDone::failed)?;
        if !locks {
            connection.run("ROLLBACK").map_err(NotDone::failed)?;
        }
        let number = crate::part::number(context);
        let payload = format!("{{\"config_key\":\"k{number}\"}}");
        let publishing = router.publish(Publish::new("EVALUATION_COMPLETED", payload))?;
        say("waits");
        let committed = std::thread::spawn(move || publishing.wait());
        wait_or_go(&orders, &committed);
        if locks {
            connection.run("ROLLBACK").map_err(NotDone::failed)?;
        }
        drop(committed.join().expect("no panic"));
        say("committed");
        Reply::Ok(())
    });
    part.durable("trainer", part.policy(), function);
    part.until_over();
}

/// Waits until the commit came, or until the parent has seen enough.
fn wait_or_go<T>(orders: &Orders, committed: &std::thread::JoinHandle<T>) {
    while !orders.went() && !committed.is_finished() {
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
