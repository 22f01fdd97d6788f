//! The answer to "what became of this event": who published it, and every subscription's word.

use serde::Serialize;

use super::known::{Known, Scenery};
use super::name;
use super::publication;
use super::standing::{Standing, Verdict};
use super::whole::Whole;
use super::{Error, unlogged};
use crate::clock::{Time, rfc3339};
use crate::event::{Event, EventId, EventType, ProcessId, Seq};
use crate::store::Store;
use crate::store::log::{EventRef, Logged};

/// One event and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The event, without its payload.
    pub event: Told,
    /// What became of it.
    #[serde(flatten)]
    pub findings: Findings,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Findings {
    /// How it came into the log.
    pub publication: Verdict,
    /// The publishes that were answered with this event, as recorded; newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<Verdict>,
    /// The event whose handler published it.
    pub cause: Option<Cause>,
    /// That no subscription named its type, if none did.
    pub nobody: Option<Verdict>,
    /// A line for every subscription that named its type, also if it came too late or too early.
    pub deliveries: Vec<Standing>,
    /// A line for every other subscription that stood then, those with a similar type first.
    pub others: Vec<Standing>,
    /// What all deliveries come to.
    pub whole: Whole,
}

/// An event in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Its id.
    pub id: EventId,
    /// Its number in the log.
    pub seq: Option<Seq>,
    /// Its type; none when no record says.
    #[serde(rename = "type")]
    pub event_type: Option<EventType>,
    /// Its key.
    pub key: Option<String>,
    /// Who published it, in the publisher's words.
    pub source: String,
    /// When it was published.
    #[serde(serialize_with = "rfc3339")]
    pub published_at: Option<Time>,
    /// When it was committed; none for an event that the log does not have.
    #[serde(serialize_with = "rfc3339")]
    pub committed_at: Option<Time>,
    /// When it was deleted from the queue.
    #[serde(serialize_with = "rfc3339")]
    pub deleted_at: Option<Time>,
    /// The process that published it.
    pub process: Option<Author>,
    /// The line of the program that published it, as `file:line`.
    pub call_site: Option<String>,
    /// The trace it belongs to, 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// How many publishes led to it.
    pub depth: Option<u16>,
    /// The stage it completed.
    pub stage: Option<String>,
}

/// The process that published an event; all but its id is missing once that is forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Author {
    /// One start of one program.
    pub id: ProcessId,
    /// Its host.
    pub host: Option<String>,
    /// Its process id there.
    pub pid: Option<u32>,
    /// Its command line.
    pub command: Option<String>,
}

/// The event whose handler published another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Its id.
    pub id: EventId,
    /// Its number; none when the log does not have it: it was volatile, or is no longer kept.
    pub seq: Option<Seq>,
    /// Its type, if the log has it.
    #[serde(rename = "type")]
    pub event_type: Option<EventType>,
    /// When it was published, if the log has it.
    #[serde(serialize_with = "rfc3339")]
    pub published_at: Option<Time>,
}

impl Explanation {
    /// Explains the event that `text` names: its id, the first digits of it, its number in the log,
    /// or its idempotency key. Blocks for a few reads, each bounded.
    ///
    /// # Errors
    /// As [`name::event`].
    pub fn of(store: &dyn Store, text: &str, now: Time) -> Result<Explanation, Error> {
        let logged = match name::event(store, text) {
            Ok(logged) => logged,
            // The log does not have it; a page, a letter or a fact may.
            Err(error @ Error::EventUnknown { .. }) => {
                let traces = match name::id(text) {
                    Some(id) => unlogged::explain(store, id, now)?,
                    None => None,
                };
                return traces.ok_or(error);
            }
            Err(error) => return Err(error),
        };
        let known = Known::read(store, logged, now)?;
        Ok(Explanation {
            event: Told::of(&known.logged, &known.scenery),
            findings: Findings::of(store, &known)?,
        })
    }
}

impl Findings {
    /// What is known of the event. Blocks for at most one more read.
    ///
    /// # Errors
    /// The store's.
    pub fn of(store: &dyn Store, known: &Known) -> Result<Findings, Error> {
        let cause = match known.logged.event.parent_id {
            Some(parent) => Some(Cause::read(store, parent)?),
            None => None,
        };
        let deliveries = known.standings();
        Ok(Findings {
            publication: publication::of(known, cause.as_ref()),
            duplicates: publication::duplicates(known),
            cause,
            nobody: deliveries.is_empty().then(|| publication::nobody(known)),
            whole: Whole::of(&deliveries),
            deliveries,
            others: known.others(),
        })
    }
}

impl Told {
    pub(super) fn of(logged: &Logged, scenery: &Scenery) -> Told {
        let event: &Event = &logged.event;
        Told {
            id: event.id,
            seq: event.seq,
            event_type: Some(event.event_type.clone()),
            key: event.key.clone(),
            source: event.source.clone(),
            published_at: Some(event.published_at),
            committed_at: Some(logged.committed_at),
            deleted_at: logged.deleted_at,
            process: Some(Author::of(event.origin, scenery)),
            call_site: logged.call_site.clone(),
            trace_id: Some(event.trace_id.to_string()),
            depth: Some(event.depth),
            stage: event.stage.clone(),
        }
    }
}

impl Author {
    pub(super) fn of(id: ProcessId, scenery: &Scenery) -> Author {
        let process = scenery.process(id).map(|state| &state.process);
        Author {
            id,
            host: process.map(|process| process.host.clone()),
            pid: process.map(|process| process.pid),
            command: process.map(|process| process.command.clone()),
        }
    }
}

impl std::fmt::Display for Author {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.host, self.pid, &self.command) {
            (Some(host), Some(pid), Some(command)) => write!(f, "pid {pid} on {host} ({command})"),
            _ => write!(f, "process {}, which is forgotten,", self.id),
        }
    }
}

impl Cause {
    fn read(store: &dyn Store, id: EventId) -> Result<Cause, Error> {
        let logged = store.find(EventRef::Id(id)).wait()?.pop();
        let event = logged.map(|logged| logged.event);
        Ok(Cause {
            id,
            seq: event.as_ref().and_then(|event| event.seq),
            published_at: event.as_ref().map(|event| event.published_at),
            event_type: event.map(|event| event.event_type.clone()),
        })
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.event_type, self.seq) {
            (Some(event_type), Some(seq)) => {
                write!(f, "{} (event {seq}, {})", event_type.constant(), self.id)
            }
            _ => write!(
                f,
                "event {}, which the log does not have: volatile, or no longer kept",
                self.id
            ),
        }
    }
}
