//! `ringrift dlq show`.

use clap::Args as ClapArgs;
use ringrift_events::store::Store;
use ringrift_events::store::letters::Letter;
use serde::Serialize;

use super::row::LetterRow;
use super::select;
use crate::call::Call;
use crate::failure::{Done, Stop};
use crate::open;
use crate::output::{Moment, Report, Text, visible};

/// Characters of an error or a payload that are shown to people; `--json` has all of it.
const SHOWN_CHARS: usize = 20_000;

/// The arguments of `dlq show`.
#[derive(ClapArgs, Debug)]
#[command(after_help = "Examples:\n  ringrift dlq show 17\n  ringrift dlq show 019ab3c4 --json")]
pub(crate) struct Args {
    /// The letter's number; or its event, if that has one letter only.
    #[arg(value_name = "LETTER")]
    letter: String,
}

#[derive(Serialize)]
struct Shown {
    letter: LetterRow,
    /// The letter of the edited event that took its place.
    replaced_by: Option<Linked>,
    /// The letter whose place it took.
    edited_from: Option<Linked>,
}

/// The other letter of an edit.
#[derive(Serialize)]
struct Linked {
    id: i64,
    event_id: String,
    status: &'static str,
}

/// Shows it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let letter = select::single(&*store, &args.letter)?;
    let linked = linked(&*store, &letter)?;
    let is_later = linked.as_ref().is_some_and(|other| other.id > letter.id.0);
    let (replaced_by, edited_from) = match is_later {
        true => (linked, None),
        false => (None, linked),
    };
    call.answer(
        "dlq show",
        &Shown {
            letter: LetterRow::of(call, &letter),
            replaced_by,
            edited_from,
        },
    )
}

/// The other letter of its edit: of the same handler, since one event may have letters of several.
fn linked(store: &dyn Store, letter: &Letter) -> Result<Option<Linked>, Stop> {
    let Some(event) = letter.linked else {
        return Ok(None);
    };
    let letters = select::letters_of(store, event)?;
    let other = letters
        .iter()
        .find(|other| other.subscription == letter.subscription);
    Ok(other.map(|other| Linked {
        id: other.id.0,
        event_id: other.event.id.to_string(),
        status: other.state.as_str(),
    }))
}

impl Linked {
    fn text(&self) -> String {
        format!(
            "letter {}, {} (event {})",
            self.id, self.status, self.event_id
        )
    }
}

impl Report for Shown {
    fn write(&self, text: &mut Text) {
        let letter = &self.letter;
        text.fields(&[
            ("letter", letter.id.to_string()),
            ("status", letter.status.to_owned()),
            ("handler", letter.handler.clone()),
            ("type", letter.event_type.to_ascii_uppercase()),
            ("event", letter.event_id.clone()),
            (
                "seq",
                letter.seq.map(|seq| seq.to_string()).unwrap_or_default(),
            ),
            ("key", letter.key.clone().unwrap_or_default()),
            ("source", letter.source.clone()),
            (
                "attempts",
                format!("{} ({} in all)", letter.attempts, letter.attempts_total),
            ),
            (
                "deaths",
                if letter.deaths == 0 {
                    String::new()
                } else {
                    letter.deaths.to_string()
                },
            ),
            ("failed first", letter.created_at.to_string()),
            ("failed last", letter.last_attempt_at.to_string()),
            (
                "next retry",
                letter
                    .next_retry_at
                    .as_ref()
                    .map(Moment::to_string)
                    .unwrap_or_default(),
            ),
            ("kind", letter.error_kind.to_owned()),
            ("step", letter.step.clone().unwrap_or_default()),
            (
                "replaced by",
                self.replaced_by
                    .as_ref()
                    .map(Linked::text)
                    .unwrap_or_default(),
            ),
            (
                "edited from",
                self.edited_from
                    .as_ref()
                    .map(Linked::text)
                    .unwrap_or_default(),
            ),
        ]);
        for (title, long) in [
            ("Error", letter.error.as_str()),
            ("Payload", letter.payload.get()),
        ] {
            text.title(title);
            let short: String = long.chars().take(SHOWN_CHARS).collect();
            text.line(visible(&short));
            if short.len() < long.len() {
                text.line("… (--json prints all of it)");
            }
        }
    }
}
