//! The pages with real processes: a test starts its own binary again as a child, with a part to
//! play in an environment variable.

mod bell;
#[path = "../../../../tests/support/bounded.rs"]
mod bounded;
mod life;
mod parts;
mod refusals;
mod rides;
mod tail;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::{Bells, Seen, SharedPage, Side, Watch, futex, look};
use crate::clock::{Clock, SystemClock};
use crate::event::ProcessId;

/// Names the part a child plays, and the database it plays beside.
const PART: &str = "RINGRIFT_TEST_PART";
const DATABASE: &str = "RINGRIFT_TEST_DATABASE";

/// Nothing here takes longer unless it hangs.
const AT_MOST: Duration = Duration::from_secs(120);

/// Plays a part if this process was started for one. Its words go to standard output, one line
/// each, between the test harness's own.
#[test]
fn a_child_plays_its_part() {
    let (Ok(part), Ok(database)) = (std::env::var(PART), std::env::var(DATABASE)) else {
        return;
    };
    bounded::bound_this_process();
    parts::play(&part, Path::new(&database));
}

/// A database file of a test, empty: the pages only look at its path and inode.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("c.db"), b"").unwrap();
        Home { folder }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("c.db")
    }

    fn side(&self) -> Side {
        Side::of(&self.database(), true).unwrap()
    }
}

/// A child and what it says. Killed when dropped.
struct Actor {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Actor {
    fn start(part: &str, database: &Path) -> Actor {
        Actor::of(&mut Actor::command(part, database))
    }

    fn command(part: &str, database: &Path) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "store::pages::tests::a_child_plays_its_part"])
            .args(["--nocapture", "--test-threads=1"])
            .env(PART, part)
            .env(DATABASE, database);
        command
    }

    fn of(command: &mut Command) -> Actor {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Actor { child, lines }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The rest of the next line that begins with `word`.
    fn hear(&mut self, word: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let length = self.lines.read_line(&mut line).unwrap();
            assert!(length > 0, "the child ended before it said '{word}'");
            // The harness may have begun the line.
            if let Some(at) = line.find(word) {
                return line[at + word.len()..].trim().to_owned();
            }
        }
    }

    /// Lets it go on.
    fn tell(&mut self, word: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{word}").unwrap();
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Stops it, and waits until it stands: the signal alone may come a moment later.
    fn stop(&self) {
        self.signal(rustix::process::Signal::STOP);
        let began = SystemClock.monotonic();
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        while !stat().contains(") T ") {
            assert!(SystemClock.monotonic().saturating_sub(began) < AT_MOST);
            futex::pause(Duration::from_millis(1));
        }
    }

    /// `kill -9`, without collecting the body.
    fn kill(&self) {
        self.signal(rustix::process::Signal::KILL);
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits for these bells; answers how often they have rung then.
fn listen_to(shared: &SharedPage, bells: Bells, seen: u32, at_most: Duration) -> u32 {
    shared.listen(bells, at_most, || shared.rings(bells) != seen);
    shared.rings(bells)
}

fn watch(hung_after: Duration) -> Watch {
    Watch {
        now: SystemClock.monotonic(),
        hung_after,
    }
}

/// Looks until the page says what is wanted; answers how long that took.
fn look_until(
    side: &Side,
    process: ProcessId,
    hung_after: Duration,
    wanted: impl Fn(&Seen) -> bool,
) -> (Seen, Duration) {
    let began = SystemClock.monotonic();
    loop {
        let seen = look(side, process, watch(hung_after)).unwrap().unwrap();
        let took = SystemClock.monotonic().saturating_sub(began);
        if wanted(&seen) {
            return (seen, took);
        }
        assert!(took < AT_MOST, "the page still says {seen:?}");
        futex::pause(Duration::from_millis(2));
    }
}

fn process_of(text: &str) -> ProcessId {
    ProcessId(uuid::Uuid::parse_str(text).unwrap())
}

fn system_clock() -> crate::clock::SharedClock {
    Arc::new(SystemClock)
}
