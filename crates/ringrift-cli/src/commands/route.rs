//! `ringrift route`: who would get an event, and who would not, without publishing it.

use clap::Args as ClapArgs;
use ringrift_events::explain::{Draft, Foreseen, Prediction};

use super::findings;
use crate::call::Call;
use crate::exit::Exit;
use crate::failure::Done;
use crate::output::{Paint, Report, Text};
use crate::{input, open};

/// The arguments of `route`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift route TRAINING_COMPLETED --payload '{\"config_key\":\"hex8_2p\",\"elo\":1712}'\n  ringrift route MODEL_PROMOTED --payload @event.json --json\n\nExits 1 when nobody would get it. Nothing is published."
)]
pub(crate) struct Args {
    /// The type: constant or canonical value.
    #[arg(value_name = "TYPE")]
    event_type: String,

    /// The payload, a JSON object; @FILE reads a file, - standard input.
    #[arg(long, short = 'p', value_name = "JSON")]
    payload: Option<String>,

    /// The event's key.
    #[arg(long, short = 'k', value_name = "KEY")]
    key: Option<String>,
}

/// Predicts it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let catalog = open::catalog_with(call, &*store)?;
    let payload = match &args.payload {
        Some(payload) => input::argument(payload)?,
        None => b"{}".to_vec(),
    };
    let draft = Draft {
        event_type: args.event_type.clone(),
        payload,
        key: args.key.clone(),
        process: None,
    };
    let prediction = Prediction::of(&*store, &catalog, &draft, call.now())?;
    if !prediction.missing.is_empty() {
        call.warn(format!(
            "{} requires {}: the publish would go through, with this warning",
            prediction.event_type,
            prediction.missing.join(", ")
        ));
    }
    let exit = match prediction.reached {
        0 => Exit::No,
        _ => Exit::Ok,
    };
    call.answer_as("route", &prediction, exit)
}

impl Report for Prediction {
    fn write(&self, text: &mut Text) {
        text.title("Publication");
        findings::line(text, "", &self.publication);
        text.title("Subscriptions");
        for foreseen in &self.routes {
            write_foreseen(text, foreseen);
        }
        text.line("");
        let (paint, sum) = match self.reached {
            0 => (Paint::Bad, "Nobody would get it.".to_owned()),
            1 => (Paint::Good, "1 subscription would get it.".to_owned()),
            many => (Paint::Good, format!("{many} subscriptions would get it.")),
        };
        let painted = text.paint(paint, &sum);
        text.line(painted);
    }
}

fn write_foreseen(text: &mut Text, foreseen: &Foreseen) {
    findings::line(text, &foreseen.subscription, &foreseen.verdict);
    if let Some(then) = &foreseen.then {
        findings::line(text, &format!("{}, then", foreseen.subscription), then);
    }
}
