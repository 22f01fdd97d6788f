//! Processes and alerts for charts that are drawn by hand.

use crate::clock::Time;
use crate::event::{ProcessId, Seq};
use crate::store::records::Load;
use crate::store::registry::{Counters, Liveness, ProcessIdentity, ProcessState};
use crate::store::watching::{Alert, AlertId, AlertState, STALLED_RULE, Severity};

/// A process that lives and does nothing.
pub(super) fn process(id: ProcessId, started_at: Time, beat_at: Time) -> ProcessState {
    ProcessState {
        process: ProcessIdentity {
            id,
            host: "host".to_owned(),
            pid: 4711,
            command: "trainer".to_owned(),
            started_at,
            catalog_hash: 0,
            version: "0".to_owned(),
        },
        liveness: Liveness::Alive,
        beat_at,
        counters: Counters::default(),
        running: Vec::new(),
        recent: Vec::new(),
        polled_to: Seq::START,
        blocked_by: None,
        hosts: Vec::new(),
        stalls: Vec::new(),
        load: Load::default(),
        cycles: Vec::new(),
    }
}

/// A pipeline that stands still, with this evidence.
pub(super) fn stall(evidence: &str) -> Alert {
    Alert {
        id: AlertId(1),
        rule: STALLED_RULE.to_owned(),
        group: "ringrift/key/step".to_owned(),
        severity: Severity::Critical,
        state: AlertState::Open,
        summary: "a pipeline stands still".to_owned(),
        evidence: evidence.to_owned(),
        event: None,
        seq: None,
        last_event: None,
        count: 1,
        opened_at: Time(0),
        last_at: Time(0),
        acked: None,
        resolved: None,
        silenced: None,
        sends: Vec::new(),
    }
}
