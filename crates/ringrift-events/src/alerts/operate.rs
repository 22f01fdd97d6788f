//! What operators ask of alerts and do with them, for library, command and Python alike.

use std::sync::Arc;

use serde::Serialize;

use super::error::Error;
use super::judge::AlertRules;
use super::rule::Rule;
use super::sink::{Means, Sink};
use crate::catalog::nearest_words;
use crate::clock::{SharedClock, Time};
use crate::log::EventLog;
use crate::store::Store;
use crate::store::watching::{
    Alert, AlertAct, AlertFilter, AlertId, AlertState, Message, MessageReport, Severity, Silence,
    SinkState,
};

/// The alerts of a home.
#[derive(Clone)]
pub struct Alerts {
    store: Arc<dyn Store>,
    rules: Arc<AlertRules>,
    log: EventLog,
    clock: SharedClock,
}

/// What came of the test of one sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tested {
    /// Its name.
    pub sink: String,
    /// What it is.
    pub what: String,
    /// Why the test message did not get through; none if it did.
    pub error: Option<String>,
}

impl Alerts {
    /// The alerts of `store` by these rules.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        rules: Arc<AlertRules>,
        log: EventLog,
        clock: SharedClock,
    ) -> Alerts {
        Alerts {
            store,
            rules,
            log,
            clock,
        }
    }

    /// Alerts, newest first.
    ///
    /// # Errors
    /// The store's.
    pub fn list(&self, filter: AlertFilter) -> Result<Vec<Alert>, Error> {
        Ok(self.store.alerts(filter).wait()?)
    }

    /// The rules that are in force.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules.rules
    }

    /// The sinks that there are.
    #[must_use]
    pub fn sinks(&self) -> &[Sink] {
        &self.rules.sinks
    }

    /// Who is told of alerts of a rule.
    #[must_use]
    pub fn sinks_of(&self, rule: &Rule) -> Vec<String> {
        self.rules.sinks_of(rule)
    }

    /// How each sink has done, by name; one that never had a message is not among them.
    ///
    /// # Errors
    /// The store's.
    pub fn sink_states(&self) -> Result<Vec<SinkState>, Error> {
        Ok(self.store.sinks().wait()?)
    }

    /// Says that somebody knows of these alerts. Answers those it changed.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a number that no alert bears: nothing is changed then.
    pub fn ack(&self, ids: &[AlertId], by: &str) -> Result<Vec<AlertId>, Error> {
        self.act(ids, AlertAct::Ack, by)
    }

    /// Says that these alerts are over; what was not sent of them will not be. Answers those it
    /// changed.
    ///
    /// # Errors
    /// As [`Alerts::ack`].
    pub fn resolve(&self, ids: &[AlertId], by: &str) -> Result<Vec<AlertId>, Error> {
        self.act(ids, AlertAct::Resolve, by)
    }

    fn act(&self, ids: &[AlertId], act: AlertAct, by: &str) -> Result<Vec<AlertId>, Error> {
        let filter = AlertFilter {
            ids: ids.to_vec(),
            limit: ids.len(),
            ..AlertFilter::default()
        };
        let known = self.store.alerts(filter).wait()?;
        if let Some(id) = ids
            .iter()
            .find(|id| !known.iter().any(|alert| alert.id == **id))
        {
            return Err(Error::Unknown {
                kind: "alert",
                name: id.0.to_string(),
                nearest: None,
            });
        }
        let by = by.to_owned();
        Ok(self.store.act_on_alerts(ids.to_vec(), act, by).wait()?)
    }

    /// Keeps alerts from being sent until then: of one rule or all, of one part or all. They are
    /// raised all the same. Answers the silence's number.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a rule that there is not.
    pub fn silence(
        &self,
        rule: Option<&str>,
        part: Option<&str>,
        until: Time,
        by: &str,
        why: &str,
    ) -> Result<i64, Error> {
        if let Some(rule) = rule {
            self.check_rule(rule)?;
        }
        let silence = Silence {
            id: 0,
            rule: rule.map(str::to_owned),
            group: part.map(str::to_owned),
            until,
            made_at: self.clock.now(),
            by: by.to_owned(),
            why: why.to_owned(),
        };
        Ok(self.store.silence(silence).wait()?)
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// [`Error::Unknown`] if none of this number holds.
    pub fn unsilence(&self, id: i64, by: &str) -> Result<(), Error> {
        if self.store.unsilence(id, by.to_owned()).wait()? {
            return Ok(());
        }
        Err(Error::Unknown {
            kind: "silence",
            name: id.to_string(),
            nearest: None,
        })
    }

    /// The silences that hold now.
    ///
    /// # Errors
    /// The store's.
    pub fn silences(&self) -> Result<Vec<Silence>, Error> {
        Ok(self.store.silences().wait()?)
    }

    /// Sends a test message to one sink, or to each, from this process; blocks at most the time-out
    /// for each. How it went is kept with the sink.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a sink that there is not.
    pub fn test(&self, sink: Option<&str>) -> Result<Vec<Tested>, Error> {
        let chosen = |one: &&Sink| sink.is_none_or(|name| one.name == name);
        let sinks: Vec<&Sink> = self.rules.sinks.iter().filter(chosen).collect();
        if let (Some(name), true) = (sink, sinks.is_empty()) {
            let known = self.rules.sinks.iter().map(|one| one.name.as_str());
            return Err(unknown("sink", name, known));
        }
        let incarnation = self.store.head().wait()?.incarnation;
        sinks
            .into_iter()
            .map(|sink| self.test_one(sink, incarnation))
            .collect()
    }

    fn test_one(&self, sink: &Sink, incarnation: u64) -> Result<Tested, Error> {
        let send = &self.rules.send;
        let means = Means {
            log: &self.log,
            clock: &*self.clock,
            home: &send.home,
            timeout: send.timeout,
            incarnation,
        };
        let now = self.clock.now();
        let error = sink.send(&test_message(sink, now), &means).err();
        let error = error.map(|error| error.why);
        let report = MessageReport {
            alert: None,
            sink: sink.name.clone(),
            attempts_seen: 0,
            error: error.clone(),
            retry_at: None,
        };
        self.store.report_message(report).wait()?;
        Ok(Tested {
            sink: sink.name.clone(),
            what: sink.what(),
            error,
        })
    }

    fn check_rule(&self, name: &str) -> Result<(), Error> {
        let own = self.rules.rules.iter().map(|rule| rule.name.as_str());
        let mut known = own.chain([crate::pipeline::STALLED_RULE]);
        if known.clone().any(|rule| rule == name) {
            return Ok(());
        }
        Err(unknown("rule", name, &mut known))
    }
}

fn unknown<'k>(kind: &'static str, name: &str, known: impl Iterator<Item = &'k str>) -> Error {
    Error::Unknown {
        kind,
        name: name.chars().take(200).collect(),
        nearest: nearest_words(name, known).map(str::to_owned),
    }
}

/// The number of a test stands for its moment: two tests of one file are two lines.
fn test_message(sink: &Sink, now: Time) -> Message {
    Message {
        alert: Alert {
            id: AlertId(-now.0),
            rule: "TEST".to_owned(),
            group: String::new(),
            severity: Severity::Info,
            state: AlertState::Open,
            summary: format!("a test of the sink {}: nothing happened", sink.name),
            evidence: serde_json::json!({ "next": "ringrift alerts ls" }).to_string(),
            event: None,
            seq: None,
            last_event: None,
            count: 1,
            opened_at: now,
            last_at: now,
            acked: None,
            resolved: None,
            silenced: None,
            sends: Vec::new(),
        },
        sink: sink.name.clone(),
        resolved: false,
        attempts: 0,
        due: now,
    }
}
