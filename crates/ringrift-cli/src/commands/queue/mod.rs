//! `ringrift queue`: clearing what is pending, and bringing it back.

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;

use crate::call::Call;
use crate::confirm::{Confirm, Go, Plan};
use crate::failure::{Done, Stop};
use crate::output::{Report, Text, count_text, visible};
use crate::{kept, open};

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
        after_help = "Examples:\n  ringrift queue clear --dry-run\n  ringrift queue clear --yes=12345\n\nA copy of the database as it was is kept beside it before anything is deleted; where it cannot be\nwritten, nothing is deleted."
    )]
    Clear(ClearArgs),
    /// Bring deleted events back; exactly the deliveries that were purged unhandled become due
    #[command(
        after_help = "Examples:\n  ringrift queue restore --dry-run\n  ringrift queue restore --yes"
    )]
    Restore(Confirm),
}

/// The arguments of `queue clear`.
#[derive(ClapArgs, Debug)]
struct ClearArgs {
    /// Keep no copy of the database as it was; what is deleted can be restored all the same.
    #[arg(long)]
    no_backup: bool,

    #[command(flatten)]
    confirm: Confirm,
}

#[derive(Serialize)]
struct Touched {
    events: u64,
    dry_run: bool,
    /// The copy of the database as it was.
    kept: Option<String>,
    undo: Option<&'static str>,
    #[serde(skip)]
    word: &'static str,
    /// What is said when it touches nothing.
    #[serde(skip)]
    none: &'static str,
}

/// Runs the verb.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    match &args.verb {
        Verb::Clear(args) => clear(call, args),
        Verb::Restore(confirm) => restore(call, confirm),
    }
}

fn clear(call: &Call, args: &ClearArgs) -> Done {
    const UNDO: &str = "ringrift queue restore";
    let store = open::writing(call)?;
    // What comes after this look was shown to nobody, and is in no copy: it stays.
    let last = store.head().wait()?.seq;
    let pending = store.clear_queue_to(call.by(), last, true).wait()?;
    let plan = Plan {
        what: format!("delete {}", count_text(pending, "pending event")),
        count: pending,
        lines: match args.no_backup {
            true => Vec::new(),
            false => vec!["a copy of the database as it is now is kept first".to_owned()],
        },
        undo: format!("{UNDO} (for seven days)"),
    };
    let go = go(call, &args.confirm, &plan)?;
    let mut kept = None;
    let events = match go {
        Go::Ahead if pending == 0 => pending,
        Go::DryRun => pending,
        Go::Ahead => {
            // A seek back may have made older events pending.
            plan.still_covers(call, store.clear_queue_to(call.by(), last, true).wait()?)?;
            if !args.no_backup {
                let file = kept::keep(call, &*store, "clear")?;
                kept = Some(file.display().to_string());
            }
            store.clear_queue_to(call.by(), last, false).wait()?
        }
    };
    let touched = Touched {
        events,
        dry_run: go == Go::DryRun,
        kept,
        undo: (events > 0).then_some(UNDO),
        word: "deleted",
        none: "no event is pending: nothing to delete",
    };
    call.answer("queue clear", &touched)
}

fn restore(call: &Call, confirm: &Confirm) -> Done {
    let store = open::writing(call)?;
    let last = store.head().wait()?.seq;
    let deleted = store.restore_queue_to(call.by(), last, true).wait()?;
    let plan = Plan {
        what: format!(
            "bring {} back, and make due those that were not handled",
            count_text(deleted, "deleted event")
        ),
        count: deleted,
        lines: Vec::new(),
        undo: "ringrift queue clear".to_owned(),
    };
    let go = go(call, confirm, &plan)?;
    let events = match go {
        Go::Ahead if deleted == 0 => deleted,
        Go::DryRun => deleted,
        Go::Ahead => {
            plan.still_covers(call, store.restore_queue_to(call.by(), last, true).wait()?)?;
            store.restore_queue_to(call.by(), last, false).wait()?
        }
    };
    let touched = Touched {
        events,
        dry_run: go == Go::DryRun,
        kept: None,
        undo: None,
        word: "brought back",
        none: "no event is deleted: nothing to bring back",
    };
    call.answer("queue restore", &touched)
}

/// Asks, if there is anything to ask about.
fn go(call: &Call, confirm: &Confirm, plan: &Plan) -> Result<Go, Stop> {
    match (plan.count, confirm.dry_run) {
        (0, true) => Ok(Go::DryRun),
        (0, false) => Ok(Go::Ahead),
        _ => confirm.ask(call, plan),
    }
}

impl Report for Touched {
    fn write(&self, text: &mut Text) {
        if self.events == 0 {
            text.line(self.none);
            return;
        }
        let would = if self.dry_run { "would be " } else { "" };
        text.line(format!(
            "{} {would}{}",
            count_text(self.events, "event"),
            self.word
        ));
        if let Some(kept) = &self.kept {
            text.line(format!("The database as it was: {}", visible(kept)));
        }
        if let (Some(undo), false) = (self.undo, self.dry_run) {
            text.line(format!("Undo: {undo}"));
        }
    }
}
