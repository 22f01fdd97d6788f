//! Sums, counting, clearing and restoring, retention.

use std::time::Duration;

use super::bench::{Bench, rules};
use super::harness::{Check, Harness, holds, promises, same};
use crate::event::Seq;
use crate::store::deliveries::Why;
use crate::store::registry::{Counters, FactFilter};
use crate::store::upkeep::{SweepRules, Tally};
use crate::verdict::Code;

promises!(
    every_delivery_is_in_one_state,
    pending_is_what_somebody_owes,
    a_cleared_queue_gives_nothing_and_comes_back,
    what_came_after_a_preview_stays,
    only_what_was_owed_becomes_due_again,
    an_event_purged_while_it_runs_keeps_that_verdict,
    retention_takes_settled_events_only,
    retention_has_a_bound,
    orphaned_work_expires_with_a_verdict,
    a_well_kept_store_checks_well,
);

/// Marks everything as seen by a poller; its mark is saved within a second or two.
fn poll(harness: &dyn Harness, bench: &Bench) -> Check {
    let head = bench.store.head().wait()?.seq;
    for _ in 0..3 {
        bench.store.beat(Counters::default(), head);
        harness.clock().advance(Duration::from_secs(2));
    }
    bench.store.beat(Counters::default(), head);
    Ok(())
}

fn every_delivery_is_in_one_state(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(8)?;
    let claim = one.claimed(id, 3)?;
    let results = vec![one.result(seqs[0], Bench::failed("x")), one.dead(seqs[1])];
    one.settle(claim.token, seqs[2], results)?;
    two.claimed(id, 2)?;
    let expected = Tally {
        subscription: id,
        generation: crate::store::subscriptions::Generation(1),
        matching: 8,
        waiting: 3,
        claimed: 2,
        done: 1,
        retrying: 1,
        dead: 1,
        discarded: 0,
        expired: 0,
    };
    same!(one.tally(id)?, expected, "each delivery counts once");
    Ok(())
}

fn pending_is_what_somebody_owes(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    bench.append(vec![bench.event("b", "{}")])?;
    let seqs = bench.publish(3)?;
    same!(
        bench.store.count_pending().wait()?,
        4,
        "no poller has passed anything"
    );
    poll(harness, &bench)?;
    same!(
        bench.store.count_pending().wait()?,
        3,
        "only what the subscription owes"
    );
    let claim = bench.claimed(id, 2)?;
    same!(
        bench.store.count_pending().wait()?,
        3,
        "a claim settles nothing"
    );
    bench.settle(claim.token, seqs[1], vec![bench.dead(seqs[0])])?;
    same!(
        bench.store.count_pending().wait()?,
        1,
        "a dead letter is counted in its queue"
    );
    bench.drain(id)?;
    same!(bench.store.count_pending().wait()?, 0, "nothing is left");
    Ok(())
}

fn a_cleared_queue_gives_nothing_and_comes_back(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(3)?;
    let clear = |dry| bench.store.clear_queue("ann".to_owned(), dry).wait();
    let restore = |dry| bench.store.restore_queue("ann".to_owned(), dry).wait();
    same!(clear(true)?, 3, "a dry run counts");
    same!(clear(false)?, 3, "and it deletes as many");
    same!(bench.store.count_pending().wait()?, 0, "nothing is pending");
    same!(bench.drain(id)?, vec![], "nothing is given out");
    holds!(bench.due(id)?.is_empty(), "by no way");
    let (read, _) = bench
        .store
        .read(Seq::START, crate::store::log::TypeSet::All, 9)
        .wait()?;
    holds!(read.is_empty(), "nor read");
    let found = bench
        .store
        .find(crate::store::log::EventRef::Seq(seqs[0]))
        .wait()?;
    holds!(
        found[0].deleted_at.is_some(),
        "who asks for one finds it deleted"
    );
    same!(bench.tally(id)?.expired, 3, "the sums say so");
    same!(restore(true)?, 3, "a dry run counts");
    same!(restore(false)?, 3, "all come back");
    same!(restore(false)?, 0, "once");
    let mut back = bench.drain(id)?;
    for again in bench.due(id)? {
        same!(again.why, Why::Restored, "what is due says why");
        back.extend(again.event.seq);
        bench.finish_due(&again)?;
    }
    back.sort_unstable();
    same!(back, seqs, "each is handled once");
    same!(bench.tally(id)?.done, 3, "and done");
    Ok(())
}

fn what_came_after_a_preview_stays(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    bench.subscribe(Bench::durable("d"))?;
    bench.publish(3)?;
    let seen = bench.store.head().wait()?.seq;
    let clear = |last, dry| bench.store.clear_queue_to("ann".to_owned(), last, dry);
    let restore = |last, dry| bench.store.restore_queue_to("ann".to_owned(), last, dry);
    same!(clear(seen, true).wait()?, 3, "three are shown");
    bench.publish(2)?;
    same!(clear(seen, true).wait()?, 3, "they are the same later");
    same!(clear(seen, false).wait()?, 3, "and no more are deleted");
    same!(bench.store.count_pending().wait()?, 2, "the others stay");
    same!(clear(Seq::END, false).wait()?, 2, "until they are meant");
    same!(restore(seen, true).wait()?, 3, "three came up to there");
    same!(restore(seen, false).wait()?, 3, "three are brought back");
    same!(bench.store.count_pending().wait()?, 3, "no more");
    same!(restore(Seq::END, false).wait()?, 2, "the rest at the end");
    Ok(())
}

fn only_what_was_owed_becomes_due_again(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let (one, two) = (
        bench.subscribe(Bench::durable("one"))?,
        bench.subscribe(Bench::durable("two"))?,
    );
    let seqs = bench.publish(4)?;
    bench.drain(one)?;
    let claim = bench.claimed(two, 2)?;
    bench.finish(&claim)?;
    bench.store.clear_queue("ann".to_owned(), false).wait()?;
    bench.store.restore_queue("ann".to_owned(), false).wait()?;
    holds!(
        bench.drain(one)?.is_empty() && bench.due(one)?.is_empty(),
        "one owed nothing"
    );
    let mut back = bench.drain(two)?;
    for again in bench.due(two)? {
        back.extend(again.event.seq);
        bench.finish_due(&again)?;
    }
    back.sort_unstable();
    same!(back, seqs[2..].to_vec(), "two owed the last two");
    same!(
        (bench.tally(one)?.done, bench.tally(two)?.done),
        (4, 4),
        "all are done"
    );
    Ok(())
}

fn an_event_purged_while_it_runs_keeps_that_verdict(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(2)?;
    let claim = bench.claimed(id, 2)?;
    bench.store.clear_queue("ann".to_owned(), false).wait()?;
    let results = vec![bench.result(seqs[0], Bench::failed("too late"))];
    holds!(
        bench.settle(claim.token, seqs[1], results)?,
        "the claim is settled"
    );
    same!(
        bench.store.count_letters().wait()?,
        0,
        "the failure of a purged event is no letter"
    );
    same!(bench.tally(id)?.expired, 2, "both stay purged");
    Ok(())
}

fn retention_takes_settled_events_only(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(4)?;
    let claim = bench.claimed(id, 3)?;
    bench.settle(claim.token, seqs[2], vec![bench.dead(seqs[1])])?;
    poll(harness, &bench)?;
    let rules = SweepRules {
        keep_settled: Duration::from_secs(3_600),
        ..rules()
    };
    same!(
        bench.store.retain(rules.clone()).wait()?.events_deleted,
        0,
        "nothing is old"
    );
    harness.clock().advance(Duration::from_secs(4_000));
    bench.store.beat(Counters::default(), seqs[3]);
    let swept = bench.store.retain(rules).wait()?;
    same!(
        (swept.events_deleted, swept.expired),
        (2, 0),
        "two are settled and old"
    );
    let (left, _) = bench
        .store
        .read(Seq::START, crate::store::log::TypeSet::All, 9)
        .wait()?;
    let left: Vec<Seq> = left.iter().filter_map(|event| event.seq).collect();
    same!(
        left,
        vec![seqs[1], seqs[3]],
        "a letter's and a waiting one stay"
    );
    let tally = bench.tally(id)?;
    same!(
        (tally.matching, tally.dead, tally.waiting),
        (2, 1, 1),
        "the sums follow"
    );
    let next = bench.publish(1)?;
    same!(next, vec![seqs[3].next()], "no number is given again");
    Ok(())
}

fn retention_has_a_bound(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    bench.publish(10)?;
    bench.drain(id)?;
    poll(harness, &bench)?;
    let rules = SweepRules {
        log_events_max: 2,
        rows_max: 5,
        ..rules()
    };
    let first = bench.store.retain(rules.clone()).wait()?;
    same!(
        (first.events_deleted, first.more),
        (5, true),
        "at most so many at once"
    );
    let second = bench.store.retain(rules).wait()?;
    same!(
        (second.events_deleted, second.more),
        (3, false),
        "until the log is short enough"
    );
    same!(
        bench.store.figures().wait()?.oldest,
        Seq(9),
        "the oldest went first"
    );
    Ok(())
}

fn orphaned_work_expires_with_a_verdict(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(3)?;
    let claim = one.claimed(id, 1)?;
    one.settle(
        claim.token,
        seqs[0],
        vec![one.result(seqs[0], Bench::failed("x"))],
    )?;
    one.store.unsubscribe(id, None).wait()?;
    let rules = SweepRules {
        keep_orphaned: Duration::from_secs(3_600),
        ..rules()
    };
    same!(
        two.store.retain(rules.clone()).wait()?.expired,
        0,
        "not at once"
    );
    harness.clock().advance(Duration::from_secs(4_000));
    same!(
        two.store.retain(rules).wait()?.expired,
        3,
        "two waiting and a letter"
    );
    same!(two.tally(id)?.expired, 3, "the sums say so");
    let facts = two.store.facts(FactFilter {
        subscription: Some(id),
        codes: vec![Code::StExpired],
        limit: 9,
        ..FactFilter::default()
    });
    holds!(!facts.wait()?.is_empty(), "and a verdict is kept");
    two.subscribe(Bench::durable("d"))?;
    holds!(
        two.drain(id)?.is_empty() && two.due(id)?.is_empty(),
        "nothing comes any more"
    );
    let next = two.publish(1)?;
    same!(two.drain(id)?, next, "but what is new");
    Ok(())
}

fn a_well_kept_store_checks_well(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(4)?;
    let claim = bench.claimed(id, 2)?;
    bench.settle(claim.token, seqs[0], vec![bench.dead(seqs[1])])?;
    let checked = bench.store.check().wait()?;
    same!(checked.problems, Vec::<String>::new(), "nothing is wrong");
    same!(checked.events, 4, "the events are counted");
    let figures = bench.store.figures().wait()?;
    same!(
        (figures.head, figures.letters),
        (seqs[3], 1),
        "the figures agree"
    );
    Ok(())
}
