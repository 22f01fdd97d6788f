//! Destructive verbs say what they would touch, and go on only when somebody means it.

use std::io::{BufRead, IsTerminal, Write};
use std::str::FromStr;

use clap::Args;
use ringrift_events::coded;

use crate::call::Call;
use crate::failure::{Error, Stop};

/// Above this many a plain `yes` is too easily said: the count must be given.
pub(crate) const COUNT_TYPED_ABOVE: u64 = 1_000;

/// Lines of a plan that are shown before "and n more".
const LINES_SHOWN: usize = 10;

/// How a destructive verb is confirmed.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Confirm {
    /// Do it without asking; above 1,000 things say how many, as `--yes=COUNT`.
    #[arg(
        long,
        short = 'y',
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "any",
        value_name = "COUNT"
    )]
    pub(crate) yes: Option<Yes>,

    /// Only say what would be touched.
    #[arg(long, visible_alias = "preview", conflicts_with = "yes")]
    pub(crate) dry_run: bool,
}

/// A `--yes`, with or without a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Yes {
    /// Whatever it is, up to [`COUNT_TYPED_ABOVE`].
    Any,
    /// Exactly this many.
    Count(u64),
}

impl FromStr for Yes {
    type Err = String;

    fn from_str(text: &str) -> Result<Yes, String> {
        if text == "any" {
            return Ok(Yes::Any);
        }
        text.replace([',', '_'], "")
            .parse()
            .map(Yes::Count)
            .map_err(|_| "a count is a whole number".to_owned())
    }
}

/// What a destructive verb would do.
#[derive(Debug)]
pub(crate) struct Plan {
    /// In words: `purge 12 dead letters`.
    pub(crate) what: String,
    /// How many things it touches.
    pub(crate) count: u64,
    /// The things, one a line; the first few are shown.
    pub(crate) lines: Vec<String>,
    /// How it is undone.
    pub(crate) undo: String,
}

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    /// Do it.
    Ahead,
    /// Nothing: it was a dry run.
    DryRun,
}

impl Confirm {
    /// Shows the plan on standard error and finds out whether to go ahead.
    pub(crate) fn ask(&self, call: &Call, plan: &Plan) -> Result<Go, Stop> {
        call.note(&plan_text(plan));
        if self.dry_run {
            return Ok(Go::DryRun);
        }
        match self.yes {
            Some(Yes::Count(count)) if count == plan.count => return Ok(Go::Ahead),
            Some(Yes::Any) if plan.count <= COUNT_TYPED_ABOVE => return Ok(Go::Ahead),
            Some(Yes::Any | Yes::Count(_)) | None => {}
        }
        let asked =
            self.yes.is_none() && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if asked && answer(plan)? {
            return Ok(Go::Ahead);
        }
        Err(not_confirmed(call, plan).into())
    }
}

impl Plan {
    /// Refuses where by now it would touch more than was shown: nobody said yes to that.
    pub(crate) fn still_covers(&self, call: &Call, now: u64) -> Result<(), Stop> {
        if now <= self.count {
            return Ok(());
        }
        Err(Error::NotConfirmed {
            what: format!("{}, and {} more by now", self.what, now - self.count),
            next: command_line(&call.words()),
        }
        .into())
    }
}

fn plan_text(plan: &Plan) -> String {
    let mut text = format!("This will {}.", plan.what);
    for line in plan.lines.iter().take(LINES_SHOWN) {
        text.push_str("\n  ");
        text.push_str(&crate::output::visible(line));
    }
    if plan.lines.len() > LINES_SHOWN {
        text.push_str(&format!(
            "\n  … and {} more",
            plan.lines.len() - LINES_SHOWN
        ));
    }
    text.push_str("\nUndo: ");
    text.push_str(&plan.undo);
    text
}

/// Asks on the terminal; above [`COUNT_TYPED_ABOVE`] the count itself is the answer.
fn answer(plan: &Plan) -> Result<bool, Stop> {
    let question = if plan.count > COUNT_TYPED_ABOVE {
        format!("Type {} to go ahead: ", plan.count)
    } else {
        "Go ahead? [y/N] ".to_owned()
    };
    let mut line = String::new();
    let mut stderr = std::io::stderr();
    stderr
        .write_all(question.as_bytes())
        .and_then(|()| stderr.flush())
        .and_then(|()| std::io::stdin().lock().read_line(&mut line))
        .map_err(|source| Error::Io {
            what: "cannot ask on the terminal".to_owned(),
            source,
        })?;
    Ok(means_yes(&line, plan.count))
}

fn means_yes(line: &str, count: u64) -> bool {
    let line = line.trim();
    if count > COUNT_TYPED_ABOVE {
        return line.replace([',', '_'], "") == count.to_string();
    }
    matches!(line, "y" | "Y" | "yes" | "Yes")
}

fn not_confirmed(call: &Call, plan: &Plan) -> Error {
    let yes = if plan.count > COUNT_TYPED_ABOVE {
        format!("--yes={}", plan.count)
    } else {
        "--yes".to_owned()
    };
    Error::NotConfirmed {
        what: plan.what.clone(),
        next: format!("{} {yes}", command_line(&call.words())),
    }
}

/// This command line without any `--yes`, quoted where a shell needs it.
pub(crate) fn command_line(words: &[String]) -> String {
    let words = words
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with("--yes") && *word != "-y");
    coded::command_line(std::iter::once("ringrift").chain(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_a_thousand_only_the_count_is_a_yes() {
        assert!(means_yes("y\n", 1_000));
        assert!(!means_yes("y\n", 1_001));
        assert!(means_yes("1,001\n", 1_001));
        assert!(!means_yes("\n", 3));
    }

    #[test]
    fn a_plan_shows_the_first_lines_and_the_undo() {
        let plan = Plan {
            what: "purge 12 dead letters".into(),
            count: 12,
            lines: (0..12).map(|n| format!("letter {n}")).collect(),
            undo: "ringrift dlq restore --all".into(),
        };
        let text = plan_text(&plan);
        assert!(text.starts_with("This will purge 12 dead letters.\n  letter 0\n"));
        assert!(text.ends_with("  … and 2 more\nUndo: ringrift dlq restore --all"));
    }

    #[test]
    fn a_line_is_repeated_without_its_yes_and_quoted_for_the_shell() {
        let words = ["dlq", "purge", "--where", "elo > 1900", "--yes=2"].map(str::to_owned);
        assert_eq!(
            command_line(&words),
            "ringrift dlq purge --where 'elo > 1900'"
        );
    }
}
