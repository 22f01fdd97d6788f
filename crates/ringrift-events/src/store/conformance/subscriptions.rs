//! Subscribing, versions, pausing, removing.

use std::collections::BTreeMap;

use super::bench::{Bench, last, places, rules};
use super::harness::{Broken, Check, Harness, holds, promises, refused, same};
use crate::event::{EventId, EventType, Seq};
use crate::store::ErrorCode;
use crate::store::log::TypeSet;
use crate::store::registry::FactFilter;
use crate::store::subscriptions::{Definition, SeekTo, Start, SubscriptionId};
use crate::verdict::Code;

promises!(
    the_same_definition_joins_what_stands,
    another_definition_is_refused_and_shown,
    a_durable_one_begins_where_it_was_told,
    where_to_begin_counts_only_when_it_is_made,
    a_live_one_belongs_to_its_process,
    unsubscribing_ends_a_live_one_and_leaves_a_durable_one,
    a_filter_decides_what_is_a_delivery,
    an_unreadable_filter_is_refused,
    a_version_begins_at_the_next_place,
    no_claim_crosses_a_border,
    pause_stops_new_claims_only,
    a_hosted_subscription_is_not_removed,
    a_killed_process_hosts_nothing_any_more,
    what_was_handed_back_ends_with_its_subscription,
    what_was_handed_back_is_skipped_by_a_seek,
    a_removed_name_is_free,
    an_unknown_subscription_is_not_found,
);

fn the_same_definition_joins_what_stands(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let first = one.store.subscribe(Bench::durable("d"), false).wait()?;
    one.publish(2)?;
    for bench in [&one, &two] {
        let again = bench.store.subscribe(Bench::durable("d"), false).wait()?;
        holds!(again.existed && !first.existed, "the second joins");
        same!(again.id, first.id, "one name, one subscription");
        same!(
            again.valid_from,
            first.valid_from,
            "it begins where it began"
        );
        same!(again.version, 1, "in the same version");
    }
    let both = [(one.store.process(), 1), (two.store.process(), 1)];
    same!(
        one.state(first.id)?.hosts,
        BTreeMap::from(both),
        "both host it, each once"
    );
    Ok(())
}

fn another_definition_is_refused_and_shown(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let other = Definition {
        filter: Some("elo__gte = 1900".to_owned()),
        ..Bench::durable("d")
    };
    let error = match bench.store.subscribe(other, false).wait() {
        Ok(_) => return Err(super::Broken::new("another definition was accepted")),
        Err(error) => error,
    };
    same!(error.code, ErrorCode::SubscriptionDiffers, "its code");
    holds!(
        error.message.contains("elo__gte = 1900"),
        "it shows the difference: {error}"
    );
    same!(bench.state(id)?.versions.len(), 1, "nothing changed");
    Ok(())
}

fn a_durable_one_begins_where_it_was_told(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let before = bench.publish(3)?;
    let at = |name: &str, start: Start| {
        bench.subscribe(Definition {
            start,
            ..Bench::durable(name)
        })
    };
    let now = at("now", Start::Now)?;
    let beginning = at("beginning", Start::Beginning)?;
    let after = at("after", Start::After(before[1]))?;
    let new = bench.publish(1)?;
    same!(bench.drain(now)?, new, "now: with the next event");
    same!(
        bench.drain(after)?,
        vec![before[2], new[0]],
        "after a place"
    );
    let all = [before, new].concat();
    same!(bench.drain(beginning)?, all, "with the oldest event kept");
    Ok(())
}

fn where_to_begin_counts_only_when_it_is_made(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let all = bench.publish(3)?;
    let from = |start: Start| Definition {
        start,
        ..Bench::durable("d")
    };
    let made = bench
        .store
        .subscribe(from(Start::Beginning), false)
        .wait()?;
    same!(
        bench.drain(made.id)?,
        all,
        "it begins with the oldest event"
    );
    let new = bench.publish(1)?;
    for start in [Start::Now, Start::After(all[0]), Start::Beginning] {
        for replace in [false, true] {
            let again = bench.store.subscribe(from(start), replace).wait()?;
            holds!(again.existed && again.id == made.id, "{start:?} joins it");
            same!(again.version, 1, "what it stands for is the same");
        }
    }
    same!(bench.drain(made.id)?, new, "and it goes on where it was");
    Ok(())
}

fn a_live_one_belongs_to_its_process(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    one.publish(1)?;
    let first = one.store.subscribe(Bench::live("l"), false).wait()?;
    let second = two.store.subscribe(Bench::live("l"), false).wait()?;
    holds!(first.id != second.id, "the name stands once a process");
    same!(first.valid_from, Seq(2), "it begins with the next event");
    let again = one.store.subscribe(Bench::live("l"), false).wait()?;
    holds!(
        again.existed && again.id == first.id,
        "subscribing again joins it"
    );
    same!(
        one.state(first.id)?.process,
        Some(one.store.process()),
        "it knows its process"
    );
    let claim = one.claim(first.id, 1);
    same!(
        refused(claim)?,
        ErrorCode::WrongState,
        "live ones are not claimed"
    );
    Ok(())
}

fn unsubscribing_ends_a_live_one_and_leaves_a_durable_one(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let (live, durable) = (
        bench.subscribe(Bench::live("l"))?,
        bench.subscribe(Bench::durable("d"))?,
    );
    let places = bench.publish(3)?;
    bench.store.unsubscribe(live, Some(places[1])).wait()?;
    bench.store.unsubscribe(live, None).wait()?;
    let state = bench.state(live)?;
    holds!(state.ended_at.is_some(), "it has ended");
    same!(
        state.versions[0].valid_to,
        Some(places[1]),
        "before the place given first"
    );
    bench.store.unsubscribe(durable, None).wait()?;
    bench.store.unsubscribe(durable, None).wait()?;
    let state = bench.state(durable)?;
    holds!(
        state.ended_at.is_none() && state.hosts.is_empty(),
        "it goes on without a host"
    );
    same!(
        bench.take(durable, 1)?,
        vec![],
        "who does not host it claims nothing"
    );
    bench.subscribe(Bench::durable("d"))?;
    same!(
        bench.drain(durable)?,
        places,
        "nothing was missed meanwhile"
    );
    let fresh = bench.store.subscribe(Bench::live("l"), false).wait()?;
    holds!(
        !fresh.existed && fresh.id != live,
        "the live name is free again"
    );
    Ok(())
}

fn a_filter_decides_what_is_a_delivery(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Definition {
        filter: Some("n__gte = 3".to_owned()),
        ..Bench::durable("d")
    })?;
    let places = bench.publish(5)?;
    same!(
        bench.drain(id)?,
        places[3..].to_vec(),
        "only what the filter takes"
    );
    same!(bench.tally(id)?.matching, 2, "the others are no deliveries");
    same!(bench.state(id)?.cursor, places[4], "but they are passed");
    Ok(())
}

fn an_unreadable_filter_is_refused(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let definition = Definition {
        filter: Some("elo__gte = ".to_owned()),
        ..Bench::durable("d")
    };
    let code = refused(bench.store.subscribe(definition, false).wait())?;
    same!(code, ErrorCode::WrongState, "a filter that cannot be read");
    holds!(
        bench.store.subscriptions().wait()?.is_empty(),
        "nothing was made"
    );
    Ok(())
}

fn of_type(name: &str, event_type: &str) -> Definition {
    Definition {
        types: TypeSet::only([EventType::from_canonical(event_type)]),
        ..Bench::durable(name)
    }
}

fn a_version_begins_at_the_next_place(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let first = bench.store.subscribe(of_type("d", "a"), false).wait()?;
    let types = |list: &[&str]| list.iter().map(|t| bench.event(t, "{}")).collect();
    let old = bench.append(types(&["a", "b"]))?;
    let second = bench.store.subscribe(of_type("d", "b"), true).wait()?;
    same!(
        (second.id, second.version, second.existed),
        (first.id, 2, true),
        "a new version"
    );
    same!(
        second.valid_from,
        old[1].seq.next(),
        "at the next place of the log"
    );
    let new = bench.append(types(&["a", "b"]))?;
    let state = bench.state(first.id)?;
    same!(state.versions.len(), 2, "both are kept");
    same!(
        state.versions[0].valid_to,
        Some(second.valid_from),
        "the old one ends there"
    );
    same!(
        state.current().types,
        TypeSet::only([EventType::from_canonical("b")]),
        "the new one is current"
    );
    same!(
        bench.drain(first.id)?,
        vec![old[0].seq, new[1].seq],
        "each for its part of the log"
    );
    same!(bench.tally(first.id)?.matching, 2, "and the sums follow");
    Ok(())
}

fn no_claim_crosses_a_border(harness: &dyn Harness) -> Check {
    let (old, new) = (Bench::new(harness), Bench::new(harness));
    let id = old.subscribe(Bench::durable("d"))?;
    let below = old.publish(2)?;
    let filtered = Definition {
        filter: Some("n__gte = 0".to_owned()),
        ..Bench::durable("d")
    };
    new.store.subscribe(filtered, true).wait()?;
    let above = new.publish(2)?;
    let claim = new.claimed(id, 10)?;
    same!(places(&claim), below, "a claim ends at the border");
    same!(
        old.take(id, 10)?,
        vec![],
        "the old host claims nothing above"
    );
    let next = new.claimed(id, 10)?;
    same!(places(&next), above, "the new one goes on");
    new.store.hand_back(next.token, Seq::START).wait()?;
    same!(
        old.take(id, 10)?,
        vec![],
        "handed back ones above the border neither"
    );
    new.store.hand_back(claim.token, Seq::START).wait()?;
    same!(old.take(id, 10)?, below, "but those below");
    Ok(())
}

fn pause_stops_new_claims_only(harness: &dyn Harness) -> Check {
    let (host, operator) = (Bench::new(harness), Bench::new(harness));
    let id = host.subscribe(Bench::durable("d"))?;
    let places = host.publish(3)?;
    let claim = host.claimed(id, 1)?;
    let pause = |paused| operator.store.pause(id, paused, "ann".to_owned()).wait();
    holds!(pause(true)?, "it changes something");
    holds!(!pause(true)?, "it changes nothing again");
    let paused = host.state(id)?.paused.map(|(_, by)| by);
    same!(paused, Some("ann".to_owned()), "it says who");
    same!(host.take(id, 10)?, vec![], "no new claims");
    let failed = vec![host.result(places[0], Bench::failed("x"))];
    holds!(
        host.settle(claim.token, last(&claim), failed)?,
        "the open one finishes"
    );
    holds!(host.due(id)?.is_empty(), "retries wait too");
    holds!(pause(false)?, "resuming changes something");
    same!(
        host.take(id, 10)?,
        places[1..].to_vec(),
        "it goes on where it was"
    );
    same!(host.due(id)?.len(), 1, "and so do retries");
    Ok(())
}

fn a_hosted_subscription_is_not_removed(harness: &dyn Harness) -> Check {
    let (host, operator) = (Bench::new(harness), Bench::new(harness));
    let id = host.subscribe(Bench::durable("d"))?;
    let seen = host.publish(3)?;
    let claim = host.claimed(id, 2)?;
    host.settle(claim.token, seen[0], Vec::new())?;
    let remove = |dry_run| operator.store.remove(id, "ann".to_owned(), dry_run).wait();
    same!(
        refused(remove(false))?,
        ErrorCode::WrongState,
        "a live process hosts it"
    );
    host.store.unsubscribe(id, None).wait()?;
    same!(remove(true)?, 2, "it owes one claimed and one waiting");
    holds!(
        host.state(id)?.ended_at.is_none(),
        "a dry run changes nothing"
    );
    same!(remove(false)?, 2, "the same for good");
    holds!(host.state(id)?.ended_at.is_some(), "its row stays");
    let late = host.settle(claim.token, last(&claim), Vec::new());
    same!(
        refused(late)?,
        ErrorCode::LeaseLost,
        "its open claim is fenced"
    );
    same!(
        refused(remove(false))?,
        ErrorCode::WrongState,
        "it cannot be removed again"
    );
    Ok(())
}

fn a_killed_process_hosts_nothing_any_more(harness: &dyn Harness) -> Check {
    let (host, operator) = (Bench::new(harness), Bench::new(harness));
    let id = host.subscribe(Bench::durable("d"))?;
    let seqs = host.publish(3)?;
    let claim = host.claimed(id, 2)?;
    let _slot = host.start(id, &claim.events[0]);
    same!(
        operator.state(id)?.hosts,
        BTreeMap::from([(host.store.process(), 1)]),
        "it lives"
    );
    harness.kill(&host.store);
    same!(
        operator.state(id)?.hosts,
        BTreeMap::new(),
        "it was killed, and not swept"
    );
    let removed = operator.store.remove(id, "ann".to_owned(), false).wait()?;
    same!(removed, seqs.len() as u64, "so nobody is in the way");
    operator.store.take_over(rules()).wait()?;
    let state = operator.state(id)?;
    holds!(
        state.ended_at.is_some() && state.again == 0,
        "the sweep brings nothing of it back"
    );
    Ok(())
}

/// One of three events handed back in the middle of its run, the others done.
fn handed_back(bench: &Bench, id: SubscriptionId) -> Result<(Vec<Seq>, EventId), Broken> {
    let seqs = bench.publish(3)?;
    let claim = bench.claimed(id, 3)?;
    bench.store.give_up(claim.token, seqs[1], true).wait()?;
    bench.settle(claim.token, last(&claim), Vec::new())?;
    Ok((seqs, claim.events[1].id))
}

/// The verdicts of one event, newest first.
fn verdicts(bench: &Bench, event: EventId) -> Result<Vec<Code>, Broken> {
    let facts = bench.store.facts(FactFilter {
        event: Some(event),
        limit: 10,
        ..FactFilter::default()
    });
    Ok(facts.wait()?.iter().filter_map(|fact| fact.code).collect())
}

fn what_was_handed_back_ends_with_its_subscription(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let (seqs, event) = handed_back(&bench, id)?;
    bench.store.unsubscribe(id, None).wait()?;
    let owed_after = bench.state(id)?.owed_after;
    same!(
        bench.store.remove(id, "ann".to_owned(), false).wait()?,
        1,
        "it was owed"
    );
    same!(
        verdicts(&bench, event)?,
        vec![Code::StSubscriptionRemoved],
        "which its verdict says"
    );
    same!(bench.state(id)?.again, 0, "it comes no more");
    let again = bench.subscribe(Definition {
        start: Start::After(owed_after),
        ..Bench::durable("d")
    })?;
    holds!(
        bench.take(again, 10)?.contains(&seqs[1]),
        "whoever goes on where it stood gets it"
    );
    Ok(())
}

fn what_was_handed_back_is_skipped_by_a_seek(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let (seqs, event) = handed_back(&bench, id)?;
    let owed_after = bench.state(id)?.owed_after;
    let seek = |to| bench.store.seek(id, to, "ann".to_owned(), false).wait();
    seek(SeekTo::End)?;
    same!(
        verdicts(&bench, event)?,
        vec![Code::StSkippedBySeek],
        "it was owed, and its verdict says so"
    );
    holds!(bench.due(id)?.is_empty(), "it comes no more");
    seek(SeekTo::After(owed_after))?;
    holds!(bench.take(id, 10)?.contains(&seqs[1]), "until the way back");
    Ok(())
}

fn a_removed_name_is_free(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    bench.publish(1)?;
    bench.store.unsubscribe(id, None).wait()?;
    bench.store.remove(id, "ann".to_owned(), false).wait()?;
    let other = of_type("d", "b");
    let again = bench.store.subscribe(other, false).wait()?;
    holds!(
        !again.existed && again.id != id,
        "it is another subscription"
    );
    same!(
        bench.drain(again.id)?,
        vec![],
        "and owes nothing of the first"
    );
    same!(
        bench.store.tallies().wait()?.len(),
        1,
        "the removed one has no sums"
    );
    Ok(())
}

fn an_unknown_subscription_is_not_found(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let (id, by) = (SubscriptionId(77), || "ann".to_owned());
    let to = crate::store::subscriptions::SeekTo::End;
    let codes = [
        refused(bench.claim(id, 1))?,
        refused(bench.store.unsubscribe(id, None).wait())?,
        refused(bench.store.pause(id, true, by()).wait())?,
        refused(bench.store.seek(id, to, by(), false).wait())?,
        refused(bench.store.remove(id, by(), false).wait())?,
        refused(bench.store.replay(id, Seq(1), by()).wait())?,
    ];
    same!(codes, [ErrorCode::NotFound; 6], "by no verb");
    Ok(())
}
