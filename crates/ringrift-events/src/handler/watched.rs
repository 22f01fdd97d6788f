//! A thread that is watched from outside: another language's loop, or a lane of ours.

use std::time::Duration;

use super::thread_state::{self, Doing, Used};
use crate::clock::Clock;
use crate::store::records::StallClass;

/// A thread of this process, from the moment it was first looked at.
#[derive(Clone, Copy, Debug)]
pub struct WatchedThread {
    tid: u32,
    since: Duration,
    used: Option<Used>,
}

/// What one look at a watched thread found.
#[derive(Clone, Debug)]
pub struct ThreadLook {
    /// For how long it has been watched.
    pub watched: Duration,
    /// How long of this it could have run and had no processor: its lack, not its fault. Zero where
    /// the system does not say.
    pub queued: Duration,
    /// The processor time it used meanwhile, where the system says.
    pub cpu: Option<Duration>,
    /// What keeps it.
    pub class: StallClass,
    /// The kernel's letter of its state.
    pub state: Option<char>,
    /// The system call it is in.
    pub syscall: Option<String>,
    /// What that call's descriptor is.
    pub object: Option<String>,
}

impl WatchedThread {
    /// Begins to watch the thread that the system knows by this number.
    #[must_use]
    pub fn begin(tid: u32, clock: &dyn Clock) -> WatchedThread {
        WatchedThread {
            tid,
            since: clock.monotonic(),
            used: thread_state::used(tid),
        }
    }

    /// What it has used since, and what it is at. Reads a few files of `/proc`.
    #[must_use]
    pub fn look(&self, clock: &dyn Clock) -> ThreadLook {
        let watched = clock.monotonic().saturating_sub(self.since);
        let used = self.used.and_then(|then| {
            let now = thread_state::used(self.tid)?;
            Some(Used {
                run: now.run.saturating_sub(then.run),
                queued: now.queued.saturating_sub(then.queued),
            })
        });
        let Doing {
            state,
            syscall,
            object,
        } = thread_state::doing(self.tid);
        ThreadLook {
            watched,
            queued: used.map_or(Duration::ZERO, |used| used.queued),
            cpu: used.map(|used| used.run),
            class: thread_state::class(used, watched, state),
            state,
            syscall,
            object,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn a_thread_that_waits_in_the_kernel_uses_no_processor() {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let (go, on) = std::sync::mpsc::sync_channel::<()>(1);
        let waits = std::thread::spawn(move || {
            tell.send(rustix::thread::gettid().as_raw_nonzero().get())
                .unwrap();
            on.recv().unwrap_err();
        });
        let tid = told.recv().unwrap().cast_unsigned();
        let thread = WatchedThread::begin(tid, &SystemClock);
        let until = SystemClock.monotonic() + Duration::from_secs(60);
        // It may still be on its way into the wait.
        let look = loop {
            let look = thread.look(&SystemClock);
            if look.state == Some('S') && look.watched >= Duration::from_millis(50) {
                break look;
            }
            assert!(SystemClock.monotonic() < until, "{look:?}");
        };
        drop(go);
        waits.join().unwrap();
        let held = look.watched.saturating_sub(look.queued);
        assert!(look.cpu.unwrap() <= held, "{look:?}");
    }
}
