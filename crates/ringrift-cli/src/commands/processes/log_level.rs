//! `ringrift processes log-level`: how much a running process writes into the log.

use clap::Args as ClapArgs;
use serde::Serialize;

use crate::ask::{Asked, Target, ask};
use crate::call::Call;
use crate::failure::Done;
use crate::output::{Report, Text};
use crate::{open, resolve};

/// The arguments of `processes log-level`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift processes log-level 4711 debug\n  ringrift processes log-level 4711 info\n\nIt holds until the process ends; log.level in ringrift.toml is for those that start later."
)]
pub(crate) struct Args {
    /// The process: its id, the first digits of it, or its pid.
    #[arg(value_name = "PROCESS")]
    process: String,

    /// The least level that it writes from now on.
    #[arg(value_name = "LEVEL", value_parser = ["debug", "info", "warn", "error"])]
    level: String,
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
    let target = Target::whole(&process, &serde_json::json!({ "level": args.level }));
    let answers = ask(call, &*store, "log.level", &[target], within)?;
    call.answer("processes log-level", &Set { answers })
}

impl Report for Set {
    fn write(&self, text: &mut Text) {
        for one in &self.answers {
            text.line(format!("pid {}: {}", one.pid, one.answer));
        }
    }
}
