//! From one process to another with a row, a futex and nothing else.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use rusqlite::{Connection, params};
use rustix::io::Errno;
use rustix::thread::futex;

use super::database;
use super::page::Page;
use super::rows::insert;
use crate::event::{age, idle, pause};
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, now, since};

/// Longest that the receiver waits for all.
const COMES_WITHIN: Duration = Duration::from_secs(120);

/// Longest that it sleeps without a look.
const SLEEP_MAX: futex::Timespec = futex::Timespec {
    tv_sec: 0,
    tv_nsec: 500_000_000,
};

/// Waits for so many rows.
pub(crate) fn receive(orders: &Orders) -> Result<Outcome> {
    let connection = database(orders)?;
    let page = Page::of(&orders.home.join("limit.page"))?;
    let idle_percent = idle(orders.idle);
    ready()?;
    let (began, mut place, mut took) = (now(), 0, Vec::new());
    while took.len() < orders.count {
        ensure!(since(began) < COMES_WITHIN, "{} rows came", took.len());
        let rung = page.number().load(Ordering::Acquire);
        if read(&connection, &mut place, &mut took)? == 0 {
            sleep(page.number(), rung)?;
        }
    }
    let outcome = Outcome::new(took.len(), since(began)).latencies(took);
    Ok(match idle_percent {
        Some(percent) => outcome.with("idle_percent", percent),
        None => outcome,
    })
}

/// Inserts so many rows, with the same pauses as the product's publisher.
pub(crate) fn pace(orders: &Orders) -> Result<Outcome> {
    let mut connection = database(orders)?;
    let page = Page::of(&orders.home.join("limit.page"))?;
    ready()?;
    let began = now();
    for number in 0..orders.count {
        std::thread::park_timeout(pause(number));
        insert(&mut connection, 1)?;
        page.number().fetch_add(1, Ordering::Release);
        futex::wake(page.number(), futex::Flags::empty(), 1)?;
    }
    Ok(Outcome::new(orders.count, since(began)))
}

/// Sleeps until the number is another one.
fn sleep(number: &AtomicU32, seen: u32) -> Result<()> {
    match futex::wait(number, futex::Flags::empty(), seen, Some(&SLEEP_MAX)) {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => Ok(()),
        Err(error) => bail!("waiting for the doorbell: {error}"),
    }
}

fn read(connection: &Connection, place: &mut i64, took: &mut Vec<Duration>) -> Result<usize> {
    let mut statement =
        connection.prepare_cached("SELECT id, payload FROM events WHERE id > ?1 ORDER BY id")?;
    let mut rows = statement.query(params![*place])?;
    let mut read = 0;
    while let Some(row) = rows.next()? {
        *place = row.get(0)?;
        took.push(age(row.get_ref(1)?.as_bytes()?)?);
        read += 1;
    }
    Ok(read)
}
