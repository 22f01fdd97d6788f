//! `ringrift pipeline ls`: every pipeline.

use clap::Args as ClapArgs;
use serde::Serialize;

use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Cell, Paint, Report, Text};

/// The arguments of `pipeline ls`.
#[derive(ClapArgs, Debug)]
#[command(after_help = "Examples:\n  ringrift pipeline ls\n  ringrift pipeline ls --json")]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Listed {
    pipelines: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    key: String,
    steps: Vec<String>,
    timed_steps: usize,
    stalled: usize,
}

/// Lists them.
pub(crate) fn run(call: &Call, _args: &Args) -> Done {
    let store = open::reading(call)?;
    let pipelines = open::pipelines(call, &store)?;
    let stalls = pipelines.stalls()?;
    let rows = pipelines.list().iter().map(|one| Row {
        name: one.name().to_owned(),
        key: one.key_field().to_owned(),
        steps: one.steps().iter().map(|step| step.constant()).collect(),
        timed_steps: (0..one.steps().len())
            .filter(|index| one.limit_of(*index).is_some())
            .count(),
        stalled: stalls
            .iter()
            .filter(|stall| stall.pipeline == one.name())
            .count(),
    });
    let listed = Listed {
        pipelines: rows.collect(),
    };
    call.answer("pipeline ls", &listed)
}

impl Report for Listed {
    fn write(&self, text: &mut Text) {
        let rows = self.pipelines.iter().map(|row| {
            let stalled = match row.stalled {
                0 => Cell::from(0),
                many => Cell::painted(Paint::Bad, many.to_string()),
            };
            vec![
                row.name.as_str().into(),
                row.key.as_str().into(),
                row.steps.len().into(),
                row.timed_steps.into(),
                stalled,
            ]
        });
        text.table(
            &["name", "key field", "steps", "with a limit", "stalled"],
            rows.collect(),
        );
    }
}
