//! `ringrift processes ls`.

use clap::Args as ClapArgs;
use serde::Serialize;

use super::row::{HEADINGS, ProcessRow};
use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Report, Text};
use crate::resolve::lives;

/// The arguments of `processes ls`.
#[derive(ClapArgs, Debug)]
#[command(after_help = "Examples:\n  ringrift processes ls\n  ringrift processes ls --all --json")]
pub(crate) struct Args {
    /// Those that ended or died too, while their pages are kept.
    #[arg(long, short = 'a')]
    all: bool,
}

#[derive(Serialize)]
struct Listed {
    processes: Vec<ProcessRow>,
}

/// Lists them.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let listed = Listed {
        processes: store
            .processes()
            .wait()?
            .iter()
            .filter(|state| args.all || lives(state))
            .map(|state| ProcessRow::of(call, state))
            .collect(),
    };
    call.answer("processes ls", &listed)
}

impl Report for Listed {
    fn write(&self, text: &mut Text) {
        text.table(
            HEADINGS,
            self.processes.iter().map(ProcessRow::cells).collect(),
        );
    }
}
