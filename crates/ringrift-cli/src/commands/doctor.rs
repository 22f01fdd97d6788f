//! `ringrift doctor`: what is wrong, how that is known, and what to run next.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args as ClapArgs;
use ringrift_events::clock::Time;
use ringrift_events::config::Config;
use ringrift_events::doctor::{Cut, Finding, Mended, Mender, Report as Examined, Severity};
use ringrift_events::explain::readable;
use serde::Serialize;
use serde_json::{Value, json};

use crate::call::Call;
use crate::exit::Exit;
use crate::failure::{Done, Stop};
use crate::output::{Moment, Paint, Report, Text};
use crate::{kept, open};

/// Where the examination begins unless it is asked otherwise.
const SINCE: &str = "24h";

/// Most characters of one line of evidence.
const EVIDENCE_CHARS_MAX: usize = 160;

/// The arguments of `doctor`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift doctor\n  ringrift doctor --since 1h\n  ringrift doctor --fix\n  ringrift doctor --json | jq -r '.data.findings[].cause'\n\nExits 0 when nothing but notes is found, 1 otherwise. `ringrift codes CODE` shows a code's page."
)]
pub(crate) struct Args {
    /// Look at what happened since then: 1h, 7d, or a date.
    #[arg(long, value_name = "TIME", default_value = SINCE)]
    since: String,

    /// Do what is safe, after a backup: start daemons that failed, sweep, copy a grown write-ahead
    /// log, give side files the permissions of the database. Loses no event; may be repeated.
    #[arg(long)]
    pub(crate) fix: bool,
}

#[derive(Serialize)]
struct Shown {
    as_of: Moment,
    since: Moment,
    is_stopped: bool,
    /// The copy that was made before anything was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<PathBuf>,
    /// What `--fix` did.
    mended: Vec<Mended>,
    /// What is found, after what was mended.
    findings: Vec<Finding>,
    /// What was looked at in part only.
    cut: Vec<Cut>,
}

/// Examines, and mends what may be mended if asked to.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let config = open::config(call)?;
    let since = call.since(&args.since, "ringrift doctor --since 24h")?;
    let mut report = examine(call, &config, since)?;
    let (mut mended, mut backup) = (Vec::new(), None);
    if args.fix && report.findings.iter().any(|finding| finding.fix.is_some()) {
        let to = kept::name(call, &config.home.database(), "fix");
        mended = mend(call, &config, &report.findings, &to)?;
        backup = Some(to);
        report = examine(call, &config, since)?;
    }
    // A note is of something that works as it was told to.
    let is_note = |finding: &Finding| finding.severity == Severity::Note;
    let exit = match report.findings.iter().all(is_note) {
        true => Exit::Ok,
        false => Exit::No,
    };
    // People read it above the findings.
    for cut in report.cut.iter().filter(|_| call.global.json) {
        call.warn(cut.to_string());
    }
    let shown = Shown {
        as_of: call.show(report.as_of),
        since: call.show(report.since),
        is_stopped: report.is_stopped,
        backup,
        mended,
        findings: report.findings,
        cut: report.cut,
    };
    call.answer_as("doctor", &shown, exit)
}

/// Looks through a handle that only reads: one that writes is a process that lives.
fn examine(call: &Call, config: &Config, since: Time) -> Result<Examined, Stop> {
    let store = open::reading(call)?;
    let catalog = open::catalog_with(call, &*store)?;
    let ask = config.examination(&catalog, call.now(), since);
    Ok(Examined::of(&*store, &catalog, &ask)?)
}

fn mend(
    call: &Call,
    config: &Config,
    findings: &[Finding],
    backup: &Path,
) -> Result<Vec<Mended>, Stop> {
    let store = open::writing(call)?;
    let mender = Mender {
        store: &*store,
        clock: Arc::clone(&call.clock),
        rules: config.settings.sweep_rules(),
        by: call.by(),
    };
    Ok(mender.mend(findings, backup)?)
}

impl Report for Shown {
    fn write(&self, text: &mut Text) {
        if let Some(backup) = &self.backup {
            text.line(format!(
                "backup: {}",
                crate::output::visible(&backup.display().to_string())
            ));
        }
        for mended in &self.mended {
            let (paint, word) = match mended.done {
                true => (Paint::Good, "done"),
                false => (Paint::Bad, "not done"),
            };
            let word = text.paint(paint, word);
            text.line(format!("{word}: {}", crate::output::visible(&mended.said)));
        }
        if self.is_stopped {
            let said = format!("no process lives; judged as of {}", self.as_of);
            let said = text.paint(Paint::Faint, &said);
            text.line(said);
        }
        for cut in &self.cut {
            let cut = text.paint(Paint::Odd, &text.told(&cut.to_string()));
            text.line(cut);
        }
        if self.findings.is_empty() {
            let well = text.paint(Paint::Good, "nothing found");
            // Who reads this line alone must not take a part for the whole.
            let part = match self.cut.is_empty() {
                true => "",
                false => ", as far as was looked",
            };
            text.line(format!("{well} since {}{part}", self.since));
        }
        for finding in &self.findings {
            show(text, finding);
        }
    }
}

fn show(text: &mut Text, finding: &Finding) {
    let paint = match finding.severity {
        Severity::Critical => Paint::Bad,
        Severity::Warning => Paint::Odd,
        Severity::Note => Paint::Faint,
    };
    let cause = finding.cause.map(|slug| format!(" ({slug})"));
    text.title(&format!("{}{}", finding.code, cause.unwrap_or_default()));
    let weight = text.paint(paint, finding.severity.as_str());
    text.line(format!(
        "{weight}  {}",
        crate::output::visible(&text.told(&finding.says))
    ));
    text.line(format!("  {}", finding.meaning));
    for (name, value) in &finding.evidence {
        let Some(line) = told(name, value) else {
            continue;
        };
        let line = text.told(&line);
        let line = crate::output::one_line(&line, EVIDENCE_CHARS_MAX);
        let line = text.paint(Paint::Faint, &crate::output::visible(&line));
        text.line(format!("    {line}"));
    }
    let safe = match finding.safe_to_do {
        true => "run",
        false => "look first, then run",
    };
    text.line(format!(
        "  {safe}: {}",
        crate::output::visible(&finding.command)
    ));
    if finding.fix.is_some() {
        text.line("  or let it be done: ringrift doctor --fix");
    }
}

/// A line of evidence as people read it; none of what is empty.
fn told(name: &str, value: &Value) -> Option<String> {
    let words = name.replace('_', " ");
    match value {
        Value::Null => Some(format!("{words} unknown")),
        Value::String(text) => Some(format!("{words} {text}")),
        Value::Bool(_) | Value::Number(_) => Some(format!("{words} {value}")),
        Value::Array(_) | Value::Object(_) => {
            let line = readable(&json!({ name: value }).to_string());
            (line != words && !line.is_empty()).then_some(line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_told_in_words() {
        let measured = json!({ "attempt": 1, "errno": [24], "took_us": 1_500 });
        let line = told("measured", &measured);
        let words = "measured (attempt 1, took 1.500 ms, errno 24)";
        assert_eq!(line.as_deref(), Some(words));
        let errors = json!([{ "letters": 2, "error": "no such table" }]);
        let line = told("errors", &errors);
        assert_eq!(line.as_deref(), Some("errors (no such table, letters 2)"));
        assert_eq!(told("errno", &json!([])), None);
        let times = [json!(0), json!("2026-11-29 UTC"), Value::Null];
        let lines = times.map(|value| told("ended_at", &value).expect("a line"));
        assert_eq!(
            lines,
            ["ended at 0", "ended at 2026-11-29 UTC", "ended at unknown"]
        );
    }
}
