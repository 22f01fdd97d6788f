//! Counting goes on exactly where the last answer ended, also between rows of one moment.

use std::time::Duration;

use super::{CountArrivals, CountFacts, CountPlaces, arrivals, facts, places};
use crate::clock::Time;
use crate::event::Seq;
use crate::store::counting::{ROWS_MAX, Window};
use crate::store::sqlite::testing::TestDatabase;
use crate::store::sqlite::verb::Question;
use crate::verdict::Code;

/// The plans of everything that `stats` asks of the log and of the facts: each begins at a place,
/// none walks a table from one end to the other or sorts it.
#[test]
fn no_count_walks_the_whole_log() {
    let db = TestDatabase::new();
    let tx = db.tx();
    let plan = |sql: &str| -> Vec<String> {
        let mut statement = tx
            .conn
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        // Nothing runs: what is bound does not matter.
        let mut rows = statement.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get(3).unwrap());
        }
        steps
    };
    let (by_type, by_process) = (arrivals::sql(false), arrivals::sql(true));
    for sql in [
        by_type.as_str(),
        by_process.as_str(),
        facts::SQL,
        places::SQL,
    ] {
        let steps = plan(sql);
        assert!(!steps.is_empty(), "{sql}");
        for step in &steps {
            let walks = step.starts_with("SCAN") && !step.contains("CORRELATED");
            assert!(
                !walks && !step.contains("TEMP B-TREE"),
                "{steps:?} of {sql}"
            );
        }
    }
}

/// Rows a moment: so many share one `created_at` that every answer ends within a moment.
const A_MOMENT: usize = 7;

#[test]
fn many_rows_are_each_counted_once() {
    let db = TestDatabase::new();
    let began = Time(1_700_000_000_000_000);
    let rows = 2 * ROWS_MAX + 11;
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {rows})
         INSERT INTO events (id, event_type, payload, source, published_at, created_at, trace_id,
             depth, origin)
         SELECT 'e' || i, 't' || (i % 3), '{{}}', 's', 0,
             strftime('%Y-%m-%d %H:%M:%f', 1700000000 + (i / {A_MOMENT}) * 0.01, 'unixepoch'),
             't', 0, 1 FROM n;
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {rows})
         INSERT INTO facts (at_us, code, evidence)
         SELECT 1700000000000000 + i, 'HN_ERROR', '{{}}' FROM n;"
    );
    let tx = db.tx();
    tx.conn.execute_batch(&fill).unwrap();
    let window = Window {
        since: began,
        until: began.after(Duration::from_secs(3_600)),
        slots: 5,
    };
    let (mut rest, mut events, mut answers) = (None, 0, 0);
    loop {
        let question = CountArrivals {
            window,
            by_process: false,
            rest,
        };
        let answer = question.run(&tx).unwrap();
        events += answer.counts.iter().map(|one| one.events).sum::<u64>();
        answers += 1;
        rest = answer.rest;
        if rest.is_none() {
            break;
        }
    }
    assert_eq!((events, answers), (rows as u64, 3));
    let (mut rest, mut facts) = (None, 0);
    loop {
        let question = CountFacts {
            window,
            codes: vec![Code::HnError],
            rest,
        };
        let answer = question.run(&tx).unwrap();
        facts += answer.counts.iter().map(|one| one.facts).sum::<u64>();
        match answer.rest {
            None => break,
            Some((id, _)) => rest = Some(id),
        }
    }
    assert_eq!(facts, rows as u64);
    let to = Seq(i64::try_from(rows).unwrap());
    let question = CountPlaces {
        after: Seq::START,
        to,
    };
    let places = question.run(&tx).unwrap();
    assert_eq!(places.read_to, to);
    let counted: u64 = places.counts.iter().map(|one| one.events).sum();
    assert_eq!(counted, rows as u64);
}
