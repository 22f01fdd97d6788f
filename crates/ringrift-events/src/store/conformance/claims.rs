//! Claiming and giving back.

use std::time::Duration;

use super::bench::{Bench, last, places};
use super::harness::{Check, Harness, holds, promises, refused, same};
use crate::event::Seq;
use crate::store::ErrorCode;
use crate::store::deliveries::{CLAIM_EVENTS_MAX, Reserved, Why};

promises!(
    claims_go_in_log_order_and_never_twice,
    only_a_host_claims,
    a_claim_has_a_bound,
    concurrent_claims_share_the_work,
    a_claim_is_handed_back_in_part,
    a_claim_is_handed_back_whole,
    a_started_event_is_given_up,
    what_is_given_up_unstarted_counts_no_run_and_frees_its_key,
    what_was_given_up_is_still_owed,
    giving_back_what_is_lost_is_refused,
    a_claim_grows_by_what_its_process_finds_next,
    a_claim_does_not_grow_over_what_its_process_did_not_hear_of,
    a_claim_grows_only_at_the_end_and_in_its_own_process,
    a_claim_that_has_grown_goes_back_in_part,
);

fn claims_go_in_log_order_and_never_twice(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    same!(one.claim(id, 10)?.is_none(), true, "there is nothing yet");
    one.append(vec![one.event("b", "{}")])?;
    let seqs = one.publish(5)?;
    let first = one.claimed(id, 2)?;
    same!(
        places(&first),
        seqs[..2].to_vec(),
        "at most as asked, in order"
    );
    same!(
        (first.subscription, first.taken_over),
        (id, false),
        "whose it is"
    );
    same!(
        two.take(id, 2)?,
        seqs[2..4].to_vec(),
        "another gets the next"
    );
    same!(one.take(id, 9)?, seqs[4..].to_vec(), "then the rest");
    same!(two.take(id, 9)?, vec![], "then nothing");
    let tally = one.tally(id)?;
    same!((tally.matching, tally.claimed), (5, 5), "all are held");
    let state = one.state(id)?;
    same!(state.claimed, 5, "as the state says");
    holds!(
        state.settled < seqs[0] && state.cursor == seqs[4],
        "none settled: {state:?}"
    );
    Ok(())
}

fn only_a_host_claims(harness: &dyn Harness) -> Check {
    let (host, other) = (Bench::new(harness), Bench::new(harness));
    let id = host.subscribe(Bench::durable("d"))?;
    host.publish(1)?;
    same!(other.take(id, 1)?, vec![], "a stranger gets nothing");
    let claim = host.claimed(id, 1)?;
    host.store.hand_back(claim.token, Seq::START).wait()?;
    same!(other.take(id, 1)?, vec![], "not even what was handed back");
    same!(host.take(id, 1)?.len(), 1, "the host does");
    Ok(())
}

fn a_claim_has_a_bound(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    bench.publish(CLAIM_EVENTS_MAX + 1)?;
    same!(
        bench.take(id, usize::MAX)?.len(),
        CLAIM_EVENTS_MAX,
        "whatever is asked"
    );
    same!(bench.take(id, usize::MAX)?.len(), 1, "the rest comes next");
    Ok(())
}

fn concurrent_claims_share_the_work(harness: &dyn Harness) -> Check {
    let benches: Vec<Bench> = (0..3).map(|_| Bench::new(harness)).collect();
    let mut id = None;
    for bench in &benches {
        id = Some(bench.subscribe(Bench::durable("d"))?);
    }
    let Some(id) = id else {
        return Ok(());
    };
    let seqs = benches[0].publish(120)?;
    let taken = std::thread::scope(|scope| {
        let work = |bench: &Bench| -> Result<Vec<Seq>, crate::store::Error> {
            let mut mine = Vec::new();
            while let Some(claim) = bench.claim(id, 7)? {
                mine.extend(places(&claim));
                bench.finish(&claim)?;
            }
            Ok(mine)
        };
        let threads: Vec<_> = benches
            .iter()
            .map(|b| scope.spawn(move || work(b)))
            .collect();
        let joined = threads.into_iter().filter_map(|thread| thread.join().ok());
        joined.collect::<Result<Vec<_>, _>>()
    })?;
    let mut all = taken.concat();
    all.sort_unstable();
    same!(all, seqs, "each event once, none left");
    same!(benches[0].tally(id)?.done, 120, "all are done");
    Ok(())
}

fn a_claim_is_handed_back_in_part(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(6)?;
    let claim = one.claimed(id, 4)?;
    one.store.hand_back(claim.token, seqs[1]).wait()?;
    let tally = one.tally(id)?;
    same!(
        (tally.claimed, tally.waiting),
        (2, 4),
        "the rest waits again"
    );
    let back = two.claimed(id, 10)?;
    same!(
        places(&back),
        seqs[2..4].to_vec(),
        "what came back goes first"
    );
    holds!(back.taken_over, "it was another's");
    same!(
        two.take(id, 10)?,
        seqs[4..].to_vec(),
        "then the log goes on"
    );
    holds!(
        one.settle(claim.token, seqs[1], Vec::new())?,
        "what was kept is settled"
    );
    holds!(!one.settle(claim.token, seqs[1], Vec::new())?, "and closed");
    Ok(())
}

fn a_claim_is_handed_back_whole(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(3)?;
    let claim = one.claimed(id, 3)?;
    one.store.hand_back(claim.token, Seq::START).wait()?;
    same!(
        two.take(id, 1)?,
        seqs[..1].to_vec(),
        "a part of it, if less is wanted"
    );
    same!(two.take(id, 10)?, seqs[1..].to_vec(), "then the rest");
    Ok(())
}

fn a_started_event_is_given_up(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(3)?;
    let claim = one.claimed(id, 3)?;
    one.store.give_up(claim.token, seqs[1], true).wait()?;
    let due = two.due(id)?;
    same!(due.len(), 1, "it is due at once for any process");
    same!(due[0].event.seq, Some(seqs[1]), "that event");
    same!(
        (due[0].why, due[0].deaths, due[0].attempts),
        (Why::HandedBack, 0, 1),
        "its run counts, and nobody died of it"
    );
    holds!(
        one.settle(claim.token, last(&claim), Vec::new())?,
        "the others go on"
    );
    same!(one.tally(id)?.done, 2, "they are done");
    holds!(two.finish_due(&due[0])?, "and the third");
    same!(one.tally(id)?.done, 3, "is done elsewhere");
    same!(
        one.store.count_letters().wait()?,
        0,
        "no letter: nothing failed"
    );
    Ok(())
}

fn what_is_given_up_unstarted_counts_no_run_and_frees_its_key(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(2)?;
    let claim = bench.claimed(id, 2)?;
    let (first, second) = (claim.events[0].id, claim.events[1].id);
    let reserve = |event| {
        let keys = vec![("k".to_owned(), event)];
        bench
            .store
            .reserve(id, keys, Duration::from_secs(60))
            .wait()
    };
    same!(
        reserve(first)?,
        vec![Reserved::Yes],
        "the first has the key"
    );
    bench.store.give_up(claim.token, seqs[0], false).wait()?;
    same!(
        reserve(second)?,
        vec![Reserved::Yes],
        "its key is free for another event"
    );
    let due = bench.due(id)?;
    same!(
        (due.len(), due[0].why, due[0].attempts),
        (1, Why::HandedBack, 0),
        "it comes again as if it had never been taken"
    );
    Ok(())
}

fn what_was_given_up_is_still_owed(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(3)?;
    let claim = bench.claimed(id, 3)?;
    bench.store.give_up(claim.token, seqs[1], true).wait()?;
    bench.settle(claim.token, last(&claim), Vec::new())?;
    let state = bench.state(id)?;
    same!(
        (state.settled, state.retrying, state.again),
        (seqs[2], 0, 1),
        "the log is settled, and one comes again"
    );
    same!(
        state.owed_after,
        seqs[0],
        "whoever goes on from here misses nothing"
    );
    let due = bench.due(id)?;
    same!(bench.state(id)?.again, 1, "also while it runs");
    bench.finish_due(&due[0])?;
    let state = bench.state(id)?;
    same!(
        (state.again, state.owed_after),
        (0, seqs[2]),
        "until it is done"
    );
    Ok(())
}

fn giving_back_what_is_lost_is_refused(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(2)?;
    let claim = one.claimed(id, 2)?;
    let back = two.store.hand_back(claim.token, Seq::START).wait();
    same!(
        refused(back)?,
        ErrorCode::LeaseLost,
        "another process's claim"
    );
    let up = two.store.give_up(claim.token, seqs[0], true).wait();
    same!(
        refused(up)?,
        ErrorCode::LeaseLost,
        "another process's event"
    );
    let mut forged = claim.token;
    forged.fence += 1;
    let back = one.store.hand_back(forged, Seq::START).wait();
    same!(refused(back)?, ErrorCode::LeaseLost, "another fence");
    holds!(one.finish(&claim)?, "the claim stands");
    Ok(())
}

fn a_claim_grows_by_what_its_process_finds_next(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(5)?;
    let claim = bench.claimed(id, 2)?;
    let grown = bench.grown(&claim, 2)?;
    same!(
        (grown.token, places(&grown)),
        (claim.token, seqs[2..4].to_vec()),
        "the new ones under the old proof"
    );
    same!(bench.tally(id)?.claimed, 4, "all of it is held");
    holds!(
        bench.settle(claim.token, seqs[1], Vec::new())?,
        "what was there before"
    );
    same!(bench.tally(id)?.claimed, 2, "the rest stays held");
    holds!(bench.finish(&grown)?, "and is settled with the same proof");
    let next = bench.grown(&grown, 9)?;
    holds!(
        next.token != claim.token,
        "a settled claim grows no more: {next:?}"
    );
    same!(places(&next), seqs[4..].to_vec(), "another goes on");
    bench.finish(&next)?;
    same!(bench.tally(id)?.done, 5, "all are done");
    Ok(())
}

fn a_claim_does_not_grow_over_what_its_process_did_not_hear_of(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let seqs = bench.publish(4)?;
    let claim = bench.claimed(id, 1)?;
    // As if its answer was lost.
    let lost = bench.grown(&claim, 2)?;
    same!(lost.token, claim.token, "it has grown");
    let next = bench.grown(&claim, 9)?;
    holds!(
        next.token != claim.token,
        "it ends where its process does not know"
    );
    same!(places(&next), seqs[3..].to_vec(), "the rest comes anyway");
    holds!(bench.finish(&claim)?, "what was heard of is settled");
    holds!(bench.finish(&next)?, "so is the rest");
    let tally = bench.tally(id)?;
    same!((tally.done, tally.claimed), (2, 2), "what was lost is owed");
    Ok(())
}

fn a_claim_grows_only_at_the_end_and_in_its_own_process(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(5)?;
    let claim = one.claimed(id, 1)?;
    let stolen = two.grown(&claim, 1)?;
    holds!(
        stolen.token != claim.token,
        "another process's claim does not grow here"
    );
    let behind = one.grown(&claim, 1)?;
    holds!(
        behind.token != claim.token,
        "it would span what another process has"
    );
    two.finish(&stolen)?;
    let still = one.grown(&claim, 1)?;
    holds!(still.token != claim.token, "or had");
    one.store.hand_back(behind.token, Seq::START).wait()?;
    let again = one.claimed(id, 1)?;
    same!(places(&again), places(&behind), "what was handed back");
    let fenced = one.grown(&again, 9)?;
    holds!(
        fenced.token != again.token,
        "one that changed hands does not grow"
    );
    same!(places(&fenced), seqs[4..].to_vec(), "the rest comes anyway");
    for claim in [&claim, &again, &still, &fenced] {
        holds!(one.finish(claim)?, "{claim:?} stands");
    }
    same!(one.tally(id)?.done, 5, "each is done once");
    Ok(())
}

fn a_claim_that_has_grown_goes_back_in_part(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let id = one.subscribe(Bench::durable("d"))?;
    two.subscribe(Bench::durable("d"))?;
    let seqs = one.publish(5)?;
    let claim = one.claimed(id, 2)?;
    one.grown(&claim, 2)?;
    one.store.hand_back(claim.token, seqs[1]).wait()?;
    same!(
        two.take(id, 9)?,
        seqs[2..4].to_vec(),
        "what was handed back"
    );
    let next = one.grown(&claim, 9)?;
    holds!(
        next.token != claim.token,
        "it would span what went elsewhere"
    );
    same!(places(&next), seqs[4..].to_vec(), "what nobody had");
    holds!(
        one.settle(claim.token, seqs[1], Vec::new())?,
        "the part that stays"
    );
    let tally = one.tally(id)?;
    same!((tally.done, tally.claimed), (2, 3), "the rest is held");
    Ok(())
}
