//! `ringrift subs ls`: every subscription and how far it is.

use clap::Args as ClapArgs;
use serde::Serialize;

use super::row::{HEADINGS, SubscriptionRow};
use crate::call::Call;
use crate::failure::Done;
use crate::output::{Report, Text};
use crate::{open, resolve};

/// The arguments of `subs ls`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift subs ls\n  ringrift subs ls --type TRAINING_COMPLETED --json"
)]
pub(crate) struct Args {
    /// Only those that take this type; may be repeated.
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    types: Vec<String>,

    /// Ended ones too.
    #[arg(long, short = 'a')]
    all: bool,
}

#[derive(Serialize)]
struct Listed {
    head: i64,
    subscriptions: Vec<SubscriptionRow>,
}

/// Lists them.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let types = resolve::event_types(call, &*store, &args.types)?;
    let head = store.head().wait()?.seq;
    let states = store.subscriptions().wait()?;
    let listed = Listed {
        head: head.0,
        subscriptions: states
            .iter()
            .filter(|state| args.all || state.ended_at.is_none())
            .filter(|state| {
                types.is_empty() || types.iter().any(|t| state.current().types.takes(t))
            })
            .map(|state| SubscriptionRow::of(call, state, head))
            .collect(),
    };
    call.answer("subs ls", &listed)
}

impl Report for Listed {
    fn write(&self, text: &mut Text) {
        text.table(
            HEADINGS,
            self.subscriptions
                .iter()
                .map(SubscriptionRow::cells)
                .collect(),
        );
    }
}
