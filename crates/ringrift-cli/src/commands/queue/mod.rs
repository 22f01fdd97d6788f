//! `ringrift queue`: clearing what is pending, and bringing it back.

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;

use crate::call::Call;
use crate::confirm::{Confirm, Go, Plan};
use crate::failure::Done;
use crate::open;
use crate::output::{Report, Text, count_text};

/// The arguments of `queue`.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Delete the pending events; they can be restored for seven days
    #[command(
        after_help = "Examples:\n  ringrift queue clear --dry-run\n  ringrift queue clear --yes=12345"
    )]
    Clear(Confirm),
    /// Bring deleted events back; exactly the deliveries that were purged unhandled become due
    #[command(
        after_help = "Examples:\n  ringrift queue restore --dry-run\n  ringrift queue restore --yes"
    )]
    Restore(Confirm),
}

#[derive(Serialize)]
struct Touched {
    events: u64,
    dry_run: bool,
    undo: Option<&'static str>,
    #[serde(skip)]
    word: &'static str,
}

/// Runs the verb.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    match &args.verb {
        Verb::Clear(confirm) => clear(call, confirm),
        Verb::Restore(confirm) => restore(call, confirm),
    }
}

fn clear(call: &Call, confirm: &Confirm) -> Done {
    const UNDO: &str = "ringrift queue restore";
    let store = open::writing(call)?;
    let pending = store.clear_queue(call.by(), true).wait()?;
    let plan = Plan {
        what: format!("delete {}", count_text(pending, "pending event")),
        count: pending,
        lines: Vec::new(),
        undo: format!("{UNDO} (for seven days)"),
    };
    let go = if plan.count == 0 {
        Go::DryRun
    } else {
        confirm.ask(call, &plan)?
    };
    let events = match go {
        Go::DryRun => pending,
        Go::Ahead => store.clear_queue(call.by(), false).wait()?,
    };
    let touched = Touched {
        events,
        dry_run: go == Go::DryRun,
        undo: Some(UNDO),
        word: "deleted",
    };
    call.answer("queue clear", &touched)
}

fn restore(call: &Call, confirm: &Confirm) -> Done {
    let store = open::writing(call)?;
    let deleted = store.restore_queue(call.by(), true).wait()?;
    let plan = Plan {
        what: format!(
            "bring {} back, and make due those that were not handled",
            count_text(deleted, "deleted event")
        ),
        count: deleted,
        lines: Vec::new(),
        undo: "ringrift queue clear".to_owned(),
    };
    let go = if plan.count == 0 {
        Go::DryRun
    } else {
        confirm.ask(call, &plan)?
    };
    let events = match go {
        Go::DryRun => deleted,
        Go::Ahead => store.restore_queue(call.by(), false).wait()?,
    };
    let touched = Touched {
        events,
        dry_run: go == Go::DryRun,
        undo: None,
        word: "brought back",
    };
    call.answer("queue restore", &touched)
}

impl Report for Touched {
    fn write(&self, text: &mut Text) {
        let would = if self.dry_run { "would be " } else { "" };
        text.line(format!(
            "{} {would}{}",
            count_text(self.events, "event"),
            self.word
        ));
        if let (Some(undo), false) = (self.undo, self.dry_run) {
            text.line(format!("Undo: {undo}"));
        }
    }
}
