//! A home of one test, and the command run in it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything: far above what a slow machine needs, so that only a hang meets it.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// Longest that a command may run; the demo takes some twenty seconds.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

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
        let mut command = self.dressed(Command::new(env!("CARGO_BIN_EXE_ringrift")));
        command.args(args);
        command
    }

    /// Any program in this home, dressed as the command is.
    pub(crate) fn dressed(&self, mut command: Command) -> Command {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RINGRIFT_") {
                command.env_remove(name);
            }
        }
        command
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

    /// A shell script in this home, with the command as `$0` and its arguments.
    pub(crate) fn shell(&self, script: &str, args: &[&str]) -> Command {
        let mut shell = self.dressed(Command::new("sh"));
        shell.args(["-c", script, env!("CARGO_BIN_EXE_ringrift")]);
        shell.args(args);
        shell
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        output_of(self.command(args))
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
        ended(child)
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

    /// How many `rows` the verb `ls` of `noun` lists.
    pub(crate) fn listed(&self, noun: &str, rows: &str) -> usize {
        self.json(&[noun, "ls"])[rows]
            .as_array()
            .expect("rows")
            .len()
    }

    /// Starts it and reads its lines as they come.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::of(self.command(args))
    }
}

/// Runs a prepared command to its end.
pub(crate) fn output_of(mut command: Command) -> Output {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    ended(child)
}

/// What a child said until its end; one that hangs is killed, and the failure says at what.
fn ended(child: Child) -> Output {
    let pid = Pid::from_child(&child);
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || tell.send(child.wait_with_output()));
    told.recv_timeout(ENDS_WITHIN)
        .unwrap_or_else(|_| {
            let threads = threads_of(pid);
            kill_process(pid, Signal::KILL).expect("it lives");
            panic!("pid {pid:?} did not end:\n{threads}")
        })
        .expect("the command ends")
}

/// At what each thread of a process stands, as the kernel tells it.
fn threads_of(pid: Pid) -> String {
    let folder = format!("/proc/{}/task", pid.as_raw_nonzero());
    let threads = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let one = |thread: std::fs::DirEntry| {
        let says = |file| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        let (name, syscall) = (says("comm"), says("syscall"));
        format!("{} {} {}", name.trim(), says("wchan"), syscall.trim())
    };
    threads.map(one).collect::<Vec<_>>().join("\n")
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

/// Lets time pass where time itself is what is tested, or nothing announces what is awaited.
pub(crate) fn pause(time: Duration) {
    let (_never, wait) = sync_channel::<()>(0);
    assert!(wait.recv_timeout(time).is_err());
}

/// Looks again and again whether it is so, at most `limit`.
pub(crate) fn within(limit: Duration, mut is: impl FnMut() -> bool) -> bool {
    let until = SystemClock.monotonic() + limit;
    while SystemClock.monotonic() < until {
        if is() {
            return true;
        }
        pause(Duration::from_millis(20));
    }
    is()
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

    /// Hears every further line of standard output until its end.
    pub(crate) fn until_silent(&self, mut hears: impl FnMut(String)) {
        while let Ok(line) = self.lines.recv_timeout(LONG) {
            hears(line);
        }
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
        let mut status = None;
        within(ENDS_WITHIN, || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        let threads = || threads_of(Pid::from_child(&self.child));
        let status = status.unwrap_or_else(|| panic!("it did not end:\n{}", threads()));
        status.code()
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
