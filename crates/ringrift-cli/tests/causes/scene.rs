//! One home, and the processes of one injection on it.

use std::any::Any;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock};
use serde_json::Value;
use tempfile::TempDir;

use crate::part::{HOME, MARK, ROLE};

/// Longest wait for anything: far above what a busy machine needs, so that only a hang meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What every home begins with: waiting out a lease or a window costs seconds.
const SETTINGS: [(&str, &str); 6] = [
    ("store.lease", "2s"),
    ("handler.dedup_ttl", "1s"),
    ("dlq.backoff_first", "50ms"),
    ("daemons.sweep_interval", "200ms"),
    ("process.shutdown_grace", "1s"),
    // A machine whose disk is nearly full may still run the tests.
    ("store.disk_free_min_percent", "0%"),
];

/// Keeps the homes, for those who want to look at one.
const KEEP: &str = "RINGRIFT_CAUSES_KEEP";

/// One home with its processes; all of them end with it.
pub(crate) struct Scene {
    folder: TempDir,
    slug: &'static str,
    settings: RefCell<Vec<(String, String)>>,
    expected: RefCell<Vec<String>>,
    // Dropped before the folder, in this order: what is held lets children end.
    held: RefCell<Vec<Box<dyn Any>>>,
    parts: RefCell<Vec<Rc<Process>>>,
}

impl Scene {
    /// A made home for the parts of this injection.
    pub(crate) fn new(slug: &'static str) -> Scene {
        let memory = std::path::Path::new("/dev/shm");
        let folder = TempDir::new_in(memory).or_else(|_| TempDir::new());
        let mut folder = folder.expect("a folder");
        if std::env::var_os(KEEP).is_some() {
            folder.disable_cleanup(true);
            println!("{slug} is kept in {}", folder.path().display());
        }
        let scene = Scene {
            folder,
            slug,
            settings: RefCell::default(),
            expected: RefCell::default(),
            held: RefCell::default(),
            parts: RefCell::default(),
        };
        for (name, value) in SETTINGS {
            scene.set(name, value.trim_end_matches('%'));
        }
        scene.ok(&["init"]);
        scene
    }

    /// Sets one setting in the home's file, before the processes that are to know it start.
    pub(crate) fn set(&self, name: &str, value: &str) {
        let mut settings = self.settings.borrow_mut();
        settings.retain(|(known, _)| known != name);
        settings.push((name.to_owned(), value.to_owned()));
        drop(settings);
        self.write_file();
    }

    /// Names a handler that must exist in the home.
    pub(crate) fn expect(&self, handler: &str) {
        self.expected.borrow_mut().push(handler.to_owned());
        self.write_file();
    }

    fn write_file(&self) {
        let mut settings = self.settings.borrow().clone();
        settings.sort();
        let mut text = String::new();
        let mut section = "";
        for (name, value) in &settings {
            let (of, key) = name.split_once('.').expect("section.key");
            if of != section {
                writeln!(text, "[{of}]").expect("a text");
                section = of;
            }
            let quote = if value.parse::<u64>().is_ok() {
                ""
            } else {
                "\""
            };
            writeln!(text, "{key} = {quote}{value}{quote}").expect("a text");
        }
        for handler in self.expected.borrow().iter() {
            writeln!(text, "[[expect]]\nhandler = \"{handler}\"").expect("a text");
        }
        std::fs::write(self.folder.path().join("ringrift.toml"), text).expect("a file");
    }

    /// A file in the home.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The home's database.
    pub(crate) fn database(&self) -> PathBuf {
        self.file("data/coordination/coordination.db")
    }

    /// Starts one part in a process of its own.
    pub(crate) fn start(&self, part: &str) -> Rc<Process> {
        let own = std::env::current_exe().expect("this program lies somewhere");
        let mut command = self.dressed(Command::new(own));
        command
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(ROLE, format!("{}/{part}", self.slug))
            .env(HOME, self.folder.path());
        let process = Rc::new(Process::start(part, command));
        self.parts.borrow_mut().push(Rc::clone(&process));
        process
    }

    /// The same, and waits until it is ready.
    pub(crate) fn start_ready(&self, part: &str) -> Rc<Process> {
        let process = self.start(part);
        process.hears("ready");
        process
    }

    /// Keeps a thing until the processes are to stop: then it is dropped first.
    pub(crate) fn hold(&self, thing: impl Any) {
        self.held.borrow_mut().push(Box::new(thing));
    }

    /// A program in this home, with nothing of this process's environment about homes.
    pub(crate) fn dressed(&self, mut command: Command) -> Command {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RINGRIFT_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.folder.path())
            .env("RINGRIFT_HOME", self.folder.path())
            .env_remove("TRACEPARENT")
            // Whoever panics with a trace of the stack computes for a second: a stall by itself.
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null());
        command
    }

    /// Runs `ringrift` to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let mut command = self.dressed(Command::new(env!("CARGO_BIN_EXE_ringrift")));
        command.args(args).output().expect("the command runs")
    }

    /// Runs it and expects success.
    pub(crate) fn ok(&self, args: &[&str]) {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
    }

    /// Runs it with `--json`, expects one of these exit codes, and answers the envelope.
    pub(crate) fn answer(&self, args: &[&str], codes: &[i32]) -> Value {
        let output = self.run(&[&["--json"], args].concat());
        let code = output.status.code();
        assert!(
            code.is_some_and(|code| codes.contains(&code)),
            "{args:?}: {}",
            said(&output)
        );
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{args:?}: {}", said(&output)))
    }

    /// Publishes by the command, a process of its own, and answers the event's id.
    pub(crate) fn publish(&self, name: &str, payload: &str) -> String {
        let answer = self.answer(&["publish", name, payload], &[0, 1]);
        let id = answer["data"]["id"].as_str().expect("an id");
        id.to_owned()
    }

    /// Publishes `{"number": N}` for each of these numbers, by one process; answers the ids.
    pub(crate) fn publish_numbers(&self, name: &str, numbers: std::ops::Range<u64>) -> Vec<String> {
        let mut command = self.dressed(Command::new(env!("CARGO_BIN_EXE_ringrift")));
        command
            .args(["--json", "publish", name, "--jsonl"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let lines: String = numbers
            .map(|number| format!("{{\"config_key\":\"k{number}\",\"number\":{number}}}\n"))
            .collect();
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(lines.as_bytes()).expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", said(&output));
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|line| line["id"].as_str().map(str::to_owned))
            .collect()
    }

    /// Ends every process in order: what is held is let go, then each hears that it is over. One
    /// that does not end in time is killed.
    pub(crate) fn stop(&self) {
        self.held.borrow_mut().clear();
        let parts: Vec<Rc<Process>> = self.parts.borrow_mut().drain(..).collect();
        for part in &parts {
            part.over();
        }
        for part in &parts {
            part.until_ended();
        }
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

/// Waits for a fact, at most [`PATIENCE`]; fails with its name.
#[track_caller]
pub(crate) fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let give_up = SystemClock.monotonic() + PATIENCE;
    while !fact() {
        assert!(
            SystemClock.monotonic() < give_up,
            "it never came true that {what}"
        );
        pause(Duration::from_millis(10));
    }
}

/// Lets time pass where time itself is what is tested.
pub(crate) fn pause(time: Duration) {
    let until = SystemClock.monotonic() + time;
    loop {
        let left = until.saturating_sub(SystemClock.monotonic());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}

/// A process that runs, a part or a program beside; killed by its id when dropped.
pub(crate) struct Process {
    name: String,
    pid: u32,
    child: RefCell<Child>,
    stdin: RefCell<Option<ChildStdin>>,
    lines: Receiver<String>,
}

impl Process {
    /// Starts a prepared command whose marked lines are heard.
    pub(crate) fn start(name: &str, mut command: Command) -> Process {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the process starts");
        let output = child.stdout.take().expect("a pipe");
        let (tell, lines) = sync_channel(100_000);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // The test program's own words may stand before it.
                let Some((_, said)) = line.split_once(MARK) else {
                    continue;
                };
                if tell.send(said.to_owned()).is_err() {
                    return;
                }
            }
        });
        Process {
            name: name.to_owned(),
            pid: child.id(),
            stdin: RefCell::new(child.stdin.take()),
            child: RefCell::new(child),
            lines,
        }
    }

    /// Its id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it says a line that begins so, and answers the line.
    #[track_caller]
    pub(crate) fn hears(&self, begin: &str) -> String {
        let give_up = SystemClock.monotonic() + PATIENCE;
        loop {
            let left = give_up.saturating_sub(SystemClock.monotonic());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.starts_with(begin) => return line,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("{} never said {begin}", self.name),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{} ended before it said {begin}", self.name)
                }
            }
        }
    }

    /// Waits until it has said so many lines that begin so.
    #[track_caller]
    pub(crate) fn hears_times(&self, begin: &str, times: usize) {
        for _ in 0..times {
            self.hears(begin);
        }
    }

    /// Writes a line to it: go.
    pub(crate) fn go(&self) {
        self.write("go");
    }

    /// Writes a line to it.
    pub(crate) fn write(&self, line: &str) {
        if let Some(stdin) = self.stdin.borrow_mut().as_mut() {
            stdin
                .write_all(format!("{line}\n").as_bytes())
                .expect("it reads");
        }
    }

    /// Lets it know that it is over.
    pub(crate) fn over(&self) {
        drop(self.stdin.borrow_mut().take());
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.child.borrow_mut().try_wait(), Ok(Some(_)))
    }

    /// Waits for its end; one that does not come is brought about.
    pub(crate) fn until_ended(&self) {
        let give_up = SystemClock.monotonic() + PATIENCE / 2;
        while !self.has_ended() {
            if SystemClock.monotonic() > give_up {
                eprintln!("{} (pid {}) had to be killed", self.name, self.pid);
                self.kill();
                return;
            }
            pause(Duration::from_millis(5));
        }
    }

    /// Kills it and waits for its end.
    pub(crate) fn kill(&self) {
        let mut child = self.child.borrow_mut();
        drop(child.kill());
        drop(child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
