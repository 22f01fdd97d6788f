//! Calling each subscriber's function directly: nothing is faster in one process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Result;

use crate::event::payload;
use crate::orders::{Orders, ready};
use crate::ours::in_process::Counters;
use crate::outcome::{Outcome, now, since};

type Function = Box<dyn Fn(Arc<String>)>;

/// Publishes for its time to so many functions.
pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    let handled = Counters::new(orders.subscriptions);
    let functions: Vec<Function> = (0..orders.subscriptions)
        .map(|number| {
            let handled = handled.of(number);
            let function: Function = Box::new(move |event| {
                std::hint::black_box(event.len());
                handled.fetch_add(1, Ordering::Relaxed);
            });
            function
        })
        .collect();
    ready()?;
    let began = now();
    while since(began) < orders.lasts {
        let event = Arc::new(payload());
        for function in &functions {
            function(Arc::clone(&event));
        }
    }
    Ok(Outcome::new(handled.sum(), since(began)))
}
