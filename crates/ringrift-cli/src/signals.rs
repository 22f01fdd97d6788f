//! SIGTERM and SIGINT: the first asks to finish, the second ends at once.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;
use crate::failure::{Error, Stop};

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
        let mut heard = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if heard {
                // What was claimed goes to others once the lock of our page is free.
                std::process::exit(i32::from(Exit::Unknown.code()));
            }
            heard = true;
            self.ask();
        }
    }
}

fn cannot_listen(source: std::io::Error) -> Stop {
    Stop::from(Error::Io {
        what: "cannot listen for signals".to_owned(),
        source,
    })
}
