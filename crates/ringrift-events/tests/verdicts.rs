//! One scenario for each verdict: it happens in a system of several processes, `explain` says it,
//! and says it again after subscription, filter and bridge rule were changed.
//!
//! Set in motion and asked from outside, as an operator would; `src/explain/*_tests.rs` hold the
//! finer differences.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

mod support;

#[path = "verdicts/handle.rs"]
mod handle;
#[path = "verdicts/limits.rs"]
mod limits;
#[path = "verdicts/publication.rs"]
mod publication;
#[path = "verdicts/routes.rs"]
mod routes;
#[path = "verdicts/settle.rs"]
mod settle;
#[path = "verdicts/stage.rs"]
mod stage;
#[path = "verdicts/waits.rs"]
mod waits;

use ringrift_events::verdict::Code;

/// Makes two tests of each scenario, over the store in memory and over SQLite, one of those that only
/// SQLite can have, and the list of the codes that have one.
macro_rules! scenarios {
    (
        $($code:ident: $room:ident::$name:ident;)*
        { $($only:ident: $only_room:ident::$only_name:ident;)* }
    ) => {
        mod in_memory {
            $( #[test] fn $name() { super::$room::$name(&crate::support::World::new()); } )*
        }
        mod on_sqlite {
            $( #[test] fn $name() { super::$room::$name(&crate::support::World::sqlite()); } )*
            $( #[test] fn $only_name() {
                super::$only_room::$only_name(&crate::support::World::sqlite());
            } )*
        }
        const TOLD: &[Code] = &[$(Code::$code,)* $(Code::$only,)*];
    };
}

scenarios! {
    PubAccepted: publication::accepted;
    PubDuplicateOf: publication::duplicate_of;
    PubRejected: publication::rejected;
    PubBackpressure: publication::backpressure;
    PubStoreFailed: publication::store_failed;
    PubVolatile: publication::volatile;
    RtMatched: routes::matched;
    RtNoSubscribers: routes::nobody;
    RtTypeMismatch: routes::another_type;
    RtRefused: routes::refused;
    RtFilterFalse: routes::filter_false;
    RtNotBridged: routes::not_bridged;
    RtNotBridged: routes::not_bridged_there;
    RtNotBridged: routes::volatile_unheard;
    RtSubscribedLater: routes::subscribed_later;
    RtUnsubscribed: routes::unsubscribed;
    RtPaused: routes::paused;
    RtPaused: routes::paused_then;
    WtPending: waits::pending;
    WtNoProcess: waits::no_process;
    WtNoProcess: waits::only_older_hosts;
    WtPollerStopped: waits::poller_stopped;
    WtLoopBlocked: limits::loop_blocked;
    WtConcurrency: limits::concurrency;
    WtProcessLimit: limits::process_limit;
    WtRate: limits::rate;
    WtKeyBlocked: waits::key_blocked;
    WtLagging: limits::lagging;
    HnRunning: handle::running;
    HnOk: handle::succeeded;
    HnSkipped: handle::skipped;
    HnDuplicate: handle::duplicate;
    HnDedupExpired: handle::dedup_expired;
    HnRetrying: handle::retrying;
    HnTimeout: handle::timed_out;
    HnAbandoned: handle::abandoned;
    HnPanic: handle::panicked;
    HnError: handle::failed;
    HnLeaseLost: handle::lease_lost;
    HnNoRecord: handle::no_record;
    StDead: settle::dead;
    StDiscarded: settle::discarded;
    StExpired: settle::expired;
    StPurged: settle::purged;
    HnOk: settle::handled_and_purged;
    StSkippedBySeek: settle::skipped_by_seek;
    StSubscriptionRemoved: settle::removed;
    StReplayedAs: settle::replayed_as;
    StRecovered: settle::recovered;

    // In memory there is no lock that another program could hold.
    {
        WtStoreBusy: waits::store_busy;
    }
}

/// The codes that nothing tells of an event yet, and why.
const UNTOLD: &[(Code, &str)] = &[];

#[test]
fn every_code_has_a_scenario_or_a_reason() {
    for code in Code::ALL {
        let told = TOLD.iter().filter(|one| *one == code).count();
        let untold = UNTOLD.iter().filter(|(one, _)| one == code).count();
        assert!(
            (told == 0) != (untold == 0),
            "{code} has {told} scenarios, {untold} reasons"
        );
    }
}

/// What a handler publishes hangs below what it handled, across processes.
#[test]
fn a_tree_leads_across_processes() {
    use ringrift_events::handler::{Function, Policy};
    use ringrift_events::router::{Publish, Subscribe};
    let world = support::World::new();
    let (system, host) = (world.process(), world.process());
    let router = host.router().clone();
    let leads_on = Function::blocking(move |_| {
        let next = Publish::new(stage::OTHER, "{}");
        drop(
            router
                .publish(next)
                .map_err(ringrift_events::handler::NotDone::failed)?,
        );
        Ok(())
    });
    stage::durable(&host, "leads-on", Policy::default(), leads_on);
    let fails = Subscribe::durable("fails")
        .to([stage::OTHER])
        .policy(stage::in_an_hour());
    host.router().subscribe(fails, stage::broken()).unwrap();
    let id = stage::publish_one(&system);
    let tree = || system.tree(&id.to_string()).unwrap();
    support::until("the second one failed", || {
        let children = tree().root.children;
        children
            .first()
            .is_some_and(|child| child.state == Code::HnRetrying)
    });
    let found = tree();
    assert_eq!((found.asked, found.root.id, &found.cut), (id, id, &None));
    let child = &found.root.children[0];
    assert_eq!(child.subscription.as_deref(), Some("fails"));
    assert!(child.after_us.is_some() && child.children.is_empty());
    assert_ne!(
        found.root.process.as_ref().map(|process| process.id),
        child.process.as_ref().map(|process| process.id)
    );
    // The same tree, whichever of its events is asked about.
    let from_below = system.tree(&child.id.to_string()).unwrap();
    assert_eq!(from_below.root.id, id);
    let cause = stage::explained(&system, child.id).findings.cause;
    assert_eq!(cause.map(|cause| cause.id), Some(id));
    system.close();
    host.close();
}

/// The role of a child process; does nothing in a run of all tests.
#[test]
fn child() {
    if let Some((role, home)) = support::child::role() {
        match role.as_str() {
            "host" => handle::child_that_hosts(&home),
            "locker" => waits::child_that_locks(&home),
            other => panic!("no role {other}"),
        }
    }
}
