//! `ringrift db sql --write`: an operator's own `DELETE` through the public views.

use std::time::Duration;

use ringrift_events::store::upkeep::{Deletion, Touched};
use serde::Serialize;

use crate::call::Call;
use crate::confirm::{Confirm, Go, Plan};
use crate::failure::Done;
use crate::output::{Report, Text, count_text, patiently};
use crate::{kept, open};

/// What was asked for.
pub(super) struct Wanted {
    /// The statement.
    pub(super) sql: String,
    /// How long it may take.
    pub(super) time_limit: Duration,
    /// Whether a copy of the database is kept first.
    pub(super) backup: bool,
}

#[derive(Serialize)]
struct Deleted {
    events: u64,
    letters: u64,
    dry_run: bool,
    /// The copy of the database as it was.
    kept: Option<String>,
    undo: String,
}

/// Finds out what it touches, asks, keeps a copy, deletes.
pub(super) fn run(call: &Call, wanted: Wanted, confirm: &Confirm) -> Done {
    let store = open::writing(call)?;
    let deletion = Deletion {
        sql: wanted.sql,
        by: call.by(),
        time_limit: wanted.time_limit,
        dry_run: true,
    };
    let would = patiently("finding out what it touches", || {
        store.delete_by_sql(deletion.clone()).wait()
    })?;
    let plan = Plan {
        what: format!("delete {}", words(&would)),
        count: would.events + would.letters,
        lines: lines(&would),
        undo: undo(&would),
    };
    let go = if plan.count == 0 {
        Go::DryRun
    } else {
        confirm.ask(call, &plan)?
    };
    if go == Go::DryRun {
        return call.answer("db sql", &Deleted::of(&would, None, true));
    }
    let kept = match wanted.backup {
        true => Some(kept::keep(call, &*store, "sql")?.display().to_string()),
        false => None,
    };
    let did = patiently("deleting", || {
        store
            .delete_by_sql(Deletion {
                dry_run: false,
                ..deletion
            })
            .wait()
    })?;
    store.ring();
    call.answer("db sql", &Deleted::of(&did, kept, false))
}

fn words(touched: &Touched) -> String {
    match (touched.events, touched.letters) {
        (events, 0) => count_text(events, "event"),
        (0, letters) => count_text(letters, "dead letter"),
        (events, letters) => format!(
            "{} and {}",
            count_text(events, "event"),
            count_text(letters, "dead letter")
        ),
    }
}

fn lines(touched: &Touched) -> Vec<String> {
    let events = touched
        .first_events
        .iter()
        .map(|seq| format!("event {seq}"));
    let letters = touched
        .first_letters
        .iter()
        .map(|letter| format!("letter {}", letter.0));
    events.chain(letters).collect()
}

fn undo(touched: &Touched) -> String {
    let mut undo = Vec::new();
    if touched.events > 0 || touched.letters == 0 {
        undo.push("ringrift queue restore");
    }
    if touched.letters > 0 {
        undo.push("ringrift dlq restore --state purged");
    }
    undo.join("; ")
}

impl Deleted {
    fn of(touched: &Touched, kept: Option<String>, dry_run: bool) -> Deleted {
        Deleted {
            events: touched.events,
            letters: touched.letters,
            dry_run,
            kept,
            undo: undo(touched),
        }
    }
}

impl Report for Deleted {
    fn write(&self, text: &mut Text) {
        let would = if self.dry_run { "would be " } else { "" };
        text.line(format!(
            "{} and {} {would}deleted",
            count_text(self.events, "event"),
            count_text(self.letters, "dead letter")
        ));
        if self.dry_run {
            return;
        }
        if let Some(kept) = &self.kept {
            text.line(format!("The database as it was: {kept}"));
        }
        text.line(format!("Undo, for seven days: {}", self.undo));
    }
}
