//! How one key ran through a pipeline.

use std::time::Duration;

use serde::Serialize;

use crate::catalog::Pipeline;
use crate::clock::Time;
use crate::event::{EventId, EventType, Seq};
use crate::store::log::{Logged, Page};
use crate::store::{Error, Store};

/// Events of one read: one transaction of the store each.
const PAGE_EVENTS: usize = 1_000;

/// Most events of a pipeline's types looked at for one answer: the answer says when it met it.
pub(super) const LOOKED_AT_MAX: u64 = 1_000_000;

/// How one key ran through a pipeline in a window of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// The pipeline.
    pub pipeline: String,
    /// The key.
    pub key: String,
    /// Only what was committed at or after this counts.
    pub since: Time,
    /// Its steps, in order.
    pub steps: Vec<StepFlow>,
    /// Whether every step came.
    pub complete: bool,
    /// Whether there was more of the log than one answer looks at.
    pub cut: bool,
}

impl Flow {
    /// The steps that did not come.
    pub fn missing(&self) -> impl Iterator<Item = &StepFlow> {
        self.steps.iter().filter(|step| step.count == 0)
    }
}

/// One step of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepFlow {
    /// Its type.
    pub event_type: EventType,
    /// How many events of it came.
    pub count: u64,
    /// When the first of them was committed.
    pub first_at: Option<Time>,
    /// When the last of them was committed.
    pub last_at: Option<Time>,
    /// The last of them.
    pub last_event: Option<EventId>,
    /// The time from the newest event of the step before it, in microseconds: only if it came
    /// after that one.
    pub after_previous_us: Option<u64>,
    /// How long that may take, in microseconds.
    pub limit_us: Option<u64>,
    /// It took, or has been taking by now, longer than it may.
    pub late: bool,
}

/// A count and its times, while the log is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Came {
    pub(super) count: u64,
    pub(super) first_at: Option<Time>,
    pub(super) last: Option<(Time, EventId)>,
}

impl Came {
    pub(super) fn note(&mut self, logged: &Logged) {
        self.count += 1;
        self.first_at.get_or_insert(logged.committed_at);
        self.last = Some((logged.committed_at, logged.event.id));
    }
}

/// Reads every event of a pipeline's types since then, oldest first; whether the bound was met.
pub(super) fn read(
    store: &dyn Store,
    pipeline: &Pipeline,
    since: Time,
    mut each: impl FnMut(usize, &Logged),
) -> Result<bool, Error> {
    let mut from: Option<Seq> = None;
    let mut looked = 0;
    loop {
        let page = Page {
            types: pipeline.steps().to_vec(),
            since: Some(since),
            from,
            limit: PAGE_EVENTS,
            ..Page::default()
        };
        let events = store.list(page).wait()?;
        for logged in &events {
            if let Some(step) = pipeline.index_of(&logged.event.event_type) {
                each(step, logged);
            }
        }
        looked += events.len() as u64;
        match events.last() {
            Some(last) if events.len() == PAGE_EVENTS => from = last.event.seq,
            _ => return Ok(false),
        }
        if looked >= LOOKED_AT_MAX {
            return Ok(true);
        }
    }
}

/// The flow of a key.
pub(super) fn of(
    store: &dyn Store,
    pipeline: &Pipeline,
    key: &str,
    since: Time,
    now: Time,
) -> Result<Flow, Error> {
    let mut came = vec![Came::default(); pipeline.steps().len()];
    let cut = read(store, pipeline, since, |step, logged| {
        if pipeline.key_of(&logged.event.payload).as_deref() == Some(key) {
            came[step].note(logged);
        }
    })?;
    let steps: Vec<StepFlow> = (0..came.len())
        .map(|index| step_flow(pipeline, &came, index, now))
        .collect();
    Ok(Flow {
        pipeline: pipeline.name().to_owned(),
        key: key.to_owned(),
        since,
        complete: steps.iter().all(|step| step.count > 0),
        steps,
        cut,
    })
}

fn step_flow(pipeline: &Pipeline, came: &[Came], index: usize, now: Time) -> StepFlow {
    let own = &came[index];
    let previous = index.checked_sub(1).and_then(|before| came[before].last);
    let limit = pipeline.limit_of(index);
    let (last_at, previous_at) = (own.last.map(|(at, _)| at), previous.map(|(at, _)| at));
    let gap = match (previous_at, last_at) {
        (Some(before), Some(after)) if after >= before => Some(after.since(before)),
        _ => None,
    };
    let takes = match (previous_at, gap) {
        (_, Some(gap)) => Some(gap),
        (Some(before), None) => Some(now.since(before)),
        (None, None) => None,
    };
    StepFlow {
        event_type: pipeline.steps()[index].clone(),
        count: own.count,
        first_at: own.first_at,
        last_at,
        last_event: own.last.map(|(_, id)| id),
        after_previous_us: gap.map(micros),
        limit_us: limit.map(micros),
        late: matches!((takes, limit), (Some(takes), Some(limit)) if takes > limit),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
