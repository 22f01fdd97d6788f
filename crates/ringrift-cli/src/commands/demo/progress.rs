//! What a run shows while it goes: a bar a stage on a terminal, plain lines elsewhere. It goes to
//! standard error, for standard output is the report's.

use std::fmt::Write;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use super::children::Children;
use super::observe::Counts;
use super::plan::{KILLED_STAGE, Plan, STAGES};
use crate::output::count_text;

/// How a run shows itself.
pub(super) struct Progress {
    bars: Option<(MultiProgress, Vec<ProgressBar>)>,
    silent: bool,
    looks: u32,
    rounds: u64,
    told_kill: bool,
}

impl Progress {
    /// How often it looks.
    pub(super) const EVERY: Duration = Duration::from_millis(100);

    /// Looks between two plain lines.
    const LINE_EVERY: u32 = 20;

    pub(super) fn new(json: bool, plan: &Plan, root: &Path) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        let mut progress = Progress {
            bars: None,
            silent: json,
            looks: 0,
            rounds: plan.rounds(),
            told_kill: false,
        };
        progress.say(&format!(
            "{} processes, {} of {} events each; home {}",
            STAGES.len(),
            count_text(plan.rounds(), "round"),
            STAGES.len(),
            root.display()
        ));
        progress.bars = (terminal && !json).then(|| bars(plan));
        progress
    }

    pub(super) fn show(&mut self, counts: &Counts, children: &Children) {
        self.looks += 1;
        if children.killed > 0 && !self.told_kill {
            self.told_kill = true;
            self.say(&format!(
                "stage {KILLED_STAGE} was killed with SIGKILL and started again"
            ));
        }
        if let Some((_, bars)) = &self.bars {
            for (bar, published) in bars.iter().zip(counts.published) {
                bar.set_position(published);
            }
        } else if self.looks.is_multiple_of(Progress::LINE_EVERY) {
            let stages: Vec<String> = STAGES
                .iter()
                .zip(counts.published)
                .map(|(stage, published)| format!("{} {published}", stage.name))
                .collect();
            self.say(&format!(
                "published of {}: {}",
                self.rounds,
                stages.join(", ")
            ));
        }
    }

    fn say(&self, line: &str) {
        if self.silent {
            return;
        }
        match &self.bars {
            // A line that cannot be shown is no reason to stop the run.
            Some((all, _)) => drop(all.println(line)),
            None => eprintln!("{line}"),
        }
    }

    pub(super) fn end(&mut self) {
        if let Some((_, bars)) = &self.bars {
            for bar in bars {
                bar.abandon();
            }
        }
    }
}

fn bars(plan: &Plan) -> (MultiProgress, Vec<ProgressBar>) {
    let all = MultiProgress::new();
    let width = plan.rounds().to_string().len();
    let template = format!("{{prefix:>10}} {{bar:40}} {{pos:>{width}}}/{{len}} {{rate:>10}}");
    let style = ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", |state: &ProgressState, rate: &mut dyn Write| {
            // A rate that cannot be shown is no reason to stop the run.
            write!(rate, "{:.0}/s", state.per_sec()).unwrap_or_default();
        });
    let bars = STAGES
        .iter()
        .map(|stage| {
            let bar = all.add(ProgressBar::new(plan.rounds()).with_style(style.clone()));
            bar.set_prefix(stage.name);
            bar
        })
        .collect();
    (all, bars)
}
