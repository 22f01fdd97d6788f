//! A sink that is a command: the alert as JSON on its standard input, 0 when it is done.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{Letter, Means, NotSent};

/// How often a running command is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Bytes of its standard error that are kept.
const ERROR_BYTES_MAX: usize = 1_000;

/// Runs `sh -c` in the home; a command that is not done in time is killed with all it started.
pub(super) fn run(command: &str, letter: &Letter, means: &Means<'_>) -> Result<(), NotSent> {
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .current_dir(means.home)
        .env("RINGRIFT_HOME", means.home)
        .envs(letter.variables())
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| NotSent::now(format!("cannot start sh: {error}")))?;
    // A pipe takes a letter whole, which is far smaller than its room; a command that does not read
    // its input is done all the same.
    if let Some(mut stdin) = child.stdin.take() {
        drop(stdin.write_all(format!("{}\n", letter.body).as_bytes()));
    }
    let said = listen(&mut child);
    let in_time = ends_in_time(&child, means);
    // Whatever it started and left behind ends with it. It is not waited for yet, so that its id
    // still names its own group and nobody else's.
    kill_group(&child);
    let ended = child.wait();
    let said = said.and_then(|thread| thread.join().ok());
    let said = said.unwrap_or_default();
    match (in_time, ended) {
        (true, Ok(status)) if status.success() => Ok(()),
        (true, Ok(status)) => Err(NotSent::now(format!(
            "the command ended with {status}{said}"
        ))),
        (false, Ok(_)) => {
            let seconds = means.timeout.as_secs_f64();
            Err(NotSent::now(format!(
                "the command was killed after {seconds} s{said}"
            )))
        }
        (_, Err(error)) => Err(NotSent::now(format!("the command was lost: {error}"))),
    }
}

/// Waits for its end without taking it.
fn ends_in_time(child: &Child, means: &Means<'_>) -> bool {
    let give_up = means.clock.monotonic() + means.timeout;
    let Some(pid) = pid_of(child) else {
        return false;
    };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(pid), options) {
            Ok(Some(_)) | Err(rustix::io::Errno::CHILD) => return true,
            Ok(None) | Err(_) if means.clock.monotonic() >= give_up => return false,
            Ok(None) | Err(_) => std::thread::park_timeout(LOOK_EVERY),
        }
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Reads what it says on its standard error, so that it never waits for a reader.
fn listen(child: &mut Child) -> Option<std::thread::JoinHandle<String>> {
    let mut stderr = child.stderr.take()?;
    let thread = std::thread::Builder::new().name("rr-alert-said".to_owned());
    let listener = move || {
        let (mut kept, mut buffer) = (Vec::new(), [0; 4_096]);
        while let Ok(read @ 1..) = stderr.read(&mut buffer) {
            let room = ERROR_BYTES_MAX.saturating_sub(kept.len());
            kept.extend_from_slice(&buffer[..read.min(room)]);
        }
        match String::from_utf8_lossy(&kept).trim() {
            "" => String::new(),
            text => format!(": {text}"),
        }
    };
    thread.spawn(listener).ok()
}

fn kill_group(child: &Child) {
    if let Some(pid) = pid_of(child) {
        // A group that has ended already needs no end.
        kill_process_group(pid, Signal::KILL).unwrap_or_default();
    }
}
