//! `ringrift dlq ls`.

use std::collections::BTreeSet;

use clap::{Args as ClapArgs, ValueEnum};
use ringrift_events::dead_letters::{Alike, alike};
use ringrift_events::store::deliveries::LetterId;
use ringrift_events::store::letters::Letter;
use serde::Serialize;

use super::row::{HEADINGS, LetterRow};
use super::select::{LETTERS_MAX, Narrow};
use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Moment, PREVIEW_CHARS, Paint, Report, Text, one_line};

/// The arguments of `dlq ls`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift dlq ls\n  ringrift dlq ls --state dead --handler evaluator --since 1d\n  ringrift dlq ls --by fingerprint\n  ringrift dlq ls --json | jq '.data.letters[].error'"
)]
pub(crate) struct Args {
    #[command(flatten)]
    narrow: Narrow,

    /// One row for what failed alike, instead of one a letter.
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["below", "limit"])]
    by: Option<By>,

    /// Go on below this letter, as the last page says.
    #[arg(long, value_name = "LETTER")]
    below: Option<i64>,

    /// How many.
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// The kind of failure and its text without numbers, ids and paths.
    Fingerprint,
}

/// What failed alike.
#[derive(Serialize)]
struct Group {
    fingerprint: String,
    letters: usize,
    handlers: Vec<String>,
    first: Moment,
    last: Moment,
    example: i64,
    pattern: String,
}

#[derive(Serialize)]
struct Grouped {
    fingerprints: Vec<Group>,
}

fn by_fingerprint(call: &Call, letters: &[Letter]) -> Done {
    let groups = alike(letters);
    let fingerprints = groups.iter().filter_map(|group| group_of(call, group));
    let grouped = Grouped {
        fingerprints: fingerprints.collect(),
    };
    call.answer("dlq ls", &grouped)
}

fn group_of(call: &Call, group: &Alike<'_>) -> Option<Group> {
    let handlers: BTreeSet<&str> = group
        .letters
        .iter()
        .map(|one| one.handler.as_str())
        .collect();
    Some(Group {
        fingerprint: group.fingerprint.id.clone(),
        letters: group.letters.len(),
        handlers: handlers.into_iter().map(str::to_owned).collect(),
        first: call.show(group.letters.iter().map(|one| one.created_at).min()?),
        last: call.show(group.letters.iter().map(|one| one.last_attempt_at).max()?),
        example: group.letters.first()?.id.0,
        pattern: group.fingerprint.pattern.clone(),
    })
}

impl Report for Grouped {
    fn write(&self, text: &mut Text) {
        let row = |group: &Group| {
            vec![
                group.fingerprint.clone().into(),
                group.letters.into(),
                group.handlers.join(",").into(),
                group.last.to_string().into(),
                group.example.into(),
                one_line(&group.pattern, PREVIEW_CHARS).into(),
            ]
        };
        let headings = [
            "fingerprint",
            "letters",
            "handlers",
            "last",
            "example",
            "pattern",
        ];
        text.table(&headings, self.fingerprints.iter().map(row).collect());
        if let Some(first) = self.fingerprints.first() {
            let next = format!(
                "retry alike ones: ringrift dlq retry --fingerprint {}",
                first.fingerprint
            );
            let next = text.paint(Paint::Faint, &next);
            text.line(next);
        }
    }
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
    if args.by.is_some() {
        filter.limit = LETTERS_MAX;
        return by_fingerprint(call, &args.narrow.letters(&*store, filter)?);
    }
    let letters = args.narrow.letters(&*store, filter)?;
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
