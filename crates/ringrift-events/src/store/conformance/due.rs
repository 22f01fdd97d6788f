//! Redeliveries: when they are due, who takes them, what comes of them.

use std::sync::Arc;
use std::time::Duration;

use super::bench::{Bench, last};
use super::harness::{Check, Harness, holds, promises, refused, same};
use crate::event::Seq;
use crate::store::ErrorCode;
use crate::store::deliveries::{LetterId, Settlement, Why};
use crate::store::letters::{LetterFilter, LetterState};
use crate::store::subscriptions::{Definition, SubscriptionId};
use crate::verdict::Outcome;

promises!(
    a_retry_comes_when_it_is_due_and_counts,
    a_retry_that_succeeds_leaves_the_queue,
    the_oldest_due_comes_first,
    a_redelivery_goes_to_one_process,
    a_redelivery_settled_twice_changes_nothing,
    a_redelivery_handed_back_is_due_again_and_its_start_does_not_count,
    only_hosts_take_redeliveries,
    an_old_version_takes_nothing_beyond_its_border,
    a_parked_letter_is_taken_by_its_handlers_name,
    a_held_run_is_not_due_before_it_ends,
    a_held_run_that_succeeds_late_recovers,
    a_replay_reaches_one_subscription,
    a_replay_of_nothing_is_refused,
);

const RETRY: Duration = Duration::from_secs(5);

/// One event that failed once and is due in [`RETRY`].
fn failed_once(bench: &Bench, id: SubscriptionId) -> Result<Seq, super::Broken> {
    let seq = bench.publish(1)?[0];
    let claim = bench.claimed(id, 1)?;
    let result = Settlement {
        retry_at: Some(bench.now().after(RETRY)),
        ..bench.result(seq, Bench::failed("first"))
    };
    bench.settle(claim.token, seq, vec![result])?;
    Ok(seq)
}

fn a_redelivery_handed_back_is_due_again_and_its_start_does_not_count(
    harness: &dyn Harness,
) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seq = failed_once(&bench, id)?;
    harness.clock().advance(RETRY);
    let taken = bench.due(id)?.remove(0);
    let back = |fence| bench.store.hand_back_due(taken.id, fence, None).wait();
    let old = refused(back(taken.fence - 1))?;
    same!(old, ErrorCode::LeaseLost, "an old proof is refused");
    holds!(back(taken.fence)?, "it goes back");
    holds!(!back(taken.fence)?, "once");
    let again = bench.due(id)?.remove(0);
    same!(
        (again.id, again.attempts, again.why),
        (taken.id, taken.attempts, Why::Retry),
        "it is due at once, as if nobody had taken it"
    );
    let done = bench.result(seq, Outcome::Done);
    holds!(
        bench.store.settle_due(again.id, again.fence, done).wait()?,
        "who takes it then settles it"
    );
    holds!(!back(again.fence)?, "what is settled stays settled");
    Ok(())
}

fn a_retry_comes_when_it_is_due_and_counts(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seq = failed_once(&bench, id)?;
    holds!(bench.due(id)?.is_empty(), "not before its time");
    let next = bench.store.next_due(vec![id]).wait()?;
    same!(next, Some(bench.now().after(RETRY)), "which is known");
    for attempt in 1..4 {
        harness.clock().advance(RETRY);
        let due = bench.due(id)?;
        same!(due.len(), 1, "it comes");
        same!(
            (due[0].attempts, due[0].why),
            (attempt, Why::Retry),
            "after {attempt} runs"
        );
        same!(due[0].event.seq, Some(seq), "the same event");
        holds!(
            bench.due(id)?.is_empty(),
            "and no second time while it runs"
        );
        let again = Settlement {
            retry_at: Some(bench.now().after(RETRY)),
            ..bench.result(seq, Bench::failed("again"))
        };
        holds!(
            bench
                .store
                .settle_due(due[0].id, due[0].fence, again)
                .wait()?,
            "failed again"
        );
    }
    let letters = bench.store.letters(LetterFilter {
        limit: 9,
        ..LetterFilter::default()
    });
    let letters = letters.wait()?;
    same!(
        (letters.len(), letters[0].attempts),
        (1, 4),
        "one letter, four runs"
    );
    same!(letters[0].error, "again", "with the last error");
    Ok(())
}

fn a_retry_that_succeeds_leaves_the_queue(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    failed_once(&bench, id)?;
    harness.clock().advance(RETRY);
    let due = bench.due(id)?;
    same!(bench.tally(id)?.claimed, 1, "while it runs it is held");
    same!(bench.store.count_letters().wait()?, 1, "and still shown");
    holds!(bench.finish_due(&due[0])?, "it succeeds");
    same!(
        bench.store.count_letters().wait()?,
        0,
        "it leaves the queue"
    );
    same!(bench.tally(id)?.done, 1, "it is done");
    let recovered = bench.store.letters(LetterFilter {
        states: vec![LetterState::Recovered],
        limit: 9,
        ..LetterFilter::default()
    });
    same!(recovered.wait()?.len(), 1, "and known as recovered");
    same!(
        bench.store.next_due(vec![id]).wait()?,
        None,
        "nothing is due"
    );
    Ok(())
}

fn the_oldest_due_comes_first(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(3)?;
    let claim = bench.claimed(id, 3)?;
    let at = |seq: Seq, seconds| Settlement {
        retry_at: Some(bench.now().after(Duration::from_secs(seconds))),
        ..bench.result(seq, Bench::failed("x"))
    };
    let results = vec![at(seqs[0], 30), at(seqs[1], 10), at(seqs[2], 20)];
    bench.settle(claim.token, seqs[2], results)?;
    harness.clock().advance(Duration::from_secs(60));
    let mut order = Vec::new();
    for _ in 0..3 {
        let due = bench.store.claim_due(vec![id], 1).wait()?;
        order.extend(due.iter().filter_map(|again| again.event.seq));
    }
    same!(
        order,
        vec![seqs[1], seqs[2], seqs[0]],
        "by the time they are due"
    );
    Ok(())
}

fn a_redelivery_goes_to_one_process(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    failed_once(&one, id)?;
    harness.clock().advance(RETRY);
    let taken = one.due(id)?;
    same!(taken.len(), 1, "the first one gets it");
    holds!(two.due(id)?.is_empty(), "the second does not");
    holds!(!two.finish_due(&taken[0])?, "nor can it settle it");
    holds!(one.finish_due(&taken[0])?, "the first can");
    Ok(())
}

fn a_redelivery_settled_twice_changes_nothing(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seq = failed_once(&bench, id)?;
    harness.clock().advance(RETRY);
    let first = bench.due(id)?;
    let again = bench.result(seq, Bench::failed("again"));
    let settle = |fence| {
        bench
            .store
            .settle_due(first[0].id, fence, again.clone())
            .wait()
    };
    holds!(settle(first[0].fence)?, "once");
    holds!(!settle(first[0].fence)?, "twice");
    let second = bench.due(id)?;
    holds!(second[0].fence > first[0].fence, "each start has its proof");
    same!(
        refused(settle(first[0].fence))?,
        ErrorCode::LeaseLost,
        "an old one is refused"
    );
    holds!(bench.finish_due(&second[0])?, "the new one counts");
    let unknown = bench
        .store
        .settle_due(LetterId(999), 1, again.clone())
        .wait()?;
    holds!(!unknown, "one that is no longer known has been settled");
    Ok(())
}

fn only_hosts_take_redeliveries(harness: &dyn Harness) -> Check {
    let (host, other) = (Bench::new(harness), Bench::new(harness));
    let id = host.subscribe(Bench::durable("d"))?;
    failed_once(&host, id)?;
    harness.clock().advance(RETRY);
    holds!(other.due(id)?.is_empty(), "a stranger gets none");
    same!(
        other.store.next_due(vec![id]).wait()?,
        None,
        "and is told of none"
    );
    let unknown = host.due(SubscriptionId(99));
    same!(
        refused(unknown)?,
        ErrorCode::NotFound,
        "an unknown one is an error"
    );
    same!(host.due(id)?.len(), 1, "the host gets it");
    Ok(())
}

fn an_old_version_takes_nothing_beyond_its_border(harness: &dyn Harness) -> Check {
    let (old, new) = (Bench::new(harness), Bench::new(harness));
    let id = old.subscribe(Bench::durable("d"))?;
    let filtered = Definition {
        filter: Some("n__gte = 0".to_owned()),
        ..Bench::durable("d")
    };
    new.store.subscribe(filtered, true).wait()?;
    failed_once(&new, id)?;
    harness.clock().advance(RETRY);
    holds!(old.due(id)?.is_empty(), "the old version is not for it");
    same!(new.due(id)?.len(), 1, "the new one is");
    Ok(())
}

fn a_parked_letter_is_taken_by_its_handlers_name(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let first = one.subscribe(Bench::live("l"))?;
    let volatile = Arc::new(one.keyed("a", "k"));
    let failure = Bench::failure("no luck");
    let park = one.store.park(
        first,
        Arc::clone(&volatile),
        failure,
        Some(one.now()),
        false,
    );
    let letter = park.wait()?;
    holds!(
        two.store.claim_due(vec![], 10).wait()?.is_empty(),
        "nothing for nobody"
    );
    let second = two.subscribe(Bench::live("l"))?;
    let stranger = two.subscribe(Bench::live("other"))?;
    holds!(two.due(stranger)?.is_empty(), "not another name's");
    harness.kill(&one.store);
    let due = two.due(second)?;
    same!(due.len(), 1, "another process hosts the name");
    same!(
        (due[0].id, due[0].subscription),
        (letter, second),
        "and gets it as its own"
    );
    same!(
        *due[0].event,
        *volatile,
        "the volatile event was kept whole"
    );
    same!(due[0].attempts, 1, "one run came before");
    holds!(two.finish_due(&due[0])?, "it succeeds");
    same!(two.store.count_letters().wait()?, 0, "and leaves the queue");
    Ok(())
}

/// An event whose run timed out and goes on.
fn held(bench: &Bench, id: SubscriptionId) -> Result<Arc<crate::event::Event>, super::Broken> {
    bench.publish(1)?;
    let claim = bench.claimed(id, 1)?;
    let result = Settlement {
        held: true,
        ..bench.result(last(&claim), Bench::failed("timed out"))
    };
    bench.settle(claim.token, last(&claim), vec![result])?;
    Ok(Arc::clone(&claim.events[0]))
}

fn a_held_run_is_not_due_before_it_ends(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let event = held(&bench, id)?;
    harness.clock().advance(Duration::from_secs(3_600));
    holds!(bench.due(id)?.is_empty(), "its thread still runs");
    same!(bench.store.next_due(vec![id]).wait()?, None, "at no time");
    let late = |outcome: Outcome| bench.store.late(id, event.id, outcome).wait();
    holds!(late(Bench::failed("late error"))?, "it ends at last");
    holds!(!late(Bench::failed("late error"))?, "once");
    same!(bench.due(id)?.len(), 1, "now it is due");
    Ok(())
}

fn a_held_run_that_succeeds_late_recovers(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let event = held(&bench, id)?;
    same!(
        bench.store.count_letters().wait()?,
        1,
        "it is shown meanwhile"
    );
    let other = Bench::new(harness);
    holds!(
        !other.store.late(id, event.id, Outcome::Done).wait()?,
        "not by another process"
    );
    holds!(
        bench.store.late(id, event.id, Outcome::Done).wait()?,
        "it succeeds late"
    );
    same!(bench.store.count_letters().wait()?, 0, "and has recovered");
    same!(bench.tally(id)?.done, 1, "it is done");
    holds!(bench.due(id)?.is_empty(), "and not due");
    Ok(())
}

fn a_replay_reaches_one_subscription(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let (one, two) = (
        bench.subscribe(Bench::durable("one"))?,
        bench.subscribe(Bench::durable("two"))?,
    );
    let seqs = bench.publish(2)?;
    bench.drain(one)?;
    bench.drain(two)?;
    let id = bench.store.replay(one, seqs[0], "ann".to_owned()).wait()?;
    holds!(bench.due(two)?.is_empty(), "nobody else gets it");
    let due = bench.due(one)?;
    same!(due.len(), 1, "it is due at once");
    same!(
        (due[0].id, due[0].why, due[0].attempts),
        (id, Why::Replay, 0),
        "as a replay"
    );
    same!(due[0].event.seq, Some(seqs[0]), "of that event");
    holds!(bench.finish_due(&due[0])?, "it is handled");
    same!(bench.tally(one)?.done, 2, "and the sums stay");
    same!(
        bench.store.count_letters().wait()?,
        0,
        "it never was a letter"
    );
    Ok(())
}

fn a_replay_of_nothing_is_refused(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let replay = |seq| bench.store.replay(id, seq, "ann".to_owned()).wait();
    same!(
        refused(replay(Seq(5)))?,
        ErrorCode::NotFound,
        "no such event"
    );
    let seqs = bench.publish(1)?;
    bench.store.clear_queue("ann".to_owned(), false).wait()?;
    same!(
        refused(replay(seqs[0]))?,
        ErrorCode::NotFound,
        "a deleted one"
    );
    bench.store.unsubscribe(id, None).wait()?;
    bench.store.remove(id, "ann".to_owned(), false).wait()?;
    bench.store.restore_queue("ann".to_owned(), false).wait()?;
    same!(
        refused(replay(seqs[0]))?,
        ErrorCode::WrongState,
        "a removed subscription"
    );
    Ok(())
}
