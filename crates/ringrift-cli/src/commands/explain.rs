//! `ringrift explain`: why an event did, or did not, arrive.

use clap::Args as ClapArgs;
use ringrift_events::clock::Time;
use ringrift_events::event::EventType;
use ringrift_events::explain::{Explanation, Told};
use serde::Serialize;

use super::findings;
use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Report, Text, Zone};

/// The arguments of `explain`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift explain 019ab3c4\n  ringrift explain 120441 --json\n  ringrift explain --key run-7/eval\n\nExits 0 when every delivery is done, 1 when one is not or nobody took it, 6 when it cannot be told."
)]
pub(crate) struct Args {
    /// An id, its first digits, or a number of the log.
    #[arg(value_name = "EVENT", required_unless_present = "key")]
    event: Option<String>,

    /// The idempotency key it was published with, within its 24 hours.
    #[arg(long, value_name = "IDEMPOTENCY_KEY", conflicts_with = "event")]
    key: Option<String>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Explained {
    explanation: Explanation,
    #[serde(skip)]
    zone: Zone,
}

/// Explains it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let name = match (&args.event, &args.key) {
        (_, Some(key)) => format!("key:{key}"),
        (event, None) => event.clone().unwrap_or_default(),
    };
    let explanation = Explanation::of(&*store, &name, call.now())?;
    let exit = findings::exit(explanation.findings.whole);
    let explained = Explained {
        explanation,
        zone: call.zone(),
    };
    call.answer_as("explain", &explained, exit)
}

impl Report for Explained {
    fn write(&self, text: &mut Text) {
        text.fields(&fields(&self.explanation.event, &self.zone));
        findings::write(text, &self.explanation.findings);
    }
}

/// An event's own fields, with their names.
pub(crate) fn fields(event: &Told, zone: &Zone) -> Vec<(&'static str, String)> {
    let seq = event.seq.map(|seq| format!("  (number {seq})"));
    let shown = |at: Option<Time>| at.map(|at| zone.show(at).to_string()).unwrap_or_default();
    let event_type = event.event_type.as_ref().map(EventType::constant);
    vec![
        ("event", format!("{}{}", event.id, seq.unwrap_or_default())),
        ("type", event_type.unwrap_or_default()),
        ("key", event.key.clone().unwrap_or_default()),
        ("published", shown(event.published_at)),
        ("committed", shown(event.committed_at)),
        ("deleted", shown(event.deleted_at)),
    ]
}
