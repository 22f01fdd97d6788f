//! What an edit makes of a dead letter.

use super::bench::Bench;
use super::harness::{Broken, Check, Harness, holds, promises, refused, same};
use super::letters::{act, dead, list, seen, state_of};
use crate::event::{Event, EventId, Payload};
use crate::store::ErrorCode;
use crate::store::deliveries::LetterId;
use crate::store::letters::{Letter, LetterAct, LetterFilter, LetterState};
use crate::store::registry::FactFilter;
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Code;

promises!(
    an_edit_replaces_the_event_for_its_handler_alone,
    an_edited_event_is_in_sight_until_it_succeeds,
    restoring_the_original_undoes_an_edit,
    of_two_halves_one_comes_back,
    an_edit_that_succeeded_is_not_undone,
    what_was_done_to_a_letter_is_told_of_its_event,
);

fn an_edit_replaces_the_event_for_its_handler_alone(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let (one, two) = (
        bench.subscribe(Bench::durable("one"))?,
        bench.subscribe(Bench::durable("two"))?,
    );
    let letter = dead(&bench, one, 1)?.remove(0);
    bench.drain(two)?;
    let head = bench.store.head().wait()?;
    let edited = Event {
        payload: Payload::from_checked(r#"{"mended":true}"#),
        ..bench.event("a", "{}")
    };
    let edit = |seen| {
        bench
            .store
            .edit(seen, edited.clone(), "ann".to_owned())
            .wait()
    };
    same!(
        refused(edit(seen(letter.id, 5, 5)))?,
        ErrorCode::WrongState,
        "it moved on since it was seen"
    );
    edit(letter.seen())?;
    same!(
        refused(edit(letter.seen()))?,
        ErrorCode::WrongState,
        "the original is gone"
    );
    same!(bench.store.head().wait()?, head, "nothing was appended");
    holds!(
        bench.due(two)?.is_empty() && bench.drain(two)?.is_empty(),
        "it reaches nobody else"
    );
    let due = bench.due(one)?;
    same!(due.len(), 1, "its handler gets it");
    same!(*due[0].event, edited, "as it was edited");
    same!(
        state_of(&bench, letter.id)?,
        Some(LetterState::Discarded),
        "the original is discarded"
    );
    let filter = LetterFilter {
        ids: vec![letter.id],
        states: vec![LetterState::Discarded],
        ..LetterFilter::default()
    };
    same!(
        list(&bench, filter)?[0].linked,
        Some(edited.id),
        "and names its heir"
    );
    bench
        .store
        .settle_due(due[0].id, due[0].fence, bench.dead(crate::event::Seq(0)))
        .wait()?;
    let letters = list(&bench, LetterFilter::default())?;
    same!(
        letters[0].linked,
        Some(letter.event.id),
        "which names the original"
    );
    same!(letters[0].event, edited, "and is kept whole when it fails");
    let unknown = bench
        .store
        .edit(seen(LetterId(99), 1, 1), edited.clone(), "ann".to_owned())
        .wait();
    same!(refused(unknown)?, ErrorCode::NotFound, "no such letter");
    Ok(())
}

/// A letter that was edited: the original as it stood, and its heir's number.
fn edited(bench: &Bench, id: SubscriptionId) -> Result<(Letter, LetterId), Broken> {
    let original = dead(bench, id, 1)?.remove(0);
    let edited = bench.event("a", r#"{"mended":true}"#);
    let heir = bench
        .store
        .edit(original.seen(), edited, "ann".to_owned())
        .wait()?;
    Ok((original, heir))
}

fn an_edited_event_is_in_sight_until_it_succeeds(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let (original, heir) = edited(&bench, id)?;
    let shown = list(&bench, LetterFilter::default())?;
    same!(shown.len(), 1, "it is listed before it ran");
    same!(
        (
            shown[0].id,
            shown[0].state,
            shown[0].attempts,
            shown[0].attempts_total
        ),
        (heir, LetterState::Retrying, 0, 1),
        "on its way with a fresh budget"
    );
    same!(
        (&shown[0].error, shown[0].created_at, shown[0].linked),
        (
            &original.error,
            original.created_at,
            Some(original.event.id)
        ),
        "with what had failed"
    );
    let of_event = LetterFilter {
        event: Some(shown[0].event.id),
        ..LetterFilter::default()
    };
    same!(list(&bench, of_event)?.len(), 1, "and found by its event");
    same!(bench.store.count_letters().wait()?, 1, "counted");
    let state = bench.state(id)?;
    same!(
        (state.retrying, state.again),
        (1, 0),
        "also with its subscription"
    );
    let discarded = act(&bench, LetterAct::Discard, &[seen(heir, 0, 1)])?;
    same!(discarded.changed, 1, "it can be discarded");
    holds!(bench.due(id)?.is_empty(), "and is not due then");
    act(&bench, LetterAct::Restore, &[seen(heir, 0, 1)])?;
    let due = bench.due(id)?;
    bench.finish_due(&due[0])?;
    same!(
        state_of(&bench, heir)?,
        Some(LetterState::Recovered),
        "it succeeds"
    );
    Ok(())
}

fn restoring_the_original_undoes_an_edit(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let (original, heir) = edited(&bench, id)?;
    let restore = |letter| act(&bench, LetterAct::Restore, &[letter]);
    same!(restore(original.seen())?.changed, 1, "it comes back");
    let shown = list(&bench, LetterFilter::default())?;
    let before = Letter {
        linked: shown[0].linked,
        ..original.clone()
    };
    same!(shown, vec![before], "alone, as it stood");
    holds!(bench.due(id)?.is_empty(), "the edited one is not delivered");
    same!(
        state_of(&bench, heir)?,
        Some(LetterState::Discarded),
        "it is kept"
    );
    same!(
        restore(seen(heir, 0, 1))?.changed,
        1,
        "so the edit can be had again"
    );
    same!(
        state_of(&bench, original.id)?,
        Some(LetterState::Discarded),
        "one of the two waits, never both"
    );
    let due = bench.due(id)?;
    same!(due.len(), 1, "the edited one");
    let late = restore(original.seen())?;
    same!(
        (late.changed, late.left.len()),
        (0, 1),
        "too late while it runs"
    );
    bench
        .store
        .settle_due(due[0].id, due[0].fence, bench.dead(crate::event::Seq(0)))
        .wait()?;
    let third = bench.event("a", r#"{"mended":2}"#);
    let heir = seen(heir, 1, 2);
    bench.store.edit(heir, third, "ann".to_owned()).wait()?;
    restore(original.seen())?;
    let left = list(&bench, LetterFilter::default())?;
    same!(left.len(), 1, "an edit of the edit gives way too");
    same!(left[0].id, original.id, "to the original");
    Ok(())
}

fn of_two_halves_one_comes_back(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let (original, heir) = edited(&bench, id)?;
    let heir = seen(heir, 0, 1);
    act(&bench, LetterAct::Discard, &[heir])?;
    let both = act(&bench, LetterAct::Restore, &[original.seen(), heir])?;
    same!(
        (both.changed, both.left),
        (1, vec![original.id]),
        "the other stays discarded: it is not counted, and named"
    );
    same!(bench.store.count_letters().wait()?, 1, "one waits");
    Ok(())
}

fn an_edit_that_succeeded_is_not_undone(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let (original, heir) = edited(&bench, id)?;
    let due = bench.due(id)?;
    bench.finish_due(&due[0])?;
    let late = act(&bench, LetterAct::Restore, &[original.seen()])?;
    same!((late.changed, late.left.len()), (0, 1), "its work is done");
    same!(
        state_of(&bench, original.id)?,
        Some(LetterState::Discarded),
        "it stays what it was"
    );
    act(&bench, LetterAct::Purge, &[seen(heir, 1, 2)])?;
    let late = act(&bench, LetterAct::Restore, &[original.seen()])?;
    same!(late.changed, 0, "also when the edited one is hidden");
    same!(
        act(&bench, LetterAct::Restore, &[seen(heir, 1, 2)])?.changed,
        1,
        "which comes back as what it was"
    );
    same!(
        state_of(&bench, heir)?,
        Some(LetterState::Recovered),
        "done"
    );
    Ok(())
}

/// The acts about one event, oldest first, each with its code.
fn acts_about(bench: &Bench, event: EventId) -> Result<Vec<(String, Option<Code>)>, Broken> {
    let filter = FactFilter {
        event: Some(event),
        limit: 100,
        ..FactFilter::default()
    };
    let facts = bench.store.facts(filter).wait()?;
    let acts = facts.into_iter().rev();
    Ok(acts
        .filter_map(|fact| Some((fact.act?.1, fact.code)))
        .collect())
}

fn what_was_done_to_a_letter_is_told_of_its_event(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let (original, heir) = edited(&bench, id)?;
    let heirs_event = list(&bench, LetterFilter::default())?[0].event.id;
    act(&bench, LetterAct::Restore, &[original.seen()])?;
    act(&bench, LetterAct::Discard, &[original.seen()])?;
    let told = |name: &str, code| (name.to_owned(), code);
    same!(
        acts_about(&bench, original.event.id)?,
        vec![
            told("dlq.edit", Some(Code::StDiscarded)),
            told("dlq.restore", None),
            told("dlq.discard", Some(Code::StDiscarded)),
        ],
        "each act on it"
    );
    same!(
        acts_about(&bench, heirs_event)?,
        vec![
            told("dlq.edit", None),
            told("dlq.restore", Some(Code::StDiscarded)),
        ],
        "and on letter {}, edited from it",
        heir.0
    );
    Ok(())
}
