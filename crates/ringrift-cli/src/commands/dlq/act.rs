//! `ringrift dlq retry|discard|purge|restore`: one act on a snapshot of letters.

use clap::Args as ClapArgs;
use ringrift_events::store::Store;
use ringrift_events::store::letters::{Acted, Letter, LetterAct, LetterState};
use serde::Serialize;

use super::row::plan_line;
use super::select::{self, LETTERS_MAX, Narrow, word};
use crate::call::Call;
use crate::confirm::{Confirm, Go, Plan};
use crate::exit::Exit;
use crate::failure::{Done, Error, Stop};
use crate::open;
use crate::output::{Report, Text, count_text};

/// Letters in one transaction: others write in between.
const LETTERS_AT_ONCE: usize = 1_000;

/// The arguments of the four verbs.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift dlq retry 17 18\n  ringrift dlq retry --handler evaluator --state dead --yes\n  ringrift dlq retry --fingerprint 3f07 --yes\n  ringrift dlq purge --before 7d --dry-run\n  ringrift dlq restore 17\n\nA letter that is named and in another state than the verb needs is refused. Letters that moved\non since they were seen are left, and named."
)]
pub(crate) struct Args {
    /// Letters' numbers, or ranges of them (17..19); or events, for all letters of them.
    #[arg(value_name = "LETTER", conflicts_with = "all")]
    letters: Vec<String>,

    /// Every letter that the verb applies to.
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    narrow: Narrow,

    #[command(flatten)]
    confirm: Confirm,
}

#[derive(Serialize)]
struct ActReport {
    act: &'static str,
    selected: usize,
    changed: u64,
    left: Vec<i64>,
    /// Of these, the ones whose subscription was removed or sought since.
    ended: Vec<i64>,
    dry_run: bool,
    undo: Option<String>,
}

/// Acts on what was selected.
pub(crate) fn run(call: &Call, args: &Args, act: LetterAct) -> Done {
    let store = open::writing(call)?;
    let letters = selected(call, &*store, args, act)?;
    let needs_yes = !matches!(act, LetterAct::Restore)
        && (letters.len() > 1 || args.letters.is_empty())
        || matches!(act, LetterAct::Discard | LetterAct::Purge);
    let go = if !letters.is_empty() && (needs_yes || args.confirm.dry_run) {
        args.confirm.ask(call, &plan(act, &letters))?
    } else if args.confirm.dry_run {
        Go::DryRun
    } else {
        Go::Ahead
    };
    let acted = match go {
        Go::DryRun => Acted::default(),
        Go::Ahead => in_parts(call, &*store, act, &letters)?,
    };
    let exit = if go == Go::Ahead && !letters.is_empty() && acted.changed == 0 {
        Exit::No
    } else {
        Exit::Ok
    };
    let changed = letters
        .iter()
        .filter(|letter| !acted.left.contains(&letter.id));
    let report = ActReport {
        act: word(act),
        selected: letters.len(),
        changed: acted.changed,
        undo: undo(act, changed),
        left: acted.left.iter().map(|id| id.0).collect(),
        ended: acted.ended.iter().map(|id| id.0).collect(),
        dry_run: go == Go::DryRun,
    };
    call.answer_as(command(act), &report, exit)
}

/// The letters by name, or those that the act applies to among the ones that match.
fn selected(
    call: &Call,
    store: &dyn Store,
    args: &Args,
    act: LetterAct,
) -> Result<Vec<Letter>, Stop> {
    if !args.letters.is_empty() {
        return select::named(store, &args.letters, act);
    }
    if !args.all && args.narrow.is_empty() {
        return Err(Error::Input {
            what: "no letters".to_owned(),
            why: "say which ones by number, by --handler, --type, --state, --since, --before or --fingerprint, or --all"
                .to_owned(),
            next: "ringrift dlq ls",
        }
        .into());
    }
    let mut filter = args.narrow.filter(call, store)?;
    if filter.states.is_empty() {
        filter.states = applies_to(act).to_vec();
    }
    let letters = args.narrow.letters(store, filter)?;
    if letters.len() == LETTERS_MAX {
        call.warn(format!(
            "only the newest {LETTERS_MAX} letters are touched; run the command again for the rest"
        ));
    }
    Ok(letters)
}

fn applies_to(act: LetterAct) -> &'static [LetterState] {
    match act {
        LetterAct::Retry | LetterAct::Discard => &[LetterState::Retrying, LetterState::Dead],
        LetterAct::Purge => &[
            LetterState::Retrying,
            LetterState::Dead,
            LetterState::Discarded,
        ],
        LetterAct::Restore => &[LetterState::Discarded, LetterState::Purged],
    }
}

fn command(act: LetterAct) -> &'static str {
    match act {
        LetterAct::Retry => "dlq retry",
        LetterAct::Discard => "dlq discard",
        LetterAct::Purge => "dlq purge",
        LetterAct::Restore => "dlq restore",
    }
}

/// Numbers and ranges of numbers that an undo spells out; a command line takes so many. More are
/// named by what they have in common, and then the undo says that it may restore others too.
const UNDO_NAMES_MAX: usize = 1_000;

/// How the act on these letters is undone; a retry and a restore undo nothing that would be missed.
fn undo<'a>(act: LetterAct, letters: impl Iterator<Item = &'a Letter>) -> Option<String> {
    let state = match act {
        LetterAct::Discard => "discarded",
        LetterAct::Purge => "purged",
        LetterAct::Retry | LetterAct::Restore => return None,
    };
    let names = select::ranges(letters.map(|letter| letter.id.0).collect());
    match names.len() {
        0 => None,
        1..=UNDO_NAMES_MAX => Some(format!("ringrift dlq restore {}", names.join(" "))),
        _ => Some(format!(
            "ringrift dlq restore --state {state} (others that were {state} earlier come back too)"
        )),
    }
}

fn plan(act: LetterAct, letters: &[Letter]) -> Plan {
    Plan {
        what: format!(
            "{} {}",
            word(act),
            count_text(letters.len() as u64, "dead letter")
        ),
        count: letters.len() as u64,
        lines: letters.iter().map(plan_line).collect(),
        undo: undo(act, letters.iter()).unwrap_or_else(|| {
            "none needed: a retry reaches the letter's own handler only".to_owned()
        }),
    }
}

/// Acts in parts, so that a long act keeps nobody waiting; each part is whole.
fn in_parts(
    call: &Call,
    store: &dyn Store,
    act: LetterAct,
    letters: &[Letter],
) -> Result<Acted, Stop> {
    let mut sum = Acted::default();
    for part in letters.chunks(LETTERS_AT_ONCE) {
        let seen = part.iter().map(Letter::seen).collect();
        let acted = match store.act(act, seen, call.by()).wait() {
            Ok(acted) => acted,
            Err(error) => {
                if sum.changed > 0 {
                    call.note(&format!(
                        "{} of {} letters were changed before this failed",
                        sum.changed,
                        letters.len()
                    ));
                }
                return Err(error.into());
            }
        };
        sum.changed += acted.changed;
        sum.left.extend(acted.left);
        sum.ended.extend(acted.ended);
    }
    Ok(sum)
}

/// What an act has done to a letter.
fn done(act: &str) -> String {
    match act {
        "retry" => "made due".to_owned(),
        act if act.ends_with('e') => format!("{act}d"),
        act => format!("{act}ed"),
    }
}

/// Letters named as left; more are counted.
const LEFT_NAMED_MAX: usize = 20;

fn left_line(left: &[i64], why: &str) -> String {
    let named: Vec<String> = left
        .iter()
        .take(LEFT_NAMED_MAX)
        .map(i64::to_string)
        .collect();
    let more = if left.len() > named.len() { " …" } else { "" };
    format!(
        "{} left as they are ({why}): {}{more}",
        left.len(),
        named.join(" ")
    )
}

impl Report for ActReport {
    fn write(&self, text: &mut Text) {
        if self.selected == 0 {
            text.line(format!("no dead letter matches: nothing to {}", self.act));
            return;
        }
        if self.dry_run {
            text.line(format!(
                "{} would be touched",
                count_text(self.selected as u64, "letter")
            ));
            return;
        }
        text.line(format!(
            "{} of {} {}",
            self.changed,
            count_text(self.selected as u64, "letter"),
            done(self.act)
        ));
        let others = self.left.iter().filter(|id| !self.ended.contains(id));
        let others: Vec<i64> = others.copied().collect();
        for (left, why) in [
            (
                others.as_slice(),
                "running, in another state, or changed since",
            ),
            (
                self.ended.as_slice(),
                "their subscription was removed or sought since: nobody would run them",
            ),
        ] {
            if !left.is_empty() {
                text.line(left_line(left, why));
            }
        }
        if let Some(undo) = &self.undo {
            text.line(format!("Undo: {undo}"));
        }
    }
}
