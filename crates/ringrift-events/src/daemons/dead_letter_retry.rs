//! `DLQ_RETRY`: retries dead letters of the handlers that this process hosts, when they are due.

use std::sync::Arc;
use std::time::Duration;

use super::daemon::{Daemon, DaemonContext};
use crate::log::EventLog;
use crate::router::Router;
use crate::store::{Error, Store};

/// The longest pause between two looks while a letter waits: one that became due without a ring
/// waits no longer.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// The shortest pause, so that a handler whose slots are all busy does not make this loop spin.
const LOOK_MIN: Duration = Duration::from_millis(20);

/// The pause after a ring, before the next look.
const RING_PAUSE: Duration = Duration::from_millis(50);

/// The retry daemon of one process.
pub struct DeadLetterRetry {
    store: Arc<dyn Store>,
    router: Router,
    log: EventLog,
}

impl DeadLetterRetry {
    /// A retry daemon for what `router` hosts.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, router: Router, log: EventLog) -> DeadLetterRetry {
        DeadLetterRetry { store, router, log }
    }

    /// Starts what is due; answers how long nothing more can be, `None` when no letter waits.
    fn look(&self, context: &DaemonContext) -> Result<Option<Duration>, Error> {
        let Some(due) = self.router.next_due()? else {
            return Ok(None);
        };
        let now = context.now();
        if due > now {
            return Ok(Some(due.since(now).clamp(LOOK_MIN, LOOK_MAX)));
        }
        self.router.start_due()?;
        Ok(Some(LOOK_MIN))
    }

    /// Waits for news; as long as it takes where no letter waits, for none becomes due by itself.
    fn until_news(&self, seen: u64, waits: bool, context: &DaemonContext) -> u64 {
        loop {
            // No append makes a letter due.
            let news = self.store.wait_for_news_of(None, seen, LOOK_MAX);
            if news != seen || waits || context.is_stopping() {
                return news;
            }
            context.cycle();
        }
    }
}

impl Daemon for DeadLetterRetry {
    fn run(&mut self, context: &DaemonContext) -> Result<(), String> {
        let mut seen = 0;
        while !context.is_stopping() {
            let pause = match self.look(context) {
                Ok(pause) => pause,
                Err(error) if error.is_retryable() => {
                    self.log
                        .store_failed("looking for due dead letters", &error);
                    Some(LOOK_MAX)
                }
                Err(error) => return Err(error.to_string()),
            };
            context.cycle();
            // A busy log rings at every commit; dead letters need no such haste. Where something is
            // due by the clock, rings would not bring it sooner.
            let pause = match pause {
                Some(pause) if pause < LOOK_MAX => pause,
                later => {
                    seen = self.until_news(seen, later.is_some(), context);
                    RING_PAUSE
                }
            };
            if !context.wait(pause) {
                break;
            }
        }
        Ok(())
    }
}
