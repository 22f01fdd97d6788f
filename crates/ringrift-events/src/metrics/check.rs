//! One number against two limits, for monitoring systems.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ask::{Ask, By};
use super::failures::failures;
use super::lag::{LagRow, lag};
use super::standing::Standing;
use crate::clock::Clock;
use crate::store::{Error, Store};

/// What can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Events that somebody still owes.
    Backlog,
    /// Dead letters.
    Dlq,
    /// Seconds by which the latest durable subscription is behind.
    Lag,
    /// Failed attempts in the time asked for.
    Failures,
    /// Daemons that should run and do not.
    Daemons,
    /// Processes whose heartbeat stopped.
    Processes,
    /// Durable subscriptions that owe events which no live process takes.
    Hosts,
    /// Bytes of the WAL.
    Wal,
    /// Everything above at its own limits: how many of them were met.
    Health,
}

impl Measure {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Measure::Backlog => "backlog",
            Measure::Dlq => "dlq",
            Measure::Lag => "lag",
            Measure::Failures => "failures",
            Measure::Daemons => "daemons",
            Measure::Processes => "processes",
            Measure::Hosts => "hosts",
            Measure::Wal => "wal",
            Measure::Health => "health",
        }
    }

    /// Its unit as monitoring plugins write it: `s`, `B` or nothing.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Measure::Lag => "s",
            Measure::Wal => "B",
            Measure::Backlog
            | Measure::Dlq
            | Measure::Failures
            | Measure::Daemons
            | Measure::Processes
            | Measure::Hosts
            | Measure::Health => "",
        }
    }
}

/// How a number stands to its limits. The numbers are the exit codes of monitoring plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Within both.
    Ok,
    /// Over the lower one.
    Warning,
    /// Over the higher one.
    Critical,
    /// It could not be measured.
    Unknown,
}

impl Level {
    /// The exit code: 0 to 3.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Level::Ok => 0,
            Level::Warning => 1,
            Level::Critical => 2,
            Level::Unknown => 3,
        }
    }

    /// The word in capitals, as monitoring plugins write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
            Level::Unknown => "UNKNOWN",
        }
    }
}

/// Two limits: a number above one of them has met it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// Above this it is a warning.
    pub warn: f64,
    /// Above this it is critical; none: never.
    pub crit: Option<f64>,
}

impl Limits {
    /// How a number stands to them.
    #[must_use]
    pub fn level(&self, value: f64) -> Level {
        if self.crit.is_some_and(|crit| value > crit) {
            return Level::Critical;
        }
        if value > self.warn {
            return Level::Warning;
        }
        Level::Ok
    }
}

/// The limits of every measure, as they are set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CheckRules {
    /// Pending events.
    pub backlog: Limits,
    /// Dead letters.
    pub dlq: Limits,
    /// Seconds.
    pub lag: Limits,
    /// Failed attempts.
    pub failures: Limits,
    /// Bytes.
    pub wal: Limits,
    /// How long one measure may read.
    pub time_limit: Duration,
}

impl CheckRules {
    /// The limits of one measure. What should not be at all has none to set: one is critical, a
    /// subscription without a process a warning.
    #[must_use]
    pub fn limits(&self, measure: Measure) -> Limits {
        let none = Limits {
            warn: 0.0,
            crit: Some(0.0),
        };
        match measure {
            Measure::Backlog => self.backlog,
            Measure::Dlq => self.dlq,
            Measure::Lag => self.lag,
            Measure::Failures => self.failures,
            Measure::Wal => self.wal,
            Measure::Hosts => Limits {
                warn: 0.0,
                crit: None,
            },
            Measure::Daemons | Measure::Processes | Measure::Health => none,
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// What.
    pub check: Measure,
    /// How it stands.
    pub level: Level,
    /// The number; none when it could not be had.
    pub value: Option<f64>,
    /// The limits it was held against.
    pub limits: Limits,
    /// One sentence.
    pub message: String,
    /// What the number is made of, worst first, at most ten.
    pub details: Vec<String>,
}

/// Most details of one answer.
const DETAILS_MAX: usize = 10;

/// What a check is about.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckAsk {
    /// What to measure.
    pub measure: Measure,
    /// Limits of its own; none: those that are set.
    pub limits: Option<Limits>,
    /// Only this durable subscription, for `lag`.
    pub subscription: Option<String>,
    /// How far back `failures` looks.
    pub since: Duration,
}

/// Measures and judges. Bounded by the time limit of `rules` for each measure.
///
/// # Errors
/// The store's. Whoever asks for monitoring calls that unknown.
pub fn check(
    store: &dyn Store,
    clock: &dyn Clock,
    rules: &CheckRules,
    ask: &CheckAsk,
) -> Result<Checked, Error> {
    if ask.measure == Measure::Health {
        return health(store, clock, rules, ask);
    }
    let limits = ask.limits.unwrap_or_else(|| rules.limits(ask.measure));
    let found = measured(store, clock, rules, ask)?;
    let mut level = limits.level(found.value);
    // A cut number is too small: that it is within its limits is then not known.
    if found.cut && level != Level::Critical {
        level = Level::Unknown;
    }
    let mut details = found.details;
    details.truncate(DETAILS_MAX);
    Ok(Checked {
        check: ask.measure,
        level,
        value: Some(found.value),
        limits,
        message: found.message,
        details,
    })
}

/// A number and what it is made of.
struct Found {
    value: f64,
    cut: bool,
    message: String,
    details: Vec<String>,
}

fn found(count: u64, what: &str, details: Vec<String>) -> Found {
    Found {
        value: super::series::float(count),
        cut: false,
        message: format!("{what}: {count}"),
        details,
    }
}

fn measured(
    store: &dyn Store,
    clock: &dyn Clock,
    rules: &CheckRules,
    ask: &CheckAsk,
) -> Result<Found, Error> {
    let listed = |names: Vec<String>, what: &str| found(names.len() as u64, what, names);
    Ok(match ask.measure {
        Measure::Backlog => found(store.count_pending().wait()?, "pending events", Vec::new()),
        Measure::Dlq => found(store.figures().wait()?.letters, "dead letters", Vec::new()),
        Measure::Lag => behind(store, clock, rules, ask.subscription.as_deref())?,
        Measure::Failures => failed(store, clock, rules, ask.since)?,
        Measure::Daemons => listed(Standing::look(store)?.daemons, "daemons that do not run"),
        Measure::Processes => listed(Standing::look(store)?.hung, "processes that hang"),
        Measure::Hosts => listed(
            Standing::look(store)?.unhosted,
            "durable subscriptions that owe events, without a process",
        ),
        Measure::Wal => found(
            store.figures().wait()?.wal_bytes,
            "bytes of WAL",
            Vec::new(),
        ),
        // Made of the others; asked for there.
        Measure::Health => found(0, "measures over their limits", Vec::new()),
    })
}

fn behind(
    store: &dyn Store,
    clock: &dyn Clock,
    rules: &CheckRules,
    only: Option<&str>,
) -> Result<Found, Error> {
    let now = clock.now();
    let mut ask = Ask::new(now, now, 1, By::Subscription);
    ask.time_limit = rules.time_limit;
    ask.lines_max = usize::MAX;
    let mut lines = lag(store, clock, &ask)?.lines;
    lines.retain(|line| only.is_none_or(|name| line.name == name));
    // The age of the oldest event is known whether or not all behind it were counted.
    let value = lines.first().map_or(0.0, |line| line.seconds);
    let text = |line: &LagRow| {
        let least = if line.exact { "" } else { "at least " };
        format!(
            "{} is {:.1} s and {least}{} events behind",
            line.name, line.seconds, line.events
        )
    };
    let late = lines.iter().filter(|line| line.events > 0);
    let details: Vec<String> = late.map(text).collect();
    Ok(Found {
        value,
        cut: false,
        message: details
            .first()
            .cloned()
            .unwrap_or_else(|| "nothing is behind".to_owned()),
        details,
    })
}

fn failed(
    store: &dyn Store,
    clock: &dyn Clock,
    rules: &CheckRules,
    since: Duration,
) -> Result<Found, Error> {
    let now = clock.now();
    let mut ask = Ask::new(now.before(since), now, 1, By::Subscription);
    ask.time_limit = rules.time_limit;
    let chart = failures(store, clock, &ask)?;
    let details = chart
        .lines
        .iter()
        .map(|line| format!("{}: {}", line.name, line.total));
    Ok(Found {
        cut: chart.cut.is_some(),
        ..found(chart.total.total, "failed attempts", details.collect())
    })
}

/// Every other measure at its own limits, pipelines that stand still, and what is unusual about
/// the store; the worst decides.
fn health(
    store: &dyn Store,
    clock: &dyn Clock,
    rules: &CheckRules,
    ask: &CheckAsk,
) -> Result<Checked, Error> {
    let mut details: Vec<(Level, String)> = Vec::new();
    for measure in [
        Measure::Daemons,
        Measure::Processes,
        Measure::Hosts,
        Measure::Dlq,
        Measure::Wal,
        Measure::Lag,
        Measure::Backlog,
    ] {
        let one = CheckAsk {
            measure,
            limits: None,
            subscription: None,
            since: ask.since,
        };
        let checked = check(store, clock, rules, &one)?;
        if checked.level != Level::Ok {
            details.push((
                checked.level,
                format!("{}: {}", measure.as_str(), checked.message),
            ));
        }
    }
    let standing = Standing::look(store)?;
    let stalled = standing.stalled.into_iter();
    details.extend(stalled.map(|one| (Level::Critical, one)));
    let notes = standing.notes.into_iter();
    details.extend(notes.map(|note| (Level::Warning, note)));
    details.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    let worst = details.first().map_or(Level::Ok, |(level, _)| *level);
    let texts: Vec<String> = details.into_iter().map(|(_, text)| text).collect();
    Ok(Checked {
        check: Measure::Health,
        level: worst,
        value: Some(super::series::float(texts.len() as u64)),
        limits: rules.limits(Measure::Health),
        message: match texts.first() {
            None => "all is well".to_owned(),
            Some(_) => texts.join("; "),
        },
        details: texts.into_iter().take(DETAILS_MAX).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_meets_a_limit_when_it_is_above_it() {
        let limits = Limits {
            warn: 10.0,
            crit: Some(20.0),
        };
        let levels = [10.0, 10.5, 20.0, 20.5].map(|value| limits.level(value));
        assert_eq!(
            levels,
            [Level::Ok, Level::Warning, Level::Warning, Level::Critical]
        );
        let never = Limits {
            warn: 0.0,
            crit: None,
        };
        assert_eq!(never.level(f64::MAX), Level::Warning);
        assert_eq!(Level::Unknown.code(), 3);
    }
}
