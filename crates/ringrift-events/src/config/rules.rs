//! Settings in the shape in which each room takes them.

use super::settings::Settings;
use crate::daemons::{RestartRules, SweeperRules};
use crate::handler::{Policy, RetryPolicy};
use crate::router;
use crate::store::upkeep::SweepRules;

impl Settings {
    /// The policy of a handler that brings none.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            time_limit: self.handler.time_limit,
            slow: self.handler.slow,
            concurrency: self.handler.concurrency,
            rate: None,
            dedup: None,
            retry: RetryPolicy {
                attempts: self.dlq.attempts,
                first: self.dlq.backoff_first,
                factor: self.dlq.backoff_factor,
                most: self.dlq.backoff_most,
            },
        }
    }

    /// What the router takes.
    #[must_use]
    pub fn router(&self) -> router::Settings {
        router::Settings {
            durability: self.store.durability,
            in_flight_count: self.publish.in_flight_max,
            in_flight_bytes: usize::try_from(self.publish.in_flight_bytes_max.0)
                .unwrap_or(usize::MAX),
            mailbox: self.live.mailbox,
            handlers_in_flight: self.handler.in_flight_max,
            policy: self.policy(),
            shutdown_grace: self.process.shutdown_grace,
        }
    }

    /// What sweeping and retention may do.
    #[must_use]
    pub fn sweep_rules(&self) -> SweepRules {
        SweepRules {
            poison_deaths: self.store.poison_deaths,
            keep_settled: self.retention.settled,
            keep_facts: self.retention.facts,
            keep_deleted: self.retention.deleted,
            keep_orphaned: self.retention.orphaned,
            keep_orphaned_letters: self.dlq.orphaned,
            keep_pages: self.retention.pages,
            log_events_max: self.retention.log_events_max,
            log_bytes_max: self.retention.log_bytes_max.0,
            rows_max: self.retention.rows_max,
        }
    }

    /// What the sweeper does, and how often.
    #[must_use]
    pub fn sweeper(&self) -> SweeperRules {
        SweeperRules {
            rules: self.sweep_rules(),
            look_every: self.daemons.sweep_interval,
            retain_every: self.daemons.retention_interval,
        }
    }

    /// When daemons are restarted, and when no more.
    #[must_use]
    pub fn restart_rules(&self) -> RestartRules {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        RestartRules {
            first: self.daemons.restart_first,
            most: self.daemons.restart_most,
            restarts: count(self.daemons.restarts_max),
            window: self.daemons.restart_window,
            breaker: count(self.daemons.breaker_restarts),
            breaker_window: self.daemons.breaker_window,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_here_are_the_rooms_own() {
        let settings = Settings::default();
        assert_eq!(settings.policy(), Policy::default());
        assert_eq!(settings.restart_rules(), RestartRules::default());
        let (ours, theirs) = (settings.router(), router::Settings::default());
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }
}
