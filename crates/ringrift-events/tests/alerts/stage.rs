//! What the tests of alerts have in common: homes that look often, and what was raised in them.

#![allow(
    dead_code,
    reason = "each test file is a crate of its own and uses a part of it"
)]

use std::path::Path;

use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::store::watching::{Alert, AlertFilter};
use ringrift_events::system::System;

use crate::support;

/// Short looks, so that a test need not wait for the ordinary ones.
const SWIFT: &str = "[alerts]\nlook_interval = \"100ms\"\nbackoff_first = \"50ms\"\nbackoff_most = \"100ms\"\nattempts = 3\nsend_limit = \"500ms\"\n\n[store]\ndisk_free_min_percent = 0\n\n";

pub(crate) fn home(text: &str) -> tempfile::TempDir {
    let folder = support::swift_folder();
    std::fs::write(
        folder.path().join("ringrift.toml"),
        format!("{SWIFT}{text}"),
    )
    .unwrap();
    folder
}

pub(crate) fn open(folder: &Path) -> System {
    let config = Config::load(ConfigSources {
        home: Home::at(folder),
        variables: Vec::new(),
        flags: Vec::new(),
    });
    System::open(config.expect("a configuration")).expect("a system")
}

pub(crate) fn hosting(folder: &Path) -> System {
    let system = open(folder);
    system.host_daemons().expect("daemons");
    system
}

pub(crate) fn alerts(system: &System) -> Vec<Alert> {
    let filter = AlertFilter {
        limit: 1_000,
        ..AlertFilter::default()
    };
    system.alerts().list(filter).expect("alerts")
}

pub(crate) fn of_rule(system: &System, rule: &str) -> Vec<Alert> {
    let mut alerts = alerts(system);
    alerts.retain(|alert| alert.rule == rule);
    alerts
}

/// The same with tries that may take long.
pub(crate) fn patient_home(text: &str) -> tempfile::TempDir {
    let folder = home("");
    let swift = SWIFT.replace("500ms", "60s");
    std::fs::write(folder.path().join("ringrift.toml"), swift + text).unwrap();
    folder
}

/// How the messages of a rule's only alert stand: sink, state, tries.
pub(crate) fn sends(system: &System, rule: &str) -> Vec<(String, String, u32)> {
    let alert = of_rule(system, rule).pop();
    let sends = alert.map(|alert| alert.sends).unwrap_or_default();
    sends
        .into_iter()
        .map(|send| (send.sink, send.state, send.attempts))
        .collect()
}
