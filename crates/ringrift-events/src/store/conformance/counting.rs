//! Counting: by place, by time, by fact.

use std::time::Duration;

use super::bench::Bench;
use super::harness::{Check, Harness, holds, promises, same};
use crate::clock::Time;
use crate::event::Seq;
use crate::store::counting::{Arrivals, FactCount, PlaceCounts, Window};
use crate::store::registry::Fact;
use crate::verdict::Code;

promises!(
    places_are_counted_by_type,
    arrivals_are_counted_by_slot_type_and_process,
    facts_are_counted_by_slot_and_what_they_are_about,
);

fn places_are_counted_by_type(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let events = ["b", "a", "b", "c", "b"].map(|name| bench.event(name, "{}"));
    let appended = bench.append(events.to_vec())?;
    let seqs: Vec<Seq> = appended.iter().map(|one| one.seq).collect();
    let seen = |counts: PlaceCounts| -> Vec<(String, u64, Seq)> {
        let counts = counts.counts.into_iter();
        counts
            .map(|one| (one.event_type.to_string(), one.events, one.first))
            .collect()
    };
    let all = bench.store.count_places(Seq::START, seqs[4]).wait()?;
    same!(all.read_to, seqs[4], "it went to the end");
    let expected = vec![
        ("a".to_owned(), 1, seqs[1]),
        ("b".to_owned(), 3, seqs[0]),
        ("c".to_owned(), 1, seqs[3]),
    ];
    same!(seen(all), expected, "each type with its first place");
    let part = bench.store.count_places(seqs[0], seqs[2]).wait()?;
    let expected = vec![("a".to_owned(), 1, seqs[1]), ("b".to_owned(), 1, seqs[2])];
    same!(seen(part), expected, "after the first, up to the last");
    bench.store.clear_queue("test".to_owned(), false).wait()?;
    let none = bench.store.count_places(Seq::START, seqs[4]).wait()?;
    holds!(none.counts.is_empty(), "deleted events are left out");
    let behind = bench.store.count_places(seqs[4], seqs[0]).wait()?;
    same!(behind.read_to, seqs[4], "a stretch without places is read");
    Ok(())
}

fn arrivals_are_counted_by_slot_type_and_process(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let began = Time(one.now().0 / 1_000 * 1_000);
    let window = Window {
        since: began,
        until: began.after(Duration::from_secs(40)),
        slots: 4,
    };
    one.append(vec![one.event("a", "{}"), one.event("b", "{}")])?;
    harness.clock().advance(Duration::from_secs(12));
    two.append(vec![two.event("a", "{}"), two.event("a", "{}")])?;
    harness.clock().advance(Duration::from_secs(60));
    one.append(vec![one.event("a", "{}")])?;
    let of = |name: &str, origin, slot, events| Arrivals {
        event_type: crate::event::EventType::from_canonical(name),
        origin,
        slot,
        events,
    };
    let counted = one.store.count_arrivals(window, false, None).wait()?;
    let expected = vec![
        of("a", None, 0, 1),
        of("b", None, 0, 1),
        of("a", None, 1, 2),
    ];
    same!(counted.counts, expected, "by slot and type, in the window");
    same!(counted.rest, None, "and nothing is left");
    let counted = one.store.count_arrivals(window, true, None).wait()?;
    let (first, second) = (Some(one.store.process()), Some(two.store.process()));
    let expected = vec![
        of("a", first, 0, 1),
        of("b", first, 0, 1),
        of("a", second, 1, 2),
    ];
    same!(counted.counts, expected, "and by process");
    Ok(())
}

fn facts_are_counted_by_slot_and_what_they_are_about(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let id = bench.subscribe(Bench::durable("d"))?;
    let began = bench.now();
    let fact = |code| Fact {
        at: bench.now(),
        code: Some(code),
        event: None,
        seq: None,
        seq_to: None,
        event_type: Some(crate::event::EventType::from_canonical("a")),
        subscription: Some(id),
        process: Some(bench.store.process()),
        act: None,
        generation: None,
        evidence: "{}".to_owned(),
    };
    bench.store.record(vec![fact(Code::HnError); 2]).wait()?;
    harness.clock().advance(Duration::from_secs(15));
    let later = vec![
        fact(Code::HnError),
        fact(Code::HnPanic),
        fact(Code::HnSkipped),
    ];
    bench.store.record(later).wait()?;
    let window = Window {
        since: began,
        until: bench.now(),
        slots: 2,
    };
    let codes = vec![Code::HnError, Code::HnPanic];
    let counted = bench.store.count_facts(window, codes, None).wait()?;
    let of = |code, slot, facts| FactCount {
        code,
        event_type: Some(crate::event::EventType::from_canonical("a")),
        subscription: Some(id),
        process: Some(bench.store.process()),
        slot,
        facts,
    };
    let mut expected = vec![
        of(Code::HnError, 0, 2),
        of(Code::HnPanic, 1, 1),
        of(Code::HnError, 1, 1),
    ];
    expected.sort_by_key(|count| (count.slot, count.code));
    same!(counted.counts, expected, "those codes, each in its slot");
    same!(counted.rest, None, "and nothing is left");
    Ok(())
}
