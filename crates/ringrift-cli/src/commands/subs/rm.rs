//! `ringrift subs rm`: removes a durable subscription.

use clap::Args as ClapArgs;
use ringrift_events::coded::quoted;
use ringrift_events::store::log::TypeSet;
use ringrift_events::store::subscriptions::SubscriptionState;
use serde::Serialize;

use crate::call::Call;
use crate::confirm::{Confirm, Go, Plan};
use crate::failure::Done;
use crate::output::{Report, Text, count_text};
use crate::{open, resolve};

/// The arguments of `subs rm`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift subs rm old-evaluator --dry-run\n  ringrift subs rm old-evaluator --yes\n\nWhat it owes becomes ST_SUBSCRIPTION_REMOVED and its dead letters are discarded; the events\nthemselves stay in the log for the others."
)]
pub(crate) struct Args {
    /// The durable subscription's name, or # and its number.
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    confirm: Confirm,
}

#[derive(Serialize)]
struct Removed {
    subscription: String,
    owed: u64,
    dry_run: bool,
    undo: String,
}

/// Removes it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::writing(call)?;
    let state = resolve::subscription(&*store, &args.name)?;
    let name = state.current().name.clone();
    let owed = store.remove(state.id, call.by(), true).wait()?;
    let undo = undo(&state);
    let plan = Plan {
        what: format!(
            "remove {name}, which owes {} and has {}",
            count_text(owed, "event"),
            count_text(state.retrying + state.dead, "unfinished dead letter")
        ),
        count: owed + state.retrying + state.dead,
        lines: Vec::new(),
        undo: undo.clone(),
    };
    let go = args.confirm.ask(call, &plan)?;
    let owed = match go {
        Go::DryRun => owed,
        Go::Ahead => store.remove(state.id, call.by(), false).wait()?,
    };
    call.answer(
        "subs rm",
        &Removed {
            subscription: name,
            owed,
            dry_run: go == Go::DryRun,
            undo,
        },
    )
}

/// The command that makes the same subscription again, from the place after which it owed something.
fn undo(state: &SubscriptionState) -> String {
    let definition = state.current();
    let types = match &definition.types {
        TypeSet::All => "--all-types".to_owned(),
        TypeSet::Only(types) => types
            .iter()
            .map(|event_type| event_type.constant())
            .collect::<Vec<_>>()
            .join(" "),
    };
    let mut command = format!(
        "ringrift subscribe {types} --durable {}",
        quoted(&definition.name)
    );
    if let Some(filter) = &definition.filter {
        command.push_str(&format!(" --where {}", quoted(filter)));
    }
    for field in &definition.dedup {
        command.push_str(&format!(" --dedup {}", quoted(field)));
    }
    if definition.ordered_by_key {
        command.push_str(" --ordered-by-key");
    }
    command.push_str(&format!(" --after {}", state.owed_after));
    command
}

impl Report for Removed {
    fn write(&self, text: &mut Text) {
        if self.dry_run {
            text.line(format!("{} would be removed", self.subscription));
        } else {
            text.line(format!(
                "{} is removed; it owed {}",
                self.subscription,
                count_text(self.owed, "event")
            ));
            text.line(format!("Undo: {}", self.undo));
            text.line(
                "  (handles again what was done after that place; dead letters stay discarded)",
            );
        }
    }
}
