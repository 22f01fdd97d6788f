//! Order by key.

use std::time::Duration;

use super::bench::{Bench, last, places};
use super::harness::{Check, Harness, holds, promises, same};
use crate::event::Seq;
use crate::store::deliveries::{Settlement, Why};

promises!(
    an_ordered_one_has_one_open_claim,
    a_key_waits_while_its_event_is_retrying,
    a_key_goes_on_in_order,
    what_is_given_up_keeps_its_order,
    a_dead_letter_blocks_no_key,
    a_claim_left_behind_comes_before_the_log,
);

fn an_ordered_one_has_one_open_claim(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::ordered("o"))?;
    two.subscribe(Bench::ordered("o"))?;
    let seqs = one.publish_keyed(&["x", "y", "x"])?;
    let claim = one.claimed(id, 1)?;
    same!(two.take(id, 5)?, vec![], "nobody claims beside it");
    same!(one.take(id, 5)?, vec![], "nor does its owner");
    one.finish(&claim)?;
    same!(
        two.take(id, 5)?,
        seqs[1..].to_vec(),
        "then the next one may"
    );
    Ok(())
}

/// Claims everything and fails the first event; the rest is done.
fn fail_first(bench: &Bench, id: crate::store::subscriptions::SubscriptionId) -> Check {
    let claim = bench.claimed(id, 10)?;
    let result = Settlement {
        retry_at: Some(bench.now().after(Duration::from_secs(10))),
        ..bench.result(places(&claim)[0], Bench::failed("x"))
    };
    bench.settle(claim.token, last(&claim), vec![result])?;
    Ok(())
}

fn a_key_waits_while_its_event_is_retrying(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::ordered("o"))?;
    bench.publish_keyed(&["x"])?;
    fail_first(&bench, id)?;
    let later = bench.publish_keyed(&["x", "y"])?;
    bench.append(vec![bench.event("a", "{}")])?;
    let claim = bench.claimed(id, 10)?;
    same!(
        places(&claim),
        vec![later[1], later[1].next()],
        "other keys and none go on"
    );
    bench.finish(&claim)?;
    holds!(bench.due(id)?.is_empty(), "its own waits for the retry");
    let tally = bench.tally(id)?;
    same!(
        (tally.retrying, tally.waiting, tally.done),
        (1, 1, 2),
        "and counts as waiting"
    );
    Ok(())
}

fn a_key_goes_on_in_order(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::ordered("o"))?;
    let mut seqs = bench.publish_keyed(&["x"])?;
    fail_first(&bench, id)?;
    for _ in 0..3 {
        seqs.extend(bench.publish_keyed(&["x"])?);
        same!(bench.take(id, 10)?, vec![], "none of its key is claimed");
    }
    harness.clock().advance(Duration::from_secs(10));
    let mut order = Vec::new();
    for _ in 0..4 {
        let due = bench.due(id)?;
        same!(due.len(), 1, "one of a key at a time");
        order.extend(due[0].event.seq);
        if order.len() > 1 {
            same!(
                (due[0].why, due[0].attempts),
                (Why::KeyBlocked, 0),
                "it never ran before"
            );
        }
        bench.finish_due(&due[0])?;
    }
    same!(order, seqs, "in log order");
    let next = bench.publish_keyed(&["x"])?;
    same!(bench.take(id, 10)?, next, "then the key is free");
    Ok(())
}

fn what_is_given_up_keeps_its_order(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::ordered("o"))?;
    let seqs = bench.publish_keyed(&["x", "x", "y", "x"])?;
    let claim = bench.claimed(id, 10)?;
    let failed = vec![bench.result(seqs[0], Bench::failed("x"))];
    bench.settle(claim.token, Seq(seqs[0].0 - 1), failed)?;
    // The later ones of its key cannot start: the caller moves them behind it.
    bench.store.give_up(claim.token, seqs[1], false).wait()?;
    bench.store.give_up(claim.token, seqs[3], false).wait()?;
    bench.settle(claim.token, seqs[3], Vec::new())?;
    let mut order = Vec::new();
    for _ in 0..3 {
        let due = bench.due(id)?;
        same!(due.len(), 1, "one at a time");
        same!(
            due[0].attempts,
            u32::from(order.is_empty()),
            "only the first one ran"
        );
        order.extend(due[0].event.seq);
        bench.finish_due(&due[0])?;
    }
    same!(order, vec![seqs[0], seqs[1], seqs[3]], "in log order");
    same!(bench.tally(id)?.done, 4, "all are done");
    Ok(())
}

fn a_dead_letter_blocks_no_key(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::ordered("o"))?;
    let seqs = bench.publish_keyed(&["x"])?;
    let claim = bench.claimed(id, 1)?;
    bench.settle(claim.token, seqs[0], vec![bench.dead(seqs[0])])?;
    let next = bench.publish_keyed(&["x"])?;
    same!(
        bench.take(id, 10)?,
        next,
        "it waits for an operator, the key does not"
    );
    Ok(())
}

fn a_claim_left_behind_comes_before_the_log(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::ordered("o"))?;
    two.subscribe(Bench::ordered("o"))?;
    let seqs = one.publish_keyed(&["x", "x", "y", "x"])?;
    let claim = one.claimed(id, 3)?;
    let _slot = one.start(id, &claim.events[0]);
    harness.kill(&one.store);
    two.store.take_over(super::rules()).wait()?;
    let left = two.claimed(id, 10)?;
    same!(
        places(&left),
        vec![seqs[2]],
        "the key that was running waits"
    );
    two.finish(&left)?;
    let due = two.due(id)?;
    same!(due.len(), 1, "the interrupted one is due");
    same!(
        (due[0].event.seq, due[0].why),
        (Some(seqs[0]), Why::LeaseLost),
        "first"
    );
    same!(two.take(id, 10)?, vec![], "the key waits in the log too");
    two.finish_due(&due[0])?;
    let mut order = Vec::new();
    for _ in 0..2 {
        let due = two.due(id)?;
        order.extend(due.iter().filter_map(|again| again.event.seq));
        for again in &due {
            two.finish_due(again)?;
        }
    }
    same!(
        order,
        vec![seqs[1], seqs[3]],
        "then the rest of its key, in order"
    );
    same!(two.tally(id)?.done, 4, "all are done");
    Ok(())
}
