//! `ringrift events show`: one event and what became of it.

use clap::Args as ClapArgs;
use ringrift_events::event::Event;
use ringrift_events::store::Store;
use ringrift_events::store::letters::{Letter, LetterFilter, LetterState};
use ringrift_events::store::registry::{Fact, FactFilter};
use ringrift_events::verdict::Code;
use serde::Serialize;

use super::route;
use super::row::EventRow;
use crate::call::Call;
use crate::commands::fact_row::FactRow;
use crate::failure::{Done, Stop};
use crate::output::{Cell, Moment, Report, Text, visible};
use crate::{open, resolve};

/// Most facts shown about one event.
const FACTS_MAX: usize = 100;

/// Most facts about ranges that are looked at.
const RANGES_MAX: usize = 1_000;

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
struct Standing {
    subscription: String,
    code: Code,
    evidence: String,
    next: String,
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
    deliveries: Vec<Standing>,
    children: Vec<Child>,
    facts: Vec<FactRow>,
}

/// Shows it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let logged = resolve::event(&*store, &args.event)?;
    let facts = store
        .facts(FactFilter {
            event: Some(logged.event.id),
            limit: FACTS_MAX,
            ..FactFilter::default()
        })
        .wait()?;
    let states = store.subscriptions().wait()?;
    let names = resolve::Names::of(&states);
    let children = store.children(logged.event.id).wait()?;
    let shown = Shown {
        deliveries: deliveries(&*store, &logged.event, &states, &facts, logged.deleted_at)?,
        children: children
            .iter()
            .map(|child| Child {
                id: child.event.id.to_string(),
                seq: child.event.seq.map(|seq| seq.0),
                event_type: child.event.event_type.to_string(),
                time: call.show(child.event.published_at),
            })
            .collect(),
        facts: facts
            .iter()
            .map(|fact| FactRow::of(call, &names, fact))
            .collect(),
        event: EventRow::logged(call, &logged),
    };
    call.answer("events show", &shown)
}

fn deliveries(
    store: &dyn Store,
    event: &Event,
    states: &[ringrift_events::store::subscriptions::SubscriptionState],
    facts: &[Fact],
    deleted_at: Option<ringrift_events::clock::Time>,
) -> Result<Vec<Standing>, Stop> {
    let letters = letters_of(store, event)?;
    let ranges = store
        .facts(FactFilter {
            codes: vec![
                Code::StSkippedBySeek,
                Code::StPurged,
                Code::StExpired,
                Code::StSubscriptionRemoved,
            ],
            limit: RANGES_MAX,
            ..FactFilter::default()
        })
        .wait()?;
    let processes = store.processes().wait()?;
    let known = route::Known {
        letters: &letters,
        facts,
        ranges: &ranges,
        processes: &processes,
        deleted_at,
    };
    Ok(states
        .iter()
        .filter_map(|state| {
            let standing = route::of(event, state, &known)?;
            let name = state.current().name.clone();
            Some(Standing {
                next: standing
                    .code
                    .next()
                    .replace("NAME", &name)
                    .replace("ID", &event.id.to_string()),
                subscription: name,
                code: standing.code,
                evidence: standing.evidence,
            })
        })
        .collect())
}

/// The letters of one event, whatever their state.
///
/// A letter is younger than its event, so older letters need no look.
pub(crate) fn letters_of(store: &dyn Store, event: &Event) -> Result<Vec<Letter>, Stop> {
    const LETTERS_EXAMINED_MAX: usize = 10_000;
    let letters = store
        .letters(LetterFilter {
            event_type: Some(event.event_type.clone()),
            states: vec![
                LetterState::Retrying,
                LetterState::Running,
                LetterState::Dead,
                LetterState::Recovered,
                LetterState::Discarded,
                LetterState::Expired,
                LetterState::Purged,
            ],
            limit: LETTERS_EXAMINED_MAX,
            ..LetterFilter::default()
        })
        .wait()?;
    Ok(letters
        .into_iter()
        .filter(|letter| letter.event.id == event.id)
        .collect())
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
        text.title("Subscriptions");
        if self.deliveries.is_empty() {
            text.line(format!("none names this type ({})", Code::RtNoSubscribers));
        } else {
            text.table(
                &["subscription", "verdict", "evidence", "next"],
                self.deliveries.iter().map(Standing::cells).collect(),
            );
        }
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

impl Standing {
    fn cells(&self) -> Vec<Cell> {
        vec![
            self.subscription.clone().into(),
            self.code.as_str().into(),
            crate::output::one_line(&self.evidence, 120).into(),
            self.next.clone().into(),
        ]
    }
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
