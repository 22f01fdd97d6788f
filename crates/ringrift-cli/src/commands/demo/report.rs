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
    rounds: u64,
    /// Events a second that were asked for.
    rate: Option<u32>,
    took_s: f64,
    events: u64,
    /// From the first publish to the last.
    events_per_s: f64,
    stages: Vec<StageRow>,
    killed: u32,
    crashed: u32,
    /// Deliveries under way when it ended: 0 unless it was stopped or gave up.
    open: u64,
    /// Deliveries that are in no state at all: 0, or something is broken.
    pub(super) lost: u64,
    /// Every round came to its end, or stopped at a dead letter.
    pub(super) complete: bool,
}

/// One stage.
#[derive(Debug, Default, Serialize)]
pub(super) struct StageRow {
    pub(super) stage: &'static str,
    pub(super) published: u64,
    pub(super) to_handle: u64,
    pub(super) handled: u64,
    pub(super) open: u64,
    pub(super) retried: u64,
    pub(super) dead: u64,
    /// From publish to handled.
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
}

impl Report {
    /// `lasted` is the time from the first publish to the last, `took` that of the whole run.
    pub(super) fn new(
        plan: &Plan,
        stages: Vec<StageRow>,
        children: &Children,
        took: Duration,
        lasted: Duration,
    ) -> Report {
        let of = |number: fn(&StageRow) -> u64| stages.iter().map(number).sum::<u64>();
        let (events, open, dead) = (
            of(|row| row.published),
            of(|row| row.open),
            of(|row| row.dead),
        );
        // At a rate the last round lasts as long as every other.
        let lasted = plan
            .paced
            .map_or(lasted, |pace| lasted.max(pace.after(plan.rounds())));
        Report {
            configs: plan.configs,
            iterations: plan.iterations,
            rounds: plan.rounds(),
            rate: plan.paced.map(|pace| pace.events_per_s),
            took_s: took.as_secs_f64(),
            events,
            events_per_s: events as f64 / lasted.as_secs_f64().max(0.001),
            killed: children.killed,
            crashed: children.crashed,
            open,
            lost: lost(&stages),
            complete: open == 0
                && dead == u64::from(plan.dead.min(plan.configs))
                && (dead > 0 || through(&stages) == plan.rounds()),
            stages,
        }
    }

    fn closing_line(&self) -> String {
        let rounds = match self.rate {
            None => format!("{} pipelines x {} rounds", self.configs, self.iterations),
            Some(rate) => format!("{} rounds at {rate} events/s", self.rounds),
        };
        format!(
            "{rounds}: {} events in {:.1} s ({:.0}/s from first to last); {} killed, {} crashed",
            self.events, self.took_s, self.events_per_s, self.killed, self.crashed
        )
    }
}

/// Rounds that came through the last stage.
fn through(stages: &[StageRow]) -> u64 {
    stages.last().map_or(0, |stage| stage.published)
}

/// What is neither handled nor dead nor under way; and, the worst loss of all, what a stage
/// published and the next one's ledger does not know.
fn lost(stages: &[StageRow]) -> u64 {
    let next = stages.iter().cycle().skip(1);
    stages
        .iter()
        .zip(next)
        .map(|(stage, next)| {
            let ended = stage.handled + stage.dead + stage.open;
            stage.to_handle.saturating_sub(ended) + stage.published.saturating_sub(next.to_handle)
        })
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
        text.line(self.closing_line());
        let paint = if self.lost == 0 {
            Paint::Good
        } else {
            Paint::Bad
        };
        let lost = text.paint(paint, &format!("lost: {}", self.lost));
        text.line(lost);
        if !self.complete {
            text.line(format!(
                "not complete: {} of {} rounds came through, {} deliveries were under way",
                through(&self.stages),
                self.rounds,
                self.open
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(published: u64, to_handle: u64, handled: u64, open: u64) -> StageRow {
        StageRow {
            published,
            to_handle,
            handled,
            open,
            ..StageRow::default()
        }
    }

    #[test]
    fn what_is_under_way_is_not_lost_and_what_no_ledger_knows_is() {
        assert_eq!(lost(&[row(9, 9, 7, 2), row(9, 9, 9, 0)]), 0);
        assert_eq!(lost(&[row(9, 9, 7, 1), row(9, 9, 9, 0)]), 1);
        assert_eq!(lost(&[row(9, 9, 9, 0), row(9, 6, 6, 0)]), 3);
    }
}
