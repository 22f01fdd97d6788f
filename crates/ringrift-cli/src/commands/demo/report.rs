//! The closing table.

use std::time::Duration;

use serde::Serialize;

use super::children::Children;
use super::plan::Plan;
use crate::output::{Cell, Paint, Text};

/// What one run came to.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    configs: u32,
    iterations: u32,
    took_s: f64,
    events: u64,
    events_per_s: f64,
    stages: Vec<StageRow>,
    killed: u32,
    crashed: u32,
    /// Events that are neither handled nor dead: 0, or something is broken.
    pub(super) lost: u64,
    /// Every round came to its end, or stopped at a dead letter.
    pub(super) complete: bool,
}

/// One stage.
#[derive(Debug, Serialize)]
pub(super) struct StageRow {
    pub(super) stage: &'static str,
    pub(super) published: u64,
    pub(super) to_handle: u64,
    pub(super) handled: u64,
    pub(super) retried: u64,
    pub(super) dead: u64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        stages: Vec<StageRow>,
        children: &Children,
        took: Duration,
    ) -> Report {
        let events: u64 = stages.iter().map(|stage| stage.published).sum();
        let lost = stages
            .iter()
            .map(|stage| stage.to_handle.saturating_sub(stage.handled + stage.dead))
            .sum::<u64>()
            // What was published and reached no ledger would be the worst loss of all.
            + lost_between(&stages);
        let dead: u64 = stages.iter().map(|stage| stage.dead).sum();
        let last = stages.last().map_or(0, |stage| stage.published);
        Report {
            configs: plan.configs,
            iterations: plan.iterations,
            took_s: took.as_secs_f64(),
            events,
            events_per_s: events as f64 / took.as_secs_f64().max(0.001),
            killed: children.killed,
            crashed: children.crashed,
            lost,
            complete: dead == u64::from(plan.dead.min(plan.configs))
                && (dead > 0 || last == plan.rounds()),
            stages,
        }
    }
}

/// Events that a stage published and that the next one's ledger does not know.
fn lost_between(stages: &[StageRow]) -> u64 {
    let next = stages.iter().cycle().skip(1);
    stages
        .iter()
        .zip(next)
        .map(|(stage, next)| stage.published.saturating_sub(next.to_handle))
        .sum()
}

impl crate::output::Report for Report {
    fn write(&self, text: &mut Text) {
        let ms =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1} ms"));
        let rows = self
            .stages
            .iter()
            .map(|stage| {
                let dead = match stage.dead {
                    0 => Cell::from("0".to_owned()),
                    dead => Cell::painted(Paint::Bad, dead.to_string()),
                };
                vec![
                    Cell::from(stage.stage.to_owned()),
                    Cell::from(stage.published.to_string()),
                    Cell::from(stage.handled.to_string()),
                    Cell::from(stage.retried.to_string()),
                    dead,
                    Cell::from(ms(stage.p50_ms)),
                    Cell::from(ms(stage.p99_ms)),
                ]
            })
            .collect();
        text.table(
            &[
                "stage",
                "published",
                "handled",
                "retried",
                "dead",
                "p50",
                "p99",
            ],
            rows,
        );
        text.line("");
        text.line(format!(
            "{} pipelines x {} rounds, {} events in {:.1} s ({:.0} events/s); {} killed, {} crashed",
            self.configs,
            self.iterations,
            self.events,
            self.took_s,
            self.events_per_s,
            self.killed,
            self.crashed
        ));
        let paint = if self.lost == 0 {
            Paint::Good
        } else {
            Paint::Bad
        };
        let lost = text.paint(paint, &format!("lost: {}", self.lost));
        text.line(lost);
        if !self.complete {
            text.line("not complete: rounds are missing; `dead` or a stop says why");
        }
    }
}
