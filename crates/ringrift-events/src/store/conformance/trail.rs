//! What is kept of one event's way.

use std::time::Duration;

use super::bench::Bench;
use super::harness::{Broken, Check, Harness, holds, promises, same};
use crate::event::Seq;
use crate::store::deliveries::Why;
use crate::store::letters::LetterState;
use crate::store::registry::{Fact, FactFilter};
use crate::store::subscriptions::{Generation, SeekTo, SubscriptionId};
use crate::store::trail::{Passage, Place, Trail};
use crate::verdict::Code;

promises!(
    a_trail_tells_where_a_place_lies,
    a_trail_keeps_the_generations_that_are_over,
    a_trail_has_the_redeliveries_of_the_event,
    a_trail_names_what_a_key_waits_for,
    a_trail_goes_on_after_a_removal,
    a_trail_tells_what_was_deleted_unhandled,
    a_pause_that_is_over_is_kept_of_what_waited,
);

fn trail(bench: &Bench, seq: Seq) -> Result<Trail, Broken> {
    Ok(bench.store.trail(seq).wait()?)
}

fn passages(bench: &Bench, id: SubscriptionId, seq: Seq) -> Result<Vec<Passage>, Broken> {
    let all = trail(bench, seq)?.passages.into_iter();
    Ok(all.filter(|passage| passage.subscription == id).collect())
}

fn place(bench: &Bench, id: SubscriptionId, seq: Seq) -> Result<Place, Broken> {
    let last = passages(bench, id, seq)?.pop();
    Ok(last.ok_or_else(|| Broken::new("no passage"))?.place)
}

fn a_trail_tells_where_a_place_lies(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let before = bench.publish(1)?;
    let id = bench.subscribe(Bench::durable("d"))?;
    bench.subscribe(Bench::live("l"))?;
    let places = bench.publish(4)?;
    let done = bench.claimed(id, 1)?;
    bench.finish(&done)?;
    let open = bench.claimed(id, 2)?;
    let me = Some(bench.store.process());
    same!(place(&bench, id, before[0])?, Place::Outside, "before it");
    same!(
        place(&bench, id, places[0])?,
        Place::Passed { by: me },
        "settled"
    );
    same!(
        place(&bench, id, places[2])?,
        Place::Claimed { by: me },
        "claimed"
    );
    same!(place(&bench, id, places[3])?, Place::Ahead, "not taken");
    bench.settle(open.token, places[1], Vec::new())?;
    same!(
        place(&bench, id, places[1])?,
        Place::Passed { by: me },
        "settled within an open claim"
    );
    bench.store.hand_back(open.token, places[1]).wait()?;
    same!(
        place(&bench, id, places[2])?,
        Place::Claimed { by: None },
        "given back"
    );
    same!(
        trail(&bench, places[0])?.passages.len(),
        1,
        "live subscriptions have no positions"
    );
    Ok(())
}

fn a_trail_keeps_the_generations_that_are_over(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let places = bench.publish(3)?;
    let claim = bench.claimed(id, 2)?;
    bench.settle(claim.token, places[0], Vec::new())?;
    harness.clock().advance(Duration::from_secs(60));
    let sought = bench.now();
    let to = SeekTo::After(Seq::START);
    bench.store.seek(id, to, "ann".to_owned(), false).wait()?;
    let me = Some(bench.store.process());
    let expected = [
        (places[0], Place::Passed { by: me }),
        (places[1], Place::Ahead),
        (places[2], Place::Ahead),
    ];
    for (seq, old) in expected {
        let both = passages(&bench, id, seq)?;
        same!(both.len(), 2, "two generations");
        same!(
            (both[0].generation, both[0].place, both[0].ended_at),
            (Generation(1), old, Some(sought)),
            "the old one keeps its end"
        );
        same!(
            (both[1].generation, both[1].place, both[1].began_at),
            (Generation(2), Place::Ahead, sought),
            "in the new one it waits"
        );
        same!(both[1].ended_at, None, "which stands");
    }
    Ok(())
}

fn a_trail_has_the_redeliveries_of_the_event(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let places = bench.publish(2)?;
    let claim = bench.claimed(id, 2)?;
    let results = vec![bench.result(places[0], Bench::failed("broke"))];
    bench.settle(claim.token, places[1], results)?;
    let rows = trail(&bench, places[0])?.again;
    same!(rows.len(), 1, "one redelivery");
    same!(
        (rows[0].state, rows[0].failed, rows[0].why, rows[0].attempts),
        (LetterState::Retrying, true, Why::Retry, 1),
        "a dead letter"
    );
    same!(rows[0].error.as_deref(), Some("broke"), "with its error");
    same!(rows[0].due, Some(bench.now()), "due at once");
    let due = bench.due(id)?;
    let running = trail(&bench, places[0])?.again;
    same!(
        (running[0].state, running[0].owner, running[0].due),
        (LetterState::Running, Some(bench.store.process()), None),
        "taken by this process"
    );
    bench.finish_due(&due[0])?;
    let by = "ann".to_owned();
    bench.store.replay(id, places[0], by).wait()?;
    let rows = trail(&bench, places[0])?.again;
    same!(
        (rows[0].state, rows[1].state, rows[1].failed, rows[1].why),
        (
            LetterState::Recovered,
            LetterState::Retrying,
            false,
            Why::Replay
        ),
        "a replay that has not failed waits"
    );
    same!(trail(&bench, places[1])?.again, [], "the other has none");
    Ok(())
}

fn a_trail_names_what_a_key_waits_for(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::ordered("d"))?;
    let places = bench.publish_keyed(&["k", "other", "k", "k"])?;
    let claim = bench.claimed(id, 1)?;
    let results = vec![bench.result(places[0], Bench::failed("broke"))];
    bench.settle(claim.token, places[0], results)?;
    let ahead = trail(&bench, places[3])?.ahead;
    same!(ahead.len(), 1, "one is in the way");
    same!(ahead[0].seq, Some(places[0]), "the earliest of its key");
    same!(trail(&bench, places[1])?.ahead, [], "not for another key");
    bench.claimed(id, 100)?;
    let rows = trail(&bench, places[3])?.again;
    holds!(
        rows.len() == 1 && rows[0].why == Why::KeyBlocked && !rows[0].failed,
        "it has a way of its own, behind it: {rows:?}"
    );
    same!(
        trail(&bench, places[3])?.ahead[0].seq,
        Some(places[0]),
        "and the earliest still stands in the way"
    );
    Ok(())
}

fn a_trail_goes_on_after_a_removal(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let places = bench.publish(2)?;
    let claim = bench.claimed(id, 1)?;
    bench.finish(&claim)?;
    bench.store.unsubscribe(id, None).wait()?;
    bench.store.remove(id, "ann".to_owned(), false).wait()?;
    let me = Some(bench.store.process());
    same!(
        place(&bench, id, places[0])?,
        Place::Passed { by: me },
        "it was handled before"
    );
    same!(place(&bench, id, places[1])?, Place::Ahead, "it never was");
    holds!(
        passages(&bench, id, places[1])?[0].ended_at.is_some(),
        "the generation has ended"
    );
    Ok(())
}

fn a_trail_tells_what_was_deleted_unhandled(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    // Owes everything, so that clearing takes what the other has settled as well.
    bench.subscribe(Bench::durable("owing"))?;
    let places = bench.publish(3)?;
    let done = bench.claimed(id, 1)?;
    bench.finish(&done)?;
    let open = bench.claimed(id, 1)?;
    harness.clock().advance(Duration::from_secs(60));
    bench.store.clear_queue("ann".to_owned(), false).wait()?;
    let me = Some(bench.store.process());
    let (taken, waiting) = (
        Place::Deleted { taken: true },
        Place::Deleted { taken: false },
    );
    let expected = [Place::Passed { by: me }, taken, waiting];
    let all = || -> Result<Vec<Place>, Broken> {
        places.iter().map(|seq| place(&bench, id, *seq)).collect()
    };
    same!(all()?, expected, "what was settled stays settled");
    bench.finish(&open)?;
    bench.publish(1)?;
    let next = bench.claimed(id, 1)?;
    bench.finish(&next)?;
    same!(all()?, expected, "positions that pass it change nothing");
    harness.clock().advance(Duration::from_secs(60));
    let to = SeekTo::After(Seq::START);
    bench.store.seek(id, to, "ann".to_owned(), false).wait()?;
    for (seq, old) in places.iter().zip(expected) {
        let both = passages(&bench, id, *seq)?;
        same!(both[0].place, old, "the generation that is over");
        same!(both[1].place, waiting, "one that began after the deletion");
    }
    Ok(())
}

fn a_pause_that_is_over_is_kept_of_what_waited(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let pause = |paused, by: &str| bench.store.pause(id, paused, by.to_owned()).wait();
    let facts = || -> Result<Vec<Fact>, Broken> {
        let filter = FactFilter {
            codes: vec![Code::RtPaused],
            limit: 10,
            ..FactFilter::default()
        };
        Ok(bench.store.facts(filter).wait()?)
    };
    let before = bench.publish(1)?;
    let claim = bench.claimed(id, 1)?;
    bench.finish(&claim)?;
    pause(true, "ann")?;
    pause(false, "ann")?;
    same!(facts()?, [], "nothing waited");
    pause(true, "ann")?;
    let places = bench.publish(2)?;
    pause(false, "bob")?;
    bench.publish(1)?;
    let kept = facts()?;
    same!(kept.len(), 1, "one for all that waited");
    same!(
        (kept[0].seq, kept[0].seq_to, kept[0].subscription),
        (Some(places[0]), Some(places[1]), Some(id)),
        "from what was not taken to the log's end at the resume"
    );
    holds!(before[0] < places[0], "what was settled is none of it");
    let by = kept[0]
        .act
        .as_ref()
        .map(|(by, act)| (by.as_str(), act.as_str()));
    same!(by, Some(("bob", "subs.resume")), "who ended it");
    holds!(
        kept[0].evidence.contains(r#""paused_by":"ann""#),
        "and who began it: {}",
        kept[0].evidence
    );
    Ok(())
}
