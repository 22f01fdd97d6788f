//! `ringrift dlq ls`.

use clap::Args as ClapArgs;
use ringrift_events::store::deliveries::LetterId;
use serde::Serialize;

use super::row::{HEADINGS, LetterRow};
use super::select::Narrow;
use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Paint, Report, Text};

/// The arguments of `dlq ls`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift dlq ls\n  ringrift dlq ls --state dead --handler evaluator --since 1d\n  ringrift dlq ls --json | jq '.data.letters[].error'"
)]
pub(crate) struct Args {
    #[command(flatten)]
    narrow: Narrow,

    /// Go on below this letter, as the last page says.
    #[arg(long, value_name = "LETTER")]
    below: Option<i64>,

    /// How many.
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

#[derive(Serialize)]
struct Listed {
    letters: Vec<LetterRow>,
    /// How many letters `dead_letter_queue` shows in all.
    total: u64,
    next_below: Option<i64>,
}

/// Lists them.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let limit = usize::try_from(args.limit).unwrap_or(1);
    let mut filter = args.narrow.filter(call, &*store)?;
    filter.below = args.below.map(LetterId);
    filter.limit = limit;
    let letters = store.letters(filter).wait()?;
    let listed = Listed {
        total: store.count_letters().wait()?,
        next_below: letters
            .last()
            .filter(|_| letters.len() == limit)
            .map(|letter| letter.id.0),
        letters: letters
            .iter()
            .map(|letter| LetterRow::of(call, letter))
            .collect(),
    };
    call.answer("dlq ls", &listed)
}

impl Report for Listed {
    fn write(&self, text: &mut Text) {
        text.table(
            HEADINGS,
            self.letters.iter().map(LetterRow::cells).collect(),
        );
        if let Some(below) = self.next_below {
            let more = format!(
                "{} of {}; more: --below {below}",
                self.letters.len(),
                self.total
            );
            let more = text.paint(Paint::Faint, &more);
            text.line(more);
        }
    }
}
