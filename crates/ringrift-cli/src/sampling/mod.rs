//! Looks at every process once a second while `run` answers monitoring: deliveries that ended
//! become durations of `/metrics` and, with `--otlp`, spans.
//!
//! A process shows its last 256 deliveries; of one that ends more in a second, the rest is not
//! seen, and that is counted. It reads; what it sends waits in a bounded line, and nobody waits
//! for a receiver.

mod otlp;

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ringrift_events::event::Seq;
use ringrift_events::log::Level;
use ringrift_events::metrics::{Durations, Family, Fresh, Kind, Recents, Spans, Traced, float};
use ringrift_events::store::Error;
use ringrift_events::store::log::{EventRef, TypeSet};
use ringrift_events::store::subscriptions::SubscriptionId;
use ringrift_events::system::System;

use crate::failure::{Error as Refusal, Stop};
pub(crate) use otlp::Receiver;

/// How often every process is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Events that one look makes spans of; a longer line is caught up with in the next ones.
const EVENTS_MAX: usize = 4_000;

/// Requests that one look sends.
const REQUESTS_MAX: usize = 8;

/// Looks that are left out after a request failed, doubled with each further one, up to this.
const PAUSE_MAX: u32 = 64;

/// The sampler's thread, until it is dropped.
pub(crate) struct Sampler {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    seen: Mutex<Seen>,
    stopping: Mutex<bool>,
    stop: Condvar,
}

/// What was seen so far.
struct Seen {
    recents: Recents,
    durations: Durations,
    names: HashMap<SubscriptionId, String>,
    /// With `--otlp`: what waits, and up to where the log was read.
    spans: Option<(Spans, Seq)>,
}

impl Sampler {
    /// Begins to look.
    pub(crate) fn start(system: &System, receiver: Option<Receiver>) -> Result<Sampler, Stop> {
        let store = system.store();
        let most = system.config().settings.metrics.subscriptions_max;
        let spans = match &receiver {
            None => None,
            Some(_) => Some((Spans::default(), store.head().wait()?.seq)),
        };
        let mut recents = Recents::default();
        drop(recents.look(&store.processes().wait()?));
        let shared = Arc::new(Shared {
            seen: Mutex::new(Seen {
                recents,
                durations: Durations::new(most),
                names: HashMap::new(),
                spans,
            }),
            stopping: Mutex::new(false),
            stop: Condvar::new(),
        });
        let (of_thread, of_system) = (Arc::clone(&shared), system.clone());
        let thread = std::thread::Builder::new()
            .name("rr-sample".to_owned())
            .spawn(move || of_thread.run(&of_system, receiver.as_ref()))
            .map_err(|source| Refusal::Io {
                what: "cannot start the sampler's thread".to_owned(),
                source,
            })?;
        Ok(Sampler {
            shared,
            thread: Some(thread),
        })
    }

    /// What `/metrics` shows of it, whenever it is asked.
    pub(crate) fn families(&self) -> impl Fn() -> Vec<Family> + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.families()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        *lock(&self.shared.stopping) = true;
        self.shared.stop.notify_all();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn run(&self, system: &System, receiver: Option<&Receiver>) {
        let (mut failing, mut left_out) = (0_u32, 0_u32);
        loop {
            let last = self.wait();
            // A store that cannot be read is told by health and by `/metrics` itself.
            drop(lock(&self.seen).look(system));
            left_out = left_out.saturating_sub(1);
            if let Some(receiver) = receiver
                && (left_out == 0 || last)
            {
                let sent = self.send(system, receiver);
                if let Err(why) = &sent
                    && failing == 0
                {
                    let text = format!("spans are not sent {why}");
                    system.log().line(Level::Warn, &text);
                }
                failing = sent.map_or(failing.saturating_add(1), |()| 0);
                left_out = match failing {
                    0 => 0,
                    times => 1_u32.checked_shl(times).unwrap_or(PAUSE_MAX).min(PAUSE_MAX),
                };
            }
            if last {
                return;
            }
        }
    }

    /// Waits for the next look; says whether it is the last.
    fn wait(&self) -> bool {
        let stopping = lock(&self.stopping);
        let waited = self
            .stop
            .wait_timeout_while(stopping, EVERY, |stopping| !*stopping);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Sends what waits; the lock is free meanwhile.
    fn send(&self, system: &System, receiver: &Receiver) -> Result<(), String> {
        for _ in 0..REQUESTS_MAX {
            let next = match &lock(&self.seen).spans {
                Some((spans, _)) => spans.next(),
                None => return Ok(()),
            };
            if next.is_empty() {
                return Ok(());
            }
            let answer = receiver.post(&next, system.store().process());
            let mut seen = lock(&self.seen);
            let Some((spans, _)) = &mut seen.spans else {
                return Ok(());
            };
            match answer {
                Ok(()) => spans.took(next.len()),
                Err(refused) if refused.for_good => {
                    spans.refuse(next.len());
                    return Err(refused.why);
                }
                Err(failed) => {
                    spans.failures += 1;
                    return Err(failed.why);
                }
            }
        }
        Ok(())
    }

    fn families(&self) -> Vec<Family> {
        let seen = lock(&self.seen);
        let mut families = seen.durations.families();
        if let Some((spans, _)) = &seen.spans {
            let mut out = Family::new(
                "ringrift_otlp_spans",
                Kind::Counter,
                "",
                "Spans by what became of them; dropped ones waited too long.",
            );
            out.add(&[("outcome", "sent")], float(spans.sent));
            out.add(&[("outcome", "dropped")], float(spans.dropped));
            out.add(&[("outcome", "refused")], float(spans.refused));
            let mut failures = Family::new(
                "ringrift_otlp_failures",
                Kind::Counter,
                "",
                "Requests with spans that failed and are sent again.",
            );
            failures.add(&[], float(spans.failures));
            families.extend([out, failures]);
        }
        families
    }
}

impl Seen {
    fn look(&mut self, system: &System) -> Result<(), Error> {
        let store = system.store();
        // Deliveries first: their events are then in what is read of the log.
        let fresh = self.recents.look(&store.processes().wait()?);
        if let Some((spans, at)) = &mut self.spans {
            let mut left = EVENTS_MAX;
            while left > 0 {
                let (events, read_to) = store.read(*at, TypeSet::All, left.min(1_000)).wait()?;
                for event in &events {
                    spans.published(event);
                }
                left = left.saturating_sub(events.len().max(1));
                if read_to <= *at {
                    break;
                }
                *at = read_to;
            }
        }
        self.ended(system, fresh)
    }

    fn ended(&mut self, system: &System, fresh: Fresh) -> Result<(), Error> {
        let store = system.store();
        self.durations.add_gaps(fresh.gaps);
        let unknown = |names: &HashMap<SubscriptionId, String>| {
            let mut deliveries = fresh.deliveries.iter();
            deliveries.any(|(_, recent)| !names.contains_key(&recent.subscription))
        };
        if unknown(&self.names) {
            let states = store.subscriptions().wait()?;
            let named = states
                .iter()
                .map(|one| (one.id, one.current().name.clone()));
            self.names = named.collect();
        }
        for (process, recent) in &fresh.deliveries {
            let name = self.names.get(&recent.subscription);
            let name = name.map_or("removed", String::as_str);
            self.durations.add(name, recent.took_us);
            let Some((spans, _)) = &mut self.spans else {
                continue;
            };
            let traced = match spans.traced(recent.event) {
                Some(traced) => Some(traced),
                None => {
                    let found = store.find(EventRef::Id(recent.event)).wait()?;
                    found.first().map(|logged| Traced::of(&logged.event))
                }
            };
            // A volatile event is in no log: nobody knows its trace.
            if let Some(traced) = traced {
                let id = system.clock().random();
                spans.delivered(*process, name, recent, &traced, id);
            }
        }
        Ok(())
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
