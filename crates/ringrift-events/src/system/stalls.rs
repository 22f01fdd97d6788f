//! What becomes of a handler that holds a thread: a line in the log, a cell of the page while it
//! lasts, a fact once it is over.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::clock::SharedClock;
use crate::config::Settings;
use crate::event::ProcessId;
use crate::handler::{Noticed, Watch};
use crate::log::EventLog;
use crate::store::Store;
use crate::store::records::Stall;
use crate::store::registry::Fact;
use crate::verdict::Code;

/// The watch over this process's handlers.
pub(super) fn watch(
    settings: &Settings,
    log: &EventLog,
    clock: &SharedClock,
    store: &Arc<dyn Store>,
) -> Arc<Watch> {
    let (log, clock_of, store) = (log.clone(), Arc::clone(clock), Arc::clone(store));
    let process = store.process();
    Watch::new(
        Arc::clone(clock),
        settings.handler.held_max,
        Box::new(move |noticed| match noticed {
            Noticed::Began(stall) => {
                let held = Duration::from_millis(stall.held_ms);
                let at = stall.place.as_deref().or(stall.object.as_deref());
                log.loop_blocked(&stall.handler, stall.event, held, at);
            }
            Noticed::Now(stalls) => store.show_stalls(stalls.to_vec()),
            Noticed::Lasts(stall) => {
                let fact = fact(stall, process, clock_of.now(), false);
                store.record(vec![fact]).forget();
            }
            Noticed::Ended(stall) => {
                let fact = fact(stall, process, clock_of.now(), true);
                store.record(vec![fact]).forget();
            }
        }),
    )
}

fn fact(stall: &Stall, process: ProcessId, now: crate::clock::Time, ended: bool) -> Fact {
    Fact {
        at: now,
        code: Some(Code::WtLoopBlocked),
        event: Some(stall.event),
        seq: stall.seq,
        seq_to: None,
        event_type: Some(stall.event_type.clone()),
        subscription: stall.subscription,
        process: Some(process),
        act: None,
        generation: None,
        evidence: json!({
            "handler": stall.handler,
            "since_us": stall.since.0,
            "held_ms": stall.held_ms,
            "ended": ended,
            "class": stall.class.as_str(),
            "cpu_ms": stall.cpu_ms,
            "thread": stall.thread,
            "tid": stall.tid,
            "state": stall.state,
            "syscall": stall.syscall,
            "object": stall.object,
            "place": stall.place,
        })
        .to_string(),
    }
}
