//! Taking over from the dead and the hung.

use std::collections::BTreeMap;

use super::bench::{Bench, places, rules};
use super::harness::{Check, Harness, holds, promises, refused, same};
use crate::event::Seq;
use crate::store::ErrorCode;
use crate::store::deliveries::{Settlement, Why};
use crate::store::letters::{LetterFilter, LetterState};
use crate::store::registry::Liveness;
use crate::store::upkeep::Swept;
use crate::verdict::FailureKind;

promises!(
    a_dead_process_loses_its_claims,
    what_a_dead_process_ran_comes_again_and_counts_a_death,
    only_deaths_while_alone_make_poison,
    poison_does_not_hold_up_its_neighbours,
    what_was_settled_stays_settled,
    a_hung_process_loses_its_claims_and_its_late_answer_is_refused,
    a_dead_process_loses_its_redeliveries,
    a_held_run_is_due_when_its_process_died,
    a_dead_process_ends_its_live_subscriptions,
    taking_over_twice_changes_nothing,
    a_process_that_leaves_gives_back_what_it_holds,
    the_living_keep_what_they_have,
);

fn take_over(bench: &Bench) -> Result<Swept, crate::store::Error> {
    bench.store.take_over(rules()).wait()
}

fn a_dead_process_loses_its_claims(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(5)?;
    one.claimed(id, 3)?;
    harness.kill(&one.store);
    let swept = take_over(&two)?;
    same!(swept.dead, vec![one.store.process()], "it was found dead");
    same!(
        (swept.claims_returned, swept.interrupted),
        (1, 0),
        "it ran nothing"
    );
    same!(two.tally(id)?.waiting, 5, "everything waits again");
    let left = two.claimed(id, 10)?;
    same!(
        places(&left),
        seqs[..3].to_vec(),
        "what it held comes first"
    );
    holds!(left.taken_over, "and says so");
    same!(
        two.take(id, 10)?,
        seqs[3..].to_vec(),
        "then the log goes on"
    );
    same!(two.store.count_letters().wait()?, 0, "nothing failed");
    Ok(())
}

fn what_a_dead_process_ran_comes_again_and_counts_a_death(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(3)?;
    let claim = one.claimed(id, 3)?;
    let slot = one.start(id, &claim.events[0]);
    let _slot = one.start(id, &claim.events[1]);
    one.stop(id, &claim.events[0], slot);
    harness.kill(&one.store);
    let swept = take_over(&two)?;
    same!(
        (swept.interrupted, swept.poisoned.len()),
        (1, 0),
        "one was running"
    );
    let due = two.due(id)?;
    same!(due.len(), 1, "it is due at once");
    same!(
        (due[0].event.seq, due[0].why),
        (Some(seqs[1]), Why::LeaseLost),
        "because of that"
    );
    same!(
        (due[0].deaths, due[0].attempts),
        (1, 1),
        "its start and its death are counted"
    );
    same!(
        two.take(id, 9)?,
        vec![seqs[0], seqs[2]],
        "the others were not running"
    );
    Ok(())
}

fn only_deaths_while_alone_make_poison(harness: &dyn Harness) -> Check {
    let watcher = Bench::new(harness);
    let id = watcher.subscribe(Bench::durable("d"))?;
    let seqs = watcher.publish(2)?;
    let first = Bench::new(harness);
    first.subscribe(Bench::durable("d"))?;
    let claim = first.claimed(id, 2)?;
    for event in claim.events.iter() {
        let _slot = first.start(id, event);
    }
    harness.kill(&first.store);
    same!(take_over(&watcher)?.interrupted, 2, "two ran side by side");
    for (round, poisoned) in [(1, 0), (2, 1)] {
        let next = Bench::new(harness);
        next.subscribe(Bench::durable("d"))?;
        let due = next.store.claim_due(vec![id], 1).wait()?;
        same!(due.len(), 1, "one of them comes in round {round}");
        same!(due[0].event.seq, Some(seqs[0]), "the oldest");
        let _slot = next.start(id, &due[0].event);
        harness.kill(&next.store);
        let swept = take_over(&watcher)?;
        same!(
            swept.poisoned.len(),
            poisoned,
            "deaths alone in round {round}"
        );
        // The other one finishes meanwhile, so that the first stays the oldest due.
        if round == 1 {
            let due = watcher.due(id)?;
            for again in due {
                if again.event.seq == Some(seqs[1]) {
                    watcher.finish_due(&again)?;
                } else {
                    let fence = again.fence;
                    let retry = watcher.result(seqs[0], Bench::failed("not this time"));
                    watcher.store.settle_due(again.id, fence, retry).wait()?;
                }
            }
        }
    }
    let letters = watcher.store.letters(LetterFilter {
        limit: 9,
        ..LetterFilter::default()
    });
    let letters = letters.wait()?;
    same!(letters.len(), 1, "the poison is a dead letter");
    same!(
        letters[0].state,
        LetterState::Dead,
        "which waits for an operator"
    );
    same!(
        letters[0].error_kind,
        FailureKind::Poison,
        "and says what it is"
    );
    same!(letters[0].deaths, 3, "with every death");
    Ok(())
}

fn poison_does_not_hold_up_its_neighbours(harness: &dyn Harness) -> Check {
    let watcher = Bench::new(harness);
    let id = watcher.subscribe(Bench::durable("d"))?;
    let seqs = watcher.publish(3)?;
    for _ in 0..2 {
        let next = Bench::new(harness);
        next.subscribe(Bench::durable("d"))?;
        let event = match next.claim(id, 3)? {
            Some(claim) => claim.events[0].clone(),
            None => next.due(id)?[0].event.clone(),
        };
        let _slot = next.start(id, &event);
        harness.kill(&next.store);
        take_over(&watcher)?;
        if event.seq == Some(seqs[0]) {
            watcher.drain(id)?;
        }
    }
    let tally = watcher.tally(id)?;
    same!(
        (tally.dead, tally.done),
        (1, 2),
        "one dead, the others done"
    );
    Ok(())
}

fn what_was_settled_stays_settled(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(4)?;
    let claim = one.claimed(id, 4)?;
    let failed = vec![one.dead(seqs[2])];
    one.settle(claim.token, seqs[0], failed)?;
    harness.kill(&one.store);
    take_over(&two)?;
    same!(
        two.take(id, 9)?,
        vec![seqs[1], seqs[3]],
        "neither the done nor the failed one"
    );
    let tally = two.tally(id)?;
    same!(
        (tally.done, tally.dead, tally.claimed),
        (1, 1, 2),
        "the sums agree"
    );
    Ok(())
}

/// Whether the hosts of three roles hang, the last of which has none.
fn hangs(bench: &Bench) -> Result<[bool; 3], crate::store::Error> {
    let of = |role: &str| bench.store.host_hangs(role).wait();
    Ok([of("ALERTS")?, of("SWEEPER")?, of("PIPELINE_WATCH")?])
}

fn a_hung_process_loses_its_claims_and_its_late_answer_is_refused(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(2)?;
    let claim = one.claimed(id, 2)?;
    let _slot = one.start(id, &claim.events[0]);
    one.store.elect("ALERTS").wait()?;
    two.store.elect("SWEEPER").wait()?;
    same!(hangs(&two)?, [false; 3], "they live");
    harness.hang(&one.store);
    let states = two.store.processes().wait()?;
    let state = states
        .iter()
        .find(|state| state.process.id == one.store.process());
    same!(
        state.map(|state| state.liveness),
        Some(Liveness::Hung),
        "it shows as hung"
    );
    same!(
        hangs(&two)?,
        [true, false, false],
        "and as the host of its role"
    );
    let swept = take_over(&two)?;
    same!(
        (swept.claims_returned, swept.interrupted),
        (1, 1),
        "its claim is taken"
    );
    same!(
        refused(one.finish(&claim))?,
        ErrorCode::LeaseLost,
        "its late answer is refused"
    );
    same!(two.take(id, 9)?, seqs[1..].to_vec(), "another has the rest");
    same!(two.due(id)?.len(), 1, "and what it ran");
    Ok(())
}

fn a_dead_process_loses_its_redeliveries(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(2)?;
    let claim = one.claimed(id, 2)?;
    let results = seqs
        .iter()
        .map(|seq| one.result(*seq, Bench::failed("x")))
        .collect();
    one.settle(claim.token, seqs[1], results)?;
    let running = one.due(id)?;
    let _slot = one.start(id, &running[0].event);
    harness.kill(&one.store);
    take_over(&two)?;
    let due = two.due(id)?;
    same!(due.len(), 2, "both are due again");
    let of = |seq: Option<Seq>| due.iter().find(|again| again.event.seq == seq);
    let deaths = |seq| of(seq).map(|again| again.deaths);
    same!(
        deaths(running[0].event.seq),
        Some(1),
        "the one that ran has a death"
    );
    same!(deaths(running[1].event.seq), Some(0), "the other has none");
    same!(
        two.store.count_letters().wait()?,
        2,
        "both are letters still"
    );
    Ok(())
}

fn a_held_run_is_due_when_its_process_died(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(1)?;
    let claim = one.claimed(id, 1)?;
    let result = Settlement {
        held: true,
        ..one.result(seqs[0], Bench::failed("timed out"))
    };
    one.settle(claim.token, seqs[0], vec![result])?;
    holds!(two.due(id)?.is_empty(), "its thread runs");
    harness.kill(&one.store);
    take_over(&two)?;
    let due = two.due(id)?;
    same!(due.len(), 1, "no thread runs any more");
    same!(due[0].deaths, 0, "its time-out had been counted");
    Ok(())
}

fn a_dead_process_ends_its_live_subscriptions(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::live("l"))?;
    let durable = one.subscribe(Bench::durable("d"))?;
    one.publish(3)?;
    one.store
        .beat(crate::store::registry::Counters::default(), Seq(2));
    harness.kill(&one.store);
    take_over(&two)?;
    let state = two.state(id)?;
    holds!(state.ended_at.is_some(), "it has ended");
    same!(
        state.versions[0].valid_to,
        Some(Seq(3)),
        "where its poller had read to"
    );
    same!(
        two.state(durable)?.hosts,
        BTreeMap::new(),
        "nobody hosts the durable one"
    );
    holds!(two.state(durable)?.ended_at.is_none(), "which goes on");
    Ok(())
}

fn taking_over_twice_changes_nothing(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    one.publish(2)?;
    let claim = one.claimed(id, 2)?;
    let _slot = one.start(id, &claim.events[0]);
    harness.kill(&one.store);
    take_over(&two)?;
    let again = take_over(&two)?;
    same!(
        (again.claims_returned, again.interrupted),
        (0, 0),
        "nothing is left to take"
    );
    same!(two.due(id)?[0].deaths, 1, "a death counts once");
    Ok(())
}

fn a_process_that_leaves_gives_back_what_it_holds(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(2)?;
    one.claimed(id, 2)?;
    one.store.close();
    one.store.close();
    same!(
        refused(one.claim(id, 1))?,
        ErrorCode::Closed,
        "a closed handle answers nothing"
    );
    take_over(&two)?;
    same!(two.take(id, 9)?, seqs, "what it held comes back");
    let states = two.store.processes().wait()?;
    let state = states
        .iter()
        .find(|state| state.process.id == one.store.process());
    let left = state.is_none_or(|state| state.liveness == Liveness::Left);
    holds!(left, "it did not die: {state:?}");
    Ok(())
}

fn the_living_keep_what_they_have(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    one.publish(2)?;
    let claim = one.claimed(id, 2)?;
    let swept = take_over(&two)?;
    same!(swept, Swept::default(), "nobody is dead");
    same!(take_over(&one)?, Swept::default(), "nor is oneself");
    holds!(one.finish(&claim)?, "it goes on");
    Ok(())
}
