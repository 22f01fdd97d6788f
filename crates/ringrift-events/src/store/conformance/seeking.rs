//! Moving a subscription.

use std::time::Duration;

use super::bench::{Bench, last};
use super::harness::{Check, Harness, holds, promises, refused, same};
use crate::event::Seq;
use crate::store::ErrorCode;
use crate::store::letters::{LetterFilter, LetterState};
use crate::store::registry::FactFilter;
use crate::store::subscriptions::{Generation, SeekTo, Sought, SubscriptionId};
use crate::verdict::Code;

promises!(
    a_seek_back_brings_events_again,
    a_seek_forward_skips_with_a_verdict,
    a_seek_reaches_before_the_beginning,
    a_seek_goes_to_a_time,
    a_dry_run_moves_nothing,
    a_seek_fences_open_claims,
    a_seek_discards_unfinished_letters,
);

fn seek(bench: &Bench, id: SubscriptionId, to: SeekTo, dry: bool) -> Result<Sought, super::Broken> {
    Ok(bench.store.seek(id, to, "ann".to_owned(), dry).wait()?)
}

fn a_seek_back_brings_events_again(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let places = bench.publish(4)?;
    bench.drain(id)?;
    let sought = seek(&bench, id, SeekTo::After(places[1]), false)?;
    same!(
        (sought.from, sought.to),
        (places[3], places[1]),
        "from and to"
    );
    same!((sought.again, sought.skipped), (2, 0), "two come again");
    same!(sought.generation, Generation(2), "in a new generation");
    same!(bench.tally(id)?.waiting, 2, "they wait");
    same!(bench.drain(id)?, places[2..].to_vec(), "and come in order");
    same!(
        bench.tally(id)?.done,
        2,
        "the sums are of the new generation"
    );
    Ok(())
}

fn a_seek_forward_skips_with_a_verdict(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    bench.publish(3)?;
    let sought = seek(&bench, id, SeekTo::End, false)?;
    same!((sought.skipped, sought.again), (3, 0), "three are skipped");
    let facts = bench.store.facts(FactFilter {
        codes: vec![Code::StSkippedBySeek],
        subscription: Some(id),
        limit: 10,
        ..FactFilter::default()
    });
    let facts = facts.wait()?;
    same!(facts.len(), 1, "one verdict for the range");
    holds!(
        facts[0].seq <= Some(Seq(1)) && facts[0].seq_to >= Some(Seq(3)),
        "which covers what was skipped: {:?}",
        facts[0]
    );
    let new = bench.publish(1)?;
    same!(bench.drain(id)?, new, "what comes afterwards is handled");
    Ok(())
}

fn a_seek_reaches_before_the_beginning(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let before = bench.publish(2)?;
    let id = bench.subscribe(Bench::durable("d"))?;
    let after = bench.publish(1)?;
    bench.drain(id)?;
    seek(&bench, id, SeekTo::Beginning, false)?;
    same!(
        bench.drain(id)?,
        [before, after].concat(),
        "the oldest event kept is the first"
    );
    same!(bench.tally(id)?.done, 3, "and they count");
    Ok(())
}

fn a_seek_goes_to_a_time(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    bench.publish(2)?;
    harness.clock().advance(Duration::from_secs(60));
    let since = bench.now();
    let later = bench.publish(2)?;
    bench.drain(id)?;
    seek(&bench, id, SeekTo::Time(since), false)?;
    same!(
        bench.drain(id)?,
        later,
        "the first committed at or after it"
    );
    let future = since.after(Duration::from_secs(3_600));
    let sought = seek(&bench, id, SeekTo::Time(future), false)?;
    same!(sought.to, later[1], "a time to come is the end");
    Ok(())
}

fn a_dry_run_moves_nothing(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    bench.publish(3)?;
    let claim = bench.claimed(id, 1)?;
    let before = bench.state(id)?;
    let sought = seek(&bench, id, SeekTo::End, true)?;
    same!(sought.skipped, 3, "the claimed one would be skipped too");
    same!(bench.state(id)?, before, "nothing moved");
    holds!(bench.finish(&claim)?, "the claim stands");
    Ok(())
}

fn a_seek_fences_open_claims(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let places = bench.publish(2)?;
    let claim = bench.claimed(id, 2)?;
    seek(&bench, id, SeekTo::After(Seq::START), false)?;
    let late = bench.settle(claim.token, last(&claim), Vec::new());
    same!(
        refused(late)?,
        ErrorCode::LeaseLost,
        "the answer is refused"
    );
    let back = bench.store.hand_back(claim.token, Seq::START).wait();
    same!(refused(back)?, ErrorCode::LeaseLost, "so is giving it back");
    same!(
        bench.drain(id)?,
        places,
        "the events come in the new generation"
    );
    Ok(())
}

fn a_seek_discards_unfinished_letters(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let places = bench.publish(3)?;
    let claim = bench.claimed(id, 3)?;
    let results = vec![
        bench.result(places[0], Bench::failed("x")),
        bench.dead(places[1]),
    ];
    bench.settle(claim.token, places[2], results)?;
    let running = bench.due(id)?;
    same!(running.len(), 1, "one runs again");
    seek(&bench, id, SeekTo::Beginning, false)?;
    same!(bench.store.count_letters().wait()?, 0, "no letter is left");
    let discarded = bench.store.letters(LetterFilter {
        states: vec![LetterState::Discarded],
        limit: 10,
        ..LetterFilter::default()
    });
    same!(discarded.wait()?.len(), 2, "both are discarded");
    holds!(
        !bench.finish_due(&running[0])?,
        "the running one has ended already"
    );
    same!(bench.drain(id)?, places, "all come again");
    let tally = bench.tally(id)?;
    same!(
        (tally.done, tally.discarded),
        (3, 0),
        "the old generation is not counted"
    );
    Ok(())
}
