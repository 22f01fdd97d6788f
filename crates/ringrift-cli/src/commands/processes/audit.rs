//! `ringrift processes audit`: whether a running process keeps the hops of its events.

use clap::Args as ClapArgs;
use serde::Serialize;

use crate::ask::{Asked, Target, ask};
use crate::call::Call;
use crate::failure::Done;
use crate::output::{Report, Text};
use crate::{open, resolve};

/// The arguments of `processes audit`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift processes audit 4711 on\n  ringrift processes audit 4711 off\n\nIt holds until the process ends."
)]
pub(crate) struct Args {
    /// The process: its id, the first digits of it, or its pid.
    #[arg(value_name = "PROCESS")]
    process: String,

    /// Whether it does from now on.
    #[arg(value_name = "ON_OR_OFF", value_parser = ["on", "off"])]
    switch: String,
}

#[derive(Serialize)]
struct Set {
    answers: Vec<Asked>,
}

/// Asks the process and says what it answered.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let within = open::config(call)?.settings.process.command_wait;
    let store = open::writing(call)?;
    let process = resolve::process(&*store, &args.process)?;
    let target = Target::whole(&process, &serde_json::json!({ "on": args.switch == "on" }));
    let answers = ask(call, &*store, "audit", &[target], within)?;
    call.answer("processes audit", &Set { answers })
}

impl Report for Set {
    fn write(&self, text: &mut Text) {
        for one in &self.answers {
            text.line(format!("pid {}: {}", one.pid, one.answer));
        }
    }
}
