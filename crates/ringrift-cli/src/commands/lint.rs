//! `ringrift lint`: the wiring as a check.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use ringrift_events::lint::{self, Baseline, Class, Finding, Linted, Question, Severity};
use serde::Serialize;

use crate::call::Call;
use crate::exit::Exit;
use crate::failure::{Done, Stop};
use crate::open;
use crate::output::{Moment, Paint, Report, Text, count_text, visible};

/// The arguments of `lint`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift lint\n  ringrift lint --since 30d --source src --source python\n  ringrift lint --source . --baseline lint.txt --write-baseline\n  ringrift lint --source . --baseline lint.txt --format sarif > lint.sarif\n\nExits 1 when something is found that the baseline does not accept, or when the baseline holds\nwhat no longer occurs. Written again, a baseline only loses entries."
)]
pub(crate) struct Args {
    /// What was published and subscribed since then counts: 7d, or a date. Default `lint.since`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// A folder or file of sources, Rust or Python, whose event names count too; may be repeated.
    #[arg(long = "source", short = 's', value_name = "PATH", num_args = 1..)]
    sources: Vec<PathBuf>,

    /// Only sources and the catalog: what the store saw does not count.
    #[arg(long, requires = "sources")]
    sources_only: bool,

    /// Accept what stands in this file.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Write the baseline: all that is found if there is none, else without what no longer occurs.
    #[arg(long, requires = "baseline")]
    write_baseline: bool,

    /// As text, or as SARIF 2.1.0 for tools that show findings beside code.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text, or with --json the envelope.
    #[default]
    Plain,
    /// One SARIF log.
    Sarif,
}

#[derive(Serialize)]
struct Shown {
    since_shown: Moment,
    /// How many findings there are of each class, accepted ones too.
    counts: serde_json::Map<String, serde_json::Value>,
    /// How many no baseline accepts.
    new: usize,
    clean: bool,
    baseline: Option<Written>,
    #[serde(flatten)]
    linted: Linted,
}

#[derive(Clone, Debug, Serialize)]
struct Written {
    file: String,
    entries: usize,
    written: bool,
}

/// Looks, compares and says.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let linted = looked(call, args)?;
    let (linted, baseline) = accepted(args, linted)?;
    let exit = if linted.is_clean() {
        Exit::Ok
    } else {
        Exit::No
    };
    if args.format == Format::Sarif {
        let log = lint::sarif(&linted, args.baseline.is_some());
        call.line(&format!("{log:#}"))?;
        return Ok(exit);
    }
    let counts = Class::ALL.map(|class| (class.as_str().to_owned(), linted.count(class).into()));
    let shown = Shown {
        since_shown: call.show(linted.since),
        counts: counts.into_iter().collect(),
        new: linted.fresh().count(),
        clean: linted.is_clean(),
        baseline,
        linted,
    };
    call.answer_as("lint", &shown, exit)
}

fn looked(call: &Call, args: &Args) -> Result<Linted, Stop> {
    let config = open::config(call)?;
    let settings = &config.settings;
    let since = match &args.since {
        Some(text) => call.moment(text)?,
        None => call.now().before(settings.lint.since),
    };
    let store = if args.sources_only {
        None
    } else {
        open::reading_if_there(call)?
    };
    let catalog = match &store {
        Some(store) => open::catalog_with(call, &**store)?,
        None if args.sources_only => open::catalog(call)?,
        None => {
            call.warn("no store here: only the catalog and the sources count");
            open::catalog(call)?
        }
    };
    let question = Question {
        since,
        until: call.now(),
        sources: args.sources.clone(),
        alerted: config.alerted(&catalog),
        baseline: args
            .baseline
            .as_deref()
            .map(Baseline::read)
            .transpose()?
            .flatten(),
    };
    Ok(lint::look(store.as_deref(), &catalog, &question)?)
}

/// Writes the baseline if asked; then what it holds is what was found of it.
fn accepted(args: &Args, mut linted: Linted) -> Result<(Linted, Option<Written>), Stop> {
    let Some(file) = &args.baseline else {
        return Ok((linted, None));
    };
    let stands = Baseline::read(file)?;
    let baseline = match (&stands, args.write_baseline) {
        (Some(stands), true) => stands.shrunk(&linted.findings),
        (None, true) => Baseline::of(&linted.findings),
        (stands, false) => stands.clone().unwrap_or_default(),
    };
    if args.write_baseline {
        baseline.write(file)?;
        linted.stale = baseline.apply(&mut linted.findings);
    }
    let written = Written {
        file: file.display().to_string(),
        entries: baseline.len(),
        written: args.write_baseline,
    };
    Ok((linted, Some(written)))
}

/// What a class is called above its findings.
fn heading(class: Class) -> &'static str {
    match class {
        Class::NearMiss => "Near misses: probably one event under two names",
        Class::Unbridged => "Unbridged: others need them and never get them",
        Class::Unknown => "Unknown names: refused when they are used",
        Class::DeadSubscription => "Dead subscriptions: awaited, and published by nobody",
        Class::Orphan => "Orphans: published, and awaited by nobody",
    }
}

fn paint(severity: Severity) -> Paint {
    match severity {
        Severity::Error => Paint::Bad,
        Severity::Warning => Paint::Odd,
        Severity::Note => Paint::Faint,
    }
}

impl Report for Shown {
    fn write(&self, text: &mut Text) {
        for class in Class::ALL {
            let of = |finding: &&Finding| finding.class == class && !finding.accepted;
            let found: Vec<&Finding> = self.linted.findings.iter().filter(of).collect();
            if found.is_empty() {
                continue;
            }
            let title = format!("{} ({})", heading(class), found.len());
            let title = text.paint(paint(class.severity()), &title);
            text.line(title);
            for finding in found {
                text.line(format!("  {}", visible(&finding.message)));
                for place in &finding.places {
                    text.line(format!("      {place}"));
                }
                let next = text.paint(Paint::Faint, &format!("      next: {}", finding.next));
                text.line(next);
            }
            text.line("");
        }
        for entry in &self.linted.stale {
            text.line(format!(
                "The baseline accepts `{entry}`, which no longer occurs: remove it (--write-baseline)"
            ));
        }
        self.summary(text);
    }
}

impl Shown {
    fn summary(&self, text: &mut Text) {
        let looked = &self.linted.looked;
        if !self.linted.takes_all.is_empty() {
            text.line(format!(
                "Takes every type, and counts for none: {}",
                self.linted.takes_all.join(", ")
            ));
        }
        text.line(format!(
            "Looked at {} types, {} published since {}, {} and {} left out",
            looked.types,
            count_text(looked.events, "event"),
            self.since_shown,
            count_text(looked.files as u64, "source file"),
            looked.files_left_out,
        ));
        if looked.cut {
            text.line("Older events were left out: there were too many to count");
        }
        let accepted = self.linted.findings.len() - self.new;
        if let Some(baseline) = &self.baseline {
            let verb = if baseline.written { "written" } else { "read" };
            text.line(format!(
                "Baseline {} {verb}: it accepts {accepted} of {}",
                baseline.file,
                count_text(self.linted.findings.len() as u64, "finding")
            ));
        }
        let verdict = match (self.clean, self.new) {
            (true, _) => text.paint(Paint::Good, "Nothing new"),
            (false, 0) => text.paint(Paint::Odd, "Nothing new, but the baseline is out of date"),
            (false, new) => text.paint(Paint::Bad, &count_text(new as u64, "new finding")),
        };
        text.line(verdict);
    }
}
