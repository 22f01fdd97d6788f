//! The guard of `--exec`: a small process that ends the running commands when their subscriber is
//! gone, however it went.
//!
//! After `kill -9` nobody is left who could end them, while their events are handed to others: a
//! command would run beside its own retry. The guard holds one end of a pipe. The kernel closes the
//! other one when the subscriber ends, and the guard then kills every process group that was not
//! taken off its list. It stands in a process group of its own, so that a signal to the
//! subscriber's group does not end it before.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::Args as ClapArgs;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::call::Call;
use crate::exit::Exit;
use crate::failure::Done;

/// The arguments of the guard.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {}

/// The subscriber's side.
#[derive(Debug)]
pub(crate) struct Guard(Mutex<Watching>);

#[derive(Debug)]
struct Watching {
    /// What the guard is started from.
    program: PathBuf,
    guard: Child,
    pipe: Option<ChildStdin>,
    groups: BTreeSet<i32>,
}

/// A group on the guard's list, taken off when this is dropped.
#[derive(Debug)]
pub(crate) struct Watched<'a> {
    guard: &'a Guard,
    group: i32,
}

impl Guard {
    /// Starts the guard from this program.
    ///
    /// # Errors
    /// The system's, when no process can be started.
    pub(crate) fn start(program: &Path) -> io::Result<Guard> {
        let (guard, pipe) = started(program)?;
        Ok(Guard(Mutex::new(Watching {
            program: program.to_owned(),
            guard,
            pipe,
            groups: BTreeSet::new(),
        })))
    }

    /// Puts a process group on the list. A guard that somebody killed is started again first.
    ///
    /// # Errors
    /// The system's, when the guard is gone and no other one can be started.
    pub(crate) fn watch(&self, group: Pid) -> io::Result<Watched<'_>> {
        let group = group.as_raw_nonzero().get();
        let mut watching = self.lock();
        watching.groups.insert(group);
        if watching.tell('+', group).is_err() {
            watching.again()?;
        }
        Ok(Watched { guard: self, group })
    }

    fn lock(&self) -> MutexGuard<'_, Watching> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching {
    /// One short line, which a pipe takes whole.
    fn tell(&mut self, sign: char, group: i32) -> io::Result<()> {
        match &mut self.pipe {
            Some(pipe) => pipe.write_all(format!("{sign}{group}\n").as_bytes()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Starts another guard, and tells it everything.
    fn again(&mut self) -> io::Result<()> {
        self.pipe = None;
        drop(self.guard.wait());
        (self.guard, self.pipe) = started(&self.program)?;
        for group in self.groups.clone() {
            self.tell('+', group)?;
        }
        Ok(())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.pipe = None;
        drop(self.guard.wait());
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let mut watching = self.guard.lock();
        watching.groups.remove(&self.group);
        // A guard that is gone has nothing to take off.
        drop(watching.tell('-', self.group));
    }
}

fn started(program: &Path) -> io::Result<(Child, Option<ChildStdin>)> {
    let mut guard = command(program)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let pipe = guard.stdin.take();
    Ok((guard, pipe))
}

#[cfg(not(test))]
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg0("ringrift").arg("exec-guard");
    command
}

/// A unit test gives a program that is no guard and takes no verb.
#[cfg(test)]
fn command(program: &Path) -> Command {
    Command::new(program)
}

/// The guard itself: reads its list until the subscriber is gone.
pub(crate) fn run(_: &Call, _: &Args) -> Done {
    for group in left(io::stdin().lock()) {
        // A group that has ended meanwhile is what was wanted.
        kill_process_group(group, Signal::KILL).ok();
    }
    Ok(Exit::Ok)
}

/// The groups that were put on the list and never taken off.
fn left(list: impl BufRead) -> Vec<Pid> {
    let mut groups = BTreeSet::new();
    for line in list.lines().map_while(Result::ok) {
        let Some((sign, Ok(group))) = line.split_at_checked(1).map(|(s, g)| (s, g.parse())) else {
            continue;
        };
        match sign {
            "+" => {
                groups.insert(group);
            }
            "-" => {
                groups.remove(&group);
            }
            _ => {}
        }
    }
    // Group 1 is the system's.
    let real = groups.into_iter().filter(|group: &i32| *group > 1);
    real.filter_map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_off_the_list_is_left_alone() {
        let groups = left("+40\n+41\n-40\n+1\n+0\n+-7\nrubbish\n\n".as_bytes());
        let groups: Vec<i32> = groups
            .iter()
            .map(|pid| pid.as_raw_nonzero().get())
            .collect();
        assert_eq!(groups, [41]);
    }

    #[test]
    fn a_guard_that_was_killed_is_started_again_with_its_list() {
        let guard = Guard::start(Path::new("cat")).expect("starts");
        let first = guard.watch(Pid::from_raw(i32::MAX).expect("a number"));
        let first = first.expect("is told");
        let before = guard.lock().guard.id();
        guard.lock().guard.kill().expect("is killed");
        guard.lock().guard.wait().expect("ends");
        let second = guard.watch(Pid::from_raw(i32::MAX - 1).expect("a number"));
        let second = second.expect("is told");
        assert_ne!(guard.lock().guard.id(), before);
        assert_eq!(guard.lock().groups.len(), 2);
        drop((first, second));
        assert!(guard.lock().groups.is_empty());
    }
}
