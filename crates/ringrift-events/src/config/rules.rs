//! Settings in the shape in which each room takes them.

use super::home::Home;
use super::load::Config;
use super::settings::Settings;
use crate::alerts::Rule;
use crate::catalog::Catalog;
use crate::clock::{SharedClock, Time};
use crate::daemons::{RestartRules, SweeperRules};
use crate::doctor;
use crate::handler::{Dedup, Policy, RetryPolicy};
use crate::health::HealthRules;
use crate::log::{EventLog, LogFile};
use crate::metrics::{self, CheckRules, ExportRules, Limits};
use crate::router;
use crate::store::log::TypeSet;
use crate::store::sqlite::OpenOptions;
use crate::store::upkeep::SweepRules;

impl Config {
    /// What doctor is asked of this home.
    #[must_use]
    pub fn examination(&self, catalog: &Catalog, now: Time, since: Time) -> doctor::Ask {
        let expected = self.expected.iter();
        doctor::Ask {
            now,
            since,
            rules: self.settings.doctor_rules(),
            expected: expected
                .map(|one| (one.handler.clone(), one.place.to_string()))
                .collect(),
            conflicts: [self.refused.clone(), self.settings.conflicts()].concat(),
            alerted: self.alerted(catalog),
            sinks: self.sink_names(),
            database: Some(self.home.database()),
        }
    }

    /// The types that rules of alerts take; none where the rules cannot be read, which is said by
    /// whoever uses them.
    #[must_use]
    pub fn alerted(&self, catalog: &Catalog) -> Option<TypeSet> {
        let rules = self.alert_rules(catalog).ok()?;
        Rule::types_of(&rules.rules)
    }
}

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

    /// From when on doctor calls something a finding.
    #[must_use]
    pub fn doctor_rules(&self) -> doctor::Rules {
        let set = &self.doctor;
        doctor::Rules {
            unhosted_after: set.unhosted_after,
            lock_held: set.lock_held,
            overdue: set.overdue,
            failing_percent: set.failing_percent,
            failing_starts: set.failing_starts,
            failing_events: set.failing_events,
            twice_within: set.twice_within,
            twice_copies: set.twice_copies,
            filtered_events: set.filtered_events,
            window_missed_percent: set.window_missed_percent,
            one_fault_percent: set.one_fault_percent,
            one_fault_letters: set.one_fault_letters,
            no_progress: self.health_rules().no_progress,
            unread: set.unread,
            unswept: set.unswept,
            crowded_after: set.crowded_after,
            clock_skew: set.clock_skew,
            wal_bytes: self.store.wal_max.0,
            disk_free_percent: set.disk_free_percent,
            backlog: self.health.backlog,
            dead_letters: self.health.dead_letters,
        }
    }

    /// How many series `/metrics` may have, and how long reading them may take.
    #[must_use]
    pub fn export_rules(&self) -> ExportRules {
        ExportRules {
            types_max: self.metrics.types_max,
            subscriptions_max: self.metrics.subscriptions_max,
            time_limit: self.metrics.time_limit,
        }
    }

    /// From when on `check` warns and calls critical.
    #[must_use]
    pub fn check_rules(&self) -> CheckRules {
        let counts = |warn: u64, crit: u64| Limits {
            warn: metrics::float(warn),
            crit: Some(metrics::float(crit)),
        };
        let check = &self.check;
        CheckRules {
            backlog: counts(self.health.backlog, check.backlog_crit),
            dlq: counts(self.health.dead_letters, check.dead_letters_crit),
            lag: Limits {
                warn: check.lag_warn.as_secs_f64(),
                crit: Some(check.lag_crit.as_secs_f64()),
            },
            failures: counts(check.failures_warn, check.failures_crit),
            wal: counts(self.store.wal_max.0, check.wal_crit.0),
            time_limit: self.metrics.time_limit,
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
            recording: router::Recording {
                wait: self.record.wait,
                facts_per_second: self.record.facts_per_second,
                repeat_every: self.record.repeat_every,
            },
        }
    }

    /// `options` with what is set about the store: busy limit, readers, lease, when a process is
    /// hung, how often to look for foreign writers, and how much room the store may take.
    #[must_use]
    pub fn store_options(&self, mut options: OpenOptions) -> OpenOptions {
        options.busy_timeout = self.store.busy_limit;
        options.lock_wait_recorded = self.record.lock_wait;
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
    use crate::clock::ManualClock;
    use crate::config::LogLevel;
    use crate::event::ProcessId;
    use crate::log::Level;
    use crate::store::registry::ProcessIdentity;

    #[test]
    fn the_defaults_here_are_the_rooms_own() {
        let settings = Settings::default();
        assert_eq!(settings.policy(), Policy::default());
        assert_eq!(settings.restart_rules(), RestartRules::default());
        assert_eq!(settings.doctor_rules(), doctor::Rules::default());
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
            (ours.busy_timeout, ours.readers, ours.lock_wait_recorded),
            (own.busy_timeout, own.readers, own.lock_wait_recorded)
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
