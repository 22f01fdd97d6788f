//! The keeper: the thread whose private descriptor table every database thread shares.
//!
//! One for the process, not one for each store: SQLite keeps one record for each file in the
//! process, and it names descriptors, so all of the process's connections must lie in one table.
//! It does nothing but spawn, and lives as long as the process: with the table's last thread the
//! kernel would drop the table's locks.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use crate::store::{Error, ErrorCode, Opener};

/// Spawn requests under way at once: each store asks for a handful, one after the other.
const SPAWNS_WAITING_MAX: usize = 16;

/// What a database thread runs. It holds plain data only.
type Task = Box<dyn FnOnce() + Send>;

struct Spawn {
    name: &'static str,
    task: Task,
    done: SyncSender<io::Result<()>>,
}

/// The way to the keeper.
pub(crate) struct Keeper {
    spawns: Mutex<SyncSender<Spawn>>,
    opener: Opener,
    refused: Option<String>,
    note: Option<String>,
}

static KEEPER: OnceLock<Result<Keeper, String>> = OnceLock::new();

/// The process's keeper, started at the first call.
pub(crate) fn keeper() -> Result<&'static Keeper, Error> {
    match KEEPER.get_or_init(|| start().map_err(|error| error.to_string())) {
        Ok(keeper) => {
            keeper.check_not_forked()?;
            Ok(keeper)
        }
        Err(why) => Err(Error::new(
            ErrorCode::Io,
            format!("the database threads could not be started: {why}"),
        )),
    }
}

impl Keeper {
    /// Refuses in a child of `fork()`: it has none of the threads, and SQLite's records there name
    /// descriptors that it does not have.
    pub(crate) fn check_not_forked(&self) -> Result<(), Error> {
        self.opener.check()
    }

    /// Runs `task` on a new thread of the private table.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        task: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
        let (done, answer) = sync_channel(1);
        let spawn = Spawn {
            name,
            task: Box::new(move || {
                super::open_guard::mark_thread();
                task();
            }),
            done,
        };
        let gone = || Error::new(ErrorCode::Io, "the keeper of the database threads is gone");
        let spawns = self.spawns.lock().unwrap_or_else(PoisonError::into_inner);
        spawns.send(spawn).map_err(|_| gone())?;
        drop(spawns);
        answer.recv().map_err(|_| gone())?.map_err(|error| {
            Error::new(
                ErrorCode::Io,
                format!("database thread {name} could not be started: {error}"),
            )
        })
    }

    /// What else is unusual about the table.
    pub(crate) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Why there is no private table, if there is none. It must be said loudly: beside a second
    /// copy of SQLite in this process, commits may then be lost.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }
}

fn start() -> io::Result<Keeper> {
    let (spawns, requests) = sync_channel(SPAWNS_WAITING_MAX);
    let (entered, answer) = sync_channel(1);
    thread::Builder::new()
        .name("rr-keeper".to_owned())
        .spawn(move || {
            // First, while a handler's descriptors are those of the process still.
            let table = super::signals::block().and_then(|()| super::private_table::enter());
            let guarded = match &table {
                // Without a table of its own nothing is wrong with other threads' connections.
                Err(_) => Ok(()),
                Ok(_) => super::open_guard::install(),
            };
            let note = guarded.err().map(|error| error.message);
            // The starter waits for this; if it is gone, so is the process.
            if entered.send((table, note)).is_ok() {
                serve(&requests);
            }
        })?;
    let (table, mut note) = answer
        .recv()
        .map_err(|_| io::Error::other("the keeper ended at its start"))?;
    let refused = match table {
        Ok(low) => {
            note = low.or(note);
            None
        }
        Err(error) => Some(error.to_string()),
    };
    Ok(Keeper {
        spawns: Mutex::new(spawns),
        opener: Opener::here(),
        refused,
        note,
    })
}

fn serve(requests: &Receiver<Spawn>) {
    while let Ok(Spawn { name, task, done }) = requests.recv() {
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(task);
        // Nobody waits any more: the thread runs all the same.
        drop(done.send(spawned.map(drop)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd as _, BorrowedFd};

    #[test]
    fn a_descriptor_of_the_process_does_not_exist_on_a_database_thread() {
        let keeper = keeper().unwrap();
        assert_eq!(keeper.refused(), None, "this kernel refuses close_range");
        // Higher than what the tests' own stores use of the private table.
        let file = std::fs::File::open("/dev/null").unwrap();
        let high = rustix::io::fcntl_dupfd_cloexec(&file, 1_000).unwrap();
        let number = high.as_raw_fd();
        let (tell, told) = sync_channel(1);
        keeper
            .spawn("rr-test", move || {
                let link = std::fs::read_link(format!("/proc/thread-self/fd/{number}"));
                let null = std::fs::read_link("/proc/thread-self/fd/2");
                let opened = std::fs::File::open("/dev/null").unwrap().as_raw_fd();
                tell.send((link.is_err(), null.ok(), opened)).unwrap();
            })
            .unwrap();
        let (absent, null, opened) = told.recv().unwrap();
        assert!(absent);
        assert!(opened >= 300, "files begin at {opened}");
        assert_eq!(null.unwrap(), std::path::Path::new("/dev/null"));
        let _still: BorrowedFd<'_> = std::os::fd::AsFd::as_fd(&high);
    }

    #[test]
    fn a_low_number_leads_nowhere_on_a_database_thread() {
        let (tell, told) = sync_channel(1);
        keeper()
            .unwrap()
            .spawn("rr-test", move || {
                tell.send(std::fs::read_to_string("/proc/thread-self/fdinfo/12").unwrap())
                    .unwrap();
            })
            .unwrap();
        let told = told.recv().unwrap();
        let flags = told
            .lines()
            .find_map(|line| line.strip_prefix("flags:"))
            .unwrap();
        // O_PATH: reading and writing answer EBADF.
        let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
        assert_ne!(flags & 0o10_000_000, 0, "{told}");
    }

    #[test]
    fn signals_find_another_thread_than_a_database_thread() {
        let (tell, told) = sync_channel(1);
        keeper()
            .unwrap()
            .spawn("rr-test", move || {
                tell.send(std::fs::read_to_string("/proc/thread-self/status").unwrap())
                    .unwrap();
            })
            .unwrap();
        let told = told.recv().unwrap();
        let mask = told.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
        let is_blocked = |signal: i32| mask & (1 << (signal - 1)) != 0;
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGCHLD, libc::SIGHUP] {
            assert!(is_blocked(signal), "{signal} of {mask:x}");
        }
        assert!(!is_blocked(libc::SIGSEGV), "{mask:x}");
    }
}
