//! A home that two users of one group share: everything in it stays writable to both, whatever
//! their umasks and whoever comes first.
//!
//! The users are numbers of this test alone. Only root may act as them, so without root the test
//! fails and says so.

#![cfg(test)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock};
use ringrift_events::coded::Coded as _;
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::handler::{Context, Function};
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::system::System;

const GROUP: u32 = 20_000;
const USERS: [u32; 2] = [20_001, 20_002];
const HOME: &str = "RINGRIFT_SHARED_TEST_HOME";

/// Lines of a child that wait to be heard; more make the child wait.
const LINES_MAX: usize = 10_000;

/// Longest wait for a child's word.
const PATIENCE: Duration = Duration::from_secs(30);

/// A child lives as one of the users and does what it is told; the test itself has nothing to do
/// here.
#[test]
fn part_of_a_child() {
    if let Some(home) = std::env::var_os(HOME) {
        live(Path::new(&home));
    }
}

fn open(home: &Path) -> System {
    let mut sources = ConfigSources::of_process(Home::at(home));
    sources.flags = [
        "store.disk_free_min_percent=0",
        "store.lease=2s",
        "process.hung_after=2s",
        "log.bytes_max=1KiB",
        "log.files_max=3",
    ]
    .map(str::to_owned)
    .to_vec();
    match Config::load(sources).map(System::open) {
        Ok(Ok(system)) => system,
        Ok(Err(error)) => panic!("{}: {error}", error.code()),
        Err(error) => panic!("{}: {error}", error.code()),
    }
}

fn live(home: &Path) {
    let system = open(home);
    let handler = Function::blocking(|context: &Context| {
        println!("\nhandled {}", context.event().id);
        Ok(())
    });
    let subscribe = Subscribe::durable("both").to(["TRAINING_COMPLETED"]);
    system.router().subscribe(subscribe, handler).unwrap();
    println!("\nready");
    for line in std::io::stdin().lines() {
        match line.unwrap().as_str() {
            "publish" => {
                for _ in 0..20 {
                    let publish = Publish::new("training_completed", "{\"config_key\":\"a\"}");
                    let receipt = system.router().publish_blocking(publish).unwrap();
                    println!("\npublished {}", receipt.id);
                }
                println!("\ndone publish");
            }
            "check" => {
                for path in all(home) {
                    let wish = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
                    if let Err(error) = rustix::fs::access(&path, wish)
                        // A log that was turned over meanwhile has another name.
                        && error != rustix::io::Errno::NOENT
                    {
                        println!("\nshut out of {} ({error})", path.display());
                    }
                }
                println!("\ndone check");
            }
            "back up" => {
                let name = format!("backup-{}.db", std::process::id());
                let to = home.join("data/coordination").join(name);
                system.store().backup(to).wait().unwrap();
                println!("\ndone back up");
            }
            "close" => {
                system.close();
                println!("\ndone close");
            }
            other => panic!("no part {other}"),
        }
    }
}

/// Every file and folder of a home. Temporary ones may go while they are looked at.
fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(all(&path));
        } else if !path.to_string_lossy().ends_with(".new") {
            found.push(path);
        }
    }
    found
}

/// A process of one of the users. Killed when dropped.
struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl Process {
    fn start(program: &Path, home: &Path, user: u32, umask: u32) -> Process {
        // As after a login: a group of its own first, the shared one among the others.
        let mut child = Command::new("setpriv")
            .arg(format!("--reuid={user}"))
            .arg(format!("--regid={user}"))
            .arg(format!("--groups={user},{GROUP}"))
            .args(["sh", "-c"])
            .arg(format!("umask {umask:03o}; exec \"$0\" \"$@\""))
            .arg(program)
            .args(["--exact", "part_of_a_child", "--nocapture"])
            .current_dir("/")
            .env(HOME, home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let mut process = Process {
            child,
            stdin,
            lines,
            heard: Vec::new(),
        };
        process.hear("ready");
        process
    }

    /// Waits for a line; keeps those before it.
    fn hear(&mut self, wanted: &str) {
        let deadline = SystemClock.monotonic() + PATIENCE;
        loop {
            let left = deadline.saturating_sub(SystemClock.monotonic());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| {
                panic!("the child never said {wanted:?}, only {:?}", self.heard)
            });
            if line == wanted {
                return;
            }
            self.heard.push(line);
        }
    }

    fn ask(&mut self, part: &str) {
        writeln!(self.stdin, "{part}").unwrap();
        self.hear(&format!("done {part}"));
    }

    fn said(&mut self, word: &str) -> Vec<String> {
        self.heard.extend(self.lines.try_iter());
        let lines = self.heard.iter();
        lines
            .filter_map(|line| line.strip_prefix(word))
            .map(str::to_owned)
            .collect()
    }

    fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said("handled ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A folder that everybody may look into, with a copy of this program that everybody may run.
fn ground() -> (tempfile::TempDir, PathBuf) {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test acts as two users, which only root may do: run it as root"
    );
    let ground = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(ground.path(), 0o755);
    let program = ground.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    mode(&program, 0o755);
    (ground, program)
}

/// Everything in the home belongs to the group and is writable by it.
#[track_caller]
fn check_modes(home: &Path) {
    for path in all(home) {
        let Ok(found) = std::fs::metadata(&path) else {
            continue;
        };
        let least = if found.is_dir() { 0o2070 } else { 0o060 };
        assert_eq!(
            (found.gid(), found.mode() & least),
            (GROUP, least),
            "{} is {:o} of user {} and group {}",
            path.display(),
            found.mode(),
            found.uid(),
            found.gid()
        );
    }
}

#[test]
fn two_users_of_a_group_share_a_home_in_any_order_and_with_any_umask() {
    let (ground, program) = ground();
    for (n, (umasks, order)) in [
        ([0o022, 0o022], [0, 1]),
        ([0o077, 0o077], [1, 0]),
        ([0o077, 0o022], [0, 1]),
        ([0o022, 0o077], [1, 0]),
    ]
    .into_iter()
    .enumerate()
    {
        let home = ground.path().join(format!("home-{n}"));
        Home::create_shared(&home, &GROUP.to_string()).unwrap();
        let start = |which: usize| Process::start(&program, &home, USERS[which], umasks[which]);
        let mut published = Vec::new();
        let mut handled = Vec::new();
        // Both at once; then one is killed, so that its side files stay; then in the other order.
        for round in 0..3 {
            let [first, second] = if round == 1 {
                [order[1], order[0]]
            } else {
                order
            };
            let mut first = start(first);
            first.ask("publish");
            let mut second = start(second);
            second.ask("publish");
            first.ask("publish");
            // A backup of either is the other's too, and so is the copy that `queue clear` keeps.
            first.ask("back up");
            for process in [&mut first, &mut second] {
                process.ask("check");
                let shut_out = process.said("shut out of ");
                assert!(shut_out.is_empty(), "{shut_out:?}");
                published.extend(process.said("published "));
            }
            check_modes(&home);
            if round == 1 {
                handled.extend(first.kill());
            } else {
                first.ask("close");
                handled.extend(first.said("handled "));
            }
            wait_until_handled(&mut second, &handled, &published);
            second.ask("close");
            handled.extend(second.said("handled "));
            check_modes(&home);
        }
        let mut times = BTreeMap::new();
        for id in &handled {
            *times.entry(id).or_insert(0) += 1;
        }
        assert!(published.iter().all(|id| times.contains_key(id)));
        assert_eq!(published.len(), 3 * 60);
        let logs = all(&home.join("logs")).len();
        assert!(logs >= 4, "the log was turned over: {logs} files");
    }
}

/// Waits until the last process has handled what is left.
#[track_caller]
fn wait_until_handled(process: &mut Process, before: &[String], published: &[String]) {
    let deadline = SystemClock.monotonic() + PATIENCE;
    loop {
        let now = process.said("handled ");
        let left = published
            .iter()
            .filter(|id| !now.contains(id) && !before.contains(id))
            .count();
        if left == 0 {
            return;
        }
        assert!(
            SystemClock.monotonic() < deadline,
            "{left} were never handled"
        );
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_home_that_its_group_may_write_but_that_does_not_hand_the_group_on_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    Home::create(&home).unwrap();
    let coordination = home.join("data/coordination");
    std::fs::set_permissions(&coordination, std::fs::Permissions::from_mode(0o770)).unwrap();
    let config = Config::defaults(Home::at(&home));
    let error = System::open(config).err().expect("it was opened");
    assert_eq!(error.code(), "STORE_PERMISSIONS", "{error}");
    assert!(error.next().unwrap().contains("init --group"));
    let made = std::fs::read_dir(&coordination).unwrap().count();
    assert_eq!(made, 0, "nothing was made");
}
