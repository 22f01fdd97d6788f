//! `ringrift dlq show`.

use clap::Args as ClapArgs;
use serde::Serialize;

use super::row::LetterRow;
use super::select;
use crate::call::Call;
use crate::failure::Done;
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
}

/// Shows it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let letter = select::single(&*store, &args.letter)?;
    call.answer(
        "dlq show",
        &Shown {
            letter: LetterRow::of(call, &letter),
        },
    )
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
            ("linked to", letter.linked.clone().unwrap_or_default()),
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
