//! `ringrift subs show`: one subscription, its versions and who hosts it.

use clap::Args as ClapArgs;
use ringrift_events::store::registry::FactFilter;
use ringrift_events::store::subscriptions::{Start, Version};
use serde::Serialize;

use super::row::{SubscriptionRow, hosts_text, kind_word};
use crate::call::Call;
use crate::commands::fact_row::{self, FactRow};
use crate::failure::Done;
use crate::output::{Cell, Moment, Report, Text, one_line};
use crate::{open, resolve};

/// Most recorded facts shown.
const FACTS_MAX: usize = 20;

/// The arguments of `subs show`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift subs show evaluator\n  ringrift subs show '#12' --json"
)]
pub(crate) struct Args {
    /// Its name, or # and its number.
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Serialize)]
struct VersionRow {
    number: i64,
    valid_from: i64,
    valid_to: Option<i64>,
    created_at: Moment,
    types: Vec<String>,
    filter: Option<String>,
    start: Start,
    dedup: Vec<String>,
    ordered_by_key: bool,
}

#[derive(Serialize)]
struct Shown {
    subscription: SubscriptionRow,
    /// The order in which the handler's policies are applied, always.
    policy_order: &'static [&'static str],
    versions: Vec<VersionRow>,
    facts: Vec<FactRow>,
    #[serde(skip)]
    hosts: String,
}

/// The order of a handler's policies.
const POLICY_ORDER: &[&str] = &["filter", "dedup", "rate", "concurrency", "time limit"];

/// Shows it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let state = resolve::subscription(&*store, &args.name)?;
    let head = store.head().wait()?.seq;
    let facts = store
        .facts(FactFilter {
            subscription: Some(state.id),
            limit: FACTS_MAX,
            ..FactFilter::default()
        })
        .wait()?;
    let names = resolve::Names::of(std::slice::from_ref(&state));
    let shown = Shown {
        subscription: SubscriptionRow::of(call, &state, head),
        policy_order: POLICY_ORDER,
        versions: state
            .versions
            .iter()
            .map(|version| version_row(call, version))
            .collect(),
        facts: facts
            .iter()
            .map(|fact| FactRow::of(call, &names, fact))
            .collect(),
        hosts: hosts_text(&state),
    };
    call.answer("subs show", &shown)
}

fn version_row(call: &Call, version: &Version) -> VersionRow {
    use ringrift_events::store::log::TypeSet;
    let definition = &version.definition;
    VersionRow {
        number: version.number,
        valid_from: version.valid_from.0,
        valid_to: version.valid_to.map(|seq| seq.0),
        created_at: call.show(version.created_at),
        types: match &definition.types {
            TypeSet::All => Vec::new(),
            TypeSet::Only(types) => types.iter().map(|t| t.constant()).collect(),
        },
        filter: definition.filter.clone(),
        start: definition.start,
        dedup: definition.dedup.clone(),
        ordered_by_key: definition.ordered_by_key,
    }
}

impl VersionRow {
    fn cells(&self) -> Vec<Cell> {
        let types = if self.types.is_empty() {
            "all".to_owned()
        } else {
            self.types.join(" ")
        };
        vec![
            self.number.into(),
            self.valid_from.into(),
            self.valid_to
                .map(|to| to.to_string())
                .unwrap_or_default()
                .into(),
            self.created_at.to_string().into(),
            one_line(&types, 200).into(),
            one_line(self.filter.as_deref().unwrap_or(""), 200).into(),
        ]
    }
}

impl Report for Shown {
    fn write(&self, text: &mut Text) {
        let row = &self.subscription;
        let paused = row
            .paused_at
            .as_ref()
            .map(|at| format!("since {at} by {}", row.paused_by.as_deref().unwrap_or("?")));
        text.fields(&[
            ("id", row.id.to_string()),
            ("name", row.name.clone()),
            ("kind", kind_word(row.kind).to_owned()),
            ("types", row.types_text()),
            ("where", row.filter.clone().unwrap_or_default()),
            ("dedup", row.dedup.join(", ")),
            (
                "order",
                if row.ordered_by_key { "by key" } else { "" }.to_owned(),
            ),
            ("policies", self.policy_order.join(" → ")),
            ("state", row.state.to_owned()),
            ("paused", paused.unwrap_or_default()),
            (
                "ended",
                row.ended_at
                    .as_ref()
                    .map(Moment::to_string)
                    .unwrap_or_default(),
            ),
            ("generation", row.generation.to_string()),
            ("claimed to", row.cursor.to_string()),
            ("settled to", row.settled.to_string()),
            ("behind", row.behind.to_string()),
            ("claimed", row.claimed.to_string()),
            ("again", row.again.to_string()),
            ("retrying", row.retrying.to_string()),
            ("dead", row.dead.to_string()),
            ("process", row.process.clone().unwrap_or_default()),
            ("hosts", self.hosts.clone()),
        ]);
        text.title("Versions");
        text.table(
            &["version", "from", "to", "made", "types", "where"],
            self.versions.iter().map(VersionRow::cells).collect(),
        );
        if !self.facts.is_empty() {
            text.title("Recorded");
            text.table(
                fact_row::HEADINGS,
                self.facts.iter().map(FactRow::cells).collect(),
            );
        }
    }
}
