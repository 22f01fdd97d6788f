//! Past events once more, for one subscription alone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::preview::{Counted, Selection, count};
use crate::catalog::filter::Filter;
use crate::clock::Clock;
use crate::event::{EventType, Seq, bounded_by};
use crate::store::log::Page;
use crate::store::registry::{Fact, FactFilter};
use crate::store::subscriptions::{SubscriptionId, SubscriptionState};
use crate::store::{Error, ErrorCode, Store};
use crate::verdict::Code;

/// Events a second unless it is said: a handler gets its own new events beside them.
pub const PER_SECOND: u32 = 100;

/// Most facts that are looked through for where a run stood.
const FACTS_MAX: usize = 10_000;

/// Longest single wait between two events: whoever interrupts is heard soon.
const WAIT_MAX: Duration = Duration::from_millis(200);

/// The act that a run begins with.
const BEGIN: &str = "replay.begin";

/// What to replay.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Only these types; none is every type that the subscription takes.
    pub types: Vec<EventType>,
    /// Only events whose payload meets this filter.
    pub filter: Option<String>,
    /// Only events committed since then.
    pub since: Option<crate::clock::Time>,
    /// At most so many a second; none is as fast as the store takes them.
    pub per_second: Option<u32>,
}

/// One run: what it replays, up to where the log went when it was made, and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Names the run, to go on with it.
    pub run: String,
    /// Whose deliveries.
    pub subscription: SubscriptionId,
    /// Its name.
    pub name: String,
    types: Vec<EventType>,
    filter: Option<String>,
    per_second: Option<u32>,
    /// What it replays lies after this place.
    pub after: Seq,
    /// And up to this one.
    pub to: Seq,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Events replayed by this call.
    pub replayed: u64,
    /// The place it stands at.
    pub at: Seq,
}

impl Replay {
    /// A run over what is in the log now. Nothing is written yet.
    ///
    /// # Errors
    /// The store's.
    pub fn new(
        store: &dyn Store,
        clock: &dyn Clock,
        state: &SubscriptionState,
        request: Request,
    ) -> Result<Replay, Error> {
        let to = store.head().wait()?.seq;
        let page = Page {
            since: request.since,
            limit: 1,
            ..Page::default()
        };
        let first = store.list(page).wait()?;
        let first = first.first().and_then(|logged| logged.event.seq);
        Ok(Replay {
            run: format!("{:08x}", clock.random() >> 32),
            subscription: state.id,
            name: state.current().name.clone(),
            types: request.types,
            filter: request.filter,
            per_second: request.per_second,
            after: first.map_or(to, |seq| Seq(seq.0 - 1)),
            to,
        })
    }

    /// A run that was begun before, standing after the last event it replayed.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] if no run goes by that name; [`ErrorCode::WrongState`] if so much
    /// was replayed since that its place cannot be told.
    pub fn resume(store: &dyn Store, run: &str) -> Result<Replay, Error> {
        let acts = FactFilter {
            acts_only: true,
            limit: FACTS_MAX,
            ..FactFilter::default()
        };
        let begun = store.facts(acts).wait()?;
        let mut replay = begun
            .iter()
            .filter(|fact| fact.act.as_ref().is_some_and(|(_, act)| act == BEGIN))
            .filter_map(|fact| serde_json::from_str::<Replay>(&fact.evidence).ok())
            .find(|replay| replay.run == run)
            .ok_or_else(|| {
                Error::new(ErrorCode::NotFound, format!("no replay goes by {run:?}"))
                    .with_next("ringrift replay --help")
            })?;
        let done = FactFilter {
            subscription: Some(replay.subscription),
            codes: vec![Code::StReplayedAs],
            limit: FACTS_MAX,
            ..FactFilter::default()
        };
        let done = store.facts(done).wait()?;
        let own = |fact: &&Fact| {
            let by = fact.act.as_ref().map(|(by, _)| by.as_str());
            by.is_some_and(|by| by.starts_with(&replay.mark()))
        };
        let last = done.iter().filter(own).filter_map(|fact| fact.seq).max();
        if last.is_none() && done.len() >= FACTS_MAX {
            let text = format!("so much was replayed since that the place of {run} cannot be told");
            return Err(Error::new(ErrorCode::WrongState, text).with_next("ringrift subs ls"));
        }
        replay.after = replay.after.max(last.unwrap_or_default());
        Ok(replay)
    }

    /// What is left of it, by type.
    ///
    /// # Errors
    /// The store's.
    pub fn preview(&self, store: &dyn Store, state: &SubscriptionState) -> Result<Counted, Error> {
        count(store, &self.selection(state)?, (self.after, self.to))
    }

    /// Notes the beginning, so that the run can be gone on with. Once a run.
    ///
    /// # Errors
    /// The store's.
    pub fn begin(&self, store: &dyn Store, clock: &dyn Clock, by: &str) -> Result<(), Error> {
        let fact = Fact {
            at: clock.now(),
            code: None,
            event: None,
            seq: None,
            seq_to: None,
            event_type: None,
            subscription: Some(self.subscription),
            generation: None,
            process: Some(store.process()),
            act: Some((bounded_by(by), BEGIN.to_owned())),
            // Plain strings and numbers: nothing in it that cannot be written as JSON.
            evidence: serde_json::to_string(self).unwrap_or_default(),
        };
        store.record(vec![fact]).wait()
    }

    /// Replays what is left, in log order, at its pace; says each step, and ends early when the
    /// answer is `false`. Blocks until then. Each event is one transaction that names the run, so
    /// an end at any moment loses and repeats nothing. One caller at a time.
    ///
    /// # Errors
    /// The store's; what was replayed stays.
    pub fn run(
        &self,
        store: &dyn Store,
        clock: &dyn Clock,
        state: &SubscriptionState,
        by: &str,
        mut step: impl FnMut(Progress) -> bool,
    ) -> Result<Progress, Error> {
        let selection = self.selection(state)?;
        let by = bounded_by(&format!("{}{by}", self.mark()));
        let began = clock.monotonic();
        let mut progress = Progress {
            replayed: 0,
            at: self.after,
        };
        while progress.at < self.to {
            let (events, read_to) = selection.read(store, progress.at, self.to)?;
            for event in events {
                let seq = event.seq.unwrap_or_default();
                self.pace(store, clock, began, progress.replayed);
                match store.replay(self.subscription, seq, by.clone()).wait() {
                    Ok(_) => progress.replayed += 1,
                    // Retention or an operator took it meanwhile.
                    Err(error) if error.code == ErrorCode::NotFound => {}
                    Err(error) => return Err(error),
                }
                progress.at = seq;
                if !step(progress) {
                    return Ok(progress);
                }
            }
            progress.at = read_to;
        }
        Ok(progress)
    }

    fn pace(&self, store: &dyn Store, clock: &dyn Clock, began: Duration, replayed: u64) {
        let Some(per_second) = self.per_second.filter(|rate| *rate > 0) else {
            return;
        };
        let micros = replayed.saturating_mul(1_000_000) / u64::from(per_second);
        let due = began + Duration::from_micros(micros);
        let mut seen = 0;
        loop {
            let left = due.saturating_sub(clock.monotonic());
            if left.is_zero() {
                return;
            }
            // The doorbell may end it early, which is why it is a loop.
            seen = store.wait_for_news(seen, left.min(WAIT_MAX));
        }
    }

    fn selection(&self, state: &SubscriptionState) -> Result<Selection, Error> {
        let filter = self.filter.as_deref().map(Filter::parse).transpose();
        let filter = filter.map_err(|error| {
            let text = format!("the filter of replay {} cannot be read: {error}", self.run);
            Error::new(ErrorCode::WrongState, text)
        })?;
        Selection::new(state, self.types.clone(), filter)
    }

    /// What the acts of this run begin with.
    fn mark(&self) -> String {
        format!("replay {} by ", self.run)
    }
}
