//! `ringrift dlq edit`: a letter's event with another payload, for the same handler alone.

use clap::Args as ClapArgs;
use ringrift_events::catalog::payload;
use ringrift_events::dead_letters;
use ringrift_events::event::{Event, EventId};
use ringrift_events::store::letters::{Letter, LetterAct};
use serde::Serialize;

use super::select;
use crate::call::Call;
use crate::confirm::{Confirm, Go, Plan};
use crate::failure::{Done, Stop};
use crate::input;
use crate::open;
use crate::output::{PREVIEW_CHARS, Report, Text, one_line};

/// The arguments of `dlq edit`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift dlq edit 17 --payload '{\"config_key\":\"hex8_2p\"}' --yes\n  ringrift dlq show 17 --json | jq .data.letter.payload > p.json; $EDITOR p.json\n  ringrift dlq edit 17 --payload @p.json --yes\n\nThe edited event is appended to no log: only the handler that failed gets it. The original is\ndiscarded and stays linked; restoring it discards the edited one, until\nthat succeeds. A key that came from the payload follows it."
)]
pub(crate) struct Args {
    /// The letter's number; or its event, if that has one letter only.
    #[arg(value_name = "LETTER")]
    letter: String,

    /// The new payload: a JSON object, @FILE, or - for standard input.
    #[arg(long, value_name = "JSON")]
    payload: String,

    #[command(flatten)]
    confirm: Confirm,
}

#[derive(Serialize)]
struct Edited {
    original: i64,
    letter: Option<i64>,
    event_id: String,
    handler: String,
    dry_run: bool,
    undo: String,
}

/// Replaces it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let payload = payload::check(&input::argument(&args.payload)?)?;
    let store = open::writing(call)?;
    let letter = select::single(&*store, &args.letter)?;
    if !select::takes(LetterAct::Discard, letter.state) {
        return Err(select::refused("edit", &letter).into());
    }
    let catalog = open::catalog_with(call, &*store)?;
    let id = EventId::new(&*call.clock);
    let edited = dead_letters::edited(&letter.event, &catalog, id, payload);
    let event_id = edited.id.to_string();
    let undo = format!("ringrift dlq restore {}", letter.id.0);
    let plan = Plan {
        what: format!(
            "discard letter {} and give {} an edited event instead",
            letter.id.0, letter.handler
        ),
        count: 1,
        lines: vec![
            format!("was: {}", preview(&letter.event)),
            format!("now: {}", preview(&edited)),
        ],
        undo: format!("{undo} (until the edited one succeeds)"),
    };
    let go = args.confirm.ask(call, &plan)?;
    let made = match go {
        Go::DryRun => None,
        Go::Ahead => Some(edit(call, &*store, &letter, edited)?),
    };
    call.answer(
        "dlq edit",
        &Edited {
            original: letter.id.0,
            letter: made,
            event_id,
            handler: letter.handler.clone(),
            dry_run: go == Go::DryRun,
            undo,
        },
    )
}

fn edit(
    call: &Call,
    store: &dyn ringrift_events::store::Store,
    letter: &Letter,
    edited: Event,
) -> Result<i64, Stop> {
    let id = store.edit(letter.seen(), edited, call.by()).wait()?;
    Ok(id.0)
}

/// `key hex8_2p, {"config_key":"hex8_2p"}`.
fn preview(event: &Event) -> String {
    let key = event.key.as_ref().map(|key| format!("key {key}, "));
    let line = format!("{}{}", key.unwrap_or_default(), event.payload.as_str());
    one_line(&line, PREVIEW_CHARS)
}

impl Report for Edited {
    fn write(&self, text: &mut Text) {
        match self.letter {
            None => text.line(format!(
                "letter {} would be replaced by an edited one",
                self.original
            )),
            Some(letter) => {
                text.line(format!(
                    "letter {letter} (event {}) takes the place of {} for {}, due now",
                    self.event_id, self.original, self.handler
                ));
                text.line(format!("Undo, until it succeeds: {}", self.undo));
            }
        }
    }
}
