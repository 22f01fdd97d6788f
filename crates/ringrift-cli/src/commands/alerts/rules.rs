//! `ringrift alerts rules`: the rules in force, and who is told.

use clap::Args as ClapArgs;
use ringrift_events::alerts::{Rule, RuleOrigin};
use ringrift_events::store::watching::SinkState;
use serde::Serialize;

use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Cell, Moment, Paint, Report, Text};

/// The arguments of `alerts rules`.
#[derive(ClapArgs, Debug)]
#[command(after_help = "Examples:\n  ringrift alerts rules\n  ringrift alerts rules --json")]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Listed {
    rules: Vec<RuleRow>,
    sinks: Vec<SinkRow>,
}

#[derive(Serialize)]
struct RuleRow {
    #[serde(flatten)]
    rule: Rule,
    told: Vec<String>,
}

#[derive(Serialize)]
struct SinkRow {
    name: String,
    what: String,
    failures: u64,
    given_up: u64,
    error: Option<String>,
    ok_at: Option<Moment>,
    failed_at: Option<Moment>,
}

/// Lists them.
pub(crate) fn run(call: &Call, _args: &Args) -> Done {
    let store = open::reading(call)?;
    let alerts = open::alerts(call, &store)?;
    let states = alerts.sink_states()?;
    let listed = Listed {
        rules: alerts
            .rules()
            .iter()
            .map(|rule| RuleRow {
                told: alerts.sinks_of(rule),
                rule: rule.clone(),
            })
            .collect(),
        sinks: alerts
            .sinks()
            .iter()
            .map(|sink| {
                let state = states.iter().find(|state| state.sink == sink.name);
                SinkRow::of(call, &sink.name, sink.what(), state)
            })
            .collect(),
    };
    call.answer("alerts rules", &listed)
}

impl SinkRow {
    fn of(call: &Call, name: &str, what: String, state: Option<&SinkState>) -> SinkRow {
        let moment = |at: Option<_>| at.map(|at| call.show(at));
        SinkRow {
            name: name.to_owned(),
            what,
            failures: state.map_or(0, |state| state.failures),
            given_up: state.map_or(0, |state| state.given_up),
            error: state.and_then(|state| state.error.clone()),
            ok_at: moment(state.and_then(|state| state.ok_at)),
            failed_at: moment(state.and_then(|state| state.failed_at)),
        }
    }

    fn cells(&self) -> Vec<Cell> {
        let state = match (self.failures, &self.ok_at) {
            (0, None) => Cell::painted(Paint::Faint, "never used"),
            (0, Some(_)) => Cell::painted(Paint::Good, "ok"),
            (1, _) => Cell::painted(Paint::Bad, "failed once"),
            (many, _) => Cell::painted(Paint::Bad, format!("failed {many} times")),
        };
        vec![
            self.name.as_str().into(),
            self.what.as_str().into(),
            state,
            self.error.clone().unwrap_or_default().into(),
        ]
    }
}

impl Report for Listed {
    fn write(&self, text: &mut Text) {
        text.title("Rules");
        let rules = self.rules.iter().map(|row| {
            let rule = &row.rule;
            let types: Vec<String> = rule.types.iter().map(|one| one.constant()).collect();
            let of = match (&rule.subscription, rule.types.is_empty()) {
                (Some(subscription), _) => subscription.clone(),
                (None, true) => "every durable subscription".to_owned(),
                (None, false) => types.join(", "),
            };
            let origin = match &rule.origin {
                RuleOrigin::Catalog => "catalog".to_owned(),
                RuleOrigin::File(place) => place.clone(),
            };
            vec![
                rule.name.as_str().into(),
                rule.when.into(),
                of.into(),
                rule.severity.as_str().into(),
                row.told.join(", ").into(),
                origin.into(),
            ]
        });
        text.table(
            &["name", "when", "of", "severity", "told", "from"],
            rules.collect(),
        );
        text.title("Sinks");
        text.table(
            &["name", "what", "state", "last error"],
            self.sinks.iter().map(SinkRow::cells).collect(),
        );
    }
}
