//! Dedup keys of durable subscriptions.

use std::time::Duration;

use super::bench::{Bench, last};
use super::harness::{Check, Harness, promises, refused, same};
use crate::event::EventId;
use crate::store::deliveries::{Claim, Reserved, Settlement};
use crate::store::subscriptions::SubscriptionId;
use crate::store::{Error, ErrorCode};
use crate::verdict::Outcome;

promises!(
    an_equal_key_waits_for_the_outcome,
    a_confirmed_key_is_known_for_its_window,
    a_released_key_is_free,
    a_failed_second_run_leaves_the_first_known,
    a_key_belongs_to_one_subscription,
    the_keys_of_a_dead_process_are_free,
    an_operator_forgets_keys,
    keys_are_for_durable_ones,
);

const TTL: Duration = Duration::from_secs(300);

fn reserve(bench: &Bench, id: SubscriptionId, event: EventId) -> Result<Reserved, Error> {
    let keys = vec![("k".to_owned(), event)];
    let mut reserved = bench.store.reserve(id, keys, TTL).wait()?;
    Ok(reserved.remove(0))
}

fn settle(bench: &Bench, claim: &Claim, outcome: Outcome) -> Result<bool, Error> {
    let result = Settlement {
        dedup_key: Some("k".to_owned()),
        ..bench.result(last(claim), outcome)
    };
    bench.settle(claim.token, last(claim), vec![result])
}

fn an_equal_key_waits_for_the_outcome(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    bench.publish(2)?;
    let (one, two) = (bench.claimed(id, 1)?, bench.claimed(id, 1)?);
    let (first, second) = (one.events[0].id, two.events[0].id);
    let keys = vec![("k".to_owned(), first), ("k".to_owned(), second)];
    let both = bench.store.reserve(id, keys, TTL).wait()?;
    same!(
        both,
        vec![Reserved::Yes, Reserved::Wait { holder: first }],
        "in the order asked"
    );
    same!(
        reserve(&bench, id, first)?,
        Reserved::Yes,
        "asking again is no duplicate of oneself"
    );
    settle(&bench, &one, Outcome::Done)?;
    let known = Reserved::Duplicate {
        original: first,
        window_ends_at: bench.now().after(TTL),
    };
    same!(
        reserve(&bench, id, second)?,
        known,
        "then it is one of the first"
    );
    Ok(())
}

fn a_confirmed_key_is_known_for_its_window(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    bench.publish(1)?;
    let claim = bench.claimed(id, 1)?;
    let first = claim.events[0].id;
    reserve(&bench, id, first)?;
    settle(&bench, &claim, Outcome::Done)?;
    let ends = bench.now().after(TTL);
    let other = || EventId::new(&**harness.clock());
    harness.clock().advance(TTL - Duration::from_secs(1));
    let within = Reserved::Duplicate {
        original: first,
        window_ends_at: ends,
    };
    same!(
        reserve(&bench, id, other())?,
        within,
        "to its end; a hit does not stretch it"
    );
    harness.clock().advance(Duration::from_secs(12));
    let after = Reserved::AfterWindow {
        original: first,
        ended_at: ends,
    };
    same!(
        reserve(&bench, id, other())?,
        after,
        "that it ran 11 s after the window is known"
    );
    Ok(())
}

fn a_released_key_is_free(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    bench.publish(1)?;
    let claim = bench.claimed(id, 1)?;
    reserve(&bench, id, claim.events[0].id)?;
    settle(&bench, &claim, Bench::failed("x"))?;
    let other = EventId::new(&**harness.clock());
    same!(
        reserve(&bench, id, other)?,
        Reserved::Yes,
        "a failure confirms nothing"
    );
    let due = bench.due(id)?;
    let wait = Reserved::Wait { holder: other };
    same!(
        reserve(&bench, id, claim.events[0].id)?,
        wait,
        "now the first waits"
    );
    let result = Settlement {
        dedup_key: Some("k".to_owned()),
        ..bench.result(last(&claim), Outcome::Done)
    };
    bench
        .store
        .settle_due(due[0].id, due[0].fence, result)
        .wait()?;
    let third = EventId::new(&**harness.clock());
    same!(
        reserve(&bench, id, third)?,
        wait,
        "nobody ends another's reservation"
    );
    Ok(())
}

fn a_failed_second_run_leaves_the_first_known(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    bench.publish(2)?;
    let (one, two) = (bench.claimed(id, 1)?, bench.claimed(id, 1)?);
    reserve(&bench, id, one.events[0].id)?;
    settle(&bench, &one, Outcome::Done)?;
    let ended_at = bench.now().after(TTL);
    harness.clock().advance(TTL + Duration::from_secs(1));
    let known = Reserved::AfterWindow {
        original: one.events[0].id,
        ended_at,
    };
    same!(
        reserve(&bench, id, two.events[0].id)?,
        known,
        "the window has passed"
    );
    settle(&bench, &two, Bench::failed("x"))?;
    let other = EventId::new(&**harness.clock());
    same!(
        reserve(&bench, id, other)?,
        known,
        "the first one is still known"
    );
    harness.clock().advance(TTL * 10);
    let result = bench
        .store
        .reserve(id, vec![("k2".to_owned(), other)], TTL)
        .wait()?;
    same!(result, vec![Reserved::Yes], "other keys are other keys");
    Ok(())
}

fn a_key_belongs_to_one_subscription(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let (one, two) = (
        bench.subscribe(Bench::durable("one"))?,
        bench.subscribe(Bench::durable("two"))?,
    );
    let (a, b) = (
        EventId::new(&**harness.clock()),
        EventId::new(&**harness.clock()),
    );
    same!(reserve(&bench, one, a)?, Reserved::Yes, "the first one's");
    same!(
        reserve(&bench, two, b)?,
        Reserved::Yes,
        "is not the second one's"
    );
    let other = Bench::new(harness);
    same!(
        reserve(&other, one, b)?,
        Reserved::Wait { holder: a },
        "but it is every process's"
    );
    Ok(())
}

fn the_keys_of_a_dead_process_are_free(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    let (a, b) = (
        EventId::new(&**harness.clock()),
        EventId::new(&**harness.clock()),
    );
    reserve(&one, id, a)?;
    same!(
        reserve(&two, id, b)?,
        Reserved::Wait { holder: a },
        "held while it lives"
    );
    harness.kill(&one.store);
    two.store.take_over(super::rules()).wait()?;
    same!(
        reserve(&two, id, b)?,
        Reserved::Yes,
        "no key waits for the dead"
    );
    Ok(())
}

fn keys_are_for_durable_ones(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::live("l"))?;
    let result = reserve(&bench, id, EventId::new(&**harness.clock()));
    same!(
        refused(result)?,
        ErrorCode::WrongState,
        "live ones keep theirs in memory"
    );
    Ok(())
}

fn an_operator_forgets_keys(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    bench.publish(3)?;
    let forget = |key: Option<&str>, dry_run| {
        let key = key.map(str::to_owned);
        bench
            .store
            .forget_keys(id, key, "ann".to_owned(), dry_run)
            .wait()
    };
    let done = bench.claimed(id, 1)?;
    reserve(&bench, id, done.events[0].id)?;
    settle(&bench, &done, Outcome::Done)?;
    same!(forget(Some("another"), false)?, 0, "another key");
    same!(forget(Some("k"), true)?, 1, "it is counted");
    same!(forget(None, false)?, 1, "and forgotten");
    same!(forget(None, false)?, 0, "once");
    let held = bench.claimed(id, 1)?;
    let next = held.events[0].id;
    same!(reserve(&bench, id, next)?, Reserved::Yes, "it runs again");
    same!(
        forget(None, false)?,
        0,
        "a key that a run holds stays its own"
    );
    settle(&bench, &held, Outcome::Done)?;
    same!(forget(Some("k"), false)?, 1, "until it was confirmed");
    let live = bench.subscribe(Bench::live("l"))?;
    let refused_for = bench.store.forget_keys(live, None, "ann".to_owned(), false);
    same!(
        refused(refused_for.wait())?,
        ErrorCode::WrongState,
        "live ones keep theirs in memory"
    );
    Ok(())
}
