//! `cargo xtask figures`: measures what the documentation says of this machine's speed, in release,
//! and prints it as one table. Not part of CI: it needs minutes, 10 GB of disk and a quiet machine.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::built::{self, Program};
use crate::demo;
use crate::run::{bounded, cargo, watch};

/// Where the fixture of five million events lies, for later runs and other measurements.
const FIXTURE: &str = "target/fixtures/five_million";

/// Longest that a measurement says nothing: the fixture takes half a minute by itself.
const QUIET_MAX: Duration = Duration::from_secs(600);

/// Longest that one run of the demo may take.
const DEMO_MAX: Duration = Duration::from_secs(300);

/// What is measured, if not everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// The demo with its defaults.
    Demo,
    /// The demo at 500 events a second.
    Rate,
    /// Publishing and handling in one process.
    Publish,
    /// An operator's questions to a log of five million events.
    FiveMillion,
}

/// One line of the table.
#[derive(Debug, PartialEq)]
struct Figure {
    what: String,
    value: String,
    limit: String,
}

/// Measures and prints. `only` nothing means everything.
pub(crate) fn run(only: &[Part]) -> Result<()> {
    let wanted = |part| only.is_empty() || only.contains(&part);
    let programs = built::release()?;
    let ringrift = built::ringrift(&programs)?;
    let mut figures = Vec::new();
    if wanted(Part::Demo) {
        figures.extend(measured("demo", || demo_figures(ringrift, &[]))?);
    }
    if wanted(Part::Rate) {
        let rate = ["--rate", "500", "--for", "20s"];
        figures.extend(measured("demo at 500/s", || demo_figures(ringrift, &rate))?);
    }
    if wanted(Part::Publish) {
        figures.extend(measured("publish", || bench("publish_rates", &[]))?);
    }
    if wanted(Part::FiveMillion) {
        let fixture = std::env::current_dir()?.join(FIXTURE);
        let arguments = [
            fixture.to_string_lossy().into_owned(),
            ringrift.file.to_string_lossy().into_owned(),
        ];
        figures.extend(measured("5 million events", || {
            bench("five_million", &arguments)
        })?);
    }
    print(&figures);
    Ok(())
}

/// Measures one part, between the load it begins and ends under: figures of a busy machine say
/// little.
fn measured(part: &str, measure: impl FnOnce() -> Result<Vec<Figure>>) -> Result<Vec<Figure>> {
    println!("\n==> {part}");
    let before = load();
    let mut figures = measure()?;
    figures.push(Figure {
        what: format!("{part}: load average before, after"),
        value: format!("{before}, {}", load()),
        limit: String::new(),
    });
    Ok(figures)
}

/// The load of the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

/// Runs the demo and reads its closing table.
fn demo_figures(ringrift: &Program, arguments: &[&str]) -> Result<Vec<Figure>> {
    let mut command = Command::new(&ringrift.file);
    command.args(["demo", "--json"]).args(arguments);
    let answer = demo::answer(&bounded(&mut command, DEMO_MAX)?)?;
    let run = format!("ringrift demo {}", arguments.join(" "));
    let mut figures = vec![Figure {
        what: format!("{}: events, a second, lost", run.trim()),
        value: format!(
            "{}, {:.0}, {}",
            answer["events"],
            answer["events_per_s"].as_f64().unwrap_or(0.0),
            answer["lost"]
        ),
        limit: "lost 0".to_owned(),
    }];
    for stage in answer["stages"].as_array().context("no stages")? {
        let ms = |name: &str| match stage[name].as_f64() {
            Some(value) => format!("{value:.1} ms"),
            None => "-".to_owned(),
        };
        figures.push(Figure {
            what: format!(
                "{}: {} p50, p99",
                run.trim(),
                stage["stage"].as_str().unwrap_or("?")
            ),
            value: format!("{}, {}", ms("p50_ms"), ms("p99_ms")),
            limit: match arguments.is_empty() {
                true => String::new(),
                false => "p99 < 5 ms".to_owned(),
            },
        });
    }
    Ok(figures)
}

/// Runs a benchmark of the library and takes its figures.
fn bench(name: &str, arguments: &[String]) -> Result<Vec<Figure>> {
    let mut command = cargo(&[
        "bench",
        "--locked",
        "-p",
        "ringrift-events",
        "--bench",
        name,
        "--",
    ]);
    command.args(arguments);
    let mut figures = Vec::new();
    let good = watch(&mut command, QUIET_MAX, |line| figures.extend(figure(line)))?;
    ensure!(good, "the benchmark {name} failed");
    ensure!(!figures.is_empty(), "the benchmark {name} gave no figure");
    Ok(figures)
}

/// Reads a benchmark's line.
fn figure(line: &str) -> Option<Figure> {
    let mut parts = line.strip_prefix("figure\t")?.split('\t');
    Some(Figure {
        what: parts.next()?.to_owned(),
        value: parts.next()?.to_owned(),
        limit: parts.next().unwrap_or("").to_owned(),
    })
}

/// The table, as the documentation has it.
fn print(figures: &[Figure]) {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    println!("\n{processors} processors\n\n| figure | value | limit |\n|---|---|---|");
    for figure in figures {
        println!("| {} | {} | {} |", figure.what, figure.value, figure.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_a_line_of_three_parts() {
        let expected = Figure {
            what: "ringrift status".to_owned(),
            value: "9 ms".to_owned(),
            limit: "< 100 ms".to_owned(),
        };
        assert_eq!(
            figure("figure\tringrift status\t9 ms\t< 100 ms"),
            Some(expected)
        );
        assert_eq!(figure("generated 5000000 events in 24 s"), None);
    }
}
