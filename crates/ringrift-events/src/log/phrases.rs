//! The lines, one a function. Scripts grep their words: change none without the contract's page.

use std::time::Duration;

use super::{EventLog, Level, Part};
use crate::coded::Coded;
use crate::event::{Event, EventType, Seq};
use crate::store;
use crate::verdict::{Code, Failure};

macro_rules! say {
    ($($arg:tt)*) => {
        |line: &mut String| line.push_str(&format!($($arg)*))
    };
}

impl EventLog {
    /// `emit TRAINING_COMPLETED …`: an event was published.
    pub fn emit(&self, event: &Event, seq: Option<Seq>) {
        self.event_line(
            Level::Info,
            "emit",
            (&event.event_type, event.id),
            |line: &mut String| {
                let place = seq.map_or("volatile".to_owned(), |seq| format!("seq={seq}"));
                line.push_str(&format!(
                    "emit {} id={} {place} key={} source={} trace={}",
                    event.event_type.constant(),
                    event.id,
                    event.key.as_deref().unwrap_or("-"),
                    event.source,
                    event.trace_id
                ));
            },
        );
    }

    /// `receive TRAINING_COMPLETED …`: an event of another process arrived.
    pub fn receive(&self, event: &Event) {
        self.event_line(
            Level::Debug,
            "receive",
            (&event.event_type, event.id),
            say!(
                "receive {} id={} seq={} origin={}",
                event.event_type.constant(),
                event.id,
                event.seq.unwrap_or_default(),
                event.origin
            ),
        );
    }

    /// `subscribed to TRAINING_COMPLETED …`, one line a type.
    pub fn subscribed(&self, event_type: Option<&EventType>, name: &str, kind: &str) {
        let shown = event_type.map_or("EVERY TYPE".to_owned(), EventType::constant);
        self.line_of(
            Part::Router,
            Level::Info,
            &format!("subscribed to {shown} name={name} kind={kind}"),
        );
    }

    /// `unsubscribed NAME`.
    pub fn unsubscribed(&self, name: &str) {
        self.line_of(Part::Router, Level::Info, &format!("unsubscribed {name}"));
    }

    /// `Handler timeout: NAME exceeded N s …`.
    pub fn handler_timeout(&self, name: &str, event: &Event, limit: Duration, held: bool) {
        let goes_on = if held {
            "; its thread still runs and keeps its slot"
        } else {
            ""
        };
        self.event_line(
            Level::Warn,
            "Handler timeout:",
            (&event.event_type, event.id),
            say!(
                "Handler timeout: {name} exceeded {} s on {} id={}{goes_on}; \
             handler.time_limit in ringrift.toml, or the handler's own time limit, changes it",
                limit.as_secs_f64(),
                event.event_type.constant(),
                event.id
            ),
        );
    }

    /// `handler took N ms …`; `notable` ones (slow, failed) at warn, all others at debug.
    pub fn handler_took(&self, name: &str, event: &Event, took: Duration, notable: bool) {
        let level = if notable { Level::Warn } else { Level::Debug };
        self.event_line(
            level,
            "handler took",
            (&event.event_type, event.id),
            say!(
                "handler took {} ms name={name} on {} id={}",
                took.as_millis(),
                event.event_type.constant(),
                event.id
            ),
        );
    }

    /// A handler failed.
    pub fn handler_failed(&self, name: &str, event: &Event, failure: &Failure) {
        self.event_line(
            Level::Warn,
            "handler failed",
            (&event.event_type, event.id),
            say!(
                "handler failed name={name} kind={} on {} id={} step={} error={}",
                failure.kind.as_str(),
                event.event_type.constant(),
                event.id,
                failure.step.as_deref().unwrap_or("-"),
                failure.message
            ),
        );
    }

    /// `CrossProcessPoller started|stopped …`.
    pub fn poller(&self, what: &str, detail: &str) {
        self.line(Level::Info, &format!("CrossProcessPoller {what} {detail}"));
    }

    /// The poller met an error: the runbook greps for it.
    pub fn poller_error(&self, error: &store::Error) {
        self.line(
            Level::Warn,
            &format!("CrossProcessPoller error code={} {error}", error.code()),
        );
    }

    /// The door refused a publish.
    pub fn refused(&self, error: &dyn Coded) {
        self.line_of(
            Part::Bus,
            Level::Warn,
            &format!("publish refused code={} {error}", error.code()),
        );
    }

    /// The door refused a subscribe.
    pub fn refused_subscribe(&self, name: &str, error: &dyn Coded) {
        self.line_of(
            Part::Router,
            Level::Warn,
            &format!(
                "subscribe refused name={name} code={} {error}",
                error.code()
            ),
        );
    }

    /// A publish failed at the store.
    pub fn publish_failed(&self, event: &Event, error: &store::Error) {
        self.event_line(
            Level::Error,
            "publish failed",
            (&event.event_type, event.id),
            say!(
                "publish failed {} id={} code={} may_have_applied={} {error}",
                event.event_type.constant(),
                event.id,
                error.code(),
                error.may_have_applied
            ),
        );
    }

    /// Required payload fields are missing, and the type's policy is to warn.
    pub fn fields_missing(
        &self,
        event_type: &EventType,
        event: crate::event::EventId,
        missing: &[String],
    ) {
        self.event_line(
            Level::Warn,
            "fields missing",
            (event_type, event),
            say!(
                "payload of {} lacks required fields fields={} id={event}",
                event_type.constant(),
                missing.join(",")
            ),
        );
    }

    /// A live subscription reads from the log because its mailbox was full.
    pub fn lagging(&self, name: &str, after: Seq) {
        self.line_of(
            Part::Router,
            Level::Warn,
            &format!("subscription lags and reads from the log name={name} after={after}"),
        );
    }

    /// A volatile event found a full mailbox: that handler does not get it.
    pub fn mailbox_refused(&self, name: &str, event: &Event) {
        self.event_line(
            Level::Error,
            "mailbox full",
            (&event.event_type, event.id),
            say!(
                "mailbox full, volatile event refused name={name} {} id={}",
                event.event_type.constant(),
                event.id
            ),
        );
    }

    /// The store failed at something that is tried again.
    pub fn store_failed(&self, attempted: &str, error: &store::Error) {
        self.line(
            Level::Warn,
            &format!(
                "store failed while {attempted} code={} {error}",
                error.code()
            ),
        );
    }

    /// A live handler's failure could not be kept.
    pub fn letter_lost(&self, name: &str, failure: &Failure, error: &store::Error) {
        self.line(
            Level::Error,
            &format!(
                "dead letter could not be kept name={name} error={} code={} {error}",
                failure.message,
                error.code()
            ),
        );
    }

    /// The claim was taken over; the answer of a run is refused.
    pub fn lease_lost(&self, name: &str, error: &store::Error) {
        self.line(
            Level::Warn,
            &format!("lease lost, answer refused name={name} {error}"),
        );
    }

    /// A run ended after its claim was gone.
    pub fn answer_refused(&self, name: &str, event: &Event) {
        self.line(
            Level::Warn,
            &format!(
                "answer refused, its claim is gone name={name} id={}",
                event.id
            ),
        );
    }

    /// A handler's dedup field is not in the payload; the event is then no duplicate.
    pub fn dedup_field_missing(&self, name: &str, event: &Event, field: &dyn std::fmt::Display) {
        self.event_line(
            Level::Warn,
            "dedup field missing",
            (&event.event_type, event.id),
            say!(
                "dedup field missing, event taken as new name={name} field={field} {} id={}",
                event.event_type.constant(),
                event.id
            ),
        );
    }

    /// A handler does not yield its runtime thread, or its loop; `at` is the file, the peer or the
    /// line of source that keeps it, where one is known.
    pub fn loop_blocked(
        &self,
        name: &str,
        event: crate::event::EventId,
        since: Duration,
        at: Option<&str>,
    ) {
        let at = at.map(|at| format!(" at={at}")).unwrap_or_default();
        self.line(
            Level::Warn,
            &format!(
                "handler blocks a runtime thread name={name} id={event} for={} ms{at}",
                since.as_millis()
            ),
        );
    }

    /// A delivery was a duplicate.
    pub fn duplicate(&self, name: &str, event: &Event) {
        self.event_line(
            Level::Debug,
            "duplicate",
            (&event.event_type, event.id),
            say!(
                "duplicate name={name} on {} id={}",
                event.event_type.constant(),
                event.id
            ),
        );
    }

    /// A run that had been given up ended after all.
    pub fn handler_ended_late(&self, name: &str, event: &Event, took: Duration, code: Code) {
        self.event_line(
            Level::Warn,
            "ended late",
            (&event.event_type, event.id),
            say!(
                "given-up run ended after {} ms name={name} result={code} on {} id={}",
                took.as_millis(),
                event.event_type.constant(),
                event.id
            ),
        );
    }

    /// What the store's own threads have to say.
    pub fn store_says(&self, act: bool, text: &str) {
        let level = if act { Level::Error } else { Level::Warn };
        self.line(level, &format!("store says: {text}"));
    }

    /// A daemon's life.
    pub fn daemon(&self, name: &str, what: &str) {
        self.line(Level::Info, &format!("daemon {what} name={name}"));
    }
}
