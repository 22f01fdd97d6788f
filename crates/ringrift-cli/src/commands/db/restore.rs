//! `ringrift db restore`: puts a backup in place of the database of a home that nobody uses.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use ringrift_events::coded::quoted;
use ringrift_events::store::sqlite::{OpenOptions, restore};
use serde::Serialize;

use crate::call::Call;
use crate::confirm::{Confirm, Go, Plan};
use crate::failure::{Done, Stop};
use crate::open;
use crate::output::{Report, Text, patiently};

/// The arguments of `db restore`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift db restore /backup/coordination-2026-11-22.db --dry-run\n  ringrift db restore /backup/coordination-2026-11-22.db --yes\n\nRefused while anybody has the database open, and when somebody wrote into it meanwhile: nothing is\nreplaced then. A damaged database, or one of a newer version, is replaced as well. The database as it\nis now is kept beside it. Positions that processes held mean nothing afterwards: the log has a new incarnation."
)]
pub(crate) struct Args {
    /// The backup: what `db backup` wrote.
    #[arg(value_name = "FILE")]
    from: PathBuf,

    #[command(flatten)]
    confirm: Confirm,
}

#[derive(Serialize)]
struct Restored {
    from: String,
    kept: Option<String>,
    events_before: Option<u64>,
    events: u64,
    dry_run: bool,
    undo: Option<String>,
}

/// Restores it. The library does all of it, for it alone can have the database for itself from its
/// last look at the file to the rename.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let home = open::home(call)?;
    let options = open::store_options(call, &open::config(call)?);
    let looked = restored(&options, args, true)?;
    let (what, undo) = match (looked.events_before, looked.kept_is_readable) {
        (Some(before), _) => (
            format!("replace the database ({before} events)"),
            "ringrift db restore KEPT --yes",
        ),
        (None, true) => (
            "replace the empty database".to_owned(),
            "none: there is nothing in it",
        ),
        (None, false) if looked.kept.is_some() => (
            "replace the database, which this program cannot read".to_owned(),
            "none: the file is kept as it is",
        ),
        (None, false) => (
            "fill the place of the database, where there is none".to_owned(),
            "none: there is nothing to go back to",
        ),
    };
    let plan = Plan {
        what: format!(
            "{what} with {}, {} events",
            args.from.display(),
            looked.events
        ),
        count: 1,
        lines: vec!["the database as it is now is kept beside it, as KEPT".to_owned()],
        undo: undo.to_owned(),
    };
    if args.confirm.ask(call, &plan)? == Go::DryRun {
        return call.answer(
            "db restore",
            &Restored {
                from: args.from.display().to_string(),
                kept: None,
                events_before: looked.events_before,
                events: looked.events,
                dry_run: true,
                undo: None,
            },
        );
    }
    open::made(call, home.root())?;
    let done = restored(&options, args, false)?;
    let kept = done.kept.map(|kept| kept.display().to_string());
    let undo = kept
        .as_ref()
        .filter(|_| done.kept_is_readable)
        .map(|kept| format!("ringrift db restore {} --yes", quoted(kept)));
    call.answer(
        "db restore",
        &Restored {
            from: args.from.display().to_string(),
            kept,
            events_before: done.events_before,
            events: done.events,
            dry_run: false,
            undo,
        },
    )
}

fn restored(
    options: &OpenOptions,
    args: &Args,
    dry_run: bool,
) -> Result<ringrift_events::store::sqlite::Restored, Stop> {
    let what = if dry_run {
        "checking the backup"
    } else {
        "putting the backup in place"
    };
    Ok(patiently(what, || restore(options, &args.from, dry_run))?)
}

impl Report for Restored {
    fn write(&self, text: &mut Text) {
        if self.dry_run {
            text.line(format!("{} would be restored", self.from));
            return;
        }
        let before = self
            .events_before
            .map_or(String::new(), |before| format!(", before {before}"));
        text.line(format!(
            "{} is restored: {} events{before}",
            self.from, self.events
        ));
        if let Some(kept) = &self.kept {
            text.line(format!("The database as it was: {kept}"));
        }
        if let Some(undo) = &self.undo {
            text.line(format!("Undo: {undo}"));
        }
    }
}
