//! `ringrift types show`.

use clap::Args as ClapArgs;
use serde::Serialize;

use super::row::TypeRow;
use crate::call::Call;
use crate::commands::subs::row::{HEADINGS, SubscriptionRow};
use crate::failure::{Done, Stop};
use crate::open;
use crate::output::{Report, Text};

/// The arguments of `types show`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift types show TRAINING_COMPLETED\n  ringrift types show training_completed --json"
)]
pub(crate) struct Args {
    /// The type, by constant or canonical value.
    #[arg(value_name = "TYPE")]
    name: String,
}

#[derive(Serialize)]
struct Shown {
    #[serde(rename = "type")]
    entry: TypeRow,
    subscriptions: Vec<SubscriptionRow>,
}

/// Shows it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let catalog = open::catalog(call)?;
    let entry = catalog.resolve(&args.name)?;
    let shown = Shown {
        subscriptions: subscriptions(call, &entry.event_type)?,
        entry: TypeRow::of(&entry),
    };
    call.answer("types show", &shown)
}

/// Who takes it, where there is a store.
fn subscriptions(
    call: &Call,
    event_type: &ringrift_events::event::EventType,
) -> Result<Vec<SubscriptionRow>, Stop> {
    let Some(store) = open::reading_if_there(call)? else {
        return Ok(Vec::new());
    };
    let head = store.head().wait()?.seq;
    Ok(store
        .subscriptions()
        .wait()?
        .iter()
        .filter(|state| state.ended_at.is_none() && state.current().types.takes(event_type))
        .map(|state| SubscriptionRow::of(call, state, head))
        .collect())
}

impl Report for Shown {
    fn write(&self, text: &mut Text) {
        let entry = &self.entry;
        let bridged = if entry.bridged {
            "yes: it goes to the queue"
        } else {
            "no: it stays in the publishing process"
        };
        text.fields(&[
            ("type", entry.constant.clone()),
            ("value", entry.value.clone()),
            ("category", entry.category.clone()),
            ("bridged", bridged.to_owned()),
            ("required", entry.required_text()),
            ("key field", entry.key_field.clone().unwrap_or_default()),
            (
                "pipeline step",
                entry
                    .pipeline_position
                    .map(|step| step.to_string())
                    .unwrap_or_default(),
            ),
            ("alert", entry.alert.clone().unwrap_or_default()),
            ("from", entry.declared_in.as_str().to_owned()),
        ]);
        text.title("Subscriptions");
        text.table(
            HEADINGS,
            self.subscriptions
                .iter()
                .map(SubscriptionRow::cells)
                .collect(),
        );
    }
}
