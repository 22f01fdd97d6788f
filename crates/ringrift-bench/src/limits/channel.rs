//! What most programs would write: a bounded channel of tokio's for each subscriber.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Result, ensure};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use crate::event::payload;
use crate::orders::{Orders, ready};
use crate::ours::in_process::Counters;
use crate::outcome::{Outcome, now, since};

/// Events in one channel; twice what the publisher is ahead, so that it is never full.
const CAPACITY: usize = 1_024;

/// Events that a subscriber takes at once.
const TAKES: usize = 256;

/// Publishes for its time to so many tasks.
pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let handled = Counters::new(orders.subscriptions);
    let (channels, tasks) = subscribers(&runtime, &handled, orders.subscriptions);
    ready()?;
    let (began, mut published) = (now(), 0);
    while since(began) < orders.lasts {
        let event = Arc::new(payload());
        for channel in &channels {
            channel.blocking_send(Arc::clone(&event))?;
        }
        published += 1;
        handled.keep_pace(published);
    }
    drop(channels);
    for task in tasks {
        runtime.block_on(task)?;
    }
    let (took, count) = (since(began), handled.sum());
    let owed = published * orders.subscriptions;
    ensure!(count == owed, "{count} deliveries of {owed} owed");
    Ok(Outcome::new(count, took))
}

type Subscribers = (
    Vec<mpsc::Sender<Arc<String>>>,
    Vec<tokio::task::JoinHandle<()>>,
);

fn subscribers(runtime: &Runtime, handled: &Counters, count: usize) -> Subscribers {
    let each = (0..count).map(|number| {
        let (send, mut receive) = mpsc::channel::<Arc<String>>(CAPACITY);
        let handled = handled.of(number);
        let task = runtime.spawn(async move {
            let mut events = Vec::with_capacity(TAKES);
            while receive.recv_many(&mut events, TAKES).await > 0 {
                for event in events.drain(..) {
                    std::hint::black_box(event.len());
                    handled.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        (send, task)
    });
    each.unzip()
}
