//! Saying what came of a claim.

use super::bench::{Bench, last};
use super::harness::{Check, Harness, holds, promises, refused, same};
use crate::event::EventId;
use crate::store::ErrorCode;
use crate::store::letters::{LetterFilter, LetterState};
use crate::store::registry::FactFilter;
use crate::verdict::{Code, Outcome};

promises!(
    settling_again_changes_nothing,
    a_claim_is_settled_bit_by_bit,
    a_failure_becomes_a_letter_at_once,
    a_failure_beyond_the_gap_leaves_the_claim,
    a_failure_without_a_retry_is_dead,
    what_is_no_plain_success_is_recorded,
    another_process_settles_nothing,
    a_result_for_a_strange_event_is_refused,
);

fn settling_again_changes_nothing(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(3)?;
    let claim = bench.claimed(id, 3)?;
    holds!(bench.finish(&claim)?, "the first time");
    let state = bench.state(id)?;
    same!(
        (state.settled, state.claimed),
        (seqs[2], 0),
        "all is settled"
    );
    let results = vec![bench.result(seqs[0], Bench::failed("late"))];
    holds!(
        !bench.settle(claim.token, last(&claim), results)?,
        "then nothing changes"
    );
    same!(bench.store.count_letters().wait()?, 0, "no late failure");
    same!(bench.tally(id)?.done, 3, "all are done");
    Ok(())
}

fn a_claim_is_settled_bit_by_bit(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(4)?;
    let claim = bench.claimed(id, 4)?;
    holds!(
        bench.settle(claim.token, seqs[1], Vec::new())?,
        "the first half"
    );
    holds!(
        !bench.settle(claim.token, seqs[1], Vec::new())?,
        "said twice"
    );
    holds!(
        !bench.settle(claim.token, seqs[0], Vec::new())?,
        "or going back"
    );
    let tally = bench.tally(id)?;
    same!((tally.done, tally.claimed), (2, 2), "half is done");
    same!(bench.state(id)?.settled, seqs[1], "up to there");
    holds!(
        bench.settle(claim.token, seqs[3], Vec::new())?,
        "the second half"
    );
    same!(bench.tally(id)?.done, 4, "all is done");
    Ok(())
}

fn a_failure_becomes_a_letter_at_once(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(2)?;
    let claim = bench.claimed(id, 2)?;
    let retry_at = bench.now().after(std::time::Duration::from_secs(7));
    let mut result = bench.result(seqs[0], Bench::failed("disk on fire"));
    result.retry_at = Some(retry_at);
    holds!(bench.settle(claim.token, seqs[1], vec![result])?, "settled");
    let letters = bench.store.letters(LetterFilter {
        limit: 10,
        ..LetterFilter::default()
    });
    let letters = letters.wait()?;
    same!(letters.len(), 1, "one letter");
    let letter = &letters[0];
    same!(letter.event.seq, Some(seqs[0]), "of that event");
    same!(
        (letter.handler.as_str(), letter.subscription),
        ("d", id),
        "and handler"
    );
    same!(letter.error, "disk on fire", "with its error");
    same!(
        (letter.attempts, letter.attempts_total),
        (1, 1),
        "one run was started"
    );
    same!(
        letter.state,
        LetterState::Retrying,
        "it waits for its retry"
    );
    let off = letter
        .next_retry_at
        .map(|at| (at.0 - retry_at.0).abs() < 1_000);
    same!(off, Some(true), "at the time given, to the millisecond");
    let tally = bench.tally(id)?;
    same!(
        (tally.done, tally.retrying),
        (1, 1),
        "and counts as retrying"
    );
    same!(bench.state(id)?.retrying, 1, "in the state too");
    Ok(())
}

fn a_failure_beyond_the_gap_leaves_the_claim(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(3)?;
    let claim = bench.claimed(id, 3)?;
    let beyond = vec![bench.result(seqs[2], Bench::failed("x"))];
    let before = crate::event::Seq(seqs[0].0 - 1);
    holds!(
        bench.settle(claim.token, before, beyond.clone())?,
        "a failure alone"
    );
    let due = bench.due(id)?;
    same!(due.len(), 1, "it may run again while the claim is open");
    holds!(
        !bench.settle(claim.token, before, beyond)?,
        "said twice it changes nothing"
    );
    let tally = bench.tally(id)?;
    same!(tally.claimed, 3, "two in the claim, one running again");
    holds!(bench.finish_due(&due[0])?, "it recovers");
    holds!(
        bench.settle(claim.token, seqs[2], Vec::new())?,
        "the claim ends"
    );
    same!(bench.tally(id)?.done, 3, "all are done");
    Ok(())
}

fn a_failure_without_a_retry_is_dead(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(1)?;
    let claim = bench.claimed(id, 1)?;
    bench.settle(claim.token, seqs[0], vec![bench.dead(seqs[0])])?;
    same!(bench.tally(id)?.dead, 1, "it is dead");
    holds!(bench.due(id)?.is_empty(), "and never due");
    same!(bench.store.next_due(vec![id]).wait()?, None, "at no time");
    same!(
        bench.store.count_letters().wait()?,
        1,
        "it waits for an operator"
    );
    Ok(())
}

fn what_is_no_plain_success_is_recorded(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(4)?;
    let claim = bench.claimed(id, 4)?;
    let skipped = Outcome::Skipped {
        reason: "too small".to_owned(),
    };
    let duplicate = Outcome::Duplicate {
        original: EventId::new(&**harness.clock()),
        key: "k".to_owned(),
        window_ends_at: bench.now(),
    };
    let results = vec![
        bench.result(seqs[0], skipped),
        bench.result(seqs[1], duplicate),
        bench.dead(seqs[2]),
    ];
    bench.settle(claim.token, seqs[3], results)?;
    let tally = bench.tally(id)?;
    same!(
        (tally.done, tally.dead),
        (3, 1),
        "skipped and duplicate are done"
    );
    for (seq, code) in [
        (seqs[0], Some(Code::HnSkipped)),
        (seqs[1], Some(Code::HnDuplicate)),
        (seqs[2], Some(Code::HnError)),
        (seqs[3], None),
    ] {
        let facts = bench.store.facts(FactFilter {
            subscription: Some(id),
            limit: 100,
            ..FactFilter::default()
        });
        let facts = facts.wait()?;
        let of_it: Vec<Code> = facts
            .iter()
            .filter(|f| f.seq == Some(seq))
            .filter_map(|f| f.code)
            .collect();
        match code {
            Some(code) => holds!(of_it.contains(&code), "{code} of event {seq} is recorded"),
            None => holds!(of_it.is_empty(), "a plain success is not: {of_it:?}"),
        }
    }
    Ok(())
}

fn another_process_settles_nothing(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    one.publish(2)?;
    let claim = one.claimed(id, 2)?;
    same!(
        refused(two.finish(&claim))?,
        ErrorCode::LeaseLost,
        "not its claim"
    );
    let mut forged = claim.token;
    forged.id += 100;
    let unknown = one.settle(forged, last(&claim), Vec::new());
    same!(refused(unknown)?, ErrorCode::LeaseLost, "no such claim");
    same!(one.tally(id)?.claimed, 2, "nothing changed");
    Ok(())
}

fn a_result_for_a_strange_event_is_refused(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(3)?;
    let claim = bench.claimed(id, 2)?;
    let strange = vec![bench.result(seqs[2], Bench::failed("x"))];
    let result = bench.settle(claim.token, seqs[1], strange);
    same!(
        refused(result)?,
        ErrorCode::WrongState,
        "it is not in the claim"
    );
    same!(bench.tally(id)?.claimed, 2, "and nothing of it was settled");
    Ok(())
}
