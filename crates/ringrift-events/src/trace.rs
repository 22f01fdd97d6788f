//! Trace context: from a handler to what it publishes, across processes.
//!
//! A context is in force inside [`Context::scope`] (a future, on whichever thread polls it) and
//! [`Context::enter`] (a closure, on this thread), panics included. What is published there
//! belongs to its trace, names its parent and stands one deeper. A task spawned there starts
//! without it: [`carry`] takes it along. It deliberately records nothing: spans are the business
//! of whoever reads the events.

use std::future::Future;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Clock;
use crate::coded::{Class, Coded};
use crate::event::{Event, EventId, TraceId};

/// Where a publish made here belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The trace.
    pub trace_id: TraceId,
    /// The event that is being handled.
    pub parent: Option<EventId>,
    /// The depth of an event published here: one more than its parent's, 0 without parent.
    pub depth: u16,
}

tokio::task_local! {
    // Kept by tokio in a thread-local that each poll (or the closure) sets and puts back, so that
    // it serves futures and plain threads alike, with or without a runtime.
    static CURRENT: Context;
}

impl Context {
    /// The beginning of a new trace.
    #[must_use]
    pub fn root(clock: &dyn Clock) -> Context {
        let bits = (u128::from(clock.random()) << 64) | u128::from(clock.random());
        Context {
            // The all-zero id is the one that W3C forbids.
            trace_id: TraceId(Uuid::from_u128(bits.max(1))),
            parent: None,
            depth: 0,
        }
    }

    /// The context of what `event`'s handlers publish.
    #[must_use]
    pub fn of(event: &Event) -> Context {
        Context {
            trace_id: event.trace_id,
            parent: Some(event.id),
            depth: event.depth.saturating_add(1),
        }
    }

    /// The context in force, else a new trace.
    #[must_use]
    pub fn current_or_root(clock: &dyn Clock) -> Context {
        current().unwrap_or_else(|| Context::root(clock))
    }

    /// Runs a future in this context. Dropping it is as safe as dropping the future.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, future)
    }

    /// Runs a closure in this context, on this thread.
    pub fn enter<T>(self, run: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, run)
    }

    /// The W3C header for what happens here, as `TRACEPARENT` carries it.
    #[must_use]
    pub fn traceparent(&self) -> Traceparent {
        let (_, low) = match self.parent {
            Some(EventId(id)) => id.as_u64_pair(),
            None => self.trace_id.0.as_u64_pair(),
        };
        Traceparent {
            trace_id: self.trace_id,
            span: low.max(1),
            sampled: true,
        }
    }
}

/// The context in force on this thread at this moment.
///
/// ```
/// use ringrift_events::{clock::SystemClock, trace};
/// assert_eq!(trace::current(), None);
/// let root = trace::Context::root(&SystemClock);
/// root.enter(|| assert_eq!(trace::current(), Some(root)));
/// ```
#[must_use]
pub fn current() -> Option<Context> {
    CURRENT.try_with(|context| *context).ok()
}

/// Whether an event is being handled here: such a place must not wait for handlers.
#[must_use]
pub fn inside_handler() -> bool {
    current().is_some_and(|context| context.parent.is_some())
}

/// Takes the context in force along into a future that will be spawned.
pub fn carry<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let context = current();
    async move {
        match context {
            Some(context) => context.scope(future).await,
            None => future.await,
        }
    }
}

/// A W3C `traceparent`: `00-TRACE-SPAN-FLAGS`. The span is the low eight bytes of an event's id,
/// so it does not name the event; `RINGRIFT_EVENT_ID` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    /// The trace.
    pub trace_id: TraceId,
    /// The span: never zero.
    pub span: u64,
    /// Whether the caller records the trace.
    pub sampled: bool,
}

impl Traceparent {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Error::TraceparentInvalid`] unless it follows W3C Trace Context: lower-case digits, no
    /// id of zeros, version 00 of exactly 55 characters or a later one that begins like it.
    ///
    /// ```
    /// use ringrift_events::trace::Traceparent;
    /// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    /// assert_eq!(Traceparent::parse(text)?.to_string(), text);
    /// # Ok::<(), ringrift_events::trace::Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<Traceparent, Error> {
        read(text).ok_or_else(|| Error::TraceparentInvalid {
            text: text[..text.floor_char_boundary(80)].to_owned(),
        })
    }

    /// The context of somebody else's trace, entered from outside any handler of ours.
    #[must_use]
    pub fn context(&self) -> Context {
        Context {
            trace_id: self.trace_id,
            parent: None,
            depth: 0,
        }
    }
}

fn read(text: &str) -> Option<Traceparent> {
    let (version, rest) = (text.get(..2)?, text.get(2..55)?);
    let later = hex(version, 2)? > 0;
    let ends_well = text.len() == 55 || (later && text.as_bytes()[55] == b'-');
    let mut parts = rest.strip_prefix('-')?.split('-');
    let trace = hex(parts.next()?, 32)?;
    let span = u64::try_from(hex(parts.next()?, 16)?).ok()?;
    let flags = hex(parts.next()?, 2)?;
    let valid = version != "ff" && ends_well && trace != 0 && span != 0 && parts.next().is_none();
    valid.then_some(Traceparent {
        trace_id: TraceId(Uuid::from_u128(trace)),
        span,
        sampled: flags & 1 == 1,
    })
}

fn hex(digits: &str, len: usize) -> Option<u128> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (digits.len() == len && digits.bytes().all(lower))
        .then(|| u128::from_str_radix(digits, 16).ok())
        .flatten()
}

impl std::fmt::Display for Traceparent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{}-{:016x}-{flags:02x}", self.trace_id, self.span)
    }
}

/// What this room refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A text is no W3C `traceparent`. `TRACEPARENT_INVALID`.
    #[error("`{text}` is no W3C traceparent (00-TRACE-SPAN-FLAGS)")]
    TraceparentInvalid {
        /// The text, at most its first 80 bytes.
        text: String,
    },
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::TraceparentInvalid { .. } => "TRACEPARENT_INVALID",
        }
    }

    fn class(&self) -> Class {
        Class::Refused
    }

    fn value(&self) -> Option<std::borrow::Cow<'_, str>> {
        match self {
            Error::TraceparentInvalid { text } => Some(text.into()),
        }
    }

    fn next(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some("unset TRACEPARENT".into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{ManualClock, Time};
    use crate::event::{EventType, Payload, ProcessId};

    fn event(clock: &ManualClock, depth: u16) -> Event {
        Event {
            id: EventId::new(clock),
            event_type: EventType::from_canonical("t"),
            payload: Payload::from_checked("{}"),
            source: String::new(),
            key: None,
            published_at: clock.now(),
            trace_id: Context::root(clock).trace_id,
            parent_id: None,
            depth,
            origin: ProcessId::new(clock),
            stage: None,
            seq: None,
        }
    }

    #[test]
    fn an_event_handed_on_keeps_its_trace_and_stands_one_deeper() {
        let clock = ManualClock::new(Time(0), 7);
        let event = event(&clock, 3);
        let inside =
            Context::of(&event).enter(|| (Context::current_or_root(&clock), inside_handler()));
        assert_eq!(inside.0.trace_id, event.trace_id);
        assert_eq!(
            (inside.0.parent, inside.0.depth, inside.1),
            (Some(event.id), 4, true)
        );
        assert!(!inside_handler());
        assert_eq!(current(), None);
    }

    #[test]
    fn contexts_nest_and_a_panic_puts_the_outer_one_back() {
        let clock = ManualClock::new(Time(0), 7);
        let (outer, inner) = (Context::root(&clock), Context::root(&clock));
        outer.enter(|| {
            let panicked = std::panic::catch_unwind(|| inner.enter(|| panic!("on purpose")));
            assert!(panicked.is_err());
            assert_eq!(current(), Some(outer));
        });
    }

    #[test]
    fn tasks_on_one_thread_do_not_see_each_others_context() {
        let clock = ManualClock::new(Time(0), 7);
        let contexts: Vec<Context> = (0..4).map(|_| Context::root(&clock)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let barrier = Arc::new(tokio::sync::Barrier::new(contexts.len()));
            let tasks = contexts.iter().map(|context| {
                let barrier = Arc::clone(&barrier);
                tokio::spawn(context.scope(async move {
                    barrier.wait().await;
                    let carried = tokio::spawn(carry(async { current() })).await.unwrap();
                    let lost = tokio::spawn(async { current() }).await.unwrap();
                    (current(), carried, lost)
                }))
            });
            for (task, context) in tasks.collect::<Vec<_>>().into_iter().zip(&contexts) {
                assert_eq!(task.await.unwrap(), (Some(*context), Some(*context), None));
            }
        });
    }

    #[test]
    fn a_header_names_the_trace_and_the_parents_low_bytes() {
        let clock = ManualClock::new(Time(1_700_000_000_000_000), 7);
        let event = event(&clock, 0);
        let header = Context::of(&event).traceparent();
        assert_eq!(header.span, event.id.0.as_u64_pair().1);
        let read = Traceparent::parse(&header.to_string()).unwrap();
        assert_eq!((read, read.context().trace_id), (header, event.trace_id));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(Traceparent::parse(&good.replacen("00", "cc", 1)).is_ok());
        assert!(Traceparent::parse(&format!("cc{}-more", &good[2..])).is_ok());
        for bad in [
            String::new(),
            good.to_uppercase(),
            good.replacen("00", "ff", 1),
            format!("{good}-more"),
            format!("cc{}more", &good[2..]),
            good.replace("b7ad6b7169203331", "0000000000000000"),
            good.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            good.replace("-01", "_01"),
            good.replace("-01", "-1é"),
            good.replace("0af7", "+af7"),
        ] {
            let error = Traceparent::parse(&bad).unwrap_err();
            assert_eq!(error.code(), "TRACEPARENT_INVALID", "{bad}");
        }
    }
}
