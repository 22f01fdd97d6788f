//! One subscription as scripts read it, and as a row for people.

use ringrift_events::event::Seq;
use ringrift_events::store::log::TypeSet;
use ringrift_events::store::subscriptions::{Kind, SubscriptionState};
use serde::Serialize;

use crate::call::Call;
use crate::output::{Cell, Moment, PREVIEW_CHARS, Paint, one_line};
use crate::resolve::short;

/// One subscription.
#[derive(Debug, Serialize)]
pub(crate) struct SubscriptionRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The types' canonical values; empty means all.
    pub(crate) types: Vec<String>,
    pub(crate) filter: Option<String>,
    pub(crate) dedup: Vec<String>,
    pub(crate) ordered_by_key: bool,
    /// `running`, `paused`, `old version`, `no process` or `ended`.
    pub(crate) state: &'static str,
    pub(crate) version: i64,
    pub(crate) generation: i64,
    /// Everything up to here is claimed or passed.
    pub(crate) cursor: i64,
    /// Everything up to here is settled.
    pub(crate) settled: i64,
    /// Places of the log after `settled`: at least as many as the events it owes.
    pub(crate) behind: i64,
    pub(crate) claimed: u64,
    /// Deliveries that come again without having failed, handed back for example: settled in the
    /// log, and owed.
    pub(crate) again: u64,
    pub(crate) retrying: u64,
    pub(crate) dead: u64,
    pub(crate) paused_at: Option<Moment>,
    pub(crate) paused_by: Option<String>,
    pub(crate) ended_at: Option<Moment>,
    /// The process a live one belongs to.
    pub(crate) process: Option<String>,
    /// The live processes that host it.
    pub(crate) hosts: Vec<String>,
}

/// The headings of [`SubscriptionRow::cells`].
pub(crate) const HEADINGS: &[&str] = &[
    "id", "name", "kind", "types", "where", "state", "settled", "behind", "claimed", "again",
    "retrying", "dead", "hosts",
];

impl SubscriptionRow {
    /// The row of a subscription, with the log's end at `head`.
    pub(crate) fn of(call: &Call, state: &SubscriptionState, head: Seq) -> SubscriptionRow {
        let definition = state.current();
        let types = match &definition.types {
            TypeSet::All => Vec::new(),
            TypeSet::Only(types) => types.iter().map(ToString::to_string).collect(),
        };
        let (paused_at, paused_by) = state.paused.clone().unzip();
        SubscriptionRow {
            id: state.id.0,
            name: definition.name.clone(),
            kind: definition.kind,
            types,
            filter: definition.filter.clone(),
            dedup: definition.dedup.clone(),
            ordered_by_key: definition.ordered_by_key,
            state: state_word(state),
            version: current(state),
            generation: state.generation.0,
            cursor: state.cursor.0,
            settled: state.settled.0,
            behind: if state.ended_at.is_some() {
                0
            } else {
                (head.0 - state.settled.0).max(0)
            },
            claimed: state.claimed,
            again: state.again,
            retrying: state.retrying,
            dead: state.dead,
            paused_at: paused_at.map(|at| call.show(at)),
            paused_by,
            ended_at: state.ended_at.map(|at| call.show(at)),
            process: state.process.map(|process| process.to_string()),
            hosts: state.hosts.keys().map(ToString::to_string).collect(),
        }
    }

    /// One row of a table.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        vec![
            self.id.into(),
            self.name.clone().into(),
            kind_word(self.kind).into(),
            one_line(&self.types_text(), PREVIEW_CHARS).into(),
            one_line(self.filter.as_deref().unwrap_or(""), PREVIEW_CHARS).into(),
            Cell::painted(state_paint(self.state), self.state),
            self.settled.into(),
            self.behind.into(),
            self.claimed.into(),
            self.again.into(),
            self.retrying.into(),
            dead_cell(self.dead),
            self.hosts.len().into(),
        ]
    }

    /// The types' constants, or `all`.
    pub(crate) fn types_text(&self) -> String {
        if self.types.is_empty() {
            return "all".to_owned();
        }
        self.types
            .iter()
            .map(|value| value.to_ascii_uppercase())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// A count of dead letters, red unless it is zero.
pub(crate) fn dead_cell(count: u64) -> Cell {
    if count == 0 {
        count.into()
    } else {
        Cell::painted(Paint::Bad, count.to_string())
    }
}

/// `durable` or `live`.
pub(crate) fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Durable => "durable",
        Kind::Live => "live",
    }
}

fn current(state: &SubscriptionState) -> i64 {
    state.versions.last().map_or(0, |version| version.number)
}

fn state_word(state: &SubscriptionState) -> &'static str {
    if state.ended_at.is_some() {
        "ended"
    } else if state.paused.is_some() {
        "paused"
    } else if state.hosts.is_empty() {
        "no process"
    } else if state
        .hosts
        .values()
        .all(|version| *version < current(state))
    {
        // What comes since the definition was replaced waits for a process that knows it.
        "old version"
    } else {
        "running"
    }
}

fn state_paint(state: &str) -> Paint {
    match state {
        "running" => Paint::Good,
        "ended" => Paint::Faint,
        _ => Paint::Odd,
    }
}

/// The hosts by their short ids.
pub(crate) fn hosts_text(state: &SubscriptionState) -> String {
    state
        .hosts
        .keys()
        .map(|process| short(*process))
        .collect::<Vec<_>>()
        .join(" ")
}
