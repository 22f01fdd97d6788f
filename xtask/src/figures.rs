//! `cargo xtask figures`: measures what the documentation says of this machine's speed, in release,
//! and prints it as one table; fails when a figure misses its limit. Not part of CI: it needs
//! minutes, 10 GB of disk and a quiet machine.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::built::{self, Program};
use crate::run::{bounded, cargo, watch};
use crate::{compared, demo};

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
    /// Publishing and handling in Python, beside the same in Rust.
    Python,
}

/// One line of the table.
#[derive(Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) value: String,
    pub(crate) limit: String,
}

/// Measures and prints. `only` nothing means everything.
pub(crate) fn run(only: &[Part]) -> Result<()> {
    let mut figures = Vec::new();
    // Of Python alone it needs no program but the wheel.
    if only != [Part::Python] {
        figures.extend(of_the_command(only)?);
    }
    if only.is_empty() || only.contains(&Part::Python) {
        figures.extend(measured("python", compared::run)?);
    }
    print(&figures);
    let missed = figures.iter().filter(|figure| !figure.keeps_its_limit());
    let missed: Vec<&str> = missed.map(|figure| figure.what.as_str()).collect();
    ensure!(missed.is_empty(), "beyond its limit: {}", missed.join("; "));
    Ok(())
}

/// All but Python's.
fn of_the_command(only: &[Part]) -> Result<Vec<Figure>> {
    let wanted = |part| only.is_empty() || only.contains(&part);
    let programs = built::release()?;
    let ringrift = built::ringrift(&programs)?;
    let mut figures = Vec::new();
    if wanted(Part::Demo) {
        figures.extend(measured("demo", || demo_figures(ringrift, &[]))?);
    }
    if wanted(Part::Rate) {
        let rate = ["--rate", "500", "--for", "60s"];
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
    Ok(figures)
}

impl Figure {
    /// Whether the value is within the limit; what has no limit, or was not measured, is.
    fn keeps_its_limit(&self) -> bool {
        let limit = self.limit.as_str();
        let Some((at, sign)) = limit.char_indices().find(|(_, c)| "<≤".contains(*c)) else {
            let wanted = limit.strip_prefix("lost ").unwrap_or(limit);
            return match wanted.parse::<u64>() {
                Ok(_) => self.value.rsplit(", ").next() == Some(wanted),
                Err(_) => self.value.contains(wanted),
            };
        };
        let bound = limit[at + sign.len_utf8()..].trim();
        let (number, unit) = bound.split_once(' ').unwrap_or((bound, ""));
        let Some(most) = number_of(number) else {
            return false;
        };
        if self.value.ends_with('-') {
            return true;
        }
        match self.last_with(unit) {
            Some(value) if sign == '<' => value < most,
            Some(value) => value <= most,
            None => false,
        }
    }

    /// The last number of the value that has this unit.
    fn last_with(&self, unit: &str) -> Option<f64> {
        let plain = |word: &str| word.trim_matches(['(', ')', ',']).to_owned();
        let words: Vec<String> = self.value.split(' ').map(plain).collect();
        let pairs = words.windows(2).rev();
        pairs
            .filter(|pair| pair[1] == unit)
            .find_map(|pair| number_of(&pair[0]))
    }
}

fn number_of(text: &str) -> Option<f64> {
    text.replace(',', "").parse().ok()
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
        let missed = match figure.keeps_its_limit() {
            true => "",
            false => " **missed**",
        };
        let (what, value, limit) = (&figure.what, &figure.value, &figure.limit);
        println!("| {what} | {value}{missed} | {limit} |");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_beyond_its_limit_is_told_from_one_within() {
        for (value, limit, keeps) in [
            ("199 ms", "< 200 ms", true),
            ("200 ms", "< 200 ms", false),
            ("2001 ms", "< 2,000 ms", false),
            ("3.00 s", "≤ 3 s", true),
            ("3.01 s", "≤ 3 s", false),
            ("9.90 ms (1.9 x)", "≤ 2 x", true),
            ("0.10 ms (2.1 x)", "≤ 2 x", false),
            ("13.20 s, 21 tries", "≤ 20 tries", false),
            ("0.7 ms, 4.9 ms", "p99 < 5 ms", true),
            ("0.7 ms, 5.1 ms", "p99 < 5 ms", false),
            ("-, -", "p99 < 5 ms", true),
            ("120, 500, 0", "lost 0", true),
            ("120, 500, 10", "lost 0", false),
            ("0", "0", true),
            ("10", "0", false),
            ("pid 7 (sqlite3 x.db)", "sqlite3", true),
            ("nobody", "sqlite3", false),
            ("58.1 k/s", "", true),
            ("soon", "< 200 ms", false),
        ] {
            let figure = Figure {
                what: String::new(),
                value: value.to_owned(),
                limit: limit.to_owned(),
            };
            assert_eq!(figure.keeps_its_limit(), keeps, "{value}, {limit}");
        }
    }

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
