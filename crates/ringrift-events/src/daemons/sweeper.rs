//! `SWEEPER`: takes over from dead processes, and lets old rows go. One process of a home does it.

use std::sync::Arc;
use std::time::Duration;

use super::daemon::{Daemon, DaemonContext};
use crate::log::{EventLog, Level};
use crate::store::upkeep::{SweepRules, Swept};
use crate::store::{Error, Store};

/// What the sweeper does, and how often.
#[derive(Clone, Debug)]
pub struct SweeperRules {
    /// What it may do.
    pub rules: SweepRules,
    /// How often it looks for dead processes: their work waits so long.
    pub look_every: Duration,
    /// How often it applies retention.
    pub retain_every: Duration,
}

/// The role that one process of a home holds.
const ROLE: &str = "sweeper";

/// How often a process that waits for the role looks whether its holder hangs.
const HOST_LOOK_EVERY: Duration = Duration::from_millis(500);

/// The sweeper, or a process that waits to become it.
pub struct Sweeper {
    store: Arc<dyn Store>,
    log: EventLog,
    rules: SweeperRules,
}

impl Sweeper {
    /// A sweeper of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, log: EventLog, rules: SweeperRules) -> Sweeper {
        Sweeper { store, log, rules }
    }

    fn say(&self, swept: &Swept) {
        for process in &swept.dead {
            self.log.line(
                Level::Warn,
                &format!(
                    "process died, its work is taken over process={process} claims={} interrupted={}",
                    swept.claims_returned, swept.interrupted
                ),
            );
        }
        for (subscription, event) in &swept.poisoned {
            self.log.line(
                Level::Error,
                &format!("event kills its process again and again, it is a dead letter now id={event} subscription={}", subscription.0),
            );
        }
        if swept.expired > 0 {
            self.log.line(
                Level::Error,
                &format!("deliveries expired unhandled count={}", swept.expired),
            );
        }
    }

    /// One cycle as the elected host.
    fn sweep(&self, retain: bool) -> Result<(), Error> {
        if self.store.any_lost().wait()? {
            let swept = self.store.take_over(self.rules.rules.clone()).wait()?;
            self.say(&swept);
            if !swept.dead.is_empty() || swept.claims_returned > 0 || swept.interrupted > 0 {
                self.store.ring();
            }
        }
        if retain {
            loop {
                let swept = self.store.retain(self.rules.rules.clone()).wait()?;
                self.say(&swept);
                if !swept.more {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Daemon for Sweeper {
    fn run(&mut self, context: &DaemonContext) -> Result<(), String> {
        let mut retained_at: Option<Duration> = None;
        let mut looked_at = context.clock.monotonic();
        let mut failed = 0_u32;
        loop {
            let now = context.clock.monotonic();
            let elected = self.store.elect(ROLE).wait();
            context.standby(matches!(elected, Ok(false)));
            let done = match elected {
                Ok(true) => {
                    let retain = retained_at
                        .is_none_or(|at| now.saturating_sub(at) >= self.rules.retain_every);
                    if retain {
                        retained_at = Some(now);
                    }
                    self.sweep(retain)
                }
                Ok(false) if now.saturating_sub(looked_at) >= HOST_LOOK_EVERY => {
                    looked_at = now;
                    // The lock of one that is stopped or stuck stays: somebody else does its work until
                    // it goes on, which is safe from several processes at once.
                    match self.store.host_hangs(ROLE).wait() {
                        Ok(true) => self.sweep(false),
                        Ok(false) => Ok(()),
                        Err(error) => Err(error),
                    }
                }
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            match done {
                Ok(()) => failed = 0,
                Err(error) if error.is_retryable() => self.log.store_failed("sweeping", &error),
                Err(error) => {
                    failed += 1;
                    self.log.store_failed("sweeping", &error);
                    if failed > FAILURES_MAX {
                        return Err(error.to_string());
                    }
                }
            }
            context.cycle();
            if !context.wait(self.rules.look_every) {
                return Ok(());
            }
        }
    }

    fn stopped(&mut self) {
        // A lock that is not given back goes with the process.
        self.store.resign(ROLE).forget();
    }
}

/// Errors in a row, of a kind that trying again does not cure, before the supervisor takes over.
const FAILURES_MAX: u32 = 3;
