//! Reading rows behind a cursor that is saved after each step: the least that a durable reader does.

use anyhow::{Result, ensure};
use rusqlite::{Connection, params};

use super::database;
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, now, since};

/// Rows of one step.
const STEP: i64 = 1_000;

/// Reads what [`super::rows::fill`] left, with so many cursors.
pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    let connection = database(orders)?;
    ready()?;
    let (began, mut count) = (now(), 0);
    for name in 0..orders.subscriptions {
        let (mut place, mut read) = (0, usize::MAX);
        while read > 0 {
            read = step(&connection, &mut place)?;
            connection
                .prepare_cached("INSERT OR REPLACE INTO cursors(name, place) VALUES(?1, ?2)")?
                .execute(params![i64::try_from(name)?, place])?;
            count += read;
        }
    }
    let wanted = orders.count * orders.subscriptions;
    ensure!(count == wanted, "{count} rows of {wanted} were read");
    Ok(Outcome::new(count, since(began)))
}

fn step(connection: &Connection, place: &mut i64) -> Result<usize> {
    let mut statement = connection
        .prepare_cached("SELECT id, payload FROM events WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut rows = statement.query(params![*place, STEP])?;
    let mut read = 0;
    while let Some(row) = rows.next()? {
        *place = row.get(0)?;
        std::hint::black_box(row.get_ref(1)?.as_str()?.len());
        read += 1;
    }
    Ok(read)
}
