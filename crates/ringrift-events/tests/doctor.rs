//! What doctor finds beyond the causes of the runbook, each brought about in a real store by real
//! processes, and not found one step below its threshold. The 24 causes have a matrix of their own,
//! beside the command.

#![cfg(test)]

#[path = "doctor/cut.rs"]
mod cut;
#[path = "doctor/ground.rs"]
mod ground;
#[path = "doctor/mending.rs"]
mod mending;
#[path = "doctor/moving.rs"]
mod moving;
mod second_sqlite;
mod support;
#[path = "doctor/watched.rs"]
mod watched;

use std::path::Path;
use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock};
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::doctor::{Finding, FindingCode, Report, Rules};
use ringrift_events::system::System;
use support::{PATIENCE, until};

/// How far back is looked.
const BACK: Duration = Duration::from_secs(3_600);

/// Far beyond what any test takes: a threshold that nothing reaches.
const NEVER: Duration = Duration::from_secs(86_400);

/// What doctor finds of this code with these thresholds.
fn found(system: &System, code: FindingCode, thresholds: impl FnOnce(&mut Rules)) -> Vec<Finding> {
    let now = system.clock().now();
    let mut ask = system
        .config()
        .examination(system.catalog(), now, now.before(BACK));
    thresholds(&mut ask.rules);
    let report = Report::of(&**system.store(), system.catalog(), &ask).expect("a report");
    let mut findings = report.findings;
    findings.retain(|finding| finding.code == code);
    findings
}

/// Waits until doctor finds it, once.
#[track_caller]
fn finds(system: &System, code: FindingCode, thresholds: impl Fn(&mut Rules)) -> Finding {
    let give_up = SystemClock.monotonic() + PATIENCE;
    loop {
        let mut findings = found(system, code, &thresholds);
        if let Some(finding) = findings.pop() {
            assert_eq!(findings, [], "one finding a fault");
            return finding;
        }
        assert!(SystemClock.monotonic() < give_up, "{code} was never found");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Waits until it is found no more.
#[track_caller]
fn ends(system: &System, code: FindingCode, thresholds: impl Fn(&mut Rules)) {
    until(&format!("{code} is over"), || {
        found(system, code, &thresholds).is_empty()
    });
}

/// A system whose home has this configuration, and a disk as full as it is.
fn configured(folder: &Path, text: &str) -> System {
    let text = format!("[store]\ndisk_free_min_percent = 0\n\n{text}");
    std::fs::write(folder.join("ringrift.toml"), text).expect("a file");
    let config = Config::load(ConfigSources {
        home: Home::at(folder),
        variables: Vec::new(),
        flags: Vec::new(),
    });
    System::open(config.expect("a configuration")).expect("a system")
}
