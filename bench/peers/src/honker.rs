//! honker's durable stream in a SQLite file: WAL with `synchronous=NORMAL`, its default.

use anyhow::{Result, bail, ensure};
use honker::{Database, OpenOptions, Stream};
use serde_json::value::RawValue;

use crate::event::{age, idle, pause, payload};
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, now, since};

/// Events of one transaction while a stream is filled.
const FILL_BATCH: usize = 1_000;

/// Events of one read, as many as its offset is saved after by default.
const READS: i64 = 1_000;

const STREAM: &str = "bench";
const CONSUMER: &str = "bench";

pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    std::fs::create_dir_all(&orders.home)?;
    let database = open(orders)?;
    let stream = database.stream(STREAM);
    match orders.work.as_str() {
        "fill" => fill(&database, &stream, orders),
        "publish" if orders.batch > 1 => batches(&database, &stream, orders),
        "publish" => publish(&stream, orders),
        "consume" => consume(&stream, orders),
        "receive" => receive(&stream, orders),
        "pace" => pace(&stream, orders),
        other => bail!("no such work: {other}"),
    }
}

/// Opens with its defaults; `--handler kernel` takes its experimental watcher instead of polling.
fn open(orders: &Orders) -> Result<Database> {
    let path = orders.home.join("honker.db");
    Ok(match orders.handler.as_str() {
        "kernel" => {
            let options = OpenOptions::default().watcher_backend("kernel")?;
            Database::open_with_options(path, options)?
        }
        _ => Database::open(path)?,
    })
}

/// An event that goes in as the text it is.
fn event() -> Result<Box<RawValue>> {
    Ok(RawValue::from_string(payload())?)
}

fn fill(database: &Database, stream: &Stream, orders: &Orders) -> Result<Outcome> {
    ready()?;
    let (began, mut left) = (now(), orders.count);
    while left > 0 {
        let batch = left.min(FILL_BATCH);
        transaction(database, stream, batch)?;
        left -= batch;
    }
    Ok(Outcome::new(orders.count, since(began)))
}

fn transaction(database: &Database, stream: &Stream, events: usize) -> Result<()> {
    let transaction = database.transaction()?;
    for _ in 0..events {
        stream.publish_tx(&transaction, &event()?)?;
    }
    Ok(transaction.commit()?)
}

fn batches(database: &Database, stream: &Stream, orders: &Orders) -> Result<Outcome> {
    ready()?;
    let (began, mut count) = (now(), 0);
    while since(began) < orders.lasts {
        transaction(database, stream, orders.batch)?;
        count += orders.batch;
    }
    Ok(Outcome::new(count, since(began)))
}

/// Publishes for its time; one that was refused, because others held the file, is no event.
fn publish(stream: &Stream, orders: &Orders) -> Result<Outcome> {
    ready()?;
    let (began, mut count, mut took) = (now(), 0, Vec::new());
    while since(began) < orders.lasts {
        let asked = now();
        count += usize::from(stream.publish(&event()?).is_ok());
        took.push(since(asked));
    }
    let refused = took.len() - count;
    Ok(Outcome::new(count, since(began))
        .latencies(took)
        .with("refused", refused))
}

fn consume(stream: &Stream, orders: &Orders) -> Result<Outcome> {
    ready()?;
    let (began, mut count, mut offset) = (now(), 0, 0);
    loop {
        let events = stream.read_since(offset, READS)?;
        let Some(last) = events.last() else { break };
        offset = last.offset;
        count += events.len();
        stream.save_offset(CONSUMER, offset)?;
    }
    ensure!(count == orders.count, "{count} events came");
    Ok(Outcome::new(count, since(began)))
}

fn receive(stream: &Stream, orders: &Orders) -> Result<Outcome> {
    let events = stream.subscribe(CONSUMER)?;
    let idle_percent = idle(orders.idle);
    ready()?;
    let (began, mut took) = (now(), Vec::new());
    for event in events.take(orders.count) {
        took.push(age(&event?.payload)?);
    }
    Ok(Outcome::new(took.len(), since(began))
        .latencies(took)
        .with("idle_percent", idle_percent))
}

fn pace(stream: &Stream, orders: &Orders) -> Result<Outcome> {
    ready()?;
    let began = now();
    for number in 0..orders.count {
        std::thread::park_timeout(pause(number));
        stream.publish(&event()?)?;
    }
    Ok(Outcome::new(orders.count, since(began)))
}
