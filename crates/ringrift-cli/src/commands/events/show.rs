//! `ringrift events show`: one event and what became of it.

use clap::Args as ClapArgs;
use ringrift_events::explain::{Findings, Known};
use serde::Serialize;

use super::row::EventRow;
use crate::call::Call;
use crate::commands::fact_row::FactRow;
use crate::commands::findings;
use crate::failure::Done;
use crate::output::{Cell, Moment, Report, Text, visible};
use crate::{open, resolve};

/// Characters of a payload that are shown to people; `--json` has all of it.
const PAYLOAD_CHARS: usize = 20_000;

/// The arguments of `events show`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift events show 019ab3c4\n  ringrift events show 120441\n  ringrift events show key:run-7/eval --json"
)]
pub(crate) struct Args {
    /// An id, its first digits, a number of the log, or an idempotency key.
    #[arg(value_name = "EVENT")]
    event: String,
}

#[derive(Serialize)]
struct Child {
    id: String,
    seq: Option<i64>,
    #[serde(rename = "type")]
    event_type: String,
    time: Moment,
}

#[derive(Serialize)]
struct Shown {
    event: EventRow,
    #[serde(flatten)]
    findings: Findings,
    children: Vec<Child>,
    facts: Vec<FactRow>,
}

/// Shows it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let logged = resolve::event(&*store, &args.event)?;
    let children = store.children(logged.event.id).wait()?;
    let known = Known::read(&*store, logged, call.now())?;
    let names = resolve::Names::of(&known.scenery.subscriptions);
    let shown = Shown {
        findings: Findings::of(&*store, &known)?,
        children: children
            .iter()
            .map(|child| Child {
                id: child.event.id.to_string(),
                seq: child.event.seq.map(|seq| seq.0),
                event_type: child.event.event_type.to_string(),
                time: call.show(child.event.published_at),
            })
            .collect(),
        facts: known
            .facts_of_event()
            .map(|fact| FactRow::of(call, &names, fact))
            .collect(),
        event: EventRow::logged(call, &known.logged),
    };
    call.answer("events show", &shown)
}

impl Report for Shown {
    fn write(&self, text: &mut Text) {
        let event = &self.event;
        text.fields(&[
            ("id", event.id.clone()),
            (
                "seq",
                event.seq.map(|seq| seq.to_string()).unwrap_or_default(),
            ),
            ("type", event.event_type.to_ascii_uppercase()),
            ("key", event.key.clone().unwrap_or_default()),
            ("source", event.source.clone()),
            ("time", event.time.to_string()),
            ("committed", shown(event.committed_at.as_ref())),
            ("deleted", shown(event.deleted_at.as_ref())),
            ("stage", event.stage.clone().unwrap_or_default()),
            ("trace", event.trace_id.clone()),
            ("parent", event.parent_id.clone().unwrap_or_default()),
            ("depth", event.depth.to_string()),
            ("process", event.process.clone()),
        ]);
        text.title("Payload");
        let payload: String = event.payload.get().chars().take(PAYLOAD_CHARS).collect();
        text.line(visible(&payload));
        if payload.len() < event.payload.get().len() {
            text.line("… (--json prints all of it)");
        }
        findings::write(text, &self.findings);
        if !self.children.is_empty() {
            text.title("Published by its handlers");
            text.table(
                &["seq", "time", "type", "id"],
                self.children.iter().map(Child::cells).collect(),
            );
        }
        if !self.facts.is_empty() {
            text.title("Recorded");
            text.table(
                crate::commands::fact_row::HEADINGS,
                self.facts.iter().map(FactRow::cells).collect(),
            );
        }
    }
}

fn shown(moment: Option<&Moment>) -> String {
    moment.map(Moment::to_string).unwrap_or_default()
}

impl Child {
    fn cells(&self) -> Vec<Cell> {
        vec![
            self.seq
                .map(|seq| seq.to_string())
                .unwrap_or_default()
                .into(),
            self.time.to_string().into(),
            self.event_type.to_ascii_uppercase().into(),
            self.id.clone().into(),
        ]
    }
}
