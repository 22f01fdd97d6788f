//! What operators do with dead letters.

use std::time::Duration;

use super::bench::Bench;
use super::harness::{Broken, Check, Harness, holds, promises, same};
use crate::store::deliveries::LetterId;
use crate::store::letters::{Acted, Letter, LetterAct, LetterFilter, LetterState, Seen};
use crate::store::registry::FactFilter;
use crate::store::subscriptions::{SeekTo, SubscriptionId};

promises!(
    letters_are_listed_newest_first_and_narrowed,
    an_operators_retry_grants_a_fresh_budget,
    an_act_leaves_what_has_moved_on,
    a_discarded_letter_comes_back,
    a_purged_letter_comes_back,
    a_letter_that_nobody_would_run_stays_discarded,
    an_operators_act_is_kept,
);

/// Events that failed for good; answers their letters, oldest first.
pub(super) fn dead(bench: &Bench, id: SubscriptionId, count: usize) -> Result<Vec<Letter>, Broken> {
    let seqs = bench.publish(count)?;
    let claim = bench.claimed(id, count)?;
    let results = seqs.iter().map(|seq| bench.dead(*seq)).collect();
    bench.settle(claim.token, seqs[count - 1], results)?;
    let mut letters = list(bench, LetterFilter::default())?;
    letters.reverse();
    Ok(letters)
}

pub(super) fn list(bench: &Bench, filter: LetterFilter) -> Result<Vec<Letter>, Broken> {
    let filter = LetterFilter {
        limit: 100,
        ..filter
    };
    Ok(bench.store.letters(filter).wait()?)
}

pub(super) fn seen(id: LetterId, attempts: u32, attempts_total: u32) -> Seen {
    Seen {
        id,
        attempts,
        attempts_total,
    }
}

pub(super) fn act(bench: &Bench, act: LetterAct, seen: &[Seen]) -> Result<Acted, Broken> {
    Ok(bench
        .store
        .act(act, seen.to_vec(), "ann".to_owned())
        .wait()?)
}

pub(super) fn state_of(bench: &Bench, id: LetterId) -> Result<Option<LetterState>, Broken> {
    let states = [
        LetterState::Retrying,
        LetterState::Running,
        LetterState::Dead,
        LetterState::Recovered,
        LetterState::Discarded,
        LetterState::Expired,
        LetterState::Purged,
    ];
    let filter = LetterFilter {
        ids: vec![id],
        states: states.to_vec(),
        ..LetterFilter::default()
    };
    Ok(list(bench, filter)?.first().map(|letter| letter.state))
}

fn letters_are_listed_newest_first_and_narrowed(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let (one, two) = (
        bench.subscribe(Bench::durable("one"))?,
        bench.subscribe(Bench::durable("two"))?,
    );
    dead(&bench, one, 3)?;
    bench.drain(two)?;
    harness.clock().advance(Duration::from_secs(60));
    let since = bench.now();
    dead(&bench, two, 1)?;
    let all = list(&bench, LetterFilter::default())?;
    let ids: Vec<LetterId> = all.iter().map(|letter| letter.id).collect();
    holds!(
        ids.len() == 4 && ids.is_sorted_by(|a, b| a > b),
        "newest first: {ids:?}"
    );
    let count = |filter: LetterFilter| list(&bench, filter).map(|letters| letters.len());
    let base = LetterFilter::default;
    let by_handler = LetterFilter {
        handler: Some("one".to_owned()),
        ..base()
    };
    same!(count(by_handler)?, 3, "by handler");
    same!(
        count(LetterFilter {
            since: Some(since),
            ..base()
        })?,
        1,
        "since"
    );
    same!(
        count(LetterFilter {
            before: Some(since),
            ..base()
        })?,
        3,
        "before"
    );
    same!(
        count(LetterFilter {
            below: Some(ids[1]),
            ..base()
        })?,
        2,
        "the next page"
    );
    same!(
        count(LetterFilter {
            ids: ids[..2].to_vec(),
            ..base()
        })?,
        2,
        "by id"
    );
    let retrying = LetterFilter {
        states: vec![LetterState::Retrying],
        ..base()
    };
    same!(count(retrying)?, 0, "by state");
    let other = LetterFilter {
        event_type: Some(crate::event::EventType::from_canonical("b")),
        ..base()
    };
    same!(count(other)?, 0, "by type");
    same!(bench.store.count_letters().wait()?, 4, "and counted");
    Ok(())
}

fn an_operators_retry_grants_a_fresh_budget(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let letter = dead(&bench, id, 1)?.remove(0);
    let acted = act(&bench, LetterAct::Retry, &[letter.seen()])?;
    same!((acted.changed, acted.left.len()), (1, 0), "it changed");
    let due = bench.due(id)?;
    same!(
        (due.len(), due[0].attempts),
        (1, 0),
        "due at once, with a fresh budget"
    );
    let seq = letter.event.seq.unwrap_or_default();
    bench
        .store
        .settle_due(due[0].id, due[0].fence, bench.dead(seq))
        .wait()?;
    let letters = list(&bench, LetterFilter::default())?;
    same!(
        (letters[0].attempts, letters[0].attempts_total),
        (1, 2),
        "the total is kept"
    );
    Ok(())
}

fn an_act_leaves_what_has_moved_on(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let letters = dead(&bench, id, 3)?;
    act(&bench, LetterAct::Retry, &[letters[0].seen()])?;
    bench.due(id)?;
    let seen: Vec<_> = letters.iter().map(Letter::seen).collect();
    act(&bench, LetterAct::Discard, &seen[1..2])?;
    let mut unknown = seen.clone();
    unknown.push(self::seen(LetterId(999), 1, 1));
    let acted = act(&bench, LetterAct::Retry, &unknown)?;
    same!(acted.changed, 1, "only the one that stands as it was seen");
    let left = vec![letters[0].id, letters[1].id, LetterId(999)];
    same!(acted.left, left, "running, discarded and unknown are left");
    let wrong = act(&bench, LetterAct::Purge, &[self::seen(letters[2].id, 7, 7)])?;
    same!(wrong.changed, 0, "another count than was seen");
    let due = bench.due(id)?;
    let seq = letters[2].event.seq.unwrap_or_default();
    let failed = bench.dead(seq);
    let settled = bench.store.settle_due(due[0].id, due[0].fence, failed);
    settled.wait()?;
    let again = act(&bench, LetterAct::Retry, &seen[2..])?;
    same!(
        again.changed,
        0,
        "it was retried and failed again, though its budget shows one run as before"
    );
    Ok(())
}

fn a_discarded_letter_comes_back(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let letter = dead(&bench, id, 1)?.remove(0);
    let seen = [letter.seen()];
    same!(
        act(&bench, LetterAct::Discard, &seen)?.changed,
        1,
        "discarded"
    );
    same!(bench.store.count_letters().wait()?, 0, "no longer shown");
    same!(bench.tally(id)?.discarded, 1, "and counted so");
    same!(act(&bench, LetterAct::Discard, &seen)?.changed, 0, "once");
    same!(
        act(&bench, LetterAct::Restore, &seen)?.changed,
        1,
        "restored"
    );
    same!(
        state_of(&bench, letter.id)?,
        Some(LetterState::Dead),
        "to where it stood"
    );
    same!(bench.tally(id)?.dead, 1, "in the sums too");
    same!(act(&bench, LetterAct::Restore, &seen)?.changed, 0, "once");
    Ok(())
}

fn a_purged_letter_comes_back(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let letter = dead(&bench, id, 1)?.remove(0);
    act(&bench, LetterAct::Retry, &[letter.seen()])?;
    let seen = [self::seen(letter.id, 0, 1)];
    same!(
        act(&bench, LetterAct::Discard, &seen)?.changed,
        1,
        "discarded while retrying"
    );
    same!(
        act(&bench, LetterAct::Purge, &seen)?.changed,
        1,
        "then purged"
    );
    same!(bench.store.count_letters().wait()?, 0, "no longer shown");
    holds!(bench.due(id)?.is_empty(), "nor due");
    same!(bench.tally(id)?.expired, 1, "and counted as gone");
    same!(
        act(&bench, LetterAct::Restore, &seen)?.changed,
        1,
        "restored"
    );
    same!(
        state_of(&bench, letter.id)?,
        Some(LetterState::Discarded),
        "to where it stood"
    );
    same!(bench.tally(id)?.discarded, 1, "in the sums too");
    same!(
        act(&bench, LetterAct::Restore, &seen)?.changed,
        1,
        "and once more"
    );
    same!(
        state_of(&bench, letter.id)?,
        Some(LetterState::Retrying),
        "to where it stood first"
    );
    same!(bench.due(id)?.len(), 1, "and due again");
    let running = act(&bench, LetterAct::Purge, &[letter.seen()])?;
    same!(running.changed, 0, "what runs is not purged");
    Ok(())
}

fn a_letter_that_nobody_would_run_stays_discarded(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let sought = bench.subscribe(Bench::durable("sought"))?;
    let hidden = dead(&bench, sought, 2)?;
    act(&bench, LetterAct::Purge, &[hidden[1].seen()])?;
    let by = || "ann".to_owned();
    bench.store.seek(sought, SeekTo::End, by(), false).wait()?;
    let removed = bench.subscribe(Bench::durable("removed"))?;
    let gone = dead(&bench, removed, 1)?.remove(0);
    bench.store.unsubscribe(removed, None).wait()?;
    bench.store.remove(removed, by(), false).wait()?;
    for letter in [&hidden[0], &hidden[1], &gone] {
        let before = state_of(&bench, letter.id)?;
        let acted = act(&bench, LetterAct::Restore, &[letter.seen()])?;
        same!(acted.changed, 0, "it is left");
        same!(acted.left, vec![letter.id], "and named");
        same!(acted.ended, vec![letter.id], "with the reason");
        same!(state_of(&bench, letter.id)?, before, "as it was");
    }
    same!(bench.store.count_letters().wait()?, 0, "none waits");
    act(&bench, LetterAct::Purge, &[gone.seen()])?;
    let undone = act(&bench, LetterAct::Restore, &[gone.seen()])?;
    same!(undone.changed, 1, "what waits for nobody comes back");
    same!(
        state_of(&bench, gone.id)?,
        Some(LetterState::Discarded),
        "as what it was"
    );
    Ok(())
}

fn an_operators_act_is_kept(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let letter = dead(&bench, id, 1)?.remove(0);
    act(&bench, LetterAct::Discard, &[letter.seen()])?;
    bench.store.pause(id, true, "bob".to_owned()).wait()?;
    let facts = bench.store.facts(FactFilter {
        acts_only: true,
        limit: 10,
        ..FactFilter::default()
    });
    let facts = facts.wait()?;
    let who = |name: &str| {
        facts
            .iter()
            .any(|f| f.act.as_ref().is_some_and(|(by, _)| by == name))
    };
    holds!(who("ann") && who("bob"), "who did it is kept: {facts:?}");
    Ok(())
}
