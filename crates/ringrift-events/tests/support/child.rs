//! Child processes of a test: the test program again, in a role. Only they are ever signalled, by
//! their ids, and none outlives the value that holds it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const ROLE: &str = "RINGRIFT_TEST_ROLE";
const HOME: &str = "RINGRIFT_TEST_HOME";

/// This test program again: it runs the test named `child` alone, which asks [`role`] what it is.
/// It reads nothing and says nothing unless the caller wants it otherwise.
pub fn again(role: &str, home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program lies somewhere"));
    command
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(HOME, home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// The role and the home this process was started with; none if it is no child.
pub fn role() -> Option<(String, PathBuf)> {
    let role = std::env::var(ROLE).ok()?;
    let home = std::env::var_os(HOME)?;
    Some((role, PathBuf::from(home)))
}

/// Waits until the parent ends this process; if the parent is gone, returns by itself.
pub fn until_parent_is_gone() {
    let parent = rustix::process::getppid();
    while rustix::process::getppid() == parent {
        std::thread::park_timeout(std::time::Duration::from_secs(1));
    }
}

/// A child that is killed with SIGKILL, and waited for, when this goes.
pub struct Guarded(pub Child);

impl Guarded {
    /// Kills it and waits for its end; one that has ended stays ended.
    pub fn kill(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}
