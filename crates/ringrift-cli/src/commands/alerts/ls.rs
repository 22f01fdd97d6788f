//! `ringrift alerts ls`: what was raised, and whether it was sent.

use clap::Args as ClapArgs;
use ringrift_events::store::watching::{Alert, AlertFilter, AlertId, AlertState, SendState};
use serde::Serialize;

use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Cell, Moment, Paint, Report, Text};

/// The arguments of `alerts ls`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift alerts ls\n  ringrift alerts ls --all --since 7d\n  ringrift alerts ls --id 12 --json"
)]
pub(crate) struct Args {
    /// Those that are over too.
    #[arg(long, short = 'a')]
    all: bool,

    /// Only this one, whatever its state; may be repeated.
    #[arg(long = "id", value_name = "NUMBER")]
    ids: Vec<i64>,

    /// Only of this rule.
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,

    /// Only with an occurrence since then: `1h`, `7d`, a date.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// At most so many, newest first.
    #[arg(long, short = 'n', default_value_t = 50, value_name = "COUNT")]
    limit: usize,
}

#[derive(Serialize)]
struct Listed {
    alerts: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    id: i64,
    state: AlertState,
    severity: &'static str,
    rule: String,
    part: String,
    summary: String,
    count: u64,
    opened_at: Moment,
    last_at: Moment,
    event: Option<String>,
    last_event: Option<String>,
    acked_by: Option<String>,
    resolved_by: Option<String>,
    silence: Option<i64>,
    sends: Vec<SendState>,
    evidence: serde_json::Value,
}

impl Row {
    fn of(call: &Call, alert: Alert) -> Row {
        Row {
            id: alert.id.0,
            state: alert.state,
            severity: alert.severity.as_str(),
            rule: alert.rule,
            part: alert.group,
            summary: alert.summary,
            count: alert.count,
            opened_at: call.show(alert.opened_at),
            last_at: call.show(alert.last_at),
            event: alert.event.map(|id| id.to_string()),
            last_event: alert.last_event.map(|id| id.to_string()),
            acked_by: alert.acked.map(|(_, by)| by),
            resolved_by: alert.resolved.map(|(_, by)| by),
            silence: alert.silenced,
            sends: alert.sends,
            evidence: serde_json::from_str(&alert.evidence).unwrap_or_default(),
        }
    }

    /// Who was told, in a few words.
    fn told(&self) -> String {
        if let Some(silence) = self.silence {
            return format!("silenced by {silence}");
        }
        let sends = self.sends.iter().filter(|send| !send.resolved);
        let told: Vec<String> = sends
            .map(|send| match (send.state.as_str(), send.attempts) {
                ("due", 0) => format!("{} waits", send.sink),
                ("due", 1) => format!("{} failed once", send.sink),
                ("due", tries) => format!("{} failed {tries} times", send.sink),
                ("failed", _) => format!("{} given up", send.sink),
                ("sent", _) => send.sink.clone(),
                (other, _) => format!("{} {other}", send.sink),
            })
            .collect();
        told.join(", ")
    }
}

/// Lists them.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let filter = AlertFilter {
        ids: args.ids.iter().map(|id| AlertId(*id)).collect(),
        rule: args.rule.clone(),
        unresolved: !args.all && args.ids.is_empty(),
        since: call.moment_option(args.since.as_deref())?,
        limit: args.limit,
    };
    let alerts = store.alerts(filter).wait()?.into_iter();
    let listed = Listed {
        alerts: alerts.map(|alert| Row::of(call, alert)).collect(),
    };
    call.answer("alerts ls", &listed)
}

impl Report for Listed {
    fn write(&self, text: &mut Text) {
        let rows = self.alerts.iter().map(|row| {
            let state = match row.state {
                AlertState::Open => Cell::painted(Paint::Bad, "open"),
                AlertState::Acked => Cell::painted(Paint::Odd, "acked"),
                AlertState::Resolved => Cell::painted(Paint::Faint, "resolved"),
            };
            vec![
                row.id.into(),
                state,
                row.severity.into(),
                row.rule.as_str().into(),
                row.count.into(),
                row.opened_at.to_string().into(),
                row.told().into(),
                row.summary.as_str().into(),
            ]
        });
        text.table(
            &[
                "id", "state", "severity", "rule", "count", "since", "told", "what",
            ],
            rows.collect(),
        );
    }
}
