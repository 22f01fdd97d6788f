//! `ringrift subs pause` and `resume`.

use clap::Args as ClapArgs;
use ringrift_events::coded::quoted;
use serde::Serialize;

use crate::call::Call;
use crate::failure::Done;
use crate::output::{Report, Text};
use crate::{open, resolve};

/// The arguments of `subs pause` and `subs resume`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift subs pause evaluator\n  ringrift subs resume evaluator"
)]
pub(crate) struct Args {
    /// The durable subscription's name, or # and its number.
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Serialize)]
struct Changed {
    subscription: String,
    paused: bool,
    changed: bool,
}

/// Pauses or resumes it. The events stay owed meanwhile.
pub(crate) fn run(call: &Call, args: &Args, paused: bool) -> Done {
    let store = open::writing(call)?;
    let state = resolve::subscription(&*store, &args.name)?;
    let changed = Changed {
        subscription: state.current().name.clone(),
        paused,
        changed: store.pause(state.id, paused, call.by()).wait()?,
    };
    let verb = if paused { "subs pause" } else { "subs resume" };
    call.answer(verb, &changed)
}

impl Report for Changed {
    fn write(&self, text: &mut Text) {
        text.line(match (self.paused, self.changed) {
            (true, true) => format!(
                "{} is paused: running events finish, no new ones start. Undo: ringrift subs resume {}",
                self.subscription,
                quoted(&self.subscription)
            ),
            (true, false) => format!("{} was paused already", self.subscription),
            (false, true) => format!("{} goes on", self.subscription),
            (false, false) => format!("{} was not paused", self.subscription),
        });
    }
}
