//! What the product does: the ordinary system with its defaults, so dedup by id, claims and counters
//! are on.

pub(crate) mod consume;
pub(crate) mod in_process;
pub(crate) mod large;
pub(crate) mod publish;
pub(crate) mod receive;
pub(crate) mod retain;
pub(crate) mod size;
pub(crate) mod steady;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::handler::Function;
use ringrift_events::router::Publish;
use ringrift_events::system::System;

use crate::event::payload;
use crate::orders::Orders;
use crate::outcome::{now, since};

/// The type that every event of the store is of.
pub(crate) const TYPE: &str = "TRAINING_COMPLETED";

/// Longest that a worker waits for what must come.
const COMES_WITHIN: Duration = Duration::from_secs(300);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(1);

/// Opens the home; only the durability differs from what everybody gets.
fn open(orders: &Orders) -> Result<System> {
    open_with(orders, &[])
}

/// The same, with settings of its own.
fn open_with(orders: &Orders, settings: &[&str]) -> Result<System> {
    std::fs::create_dir_all(&orders.home)?;
    let mut sources = ConfigSources::of_process(Home::at(&orders.home));
    let durability = if orders.power { "power" } else { "process" };
    sources.flags = vec![
        // A machine whose disk is nearly full may still be measured.
        "store.disk_free_min_percent=0".to_owned(),
        format!("store.durability={durability}"),
    ];
    let settings = settings.iter().map(|&one| one.to_owned());
    sources.flags.extend(settings);
    Ok(System::open(Config::load(sources)?)?)
}

fn event() -> Publish {
    Publish::new(TYPE, payload())
}

/// Looks until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = now();
    while !is_so()? {
        if since(began) > COMES_WITHIN {
            bail!("{what}: not within {COMES_WITHIN:?}");
        }
        std::thread::park_timeout(LOOK);
    }
    Ok(())
}

/// How long after its making each event came to its handler.
#[derive(Clone, Default)]
struct Arrivals(Arc<Mutex<Vec<Duration>>>);

impl Arrivals {
    /// A handler that notes it, run as an event of an ordinary program is.
    fn noting(&self) -> Function {
        let arrivals = self.clone();
        Function::asynchronous(move |context| {
            let came = now();
            let sent_ns = context.payload().fields()["sent_ns"].as_u64();
            let sent = Duration::from_nanos(sent_ns.unwrap_or(0));
            arrivals.lock().push(came.saturating_sub(sent));
            async { Ok(()) }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> usize {
        self.lock().len()
    }

    fn take(&self) -> Vec<Duration> {
        std::mem::take(&mut self.lock())
    }
}
