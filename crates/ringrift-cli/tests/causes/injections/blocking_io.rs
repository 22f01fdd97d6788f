//! 2.2: an async handler reads a FIFO that nobody writes to, and so holds its runtime thread.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::cause::Cause;
use crate::part::{Part, TRAINED, deciding, say};
use crate::scene::{Scene, pause};

pub(crate) const CAUSE: Cause = Cause {
    slug: "blocking-io",
    parts: &[("host", host)],
    inject,
    below,
};

/// The FIFO's name in the home.
const PIPE: &str = "moves.fifo";

fn inject(scene: &Scene) -> Vec<String> {
    scene.hold(Silent(pipe(scene)));
    let host = scene.start_ready("host");
    let event = scene.publish(TRAINED, "{\"config_key\":\"hex8\"}");
    host.hears("reads");
    vec!["trainer".to_owned(), event, PIPE.to_owned()]
}

fn below(scene: &Scene) {
    // A fifth below what is too long: a machine that is busy takes no second longer.
    scene.set("handler.held_max", "5s");
    let silent = Silent(pipe(scene));
    let host = scene.start_ready("host");
    scene.publish(TRAINED, "{\"number\":1}");
    host.hears("reads");
    pause(Duration::from_secs(4));
    drop(silent);
    host.hears("handled 1");
}

/// Makes the FIFO and opens it on both sides, so that no open waits.
fn pipe(scene: &Scene) -> File {
    let path = scene.file(PIPE);
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, &path, FileType::Fifo, mode, 0).expect("a FIFO");
    let mut options = File::options();
    options.read(true).write(true).open(path).expect("it opens")
}

/// A FIFO whose reader waits until it goes.
struct Silent(File);

impl Drop for Silent {
    fn drop(&mut self) {
        self.0.write_all(b"e").expect("a pipe takes a byte");
    }
}

fn host(part: &Part) {
    let pipe = part.file(PIPE);
    let function = deciding(move |_| {
        let mut options = File::options();
        let mut moves = options.read(true).write(true).open(&pipe)?;
        say("reads");
        moves.read_exact(&mut [0])?;
        Ok(())
    });
    part.durable("trainer", part.policy(), function);
    part.until_over();
}
