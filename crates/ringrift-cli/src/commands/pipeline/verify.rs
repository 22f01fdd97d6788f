//! `ringrift pipeline verify`: did every step come for a key, or for all keys?

use std::time::Duration;

use clap::Args as ClapArgs;
use ringrift_events::catalog::pipeline::RINGRIFT_PIPELINE;
use ringrift_events::pipeline::{Flow, Matrix, StepFlow};
use serde::Serialize;

use crate::call::Call;
use crate::exit::Exit;
use crate::failure::Done;
use crate::open;
use crate::output::{Cell, Moment, Paint, Report, Text, count_text, duration_text, visible};

/// The arguments of `pipeline verify`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift pipeline verify hex8_2p\n  ringrift pipeline verify hex8_2p --hours 48\n  ringrift pipeline verify --all\n\nExits 1 when a step is missing, and with --all when no event of the pipeline came at all."
)]
pub(crate) struct Args {
    /// The key: a value of the pipeline's key field.
    #[arg(value_name = "KEY", required_unless_present = "all")]
    key: Option<String>,

    /// Every key: the matrix of keys and steps.
    #[arg(long, conflicts_with = "key")]
    all: bool,

    /// How many hours back to look.
    #[arg(long, default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..))]
    hours: u32,

    /// The pipeline.
    #[arg(long, default_value = RINGRIFT_PIPELINE, value_name = "NAME")]
    pipeline: String,
}

/// Verifies one key, or all.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let pipelines = open::pipelines(call, &store)?;
    let back = Duration::from_secs(u64::from(args.hours) * 3_600);
    let since = call.now().before(back);
    if let Some(key) = &args.key {
        let flow = pipelines.verify(&args.pipeline, key, since, call.now())?;
        warn_of_cut(call, flow.cut);
        let exit = exit_of(flow.complete, flow.cut);
        return call.answer_as("pipeline verify", &One::of(call, flow), exit);
    }
    let matrix = pipelines.matrix(&args.pipeline, since)?;
    warn_of_cut(call, matrix.cut);
    // Of nothing it cannot be said that every step came.
    let is_complete = matrix.is_complete() && !matrix.keys.is_empty();
    let exit = exit_of(is_complete, matrix.cut);
    let all = All {
        matrix,
        hours: args.hours,
    };
    call.answer_as("pipeline verify", &all, exit)
}

/// A step that is missing in a part of the log may stand in the rest.
fn exit_of(complete: bool, cut: bool) -> Exit {
    match (complete, cut) {
        (true, _) => Exit::Ok,
        (false, false) => Exit::No,
        (false, true) => Exit::Unknown,
    }
}

fn warn_of_cut(call: &Call, cut: bool) {
    if cut {
        call.warn(
            "only the first million events of the window were looked at: narrow it by --hours",
        );
    }
}

#[derive(Serialize)]
struct One {
    pipeline: String,
    key: String,
    since: Moment,
    complete: bool,
    cut: bool,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    #[serde(flatten)]
    flow: StepFlow,
    #[serde(skip)]
    last: Option<Moment>,
}

impl One {
    fn of(call: &Call, flow: Flow) -> One {
        One {
            pipeline: flow.pipeline,
            key: flow.key,
            since: call.show(flow.since),
            complete: flow.complete,
            cut: flow.cut,
            steps: flow
                .steps
                .into_iter()
                .map(|flow| Step {
                    last: flow.last_at.map(|at| call.show(at)),
                    flow,
                })
                .collect(),
        }
    }
}

impl Report for One {
    fn write(&self, text: &mut Text) {
        for step in &self.steps {
            let flow = &step.flow;
            let mark = mark(text, flow.count);
            let mut line = format!("{mark} {}: {}", flow.event_type.as_str(), flow.count);
            if let Some(last) = &step.last {
                line.push_str(&format!("  last {last}"));
            }
            if let Some(gap) = flow.after_previous_us {
                line.push_str(&format!(", {} after the step before", time(gap)));
            }
            if let (true, Some(limit)) = (flow.late, flow.limit_us) {
                let late = format!("later than {}", time(limit));
                line.push_str(&format!(", {}", text.paint(Paint::Bad, &late)));
            }
            text.line(line);
        }
    }
}

#[derive(Serialize)]
struct All {
    #[serde(flatten)]
    matrix: Matrix,
    #[serde(skip)]
    hours: u32,
}

impl Report for All {
    fn write(&self, text: &mut Text) {
        let matrix = &self.matrix;
        if matrix.keys.is_empty() {
            let hours = count_text(u64::from(self.hours), "hour");
            text.line(format!(
                "no event of the pipeline with a key came in the last {hours}: nothing can be verified"
            ));
            return without(text, matrix);
        }
        let mut headings = vec!["key"];
        headings.extend(matrix.steps.iter().map(|step| step.as_str()));
        let cell = |count: u64| match count {
            0 => Cell::painted(Paint::Bad, "✗"),
            count => Cell::painted(Paint::Good, format!("✓ {count}")),
        };
        let rows = matrix.keys.iter().map(|key| {
            let counts = key.counts.iter().map(|count| cell(*count));
            std::iter::once(Cell::from(visible(&key.key)))
                .chain(counts)
                .collect()
        });
        text.table(&headings, rows.collect());
        without(text, matrix);
    }
}

/// The events that stand in no row.
fn without(text: &mut Text, matrix: &Matrix) {
    if matrix.without_key > 0 {
        text.line(format!("{} events bear no key", matrix.without_key));
    }
    if matrix.beyond > 0 {
        text.line(format!("{} events of further keys", matrix.beyond));
    }
}

fn mark(text: &Text, count: u64) -> String {
    match count {
        0 => text.paint(Paint::Bad, "✗"),
        _ => text.paint(Paint::Good, "✓"),
    }
}

fn time(micros: u64) -> String {
    duration_text(Duration::from_micros(micros))
}
