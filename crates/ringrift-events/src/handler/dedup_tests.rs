use super::*;
use crate::clock::ManualClock;
use crate::handler::testing::event;
use uuid::Uuid;

const TTL: Duration = Duration::from_secs(300);

fn id(n: u128) -> EventId {
    EventId(Uuid::from_u128(n))
}

fn keys(max: usize) -> (Arc<ManualClock>, Arc<Keys>) {
    let clock = Arc::new(ManualClock::new(Time(1_000_000_000), 1));
    let keys = Keys::new(TTL, max, Arc::clone(&clock) as SharedClock);
    (clock, keys)
}

fn reserved(keys: &Arc<Keys>, key: &str, event: u128) -> (Reservation, Option<RanBefore>) {
    let Reserved::Yes(reservation, before) = keys.reserve(key.to_owned(), id(event)) else {
        panic!("expected to get the key {key}");
    };
    (reservation, before)
}

fn original(keys: &Arc<Keys>, key: &str, event: u128) -> EventId {
    let Reserved::Duplicate { original, .. } = keys.reserve(key.to_owned(), id(event)) else {
        panic!("expected {key} to be known");
    };
    original
}

fn fields(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

// B6: a TRAINING_COMPLETED was a "duplicate" of the TRAINING_STARTED with the same config_key.
#[test]
fn equal_fields_of_another_type_make_another_key() {
    let payload = r#"{"config_key":"hex8_2p"}"#;
    let by = fields(&["config_key"]);
    let started = key(&event(1, "training_started", payload), &by).unwrap();
    let completed = key(&event(2, "training_completed", payload), &by).unwrap();
    assert_ne!(started, completed);
}

// B7, B8: content hashes dropped honest repeats and changed on the way through JSON.
#[test]
fn a_key_is_made_of_the_named_fields_alone_and_of_their_json_values() {
    let by = fields(&["node", "try.no"]);
    let of = |payload| key(&event(1, "host_offline", payload), &by).unwrap();
    let one = of(r#"{"node":"a","try":{"no":1},"at":1}"#);
    assert_eq!(one, of(r#"{ "at":2, "try":{"no":1}, "node":"a" }"#));
    assert_ne!(one, of(r#"{"node":"a","try":{"no":"1"}}"#));
    assert_ne!(one, of(r#"{"node":"b","try":{"no":1}}"#));
    let border = of(r#"{"node":"a|try.no=1","try":{"no":1}}"#);
    assert_ne!(border, one);
}

#[test]
fn a_missing_or_null_field_is_named() {
    let by = fields(&["config_key", "model_path"]);
    for payload in [
        r#"{"config_key":"x"}"#,
        r#"{"config_key":"x","model_path":null}"#,
    ] {
        let missing = key(&event(1, "training_completed", payload), &by).unwrap_err();
        assert_eq!(missing.field, "model_path");
    }
}

#[test]
fn a_huge_value_makes_a_short_key_that_still_tells_values_apart() {
    let by = fields(&["log"]);
    let of = |end: &str| {
        let payload = format!(r#"{{"log":"{}{end}"}}"#, "ä".repeat(100_000));
        key(&event(1, "t", &payload), &by).unwrap()
    };
    assert!(of("a").len() < 2 * KEY_BYTES_MAX);
    assert_eq!(of("a"), of("a"));
    assert_ne!(of("a"), of("b"));
}

// B5: dedup marked an event before it succeeded, so that its retry was skipped.
#[test]
fn failure_releases_the_key_and_success_confirms_it() {
    let (_, keys) = keys(10);
    drop(reserved(&keys, "k", 1));
    assert!(keys.is_empty());
    reserved(&keys, "k", 1).0.confirm();
    assert_eq!(original(&keys, "k", 2), id(1));
}

#[test]
fn an_event_is_no_duplicate_of_itself() {
    let (_, keys) = keys(10);
    reserved(&keys, "k", 1).0.confirm();
    let (again, before) = reserved(&keys, "k", 1);
    assert_eq!(before, None);
    // Its replay fails: the earlier success stands.
    drop(again);
    assert_eq!(original(&keys, "k", 2), id(1));
}

#[test]
fn the_window_is_fixed_and_a_hit_shows_the_original_and_the_windows_end() {
    let (clock, keys) = keys(10);
    reserved(&keys, "k", 1).0.confirm();
    clock.advance(TTL / 2);
    let hit = keys.reserve("k".to_owned(), id(2));
    let ends = Time(1_000_000_000).after(TTL);
    assert!(
        matches!(hit, Reserved::Duplicate { original, window_ends_at }
            if original == id(1) && window_ends_at == ends),
        "{hit:?}"
    );
    clock.advance(TTL / 2);
    let (_reservation, before) = reserved(&keys, "k", 3);
    assert_eq!(
        before,
        Some(RanBefore {
            original: id(1),
            ended_at: ends
        })
    );
}

#[test]
fn a_repeat_after_the_window_is_known_as_one_for_ten_times_as_long() {
    let (clock, keys) = keys(10);
    reserved(&keys, "k", 1).0.confirm();
    clock.advance(TTL * REMEMBERED - Duration::from_secs(1));
    let (reservation, before) = reserved(&keys, "k", 2);
    assert_eq!(before.unwrap().original, id(1));
    drop(reservation);
    clock.advance(Duration::from_secs(2));
    assert_eq!(reserved(&keys, "k", 3).1, None);
}

#[test]
fn a_clock_set_back_does_not_prolong_a_window() {
    let (clock, keys) = keys(10);
    reserved(&keys, "k", 1).0.confirm();
    clock.set_wall(Time(0));
    clock.advance(TTL);
    assert!(reserved(&keys, "k", 2).1.is_some());
}

#[test]
fn an_equal_key_waits_until_its_holder_has_ended() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    for success in [false, true] {
        let (_, keys) = keys(10);
        let (holder, _) = reserved(&keys, "k", 1);
        let Reserved::Wait(waiting) = keys.reserve("k".to_owned(), id(2)) else {
            panic!("the key is held");
        };
        assert_eq!(waiting.holder, id(1));
        // The end comes before anybody has polled the wait: it must not be missed.
        if success {
            holder.confirm();
        } else {
            drop(holder);
        }
        runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(5), waiting.ended()).await })
            .expect("the end is heard");
        if success {
            assert_eq!(original(&keys, "k", 2), id(1));
        } else {
            reserved(&keys, "k", 2);
        }
    }
}

#[test]
fn room_is_made_by_expired_keys_first_and_giving_up_a_counting_one_is_counted() {
    let (clock, keys) = keys(3);
    reserved(&keys, "old", 1).0.confirm();
    clock.advance(TTL);
    reserved(&keys, "a", 2).0.confirm();
    reserved(&keys, "b", 3).0.confirm();
    reserved(&keys, "c", 4).0.confirm();
    assert_eq!((keys.len(), keys.evicted()), (3, 0));
    reserved(&keys, "d", 5).0.confirm();
    assert_eq!((keys.len(), keys.evicted()), (3, 1));
    assert_eq!(original(&keys, "b", 9), id(3));
    reserved(&keys, "a", 9);
}

#[test]
fn clearing_forgets_every_key_but_the_held_ones() {
    let (_, keys) = keys(10);
    reserved(&keys, "a", 1).0.confirm();
    let (held, _) = reserved(&keys, "b", 2);
    assert_eq!(keys.clear(|_| true), 1);
    reserved(&keys, "a", 3);
    assert!(matches!(
        keys.reserve("b".to_owned(), id(4)),
        Reserved::Wait(_)
    ));
    drop(held);
}

#[test]
fn many_threads_with_one_key_let_exactly_one_event_succeed() {
    let (_, keys) = keys(1_000);
    let winners = std::sync::atomic::AtomicU32::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    std::thread::scope(|scope| {
        for n in 1..=8_u128 {
            let (keys, winners, runtime) = (&keys, &winners, &runtime);
            scope.spawn(move || {
                for round in 0..200 {
                    loop {
                        match keys.reserve(format!("{round}"), id(n)) {
                            Reserved::Yes(reservation, _) => {
                                // Every event fails at its first try.
                                if n % 2 == 0 {
                                    winners.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                                    reservation.confirm();
                                }
                                break;
                            }
                            Reserved::Duplicate { .. } => break,
                            Reserved::Wait(waiting) => runtime
                                .block_on(async {
                                    tokio::time::timeout(Duration::from_secs(10), waiting.ended())
                                        .await
                                })
                                .expect("every holder ends"),
                        }
                    }
                }
            });
        }
    });
    // The even ones race; the first to confirm a key makes duplicates of the rest. Which of the
    // odd ones failed before it does not matter.
    assert_eq!(winners.load(std::sync::atomic::Ordering::SeqCst), 200);
}
