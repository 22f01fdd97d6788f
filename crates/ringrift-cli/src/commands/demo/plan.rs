//! What the run is to do: stages, their types, and what goes wrong on the way.

use std::time::Duration;

use super::{Args, duration};
use crate::failure::Stop;

/// What the names of the demo's subscriptions begin with.
pub(super) const PREFIX: &str = "demo-";

/// One stage of the pipeline: a process that handles one type and publishes the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// Its name, on the command line and in the table.
    pub(super) name: &'static str,
    /// The type it publishes.
    pub(super) publishes: &'static str,
    /// The type it handles.
    pub(super) handles: &'static str,
}

/// The seven stages, in the order of the catalog's pipeline. The first one closes the circle.
pub(super) const STAGES: [Stage; 7] = [
    Stage {
        name: "selfplay",
        publishes: "new_games_available",
        handles: "model_distribution_complete",
    },
    Stage {
        name: "sync",
        publishes: "data_sync_completed",
        handles: "new_games_available",
    },
    Stage {
        name: "export",
        publishes: "npz_export_complete",
        handles: "data_sync_completed",
    },
    Stage {
        name: "train",
        publishes: "training_completed",
        handles: "npz_export_complete",
    },
    Stage {
        name: "evaluate",
        publishes: "evaluation_completed",
        handles: "training_completed",
    },
    Stage {
        name: "promote",
        publishes: "model_promoted",
        handles: "evaluation_completed",
    },
    Stage {
        name: "distribute",
        publishes: "model_distribution_complete",
        handles: "model_promoted",
    },
];

/// The stage that is slow now and then.
pub(super) const SLOW_STAGE: &str = "evaluate";

/// The stage whose process is killed.
pub(super) const KILLED_STAGE: &str = "train";

/// Everything the processes of one run agree on.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) configs: u32,
    pub(super) iterations: u32,
    /// Rounds begin by the clock instead of following each other.
    pub(super) paced: Option<Pace>,
    pub(super) failures_percent: u32,
    pub(super) dead: u32,
    pub(super) kill: bool,
    pub(super) work: Duration,
}

/// Rounds that begin by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Events a second of all stages together.
    pub(super) events_per_s: u32,
    /// Rounds in all; each is an event of every stage.
    pub(super) rounds: u64,
}

impl Pace {
    pub(super) fn of((events_per_s, rounds): (u32, u64)) -> Pace {
        Pace {
            events_per_s,
            rounds,
        }
    }

    /// As many rounds as keep this rate for so long, one at least.
    fn lasting(events_per_s: u32, lasts: Duration) -> Pace {
        let rounds = f64::from(events_per_s) * lasts.as_secs_f64() / STAGES.len() as f64;
        Pace::of((events_per_s, (rounds.ceil() as u64).max(1)))
    }

    /// When this round begins, after the first.
    pub(super) fn after(&self, round: u64) -> Duration {
        let events = round as f64 * STAGES.len() as f64;
        Duration::from_secs_f64(events / f64::from(self.events_per_s))
    }
}

impl Plan {
    pub(super) fn new(args: &Args) -> Result<Plan, Stop> {
        let paced = match args.rate {
            None => None,
            Some(rate) => Some(Pace::lasting(rate, duration(&args.lasts)?)),
        };
        let quiet = paced.is_some();
        Ok(Plan {
            configs: args.configs,
            iterations: paced.map_or(args.iterations, |pace| {
                let each = pace.rounds.div_ceil(u64::from(args.configs));
                u32::try_from(each).unwrap_or(u32::MAX)
            }),
            paced,
            failures_percent: args.failures.unwrap_or(if quiet { 0 } else { 5 }),
            dead: args.dead,
            kill: args.kill.unwrap_or(!quiet),
            work: Duration::from_millis(args.work.unwrap_or(if quiet { 0 } else { 40 })),
        })
    }

    /// Rounds in all.
    pub(super) fn rounds(&self) -> u64 {
        self.paced.map_or(
            u64::from(self.configs) * u64::from(self.iterations),
            |pace| pace.rounds,
        )
    }

    /// When a run that does not end is given up: many times what it should take.
    pub(super) fn gives_up_after(&self) -> Duration {
        let paced = self
            .paced
            .map_or(Duration::ZERO, |pace| pace.after(pace.rounds));
        let rounds = u32::try_from(self.rounds()).unwrap_or(u32::MAX);
        let worked = self
            .work
            .max(Duration::from_millis(1))
            .saturating_mul(rounds);
        Duration::from_secs(60) + paced * 2 + worked.saturating_mul(4)
    }

    /// Whether this round's run at this stage is one that always fails.
    pub(super) fn is_dead(&self, stage: &str, config: u32, iteration: u32) -> bool {
        stage == KILLED_STAGE && config < self.dead && iteration == self.iterations / 2
    }

    /// Whether this round's first run at this stage fails.
    pub(super) fn fails_first(&self, stage: &str, config: u32, iteration: u32) -> bool {
        scatter(stage, config, iteration) % 100 < u64::from(self.failures_percent)
    }

    /// How long this round's run at this stage works.
    pub(super) fn works(&self, stage: &str, config: u32, iteration: u32) -> Duration {
        let often = scatter(stage, config, iteration) % 16 == 7;
        if stage == SLOW_STAGE && often {
            self.work * 8
        } else {
            self.work
        }
    }
}

/// The same number for the same round in every process and every run: FNV-1a.
fn scatter(stage: &str, config: u32, iteration: u32) -> u64 {
    let numbers = [config.to_le_bytes(), iteration.to_le_bytes()].concat();
    stage
        .bytes()
        .chain(numbers)
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_are_the_catalogs_pipeline_and_close_a_circle() {
        let catalog = ringrift_events::catalog::Catalog::ringrift();
        let steps: Vec<&str> = catalog
            .pipeline()
            .steps()
            .iter()
            .map(|step| step.as_str())
            .collect();
        let published: Vec<&str> = STAGES.iter().map(|stage| stage.publishes).collect();
        assert_eq!(published, steps);
        for (before, after) in STAGES.iter().zip(STAGES.iter().cycle().skip(1)) {
            assert_eq!(before.publishes, after.handles);
        }
    }

    #[test]
    fn about_the_asked_share_of_runs_fails() {
        let plan = Plan {
            configs: 1,
            iterations: 1,
            paced: None,
            failures_percent: 5,
            dead: 0,
            kill: false,
            work: Duration::ZERO,
        };
        let failing = (0..10_000)
            .filter(|round| plan.fails_first("train", round % 10, round / 10))
            .count();
        assert!((300..700).contains(&failing), "{failing} of 10,000");
    }

    #[test]
    fn a_rate_is_kept_for_the_asked_time_however_many_pipelines_there_are() {
        let minute = Pace::lasting(500, Duration::from_secs(60));
        assert_eq!(minute.rounds, 4_286);
        let lasts = minute.after(minute.rounds).as_secs_f64();
        assert!((60.0..60.1).contains(&lasts), "{lasts} s");
        // One event a second for one second is a part of a round, and never twelve of them.
        assert_eq!(Pace::lasting(1, Duration::from_secs(1)).rounds, 1);
    }
}
