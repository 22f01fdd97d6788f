//! What the watchers of a home keep between two looks: how far they have read, what they remember,
//! the alerts they raised, and what of them is still to be sent.
//!
//! One step of a watcher is one transaction: its place, its marks and its alerts change together or
//! not at all, and only if no other process made a step since. So an alert is raised once, whoever
//! hosts the watcher and whenever its process dies.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Pending;
use crate::clock::Time;
use crate::event::{EventId, Seq};

/// An alert's number.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default,
)]
pub struct AlertId(pub i64);

/// How bad it is, mildest first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look soon.
    Warning,
    /// Somebody must act now.
    #[default]
    Critical,
}

impl Severity {
    /// Every severity, mildest first.
    pub const ALL: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Critical];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }

    /// The severity of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Nobody has answered it.
    Open,
    /// Somebody knows; what repeats is counted and not sent again.
    Acked,
    /// It is over.
    Resolved,
}

impl AlertState {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            AlertState::Open => "open",
            AlertState::Acked => "acked",
            AlertState::Resolved => "resolved",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<AlertState> {
        [AlertState::Open, AlertState::Acked, AlertState::Resolved]
            .into_iter()
            .find(|one| one.as_str() == word)
    }
}

/// What an occurrence does where its rule has an alert already that is not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    /// It is an alert of its own.
    Never,
    /// It adds to the newest one of its group, if that one's last occurrence is not older than this.
    Within(Duration),
    /// It adds to the newest one of its group.
    Open,
    /// It adds to the newest one of its rule, whatever the group: what a storm comes to.
    OpenOfRule,
}

/// An occurrence that deserves an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// The rule's name.
    pub rule: String,
    /// What of the rule: a key, a subscription, a step; empty when it has no parts.
    pub group: String,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence.
    pub summary: String,
    /// Evidence, JSON.
    pub evidence: String,
    /// The event that brought it about, if one did.
    pub event: Option<(EventId, Seq)>,
    /// When it happened.
    pub at: Time,
    /// What it does to an alert that stands.
    pub fold: Fold,
    /// Who is told of a new alert, unless it is silenced.
    pub sinks: Vec<String>,
}

/// One change to the alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertChange {
    /// Something happened.
    Raise(Raise),
    /// It is over: the alerts of this rule and group are resolved, and these sinks are told.
    Resolve {
        /// The rule's name.
        rule: String,
        /// The group.
        group: String,
        /// Why, in words.
        why: String,
        /// Who is told.
        sinks: Vec<String>,
    },
    /// The alerts of these rules without an occurrence since `before` are resolved.
    Forget {
        /// The rules' names.
        rules: Vec<String>,
        /// The moment.
        before: Time,
    },
}

/// One step of a watcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchStep {
    /// Whose.
    pub watcher: String,
    /// The count of steps that it knew; another one's step in between refuses this one.
    pub seen: u64,
    /// Up to where it has read now.
    pub place: Seq,
    /// What it remembers from now on; `None` forgets.
    pub marks: Vec<(String, Option<String>)>,
    /// What becomes of the alerts, in order.
    pub changes: Vec<AlertChange>,
}

/// What a watcher had kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Up to where it has read.
    pub place: Seq,
    /// How many steps it made.
    pub steps: u64,
    /// What it remembers, by name.
    pub marks: Vec<(String, String)>,
}

/// How one sink stands with one alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendState {
    /// The sink's name.
    pub sink: String,
    /// Whether it tells the end of the alert.
    pub resolved: bool,
    /// `due`, `sent`, `failed`, `silenced`, or `resolved` if that came first.
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What the last try said.
    pub error: Option<String>,
}

/// An alert as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its number.
    pub id: AlertId,
    /// Its rule's name.
    pub rule: String,
    /// What of the rule; empty when it has no parts.
    pub group: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub state: AlertState,
    /// One sentence.
    pub summary: String,
    /// Evidence, JSON, of its first occurrence.
    pub evidence: String,
    /// The event that brought it about.
    pub event: Option<EventId>,
    /// That event's place.
    pub seq: Option<Seq>,
    /// The newest event that added to it.
    pub last_event: Option<EventId>,
    /// How often it happened.
    pub count: u64,
    /// When it happened first.
    pub opened_at: Time,
    /// When it happened last.
    pub last_at: Time,
    /// When somebody acknowledged it, and who.
    pub acked: Option<(Time, String)>,
    /// When it was over, and by whom or why.
    pub resolved: Option<(Time, String)>,
    /// The silence that kept it from being sent, by number.
    pub silenced: Option<i64>,
    /// Who is, was, or is to be told.
    pub sends: Vec<SendState>,
}

/// Which alerts; every field narrows.
#[derive(Clone, Debug, Default)]
pub struct AlertFilter {
    /// These numbers only; empty means all.
    pub ids: Vec<AlertId>,
    /// Of this rule.
    pub rule: Option<String>,
    /// Those that are not resolved.
    pub unresolved: bool,
    /// With an occurrence at or after.
    pub since: Option<Time>,
    /// At most so many, newest first; at most [`ALERTS_READ_MAX`].
    pub limit: usize,
}

/// The rule of the alerts of pipelines that stand still.
pub const STALLED_RULE: &str = "PIPELINE_STALLED";

impl AlertFilter {
    /// The newest alerts of pipelines that stand still, at most so many.
    #[must_use]
    pub fn stalled(limit: usize) -> AlertFilter {
        AlertFilter {
            rule: Some(STALLED_RULE.to_owned()),
            unresolved: true,
            limit,
            ..AlertFilter::default()
        }
    }
}

/// Most alerts of one answer.
pub const ALERTS_READ_MAX: usize = 10_000;

/// Resolved alerts that are kept; the oldest go when new ones come.
pub const ALERTS_KEPT_MAX: i64 = 10_000;

/// What an operator does to alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertAct {
    /// Somebody knows of it.
    Ack,
    /// It is over.
    Resolve,
}

impl AlertAct {
    /// The word of the audit.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            AlertAct::Ack => "alerts.ack",
            AlertAct::Resolve => "alerts.resolve",
        }
    }
}

/// A time in which alerts are raised but not sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its number; 0 before it is made.
    pub id: i64,
    /// The rule; none means every rule.
    pub rule: Option<String>,
    /// The group; none means every group.
    pub group: Option<String>,
    /// When it ends.
    pub until: Time,
    /// When it was made; the store's clock.
    pub made_at: Time,
    /// Who made it.
    pub by: String,
    /// Why.
    pub why: String,
}

impl Silence {
    /// Whether it holds for an alert of this rule and group now.
    #[must_use]
    pub fn covers(&self, rule: &str, group: &str, now: Time) -> bool {
        self.until > now
            && self.rule.as_deref().is_none_or(|own| own == rule)
            && self.group.as_deref().is_none_or(|own| own == group)
    }
}

/// A message that a sink is to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The alert as it stands.
    pub alert: Alert,
    /// The sink's name.
    pub sink: String,
    /// It tells the end of the alert, not its beginning.
    pub resolved: bool,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is to be tried next.
    pub due: Time,
}

/// What came of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageReport {
    /// The alert, and whether its end was told; none for a test of the sink.
    pub alert: Option<(AlertId, bool)>,
    /// The sink's name.
    pub sink: String,
    /// The tries before this one; another number refuses the report.
    pub attempts_seen: u32,
    /// Why it failed; none if it was sent.
    pub error: Option<String>,
    /// When to try again after a failure; none gives it up.
    pub retry_at: Option<Time>,
}

/// How a sink has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkState {
    /// Its name.
    pub sink: String,
    /// When it last took a message.
    pub ok_at: Option<Time>,
    /// When it last failed.
    pub failed_at: Option<Time>,
    /// Failures since it last took one.
    pub failures: u64,
    /// What the last failure said.
    pub error: Option<String>,
    /// Messages given up since the home was made.
    pub given_up: u64,
}

/// The verbs of watchers and of those who answer alerts.
pub trait Watching: Send + Sync {
    /// What a watcher has kept; a watcher that never kept anything begins at the log's start.
    fn watched(&self, watcher: String) -> Pending<Watched>;

    /// Makes one step: all of it in one transaction. `None` if the count of steps is another one
    /// than it knew: then nothing changes, and the watcher reads [`Watching::watched`] again. Else
    /// the alerts that are new. An alert that a silence covers is raised and not sent.
    fn keep_watch(&self, step: WatchStep) -> Pending<Option<Vec<AlertId>>>;

    /// Alerts, newest first.
    fn alerts(&self, filter: AlertFilter) -> Pending<Vec<Alert>>;

    /// Does it to each of them that it changes, and answers those. An unknown number changes
    /// nothing. Resolving takes back what has not been sent. Kept as an act.
    fn act_on_alerts(&self, ids: Vec<AlertId>, act: AlertAct, by: String) -> Pending<Vec<AlertId>>;

    /// Begins a silence and answers its number; messages that it covers and that are not sent yet
    /// are taken back. Ended silences older than [`super::log::IDEMPOTENCY_WINDOW`] go. Kept as an act.
    fn silence(&self, silence: Silence) -> Pending<i64>;

    /// Ends a silence; `false` if it had ended or never was. Kept as an act.
    fn unsilence(&self, id: i64, by: String) -> Pending<bool>;

    /// The silences that hold now, oldest first.
    fn silences(&self) -> Pending<Vec<Silence>>;

    /// The messages that wait, the soonest due first; at most `limit`. Reads only.
    fn waiting_messages(&self, limit: usize) -> Pending<Vec<Message>>;

    /// Keeps what came of one try, of its message and of its sink. `false` if the message was
    /// tried by somebody else meanwhile or waits no more: then only the sink's part is kept.
    fn report_message(&self, report: MessageReport) -> Pending<bool>;

    /// How each sink has done, by name.
    fn sinks(&self) -> Pending<Vec<SinkState>>;
}
