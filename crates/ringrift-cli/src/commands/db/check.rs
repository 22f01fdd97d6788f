//! `ringrift db check`.

use clap::Args as ClapArgs;
use ringrift_events::store::upkeep::{Checked, Tally};
use serde::Serialize;

use crate::call::Call;
use crate::exit::Exit;
use crate::failure::{Done, Stop};
use crate::output::{Cell, Paint, Report, Text, bytes_text, patiently};
use crate::{open, resolve};

/// The arguments of `db check`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift db check\n  ringrift db check --sums --json\n\nExits 5 when something is wrong. It reads the whole file: on a large store it takes a while."
)]
pub(crate) struct Args {
    /// Show the sums of every durable subscription.
    #[arg(long)]
    sums: bool,
}

#[derive(Serialize)]
struct Sum {
    name: String,
    #[serde(flatten)]
    tally: Tally,
    /// Whether the states add up to the matching events.
    adds_up: bool,
}

#[derive(Serialize)]
struct CheckReport {
    healthy: bool,
    #[serde(flatten)]
    checked: Checked,
    #[serde(skip_serializing_if = "Option::is_none")]
    sums: Option<Vec<Sum>>,
}

/// Checks it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let checked = patiently("checking the whole file", || store.check().wait())?;
    let sums = if args.sums {
        Some(sums(&*store)?)
    } else {
        None
    };
    let healthy = checked.problems.is_empty();
    let exit = if healthy { Exit::Ok } else { Exit::Damaged };
    let report = CheckReport {
        healthy,
        checked,
        sums,
    };
    call.answer_as("db check", &report, exit)
}

fn sums(store: &dyn ringrift_events::store::Store) -> Result<Vec<Sum>, Stop> {
    let names = resolve::Names::read(store)?;
    Ok(store
        .tallies()
        .wait()?
        .into_iter()
        .map(|tally| Sum {
            name: names.of_id(tally.subscription),
            adds_up: total(&tally) == tally.matching,
            tally,
        })
        .collect())
}

fn total(tally: &Tally) -> u64 {
    tally.waiting
        + tally.claimed
        + tally.done
        + tally.retrying
        + tally.dead
        + tally.discarded
        + tally.expired
}

impl Report for CheckReport {
    fn write(&self, text: &mut Text) {
        let verdict = if self.healthy {
            text.paint(Paint::Good, "ok")
        } else {
            text.paint(Paint::Bad, "damaged")
        };
        text.line(format!(
            "{verdict}: {} events, {}",
            self.checked.events,
            bytes_text(self.checked.bytes)
        ));
        for problem in &self.checked.problems {
            text.line(format!("  {problem}"));
        }
        if let Some(sums) = &self.sums {
            text.title("Deliveries of durable subscriptions");
            text.table(
                &[
                    "subscription",
                    "matching",
                    "waiting",
                    "claimed",
                    "done",
                    "retrying",
                    "dead",
                    "discarded",
                    "expired",
                    "sum",
                ],
                sums.iter().map(Sum::cells).collect(),
            );
        }
    }
}

impl Sum {
    fn cells(&self) -> Vec<Cell> {
        let tally = &self.tally;
        let mut cells: Vec<Cell> = vec![self.name.clone().into()];
        cells.extend(
            [
                tally.matching,
                tally.waiting,
                tally.claimed,
                tally.done,
                tally.retrying,
                tally.dead,
                tally.discarded,
                tally.expired,
            ]
            .map(Cell::from),
        );
        cells.push(if self.adds_up {
            Cell::painted(Paint::Good, "ok")
        } else {
            Cell::painted(Paint::Bad, "wrong")
        });
        cells
    }
}
