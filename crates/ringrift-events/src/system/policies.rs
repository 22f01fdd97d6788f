//! The settings as the rooms take them.

use crate::config::Settings;
use crate::daemons::{RestartRules, SweeperRules};
use crate::handler::{Dedup, Policy, RetryPolicy};
use crate::health::HealthRules;
use crate::router;
use crate::store::upkeep::SweepRules;

pub(super) fn router_settings(settings: &Settings) -> router::Settings {
    router::Settings {
        durability: settings.store.durability,
        in_flight_count: settings.publish.in_flight_max,
        in_flight_bytes: usize::try_from(settings.publish.in_flight_bytes_max.0)
            .unwrap_or(usize::MAX),
        mailbox: settings.live.mailbox,
        policy: default_policy(settings),
        handlers_in_flight: settings.handler.in_flight_max,
        shutdown_grace: settings.process.shutdown_grace,
    }
}

/// The policy of a handler that brings none.
#[must_use]
pub fn default_policy(settings: &Settings) -> Policy {
    Policy {
        time_limit: settings.handler.time_limit,
        slow: settings.handler.slow,
        concurrency: settings.handler.concurrency,
        rate: None,
        dedup: None,
        retry: RetryPolicy {
            attempts: settings.dlq.attempts,
            first: settings.dlq.backoff_first,
            most: settings.dlq.backoff_most,
            ..RetryPolicy::default()
        },
    }
}

/// The dedup policy over these fields, with the configured window.
#[must_use]
pub fn dedup_by(settings: &Settings, fields: Vec<String>) -> Dedup {
    Dedup {
        fields,
        ttl: settings.handler.dedup_ttl,
    }
}

/// What the sweeper may do by these settings.
#[must_use]
pub fn sweeper_rules(settings: &Settings) -> SweeperRules {
    let retention = &settings.retention;
    SweeperRules {
        rules: SweepRules {
            poison_deaths: settings.store.poison_deaths,
            keep_settled: retention.settled,
            keep_facts: retention.facts,
            keep_deleted: retention.deleted,
            keep_orphaned: retention.orphaned,
            keep_orphaned_letters: settings.dlq.orphaned,
            keep_pages: retention.pages,
            log_events_max: retention.log_events_max,
            log_bytes_max: retention.log_bytes_max.0,
            rows_max: retention.rows_max,
        },
        look_every: settings.daemons.sweep_interval,
        retain_every: settings.daemons.retention_interval,
    }
}

pub(super) fn restart_rules(settings: &Settings) -> RestartRules {
    let daemons = &settings.daemons;
    RestartRules {
        first: daemons.restart_first,
        most: daemons.restart_most,
        restarts: usize::try_from(daemons.restarts_max).unwrap_or(usize::MAX),
        window: daemons.restart_window,
        breaker: usize::try_from(daemons.breaker_restarts).unwrap_or(usize::MAX),
        breaker_window: daemons.breaker_window,
    }
}

pub(super) fn health_rules(settings: &Settings) -> HealthRules {
    HealthRules {
        backlog: settings.health.backlog,
        dead_letters: settings.health.dead_letters,
        // A run may take its whole time limit without being stuck.
        no_progress: HealthRules::default()
            .no_progress
            .max(settings.handler.time_limit * 2),
    }
}
