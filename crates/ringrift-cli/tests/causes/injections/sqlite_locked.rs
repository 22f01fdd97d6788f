//! 3.3: a shell holds the write lock while a process wants to publish.

use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use crate::cause::Cause;
use crate::part::{Part, TRAINED, noting, say};
use crate::scene::{Process, Scene, pause};

pub(crate) const CAUSE: Cause = Cause {
    slug: "sqlite-locked",
    parts: &[("writer", writer)],
    inject,
    below,
};

fn inject(scene: &Scene) -> Vec<String> {
    let writer = scene.start_ready("writer");
    let shell = shell(scene);
    let pid = shell.pid().to_string();
    scene.hold(Held(shell));
    writer.go();
    writer.hears("publishes");
    vec![pid, "sqlite3".to_owned()]
}

fn below(scene: &Scene) {
    // A fifth below what is too long: a machine that is busy takes no second longer.
    scene.set("doctor.lock_held", "5s");
    let writer = scene.start_ready("writer");
    let held = Held(shell(scene));
    writer.go();
    writer.hears("publishes");
    pause(Duration::from_secs(4));
    drop(held);
    writer.hears("handled 1");
}

/// A shell inside a write transaction.
fn shell(scene: &Scene) -> Rc<Process> {
    let mut command = scene.dressed(Command::new("sqlite3"));
    command.arg(scene.database());
    let shell = Process::start("sqlite3", command);
    shell.write(".timeout 20000");
    shell.write("BEGIN IMMEDIATE;");
    shell.write("SELECT '@@ locked';");
    shell.hears("locked");
    Rc::new(shell)
}

/// A shell that ends its transaction, and itself, when this goes.
struct Held(Rc<Process>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.write("ROLLBACK;");
        self.0.over();
        self.0.until_ended();
    }
}

fn writer(part: &Part) {
    part.durable("trainer", part.policy(), noting());
    part.orders.until_go();
    say("publishes");
    part.publish(TRAINED, "{\"number\":1}");
    part.until_over();
}
