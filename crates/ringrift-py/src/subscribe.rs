//! Subscribing Python functions.

use std::sync::{Arc, Weak};
use std::time::Duration;

use pyo3::prelude::*;
use ringrift_events::event::Seq;
use ringrift_events::handler::{Dedup, Function, Policy, Rate};
use ringrift_events::router::{self, Router, Subscribe};
use ringrift_events::store::subscriptions::Start;
use serde_json::json;

use crate::event::RawEvent;
use crate::fault::{Fault, OrRaise as _};
use crate::inbox::{Bell, Word};
use crate::loops::Loops;
use crate::run;

/// A subscription as the Python side asks for it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Asked {
    name: String,
    types: Vec<String>,
    stage: Option<String>,
    durable: bool,
    filter: Option<String>,
    start: Option<String>,
    ordered_by_key: bool,
    replace: bool,
    /// Seconds.
    timeout: Option<f64>,
    /// Seconds.
    slow: Option<f64>,
    concurrency: Option<u32>,
    /// So many in so many seconds.
    rate: Option<(u32, f64)>,
    dedup: Option<Vec<String>>,
    /// Seconds.
    dedup_ttl: Option<f64>,
    attempts: Option<u32>,
}

/// Seconds as the library takes them; what is no length of time is refused.
fn seconds(what: &str, name: &str, seconds: f64) -> Result<Duration, Fault> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|length| !length.is_zero())
        .ok_or_else(|| {
            let message =
                format!("subscription {name}: {what} of {seconds} s is no length of time");
            Fault::refused("SUBSCRIPTION_INVALID", message)
        })
}

impl Asked {
    fn policy(&self, mut policy: Policy) -> Result<Policy, Fault> {
        if let Some(limit) = self.timeout {
            policy.time_limit = seconds("a timeout", &self.name, limit)?;
        }
        if let Some(slow) = self.slow {
            policy.slow = seconds("a `slow`", &self.name, slow)?;
        }
        if let Some((events, per)) = self.rate {
            let per = seconds("a rate", &self.name, per)?;
            policy.rate = Some(Rate { events, per });
        }
        policy.concurrency = self.concurrency.unwrap_or(policy.concurrency);
        policy.retry.attempts = self.attempts.unwrap_or(policy.retry.attempts);
        if let Some(fields) = &self.dedup {
            let mut dedup = Dedup::by(fields.iter().cloned());
            if let Some(ttl) = self.dedup_ttl {
                dedup.ttl = seconds("a dedup_ttl", &self.name, ttl)?;
            }
            policy.dedup = Some(dedup);
        }
        Ok(policy)
    }

    fn start(&self) -> Result<Start, Fault> {
        match self.start.as_deref() {
            None | Some("now") => Ok(Start::Now),
            Some("beginning") => Ok(Start::Beginning),
            Some(other) => match other.strip_prefix("after:").map(str::parse) {
                Some(Ok(seq)) => Ok(Start::After(Seq(seq))),
                Some(Err(_)) | None => Err(Fault::refused(
                    "SUBSCRIPTION_INVALID",
                    format!(
                        "subscription {}: start {other:?} is none of \"now\", \"beginning\" and a number \
                         of the log",
                        self.name
                    ),
                )),
            },
        }
    }

    fn subscribe(&self, policy: Policy) -> Result<Subscribe, Fault> {
        let policy = self.policy(policy)?;
        let mut subscribe = if self.durable {
            Subscribe::durable(&self.name)
        } else {
            Subscribe::live(&self.name)
        };
        subscribe = subscribe
            .to(&self.types)
            .start(self.start()?)
            .policy(policy);
        if let Some(stage) = &self.stage {
            subscribe = subscribe.to_stage(stage);
        }
        if let Some(filter) = &self.filter {
            subscribe = subscribe.filter(filter);
        }
        if self.ordered_by_key {
            subscribe = subscribe.ordered_by_key();
        }
        if self.replace {
            subscribe = subscribe.replace();
        }
        Ok(subscribe)
    }

    /// Makes the subscription. Blocks for a transaction, without the interpreter's lock.
    pub(crate) fn make(
        &self,
        py: Python<'_>,
        router: &Router,
        policy: Policy,
        function: Function,
        (loops, bell): (&Arc<Loops>, Option<&Bell>),
    ) -> PyResult<Subscription> {
        let subscribe = self.subscribe(policy).or_raise(py)?;
        if let Some(bell) = bell {
            loops.add(&bell.0);
        }
        let made = py.detach(|| router.subscribe(subscribe, function));
        let inner = made.or_raise(py)?;
        if let Some(bell) = bell {
            loops.host(&bell.0, inner.clone());
        }
        Ok(Subscription {
            inner,
            loops: Arc::downgrade(loops),
            pid: std::process::id(),
        })
    }
}

/// The function behind a number: on this loop, or on a thread.
pub(crate) fn function(bell: Option<&Bell>, owner: u64, callee: u64) -> Function {
    match bell {
        Some(bell) => run::on_loop(Arc::clone(&bell.0), owner, callee),
        None => run::on_thread(callee),
    }
}

/// Tells a loop of each event that comes, and runs no Python for it.
pub(crate) fn telling(bell: &Bell, number: u64) -> Function {
    let inbox = Arc::clone(&bell.0);
    Function::immediate(move |context| {
        let event = RawEvent(Arc::clone(context.event()));
        inbox.push(Word::Arrived(number, event));
        Ok(())
    })
}

/// A subscription of this process, as Python holds it.
#[pyclass(frozen, module = "ringrift_events._native")]
pub(crate) struct Subscription {
    inner: router::Subscription,
    loops: Weak<Loops>,
    pid: u32,
}

impl Subscription {
    fn refuse_fork(&self, py: Python<'_>, attempted: &str) -> PyResult<()> {
        if self.pid == std::process::id() {
            return Ok(());
        }
        Err(Fault::forked(attempted).raise(py))
    }
}

#[pymethods]
impl Subscription {
    #[getter]
    fn id(&self) -> String {
        self.inner.id().0.to_string()
    }

    #[getter]
    fn name(&self) -> &str {
        self.inner.name()
    }

    #[getter]
    fn existed(&self) -> bool {
        self.inner.existed()
    }

    /// What its handler has done in this process, as JSON.
    fn stats(&self, py: Python<'_>) -> PyResult<String> {
        self.refuse_fork(py, "stats")?;
        Ok(json!(self.inner.stats()).to_string())
    }

    /// Its handler's last errors in this process, newest first, as JSON.
    fn recent_errors(&self, py: Python<'_>, limit: usize) -> PyResult<String> {
        self.refuse_fork(py, "recent_errors")?;
        let errors: Vec<_> = self
            .inner
            .recent_errors(limit)
            .into_iter()
            .map(|error| {
                json!({
                    "at_us": error.at.0,
                    "event": error.event.to_string(),
                    "event_type": error.event_type.as_str(),
                    "attempt": error.attempt,
                    "kind": error.kind.as_str(),
                    "message": error.message,
                    "step": error.step,
                    "took_ms": u64::try_from(error.took.as_millis()).unwrap_or(u64::MAX),
                    "late": error.late,
                })
            })
            .collect();
        Ok(json!(errors).to_string())
    }

    /// Ends it in this process; what a durable one runs has so many seconds, or the configured grace.
    fn unsubscribe(&self, py: Python<'_>, grace: Option<f64>) -> PyResult<()> {
        self.refuse_fork(py, "unsubscribe")?;
        let grace = grace.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
        py.detach(|| match grace {
            Some(grace) => self.inner.unsubscribe_within(grace),
            None => self.inner.unsubscribe(),
        })
        .or_raise(py)?;
        if let Some(loops) = self.loops.upgrade() {
            loops.forget(self.inner.id());
        }
        Ok(())
    }

    /// Stops new claims of a durable one everywhere.
    fn pause(&self, py: Python<'_>, by: &str) -> PyResult<bool> {
        self.refuse_fork(py, "pause")?;
        py.detach(|| self.inner.pause(by)).or_raise(py)
    }

    /// Lets it go on.
    fn resume(&self, py: Python<'_>, by: &str) -> PyResult<bool> {
        self.refuse_fork(py, "resume")?;
        py.detach(|| self.inner.resume(by)).or_raise(py)
    }
}
