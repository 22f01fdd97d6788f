//! One finding: what is wrong with whom, how that is known, and what to do.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::code::{FindingCode, Severity};
use crate::event::{EventId, EventType, ProcessId};
use crate::store::registry::ProcessState;

/// What is at fault, as far as it is known; whatever does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Subject {
    /// The handler, which is its subscription's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// The event; of several, the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// The type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<EventType>,
    /// The process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessId>,
    /// Its pid; a holder of a lock may be a process that is not ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// What else: a file, a setting, a daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thing: Option<String>,
}

impl Subject {
    /// A handler.
    #[must_use]
    pub fn handler(name: impl Into<String>) -> Subject {
        Subject {
            handler: Some(name.into()),
            ..Subject::default()
        }
    }

    /// A type.
    #[must_use]
    pub fn of_type(event_type: EventType) -> Subject {
        Subject {
            event_type: Some(event_type),
            ..Subject::default()
        }
    }

    /// A process of this home.
    #[must_use]
    pub fn process(state: &ProcessState) -> Subject {
        Subject::default().in_process(state)
    }

    /// Something else.
    #[must_use]
    pub fn thing(name: impl Into<String>) -> Subject {
        Subject {
            thing: Some(name.into()),
            ..Subject::default()
        }
    }

    /// The same, on this event.
    #[must_use]
    pub fn at_event(self, event: EventId) -> Subject {
        Subject {
            event: Some(event),
            ..self
        }
    }

    /// The same, in this process.
    #[must_use]
    pub fn in_process(self, state: &ProcessState) -> Subject {
        Subject {
            process: Some(state.process.id),
            pid: Some(state.process.pid),
            ..self
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.thing.clone());
        parts.extend(self.handler.clone());
        parts.extend(self.event_type.as_ref().map(EventType::constant));
        parts.extend(self.event.map(|event| event.to_string()));
        parts.extend(self.pid.map(|pid| format!("pid {pid}")));
        f.write_str(&parts.join(" · "))
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What it is.
    pub code: FindingCode,
    /// The slug of the cause, if it is one of the runbook's.
    pub cause: Option<&'static str>,
    /// Its weight.
    pub severity: Severity,
    /// What is at fault.
    pub subject: Subject,
    /// What was seen, one plain sentence.
    pub says: String,
    /// How it is known: what is, and what was expected.
    pub evidence: Map<String, Value>,
    /// What it means.
    pub meaning: &'static str,
    /// The exact command to run next.
    pub command: String,
    /// Whether the command may be run at once, without looking.
    pub safe_to_do: bool,
    /// What `ringrift doctor --fix` would do about it; none where a person must decide.
    pub fix: Option<super::Fix>,
}

impl Finding {
    /// A finding. `evidence` is a JSON object; anything else is kept under `value`.
    #[must_use]
    pub fn new(
        code: FindingCode,
        subject: Subject,
        says: impl Into<String>,
        evidence: Value,
        command: impl Into<String>,
    ) -> Finding {
        let evidence = match evidence {
            Value::Object(fields) => fields,
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)) => Map::from_iter([("value".to_owned(), other)]),
        };
        Finding {
            code,
            cause: code.cause(),
            severity: code.severity(),
            subject,
            says: says.into(),
            evidence,
            meaning: code.meaning(),
            command: command.into(),
            safe_to_do: code.is_safe_to_do(),
            fix: None,
        }
    }

    /// The same of something that is over: it keeps nobody waiting any more, and what it means and
    /// what there is to look at are of the past.
    #[must_use]
    pub fn over(self, meaning: &'static str, command: impl Into<String>) -> Finding {
        Finding {
            severity: self.severity.max(Severity::Warning),
            meaning,
            command: command.into(),
            ..self
        }
    }

    /// The same, with what may be done about it without asking.
    #[must_use]
    pub fn fixed_by(self, fix: super::Fix) -> Finding {
        Finding {
            fix: Some(fix),
            ..self
        }
    }
}
