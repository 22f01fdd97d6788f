//! One file a cause, in the order of the runbook's six tables.

mod acked_not_processed;
mod blocking_io;
mod database_deadlock;
mod dedup_ttl_too_short;
mod deduplicated;
mod different_key_fields;
mod event_emitted_twice;
mod handler_consistently_failing;
mod handler_exception;
mod handler_not_started;
mod handler_panic;
mod infinite_loop;
mod missing_dedup_check;
mod network_call;
mod not_bridged;
mod poison_message;
mod poller_not_running;
mod resource_exhaustion;
mod retry_not_running;
mod slow_database_query;
mod sqlite_locked;
mod sync_code_in_async;
mod too_many_concurrent_handlers;
mod wrong_type_name;

use crate::cause::Cause;
use crate::healthy;
use crate::part::Run;

/// All of them, in the runbook's order.
pub(crate) const ALL: [&Cause; 24] = [
    &handler_not_started::CAUSE,
    &wrong_type_name::CAUSE,
    &deduplicated::CAUSE,
    &handler_exception::CAUSE,
    &slow_database_query::CAUSE,
    &blocking_io::CAUSE,
    &network_call::CAUSE,
    &handler_panic::CAUSE,
    &not_bridged::CAUSE,
    &poller_not_running::CAUSE,
    &sqlite_locked::CAUSE,
    &acked_not_processed::CAUSE,
    &missing_dedup_check::CAUSE,
    &dedup_ttl_too_short::CAUSE,
    &different_key_fields::CAUSE,
    &event_emitted_twice::CAUSE,
    &handler_consistently_failing::CAUSE,
    &resource_exhaustion::CAUSE,
    &poison_message::CAUSE,
    &retry_not_running::CAUSE,
    &sync_code_in_async::CAUSE,
    &infinite_loop::CAUSE,
    &database_deadlock::CAUSE,
    &too_many_concurrent_handlers::CAUSE,
];

/// What a part runs.
pub(crate) fn part(slug: &str, name: &str) -> Run {
    let parts = match ALL.iter().find(|cause| cause.slug == slug) {
        Some(cause) => cause.parts,
        None => healthy::PARTS,
    };
    let found = parts.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no part {slug}/{name}")).1
}
