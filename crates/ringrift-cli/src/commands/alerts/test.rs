//! `ringrift alerts test`: does a message get through?

use clap::Args as ClapArgs;
use ringrift_events::alerts::Tested;
use serde::Serialize;

use crate::call::Call;
use crate::exit::Exit;
use crate::failure::Done;
use crate::open;
use crate::output::{Cell, Paint, Report, Text};

/// The arguments of `alerts test`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift alerts test\n  ringrift alerts test ops\n\nExits 1 when a sink fails."
)]
pub(crate) struct Args {
    /// The sink; every one without it.
    #[arg(value_name = "SINK")]
    sink: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    sinks: Vec<Tested>,
}

/// Sends the test messages.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::writing(call)?;
    let alerts = open::alerts(call, &store)?;
    let answer = Answer {
        sinks: alerts.test(args.sink.as_deref())?,
    };
    let failed = answer.sinks.iter().any(|sink| sink.error.is_some());
    let exit = if failed { Exit::No } else { Exit::Ok };
    call.answer_as("alerts test", &answer, exit)
}

impl Report for Answer {
    fn write(&self, text: &mut Text) {
        let rows = self.sinks.iter().map(|sink| {
            let came = match &sink.error {
                None => Cell::painted(Paint::Good, "sent"),
                Some(error) => Cell::painted(Paint::Bad, error),
            };
            vec![sink.sink.as_str().into(), sink.what.as_str().into(), came]
        });
        text.table(&["sink", "what", "test"], rows.collect());
    }
}
