//! SIGTERM and SIGINT: the first asks to finish, the second ends at once, unless it is an echo of
//! the first.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringrift_events::clock::{Clock, SystemClock};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;
use crate::failure::{Error, Stop};

/// A signal this soon after the first is the same wish: `timeout`, a service manager and a terminal
/// signal the process and then its whole group, and no person is as quick.
const ECHO: Duration = Duration::from_millis(250);

/// Whether somebody asked this process to stop: a signal, or a part of it that has come to its end.
#[derive(Clone)]
pub(crate) struct Signals(Arc<Shared>);

struct Shared {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Signals {
    /// Hears no signals; only [`Signals::ask`] asks.
    #[cfg(test)]
    pub(crate) fn deaf() -> Signals {
        Signals(Arc::new(Shared {
            asked: Mutex::new(false),
            changed: Condvar::new(),
        }))
    }

    /// Listens from now on, on a thread of its own, so that it works whatever the others do.
    pub(crate) fn listen() -> Result<Signals, Stop> {
        let signals = Signals(Arc::new(Shared {
            asked: Mutex::new(false),
            changed: Condvar::new(),
        }));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(cannot_listen)?;
        let (terminate, interrupt) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::terminate()).map_err(cannot_listen)?,
                signal(SignalKind::interrupt()).map_err(cannot_listen)?,
            )
        };
        let heard = signals.clone();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(heard.hear(terminate, interrupt)))
            .map_err(cannot_listen)?;
        Ok(signals)
    }

    /// Whether somebody asked.
    pub(crate) fn stopped(&self) -> bool {
        *self.lock()
    }

    /// Asks, as the first signal does.
    pub(crate) fn ask(&self) {
        *self.lock() = true;
        self.0.changed.notify_all();
    }

    /// Blocks until somebody asks, at most `limit`; says whether somebody did.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> bool {
        let asked = self.lock();
        let Some(limit) = limit else {
            let asked = self.0.changed.wait_while(asked, |asked| !*asked);
            return *asked.unwrap_or_else(PoisonError::into_inner);
        };
        let waited = self
            .0
            .changed
            .wait_timeout_while(asked, limit, |asked| !*asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn hear(&self, mut terminate: Signal, mut interrupt: Signal) {
        let mut first = None;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            match meaning(&mut first, SystemClock.monotonic()) {
                Meaning::Finish => self.ask(),
                Meaning::Echo => {}
                // What was claimed goes to others once the lock of our page is free.
                Meaning::EndNow => std::process::exit(i32::from(Exit::Unknown.code())),
            }
        }
    }
}

/// What a signal means.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// The first: finish what runs.
    Finish,
    /// The same wish, sent again within [`ECHO`].
    Echo,
    /// Somebody means it.
    EndNow,
}

/// What a signal at `now` means, after the one at `first`; monotonic times.
fn meaning(first: &mut Option<Duration>, now: Duration) -> Meaning {
    match *first {
        None => {
            *first = Some(now);
            Meaning::Finish
        }
        Some(at) if now.saturating_sub(at) < ECHO => Meaning::Echo,
        Some(_) => Meaning::EndNow,
    }
}

fn cannot_listen(source: std::io::Error) -> Stop {
    Stop::from(Error::Io {
        what: "cannot listen for signals".to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_of_the_first_signal_is_the_same_wish() {
        let mut first = None;
        let at = |millis: u64| Duration::from_millis(1_000 + millis);
        assert_eq!(meaning(&mut first, at(0)), Meaning::Finish);
        assert_eq!(meaning(&mut first, at(1)), Meaning::Echo);
        assert_eq!(meaning(&mut first, at(249)), Meaning::Echo);
        assert_eq!(meaning(&mut first, at(250)), Meaning::EndNow);
    }
}
