//! Settings in the shape in which each room takes them.

use super::home::Home;
use super::settings::Settings;
use crate::clock::SharedClock;
use crate::daemons::{RestartRules, SweeperRules};
use crate::handler::{Dedup, Policy, RetryPolicy};
use crate::health::HealthRules;
use crate::log::{EventLog, LogFile};
use crate::router;
use crate::store::sqlite::OpenOptions;
use crate::store::upkeep::SweepRules;

impl Settings {
    /// What health calls degraded, and when nothing progresses.
    #[must_use]
    pub fn health_rules(&self) -> HealthRules {
        HealthRules {
            backlog: self.health.backlog,
            dead_letters: self.health.dead_letters,
            // A run may take its whole time limit without being stuck.
            no_progress: HealthRules::default()
                .no_progress
                .max(self.handler.time_limit * 2),
        }
    }

    /// The dedup policy over these payload fields, with the configured window.
    #[must_use]
    pub fn dedup(&self, fields: Vec<String>) -> Dedup {
        Dedup {
            fields,
            ttl: self.handler.dedup_ttl,
        }
    }

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
            payload_bytes_max: usize::try_from(self.publish.payload_max.0).unwrap_or(usize::MAX),
            depth_max: u16::try_from(self.publish.depth_max).unwrap_or(u16::MAX),
            publish_wait: self.publish.wait,
            claim_events_max: self.store.claim_events_max,
            claim_ahead: self.store.claim_pace,
        }
    }

    /// `options` with what is set about the store: busy limit, readers, lease, when a process is
    /// hung, how often to look for foreign writers, and how much room the store may take.
    #[must_use]
    pub fn store_options(&self, mut options: OpenOptions) -> OpenOptions {
        options.busy_timeout = self.store.busy_limit;
        options.readers = self.store.readers;
        options.disk_free_min_percent = self.store.disk_free_min_percent;
        options.log_events_max = self.retention.log_events_max;
        options.log_bytes_max = self.retention.log_bytes_max.0;
        options.wal_bytes_max = self.store.wal_max.0;
        options.presence.lease = self.store.lease;
        options.presence.hung_after = self.process.hung_after;
        options.presence.foreign_poll = self.store.poll_interval;
        options
    }

    /// The log file of a home, with the level and bounds that are set.
    #[must_use]
    pub fn event_log(&self, home: &Home, clock: SharedClock) -> EventLog {
        let mode = if home.is_shared() { 0o660 } else { 0o644 };
        let (bytes_max, files_max) = (self.log.bytes_max.0, self.log.files_max);
        let file = LogFile::new(home.log_file(), mode, bytes_max, files_max);
        EventLog::open(file, self.log.level.0, clock)
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
    use std::sync::Arc;

    use super::*;
    use crate::clock::{ManualClock, Time};
    use crate::config::LogLevel;
    use crate::event::ProcessId;
    use crate::log::Level;
    use crate::store::registry::ProcessIdentity;

    #[test]
    fn the_defaults_here_are_the_rooms_own() {
        let settings = Settings::default();
        assert_eq!(settings.policy(), Policy::default());
        assert_eq!(settings.restart_rules(), RestartRules::default());
        let (ours, theirs) = (settings.router(), router::Settings::default());
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }

    #[test]
    fn a_store_opened_by_default_settings_is_the_stores_own_default() {
        let clock: SharedClock = Arc::new(ManualClock::new(Time(0), 1));
        let identity = ProcessIdentity {
            id: ProcessId::new(&*clock),
            host: "host".to_owned(),
            pid: 1,
            command: "test".to_owned(),
            started_at: Time(0),
            catalog_hash: 0,
            version: "0".to_owned(),
        };
        let own = OpenOptions::new("/nowhere".into(), identity, Arc::clone(&clock));
        let ours = Settings::default().store_options(own.clone());
        assert_eq!(
            (ours.busy_timeout, ours.readers),
            (own.busy_timeout, own.readers)
        );
        assert_eq!(ours.presence, own.presence);
        let bounds = |of: &OpenOptions| (of.log_events_max, of.log_bytes_max, of.wal_bytes_max);
        assert_eq!(bounds(&ours), bounds(&own));
    }

    #[test]
    fn the_log_lies_in_the_home_and_has_the_level_that_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap().home;
        let mut settings = Settings::default();
        settings.log.level = LogLevel(Level::Warn);
        let log = settings.event_log(&home, Arc::new(ManualClock::new(Time(0), 1)));
        log.line(Level::Info, "not shown");
        log.line(Level::Warn, "shown");
        let text = std::fs::read_to_string(home.log_file()).unwrap();
        assert!(
            text.contains("shown") && !text.contains("not shown"),
            "{text}"
        );
    }
}
