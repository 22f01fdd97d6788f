//! `ringrift types ls`.

use clap::Args as ClapArgs;
use serde::Serialize;

use super::row::{HEADINGS, TypeRow};
use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Report, Text};

/// The arguments of `types ls`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift types ls\n  ringrift types ls train --bridged\n  ringrift types ls --own --json"
)]
pub(crate) struct Args {
    /// Only types whose name or category contains this.
    #[arg(value_name = "TEXT")]
    text: Option<String>,

    /// Only types that go to the queue.
    #[arg(long, conflicts_with = "volatile")]
    bridged: bool,

    /// Only types that stay in the publishing process.
    #[arg(long)]
    volatile: bool,

    /// Only types that did not come with this version.
    #[arg(long)]
    own: bool,
}

#[derive(Serialize)]
struct Listed {
    types: Vec<TypeRow>,
}

/// Lists them.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let catalog = open::catalog(call)?;
    let text = args.text.as_deref().unwrap_or("").to_ascii_lowercase();
    let listed = Listed {
        types: catalog
            .types()
            .iter()
            .filter(|entry| {
                entry.event_type.as_str().contains(&text) || entry.category.contains(&text)
            })
            .filter(|entry| !args.bridged || entry.bridged)
            .filter(|entry| !args.volatile || !entry.bridged)
            .filter(|entry| !args.own || !entry.shipped)
            .map(|entry| TypeRow::of(entry))
            .collect(),
    };
    call.answer("types ls", &listed)
}

impl Report for Listed {
    fn write(&self, text: &mut Text) {
        text.table(HEADINGS, self.types.iter().map(TypeRow::cells).collect());
    }
}
