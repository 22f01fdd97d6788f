//! What a row writes out and what it leaves to be told from the rest.

use std::sync::Arc;

use super::*;
use crate::clock::SharedClock;
use crate::store::Error;
use crate::store::log::{Batch, CallSite, Draft, Durability, READ_PLACES_MAX};
use crate::store::pages::Side;
use crate::store::sqlite::presence::{Presence, PresenceSettings};
use crate::store::sqlite::testing::TestDatabase;
use crate::store::sqlite::verbs::append::Append;
use crate::store::sqlite::verbs::read::ReadLog;

fn draft(event: &Event, call_site: Option<CallSite>) -> Draft {
    Draft {
        event: Arc::new(event.clone()),
        idempotency_key: None,
        call_site,
    }
}

fn append_all(db: &TestDatabase, drafts: Vec<Draft>) -> Result<(), Error> {
    let batch = Batch {
        drafts,
        durability: Durability::Process,
    };
    db.write(Append::new(batch)).map(drop)
}

fn append(db: &TestDatabase, event: &Event, call_site: Option<CallSite>) {
    append_all(db, vec![draft(event, call_site)]).unwrap();
}

fn read(db: &TestDatabase, id: EventId) -> Logged {
    let sql = format!("SELECT {LOGGED_COLUMNS} FROM events AS e WHERE e.id = ?1");
    db.conn().query_row(&sql, [id], logged).unwrap()
}

/// The columns that have a short form, as they stand.
fn stands(db: &TestDatabase, id: EventId) -> (String, i64) {
    let sql = "SELECT trace_id, published_at FROM events WHERE id = ?1";
    let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    db.conn().query_row(sql, [id], columns).unwrap()
}

fn public_trace(db: &TestDatabase, id: EventId) -> String {
    let sql = "SELECT trace_id FROM cross_process_events WHERE event_id = ?1";
    db.conn().query_row(sql, [id], |row| row.get(0)).unwrap()
}

#[test]
fn what_the_id_says_already_is_not_written_and_is_read_all_the_same() {
    let db = TestDatabase::new();
    db.join();
    db.clock.advance(std::time::Duration::from_micros(1_234));
    let begins = db.event("a", "{}");
    let begins = Event {
        trace_id: TraceId(begins.id.0),
        ..begins
    };
    let follows = db.event("a", "{}");
    let of_another_time = |at: i64| Event {
        published_at: Time(at),
        ..db.event("a", "{}")
    };
    let (early, late) = (of_another_time(i64::MIN), of_another_time(i64::MAX));
    let made = made_at(begins.id.0).unwrap();
    let (before, after) = (of_another_time(made.0 - 1), of_another_time(made.0 + 1_000));
    let random = Event {
        id: EventId(Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef)),
        published_at: Time(7),
        ..db.event("a", "{}")
    };
    for event in [&begins, &follows, &early, &late, &before, &after, &random] {
        append(&db, event, None);
        let found = read(&db, event.id);
        let expected = Event {
            seq: found.event.seq,
            ..event.clone()
        };
        assert_eq!(*found.event, expected);
        assert_eq!(public_trace(&db, event.id), event.trace_id.to_string());
    }
    assert_eq!(stands(&db, begins.id), (String::new(), 234));
    assert_eq!(stands(&db, follows.id).0, follows.trace_id.to_string());
    for event in [&early, &late, &before, &after, &random] {
        assert_eq!(stands(&db, event.id).1, event.published_at.0);
    }
}

#[test]
fn rows_that_write_everything_out_are_read_as_they_were_written() {
    let db = TestDatabase::new();
    db.join();
    let event = db.event("a", "{}");
    let event = Event {
        trace_id: TraceId(event.id.0),
        ..event
    };
    let digest = 0x7edc_ba98_7654_i64;
    db.conn()
        .execute(
            "INSERT INTO events (id, event_type, payload, source, published_at, created_at,
                 trace_id, depth, origin, call_site)
             VALUES (?1, 'a', '{}', 'test', ?2, '2026-01-01 00:00:00.000', ?3, 0, 1, ?4)",
            (event.id, event.published_at.0, event.trace_id, digest),
        )
        .unwrap();
    let site = CallSite::here();
    let sql = "INSERT INTO call_sites (id, site) VALUES (?1, ?2)";
    db.conn().execute(sql, (digest, site.to_string())).unwrap();
    let found = read(&db, event.id);
    let seq = found.event.seq;
    assert_eq!(*found.event, Event { seq, ..event });
    assert_eq!(found.call_site, Some(site.to_string()));
    // Its number serves the same text from now on.
    let next = db.event("a", "{}");
    append(&db, &next, Some(site.clone()));
    assert_eq!(read(&db, next.id).call_site, Some(site.to_string()));
    let count = "SELECT COUNT(*) FROM call_sites";
    let count: i64 = db.conn().query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
}

#[test]
fn the_number_of_a_call_site_that_was_rolled_back_names_another_and_nothing_is_confused() {
    let db = TestDatabase::new();
    db.join();
    let (first, second) = (CallSite::new("a.rs", 1), CallSite::new("a.rs", 2));
    let repeated = db.event("a", "{}");
    append(&db, &repeated, None);
    let conflicts = Event {
        payload: Payload::from_checked("{\"other\":1}"),
        ..repeated
    };
    // The text was numbered, looked up again, and gone with the event that could not be appended.
    let new = db.event("a", "{}");
    let drafts = [&new, &conflicts].map(|event| draft(event, Some(first.clone())));
    append_all(&db, drafts.into()).unwrap_err();
    let published: Vec<(EventId, CallSite)> = [&second, &first, &second, &first, &first]
        .into_iter()
        .map(|site| {
            let event = db.event("a", "{}");
            append(&db, &event, Some(site.clone()));
            (event.id, site.clone())
        })
        .collect();
    for (id, site) in published {
        assert_eq!(read(&db, id).call_site, Some(site.to_string()));
    }
    let largest = "SELECT MAX(id) FROM call_sites";
    let largest: i64 = db.conn().query_row(largest, [], |row| row.get(0)).unwrap();
    assert_eq!(largest, 2);
}

#[test]
fn ten_events_of_about_three_hundred_bytes_with_a_key_fit_a_page() {
    let db = TestDatabase::new();
    db.join();
    let count = 1_000;
    let payload = format!(r#"{{"config_key":"hex8_2p","pad":"{}"}}"#, "x".repeat(263));
    assert_eq!(payload.len(), 296);
    let site = CallSite::here();
    for _ in 0..count {
        let event = db.event("training_completed", &payload);
        let event = Event {
            trace_id: TraceId(event.id.0),
            source: String::new(),
            key: Some("hex8_2p".to_owned()),
            ..event
        };
        append(&db, &event, Some(site.clone()));
    }
    let sql = "SELECT COUNT(*) FROM dbstat WHERE name = 'events' AND pagetype = 'leaf'";
    let pages: i64 = db.conn().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(pages, count / 10);
}

#[test]
fn who_reads_for_few_types_goes_a_bounded_way_at_once_and_misses_none() {
    let db = TestDatabase::new();
    db.join();
    let side = Side::of(&db.path(), true).unwrap();
    let clock = Arc::clone(&db.clock) as SharedClock;
    let presence = Presence::open(side, db.process, clock, PresenceSettings::default()).unwrap();
    let of_type = |name: &str| TypeSet::only([EventType::from_canonical(name)]);
    let read = |after, types| {
        let question = ReadLog {
            after,
            types,
            limit: 10,
            presence: Arc::clone(&presence),
        };
        let (events, to) = db.read(question).unwrap();
        (events.iter().filter_map(|event| event.seq).collect(), to)
    };
    let home = "INSERT INTO home VALUES (1, 7, '', 0, 0, '')";
    db.conn().execute(home, []).unwrap();
    let far = Seq(READ_PLACES_MAX * 2 + 7);
    for (seq, event_type) in [(1, "often"), (2, "rare"), (3, "often"), (far.0, "rare")] {
        let event = db.event(event_type, "{}");
        append(&db, &event, None);
        let sql = "UPDATE events SET seq = ?1 WHERE id = ?2";
        db.conn().execute(sql, (seq, event.id)).unwrap();
    }
    let mut after = Seq::START;
    let steps: Vec<(Vec<Seq>, Seq)> = (0..4)
        .map(|_| {
            let step = read(after, of_type("rare"));
            after = step.1;
            step
        })
        .collect();
    let bounds = [Seq(READ_PLACES_MAX), Seq(READ_PLACES_MAX * 2)];
    let expected = [
        (vec![Seq(2)], bounds[0]),
        (vec![], bounds[1]),
        (vec![far], far),
        (vec![], far),
    ];
    assert_eq!(steps, expected);
    assert_eq!(read(Seq(far.0 - 5), of_type("none")), (vec![], far));
}
