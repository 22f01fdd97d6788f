//! `cargo xtask bench`: the product, the limits of the machine and, with `--peers`, other systems, on
//! the same work in the same run.
//!
//! Absolute figures move from machine to machine and from hour to hour, so contestants take turns and
//! goals are ratios. Each runs as processes of its own, speaking the words of
//! `crates/ringrift-bench`; the medians of all rounds count. A goal that is missed is said, not a
//! failure; a worker that fails or loses an event is one.

mod contestants;
mod field;
mod goals;
mod json;
mod measured;
mod rows;
mod servers;
mod table;
mod workers;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use field::Field;
use measured::{Line, Measured};
use rows::Row;

use crate::built::{self, Program};
use crate::python::{self, Profile};

/// What is asked for.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Ask {
    /// One short round of the product and the limits: to see that everything works.
    #[arg(long)]
    quick: bool,
    /// Compares with other systems too, and installs what pip has of them below the target folder.
    #[arg(long)]
    peers: bool,
    /// Writes the figures to this file as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// These rows alone, by the beginning of their names.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<String>,
    /// How long the steady load lasts.
    #[arg(long, value_name = "MINUTES", default_value_t = 1)]
    minutes: u32,
    /// Measures beside ten million events too: minutes, 8 GB of disk.
    #[arg(long)]
    ten_million: bool,
    /// Does what `cargo xtask test` does of it.
    #[arg(long, hide = true)]
    smoke: bool,
}

/// How much of everything.
#[derive(Clone, Debug)]
struct Size {
    rounds: usize,
    /// How long each works where time ends it.
    lasts: Duration,
    /// Events of a backlog.
    backlog: usize,
    /// Events from process to process.
    paced: usize,
    /// How long a waiting consumer is watched.
    idle: Duration,
    /// The steady load: how long, and events a second.
    steady: (Duration, u32),
    /// How long events come and go.
    retained: Duration,
    /// Events whose file is weighed.
    weighed: usize,
    /// Whether eight processes publish as well.
    eight: bool,
    /// Events of the large log, if there is to be one.
    large: Option<usize>,
}

impl Size {
    fn of(ask: &Ask) -> Size {
        let large = ask.ten_million.then_some(10_000_000);
        if ask.quick {
            return Size {
                rounds: 1,
                lasts: Duration::from_millis(500),
                backlog: 20_000,
                paced: 100,
                idle: Duration::from_secs(1),
                steady: (Duration::from_secs(5), 500),
                retained: Duration::from_secs(5),
                weighed: 3_000,
                eight: false,
                large,
            };
        }
        Size {
            rounds: 3,
            lasts: Duration::from_secs(2),
            backlog: 300_000,
            paced: 400,
            idle: Duration::from_secs(5),
            steady: (Duration::from_secs(60) * ask.minutes, 500),
            retained: Duration::from_secs(10),
            weighed: 10_000,
            eight: true,
            large,
        }
    }

    /// As little as shows that every worker still works, built as the tests are.
    fn smoke() -> Size {
        Size {
            rounds: 1,
            lasts: Duration::from_millis(100),
            backlog: 2_000,
            paced: 20,
            idle: Duration::from_millis(100),
            steady: (Duration::from_secs(1), 80),
            retained: Duration::from_millis(300),
            weighed: 300,
            eight: false,
            large: None,
        }
    }
}

/// Measures what is asked for and prints it.
pub(crate) fn run(ask: &Ask) -> Result<()> {
    let programs = built::workers(!ask.smoke)?;
    if ask.smoke {
        return smoke(&programs, Some(python::built_in(Profile::Dev)?));
    }
    let rows = wanted(ask, &Size::of(ask))?;
    let in_python = rows.iter().any(Row::needs_package);
    let package = in_python.then(|| python::built_in(Profile::Release));
    let peers_of = ask.peers.then_some(rows.as_slice());
    let field = Field::prepare(built::worker(&programs)?, package.transpose()?, peers_of)?;
    let (measured, failed) = measure(rows, &field);
    if let Some(file) = &ask.json {
        let text = json::object(&measured)?;
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
        println!("written: {}", file.display());
    }
    none(&failed)
}

/// Every row in its smallest size, on programs built as the tests are, those of Python where the package
/// could be built: nothing is said of speed.
pub(crate) fn smoke(programs: &[Program], package: Option<PathBuf>) -> Result<()> {
    let field = Field::prepare(built::worker(programs)?, package, None)?;
    let (_, failed) = measure(rows::all(&Size::smoke()), &field);
    none(&failed)
}

fn none(failed: &[String]) -> Result<()> {
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(())
}

/// The rows that are asked for.
fn wanted(ask: &Ask, size: &Size) -> Result<Vec<Row>> {
    let mut rows = rows::all(size);
    check_names(&ask.only, &rows)?;
    rows.retain(|row| {
        let begins = |name: &String| row.name.starts_with(name.as_str());
        ask.only.is_empty() || ask.only.iter().any(begins)
    });
    Ok(rows)
}

/// What came of the rows, by those who are there, and what failed in them.
fn measure(rows: Vec<Row>, field: &Field) -> (Vec<Measured>, Vec<String>) {
    let (mut measured, mut failed) = (Vec::new(), Vec::new());
    for mut row in rows {
        row.scenes.retain(|scene| field.has(scene.contestant));
        let lines = rounds(&row, field, &mut failed);
        let row = Measured { row, lines };
        print!("{}", table::row(&row));
        measured.push(row);
    }
    print!("{}{}", field.said(), table::closing(&measured));
    (measured, failed)
}

/// Refuses a name that means no row.
fn check_names(only: &[String], rows: &[Row]) -> Result<()> {
    for name in only {
        let means = rows.iter().any(|row| row.name.starts_with(name.as_str()));
        let names = rows.iter().map(|row| row.name.as_str());
        ensure!(
            means,
            "no row begins with {name}; there are {}",
            names.collect::<Vec<_>>().join(", ")
        );
    }
    Ok(())
}

/// Runs every contestant of a row in each round; who was last in one is first in the next. That a
/// worker of ours failed is noted, that a peer did is said.
fn rounds(row: &Row, field: &Field, failed: &mut Vec<String>) -> Vec<Line> {
    println!("\n==> {}", row.name);
    let mut lines: Vec<Line> = row.scenes.iter().map(Line::of).collect();
    for round in 0..row.rounds {
        let forwards: Vec<usize> = (0..lines.len()).collect();
        let order = match round % 2 {
            0 => forwards,
            _ => forwards.into_iter().rev().collect(),
        };
        for place in order {
            let scene = &row.scenes[place];
            match workers::play(scene, field) {
                Ok(run) => {
                    println!("    round {}: {}: {run}", round + 1, scene.contestant.name);
                    lines[place].runs.push(run);
                }
                Err(error) => {
                    let what = format!("{}: {}: {error:#}", row.name, scene.contestant.name);
                    println!("    not measured: {what}");
                    if scene.contestant.is_built_here() {
                        failed.push(what);
                    }
                }
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_beginning_and_a_wrong_name_is_refused() {
        let rows = rows::all(&Size::smoke());
        let only = |name: &str| check_names(&[name.to_owned()], &rows);
        only("publish").unwrap();
        only("in-process-10").unwrap();
        only("python").unwrap();
        let error = only("publsih").unwrap_err().to_string();
        assert!(error.contains("publish-waiting"), "{error}");
    }
}
