//! Redis Streams: `XADD`, and a consumer group that acknowledges.

use anyhow::{Result, bail, ensure};
use redis::streams::StreamReadReply;
use redis::{Client, Connection, cmd};

use crate::event::{age, idle, pause, payload};
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, now, since};

/// Events of one pipeline while a stream is filled.
const FILL_PIPELINE: usize = 1_000;

/// Events of one read.
const READS: usize = 1_000;

/// Longest that a read waits, in milliseconds.
const BLOCK_MS: usize = 5_000;

const STREAM: &str = "bench";
const GROUP: &str = "bench";
const FIELD: &str = "payload";

pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    let client = Client::open(format!("redis://127.0.0.1:{}/", orders.port))?;
    let mut redis = client.get_connection()?;
    match orders.work.as_str() {
        "fill" => fill(&mut redis, orders),
        "publish" => publish(&mut redis, orders),
        "consume" => {
            ready()?;
            consume(&mut redis, orders, false)
        }
        "receive" => {
            let idle_percent = idle(orders.idle);
            ready()?;
            let outcome = consume(&mut redis, orders, true)?;
            Ok(outcome.with("idle_percent", idle_percent))
        }
        "pace" => pace(&mut redis, orders),
        other => bail!("no such work: {other}"),
    }
}

/// Begins anew, with a group and so many events.
fn fill(redis: &mut Connection, orders: &Orders) -> Result<Outcome> {
    cmd("FLUSHALL").exec(redis)?;
    let mut group = cmd("XGROUP");
    group.arg("CREATE").arg(STREAM).arg(GROUP).arg("0");
    group.arg("MKSTREAM").exec(redis)?;
    ready()?;
    let (began, mut left) = (now(), orders.count);
    while left > 0 {
        let events = left.min(FILL_PIPELINE);
        pipeline(redis, events)?;
        left -= events;
    }
    Ok(Outcome::new(orders.count, since(began)))
}

fn add() -> redis::Cmd {
    let mut add = cmd("XADD");
    add.arg(STREAM).arg("*").arg(FIELD).arg(payload());
    add
}

fn pipeline(redis: &mut Connection, events: usize) -> Result<()> {
    let mut pipeline = redis::pipe();
    for _ in 0..events {
        pipeline.add_command(add()).ignore();
    }
    Ok(pipeline.exec(redis)?)
}

/// Publishes for its time, waiting for each or for each pipeline.
fn publish(redis: &mut Connection, orders: &Orders) -> Result<Outcome> {
    ready()?;
    let events = orders.in_flight;
    let (began, mut count, mut took) = (now(), 0, Vec::new());
    while since(began) < orders.lasts {
        let asked = now();
        match events {
            1 => add().exec(redis)?,
            many => pipeline(redis, many)?,
        }
        took.push(since(asked));
        count += events;
    }
    Ok(Outcome::new(count, since(began)).latencies(took))
}

/// Reads and acknowledges until all have come; `timed` looks at each one's age.
fn consume(redis: &mut Connection, orders: &Orders, timed: bool) -> Result<Outcome> {
    let (began, mut count, mut took) = (now(), 0, Vec::new());
    let mut read = cmd("XREADGROUP");
    read.arg("GROUP").arg(GROUP).arg("consumer");
    read.arg("COUNT").arg(READS).arg("BLOCK").arg(BLOCK_MS);
    read.arg("STREAMS").arg(STREAM).arg(">");
    while count < orders.count {
        let reply: StreamReadReply = read.query(redis)?;
        let mut settle = cmd("XACK");
        settle.arg(STREAM).arg(GROUP);
        let before = count;
        for entry in reply.keys.into_iter().flat_map(|stream| stream.ids) {
            if timed {
                let payload: Vec<u8> = entry.get(FIELD).unwrap_or_default();
                took.push(age(&payload)?);
            }
            settle.arg(entry.id);
            count += 1;
        }
        ensure!(count > before, "{count} events came");
        settle.exec(redis)?;
    }
    Ok(Outcome::new(count, since(began)).latencies(took))
}

fn pace(redis: &mut Connection, orders: &Orders) -> Result<Outcome> {
    ready()?;
    let began = now();
    for number in 0..orders.count {
        std::thread::park_timeout(pause(number));
        add().exec(redis)?;
    }
    Ok(Outcome::new(orders.count, since(began)))
}
