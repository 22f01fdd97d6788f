//! `ringrift pipeline show`: one pipeline's steps, and what stands still in it.

use std::time::Duration;

use clap::Args as ClapArgs;
use ringrift_events::catalog::pipeline::RINGRIFT_PIPELINE;
use serde::Serialize;

use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Moment, Paint, Report, Text, duration_text};

/// The arguments of `pipeline show`.
#[derive(ClapArgs, Debug)]
#[command(after_help = "Examples:\n  ringrift pipeline show\n  ringrift pipeline show nightly")]
pub(crate) struct Args {
    /// The pipeline.
    #[arg(default_value = RINGRIFT_PIPELINE, value_name = "PIPELINE")]
    name: String,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    key: String,
    steps: Vec<Step>,
    stalled: Vec<Stalled>,
}

#[derive(Serialize)]
struct Step {
    event_type: String,
    limit_us: Option<u128>,
}

#[derive(Serialize)]
struct Stalled {
    key: String,
    step: String,
    since: Moment,
    waited_us: u128,
    after_event: String,
}

/// Shows it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let pipelines = open::pipelines(call, &store)?;
    let pipeline = pipelines.get(&args.name)?;
    let step = |index: usize| {
        let step = pipeline.steps().get(index);
        step.map_or_else(|| index.to_string(), |step| step.constant())
    };
    let stalls = pipelines.stalls()?.into_iter();
    let shown = Shown {
        name: pipeline.name().to_owned(),
        key: pipeline.key_field().to_owned(),
        steps: (0..pipeline.steps().len())
            .map(|index| Step {
                event_type: step(index),
                limit_us: pipeline.limit_of(index).map(|limit| limit.as_micros()),
            })
            .collect(),
        stalled: stalls
            .filter(|stall| stall.pipeline == pipeline.name())
            .map(|stall| Stalled {
                step: step(stall.step),
                since: call.show(stall.since),
                waited_us: call.now().since(stall.since).as_micros(),
                after_event: stall.event.to_string(),
                key: stall.key,
            })
            .collect(),
    };
    call.answer("pipeline show", &shown)
}

impl Report for Shown {
    fn write(&self, text: &mut Text) {
        text.fields(&[
            ("pipeline", self.name.clone()),
            ("key field", self.key.clone()),
        ]);
        text.title("Steps");
        for (index, step) in self.steps.iter().enumerate() {
            let limit = step
                .limit_us
                .map(|limit| format!("  within {}", micros_text(limit)));
            text.line(format!(
                "  {}. {}{}",
                index + 1,
                step.event_type,
                limit.unwrap_or_default()
            ));
        }
        if !self.stalled.is_empty() {
            text.title("Stands still");
        }
        for stalled in &self.stalled {
            let key = text.paint(Paint::Bad, &crate::output::visible(&stalled.key));
            text.line(format!(
                "  {key}: {} did not come since {} ({})",
                stalled.step,
                stalled.since,
                micros_text(stalled.waited_us)
            ));
        }
    }
}

fn micros_text(micros: u128) -> String {
    duration_text(Duration::from_micros(
        u64::try_from(micros).unwrap_or(u64::MAX),
    ))
}
