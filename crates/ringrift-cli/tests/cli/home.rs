//! A home of one test, and the command run in it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything: far above what a slow machine needs, so that only a hang meets it.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A temporary home.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    /// A made home whose times are short.
    pub(crate) fn new() -> Home {
        let home = Home {
            folder: TempDir::new().expect("a folder"),
        };
        home.ok(&["init"]);
        home
    }

    /// A folder that is no home yet.
    pub(crate) fn unmade() -> Home {
        Home {
            folder: TempDir::new().expect("a folder"),
        }
    }

    /// Its folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The command in this home, nothing of this process's environment about homes or colour.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringrift"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RINGRIFT_") {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .current_dir(self.path())
            .env("RINGRIFT_HOME", self.path())
            .env("RINGRIFT_STORE_LEASE", "2s")
            .env("RINGRIFT_DLQ_BACKOFF_FIRST", "50ms")
            .env("RINGRIFT_STORE_DISK_FREE_MIN_PERCENT", "0")
            .env_remove("TRACEPARENT")
            .env_remove("NO_COLOR")
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the command runs")
    }

    /// Runs it with this standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &str) -> Output {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        child.wait_with_output().expect("the command ends")
    }

    /// Runs it, expects success and answers its standard output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs it with `--json`, expects success and answers the envelope's `data`.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[&["--json"], args].concat());
        let mut envelope: Value = serde_json::from_str(&text).expect("one envelope");
        assert_eq!(envelope["ok"], true);
        envelope["data"].take()
    }

    /// Starts it and reads its lines as they come.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::of(self.command(args))
    }
}

/// Both streams of an output, for a failed assertion.
pub(crate) fn said(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A command that runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    notes: Receiver<String>,
}

impl Running {
    /// Starts a prepared command.
    pub(crate) fn of(mut command: Command) -> Running {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let lines = read(child.stdout.take().expect("a pipe"));
        let notes = read(child.stderr.take().expect("a pipe"));
        Running {
            child,
            lines,
            notes,
        }
    }

    /// The next line of standard output.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(LONG).expect("a line in time")
    }

    /// Waits for a line on standard error that contains `text`.
    pub(crate) fn note(&self, text: &str) -> String {
        loop {
            let line = self.notes.recv_timeout(LONG).expect("a note in time");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it lives");
    }

    /// Waits for its end and answers its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }

    /// Asks it to stop and answers its exit code.
    pub(crate) fn stop(self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended: that is what was wanted.
        if self.child.kill().is_ok() && self.child.wait().is_err() {}
    }
}

fn read(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(10_000);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
