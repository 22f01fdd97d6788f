//! One page of the log, by keys, never by offset.

use rusqlite::types::Value;

use crate::store::Error;
use crate::store::log::{Logged, Page};
use crate::store::sqlite::rows::{LOGGED_COLUMNS, logged};
use crate::store::sqlite::verb::{Plain, Question, Tx};

/// Most events of one page.
const PAGE_MAX: usize = 1_000;

/// Asks for a page.
pub(in crate::store::sqlite) struct List(pub(in crate::store::sqlite) Page);

impl Plain for List {}

impl Question for List {
    type Answer = Vec<Logged>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Logged>, Error> {
        let page = self.0;
        let mut values = Vec::new();
        let mut bind = |value: Value| {
            values.push(value);
            values.len()
        };
        let mut conditions =
            vec!["NOT EXISTS (SELECT 1 FROM deleted_events AS x WHERE x.seq = e.seq)".to_owned()];
        if !page.types.is_empty() {
            let marks: Vec<String> = page
                .types
                .iter()
                .map(|one| format!("?{}", bind(one.as_str().to_owned().into())))
                .collect();
            conditions.push(format!("e.event_type IN ({})", marks.join(", ")));
        }
        if let Some(key) = page.key {
            conditions.push(format!("e.key = ?{}", bind(key.into())));
        }
        if let Some(since) = page.since {
            // The index finds the first row of that age; a clock that was set back in between may
            // put earlier rows after it, so each row is compared too.
            let mark = bind(since.to_sql().into());
            conditions.push(format!("e.created_at >= ?{mark}"));
            conditions.push(format!(
                "e.seq >= (SELECT MIN(f.seq) FROM events AS f WHERE f.created_at >= ?{mark})"
            ));
        }
        if let Some(from) = page.from {
            let side = if page.newest_first { "<" } else { ">" };
            conditions.push(format!("e.seq {side} ?{}", bind(from.0.into())));
        }
        let order = if page.newest_first { "DESC" } else { "ASC" };
        // `+` keeps the planner on the log's own order: a page ends early there.
        let sql = format!(
            "SELECT {LOGGED_COLUMNS} FROM events AS e WHERE {} ORDER BY e.seq {order} LIMIT {}",
            conditions
                .join(" AND ")
                .replace("e.created_at", "+e.created_at"),
            page.limit.min(PAGE_MAX)
        );
        let mut statement = tx.conn.prepare_cached(&sql)?;
        let found = statement.query_map(rusqlite::params_from_iter(values), logged)?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }
}
