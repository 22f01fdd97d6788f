//! Inserting rows: what SQLite alone takes.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::database;
use crate::event::payload;
use crate::orders::{Orders, ready};
use crate::ours::TYPE;
use crate::outcome::{Outcome, now, since};

/// Rows of one transaction while a table is filled.
const FILL_BATCH: usize = 1_000;

/// Fills the table with so many rows.
pub(crate) fn fill(orders: &Orders) -> Result<Outcome> {
    let mut connection = database(orders)?;
    ready()?;
    let (began, mut left) = (now(), orders.count);
    while left > 0 {
        let batch = left.min(FILL_BATCH);
        insert(&mut connection, batch)?;
        left -= batch;
    }
    Ok(Outcome::new(orders.count, since(began)))
}

/// Inserts for its time, so many rows a transaction.
pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    let mut connection = database(orders)?;
    insert(&mut connection, 1)?;
    ready()?;
    let (began, mut count, mut took) = (now(), 0, Vec::new());
    while since(began) < orders.lasts {
        let asked = now();
        insert(&mut connection, orders.batch)?;
        took.push(since(asked));
        count += orders.batch;
    }
    Ok(Outcome::new(count, since(began)).latencies(took))
}

/// One transaction of so many rows.
pub(super) fn insert(connection: &mut Connection, rows: usize) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for _ in 0..rows {
        row(&transaction)?;
    }
    transaction.commit()?;
    Ok(())
}

fn row(transaction: &Transaction<'_>) -> Result<()> {
    let at = i64::try_from(now().as_micros())?;
    let mut statement = transaction.prepare_cached(
        "INSERT INTO events(event_id, type, source, at, payload) VALUES(?1, ?2, ?3, ?4, ?5)",
    )?;
    statement.execute(params![event_id(), TYPE, "bench", at, payload()])?;
    Ok(())
}

/// Sixteen bytes in the order of time, and of this process alone: as ids of events are.
fn event_id() -> [u8; 16] {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed) & 0xffff_ffff;
    let low = u64::from(std::process::id()) << 32 | number;
    let high = u64::try_from(now().as_nanos()).unwrap_or(u64::MAX);
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}
