//! Reading the log.

use std::sync::Arc;
use std::time::Duration;

use super::bench::Bench;
use super::harness::{Broken, Check, Harness, holds, promises, refused, same};
use crate::event::{EventType, Seq};
use crate::store::ErrorCode;
use crate::store::log::{EventRef, Follow, Logged, Page, TypeSet};

promises!(
    reading_goes_in_log_order_by_pages,
    reading_passes_other_types,
    who_follows_has_what_another_process_appends,
    an_event_is_found_by_each_of_its_names,
    the_log_is_listed_both_ways,
    children_name_their_parent,
);

fn only(event_type: &str) -> TypeSet {
    TypeSet::only([EventType::from_canonical(event_type)])
}

fn reading_goes_in_log_order_by_pages(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let places = bench.publish(5)?;
    let (mut read, mut after) = (Vec::new(), Seq::START);
    for _ in 0..3 {
        let (events, to) = bench.store.read(after, TypeSet::All, 2).wait()?;
        read.extend(events.iter().filter_map(|event| event.seq));
        after = to;
    }
    same!(read, places, "pages follow each other");
    same!(after, places[4], "and say up to where they read");
    let (none, to) = bench.store.read(after, TypeSet::All, 2).wait()?;
    holds!(none.is_empty(), "there is nothing behind the end");
    same!(to, after, "nor is anything read");
    Ok(())
}

fn who_follows_has_what_another_process_appends(harness: &dyn Harness) -> Check {
    fn follow(seen: u64, at_most: Duration) -> Follow {
        Follow {
            after: Seq::START,
            types: only("a"),
            limit: 10,
            seen,
            at_most,
        }
    }
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let mut seen = 0;
    // Rings of the start are over once a call has waited in vain.
    for _ in 0..20 {
        let (now, read) = two.store.follow(follow(seen, Duration::from_millis(20)))?;
        same!(read.is_some(), now != seen, "news are read, and only news");
        if now == seen {
            break;
        }
        seen = now;
    }
    let store = Arc::clone(&two.store);
    let waiter = std::thread::spawn(move || store.follow(follow(seen, Duration::from_secs(20))));
    let appended = one.append(vec![one.event("a", "{}")])?;
    let (_, read) = waiter
        .join()
        .map_err(|_| Broken::new("following panicked"))??;
    let (events, to) = read.ok_or_else(|| Broken::new("nothing was read after a ring"))?;
    same!(events.len(), 1, "the event was read");
    same!(to, appended[0].seq, "up to the end");
    Ok(())
}

fn reading_passes_other_types(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let types = ["a", "b", "b", "a", "b"];
    let events = types.iter().map(|t| bench.event(t, "{}")).collect();
    let appended = bench.append(events)?;
    let (events, to) = bench.store.read(Seq::START, only("a"), 10).wait()?;
    let seqs: Vec<Seq> = events.iter().filter_map(|event| event.seq).collect();
    same!(
        seqs,
        vec![appended[0].seq, appended[3].seq],
        "only that type"
    );
    same!(to, appended[4].seq, "but all of the log was read");
    let (events, to) = bench.store.read(Seq::START, only("a"), 1).wait()?;
    same!(events.len(), 1, "at most the limit");
    same!(
        to,
        appended[0].seq,
        "and no further than the last one given"
    );
    let (events, to) = bench.store.read(Seq::START, only("c"), 1).wait()?;
    same!(
        (events.len(), to),
        (0, appended[4].seq),
        "none is an answer too"
    );
    Ok(())
}

fn an_event_is_found_by_each_of_its_names(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let event = bench.event("a", "{}");
    let id = event.id;
    let appended = bench.append_drafts(vec![(event, Some("key"))])?;
    bench.publish(1)?;
    let digits = id.0.simple().to_string();
    let names = [
        EventRef::Id(id),
        EventRef::Seq(appended[0].seq),
        EventRef::IdempotencyKey("key".to_owned()),
        EventRef::Prefix(id.to_string()),
        EventRef::Prefix(digits.to_ascii_uppercase()),
    ];
    for name in names {
        let found = bench.store.find(name.clone()).wait()?;
        let ids: Vec<_> = found.iter().map(|logged| logged.event.id).collect();
        same!(ids, vec![id], "{name:?} leads to it");
        same!(
            found[0].committed_at,
            appended[0].committed_at,
            "with its time"
        );
    }
    let shared = bench
        .store
        .find(EventRef::Prefix(digits[..8].to_owned()))
        .wait()?;
    same!(shared.len(), 2, "a short prefix means both");
    for name in [
        EventRef::Seq(Seq(99)),
        EventRef::IdempotencyKey("other".to_owned()),
    ] {
        holds!(
            bench.store.find(name).wait()?.is_empty(),
            "none is an empty list"
        );
    }
    for text in ["abc", "xyz-1"] {
        let found = bench.store.find(EventRef::Prefix(text.to_owned())).wait();
        same!(
            refused(found)?,
            ErrorCode::WrongState,
            "{text} is no start of an id"
        );
    }
    Ok(())
}

fn seqs(page: &[Logged]) -> Vec<i64> {
    page.iter()
        .filter_map(|logged| logged.event.seq)
        .map(|seq| seq.0)
        .collect()
}

fn the_log_is_listed_both_ways(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    bench.publish(2)?;
    harness.clock().advance(Duration::from_secs(10));
    let since = bench.now();
    bench.append(vec![
        bench.keyed("b", "k"),
        bench.event("a", "{}"),
        bench.keyed("b", "k"),
    ])?;
    let list = |page: Page| bench.store.list(Page { limit: 10, ..page }).wait();
    same!(
        seqs(&list(Page::default())?),
        vec![1, 2, 3, 4, 5],
        "oldest first"
    );
    let newest = Page {
        newest_first: true,
        ..Page::default()
    };
    same!(
        seqs(&list(newest.clone())?),
        vec![5, 4, 3, 2, 1],
        "newest first"
    );
    let before = Page {
        from: Some(Seq(3)),
        ..newest.clone()
    };
    same!(seqs(&list(before)?), vec![2, 1], "before a place");
    let after = Page {
        from: Some(Seq(3)),
        ..Page::default()
    };
    same!(seqs(&list(after)?), vec![4, 5], "after a place");
    let key = Page {
        key: Some("k".to_owned()),
        types: vec![EventType::from_canonical("b")],
        ..newest
    };
    same!(seqs(&list(key)?), vec![5, 3], "by key and type");
    let recent = Page {
        since: Some(since),
        ..Page::default()
    };
    same!(seqs(&list(recent)?), vec![3, 4, 5], "by age");
    let few = bench
        .store
        .list(Page {
            limit: 2,
            ..Page::default()
        })
        .wait()?;
    same!(seqs(&few), vec![1, 2], "at most the limit");
    Ok(())
}

fn children_name_their_parent(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let parent = bench.event("a", "{}");
    let mut child = bench.event("b", "{}");
    child.parent_id = Some(parent.id);
    child.depth = 1;
    let parent_id = parent.id;
    let appended = bench.append(vec![parent, child, bench.event("c", "{}")])?;
    let children = bench.store.children(parent_id).wait()?;
    same!(seqs(&children), vec![appended[1].seq.0], "what it led to");
    Ok(())
}
