//! What Python costs over Rust: the same benchmark in both, in turn, and what they say side by side.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::figures::Figure;
use crate::python;
use crate::run::{DISK_MAY_BE_FULL, cargo, watch};

/// Runs of each. Of times the lowest counts: what disturbs a machine only adds. Of ratios the middle.
const ROUNDS: usize = 3;

/// Longest that a run says nothing: seconds a figure, and a build before the first.
const QUIET_MAX: Duration = Duration::from_secs(1_800);

/// The values of each name, one a run.
type Values = BTreeMap<String, Vec<f64>>;

/// Measures both.
pub(crate) fn run() -> Result<Vec<Figure>> {
    let interpreter = python::built_in(python::Profile::Release)?;
    let (mut rust, mut python) = (Values::new(), Values::new());
    for _ in 0..ROUNDS {
        let bench = ["bench", "--locked", "-p", "ringrift-events"];
        collect(cargo(&bench).args(["--bench", "latency"]), &mut rust)?;
        let script = format!("{}/benches/latency.py", python::PACKAGE);
        collect(Command::new(&interpreter).arg(script), &mut python)?;
    }
    figures(&rust, &python)
}

fn collect(command: &mut Command, values: &mut Values) -> Result<()> {
    command.envs([DISK_MAY_BE_FULL]);
    let good = watch(command, QUIET_MAX, |line| {
        if let Some((name, value)) = value(line) {
            values.entry(name).or_default().push(value);
        }
    })?;
    ensure!(good, "a benchmark failed");
    Ok(())
}

/// A name's values in order.
fn sorted(values: &Values, name: &str) -> Result<Vec<f64>> {
    let mut found = values.get(name).cloned().unwrap_or_default();
    ensure!(!found.is_empty(), "the benchmark gave no {name}");
    found.sort_by(f64::total_cmp);
    Ok(found)
}

/// Reads a benchmark's line.
fn value(line: &str) -> Option<(String, f64)> {
    let (name, value) = line.strip_prefix("value\t")?.split_once('\t')?;
    Some((name.to_owned(), value.parse().ok()?))
}

fn figures(rust: &Values, python: &Values) -> Result<Vec<Figure>> {
    let of = |values: &Values, name: &str| sorted(values, name).map(|all| all[0]);
    let (slow, fast) = (of(python, "call")?, of(rust, "call")?);
    let mut figures = vec![Figure {
        what: "publish call at 300 bytes, median: Python, Rust, difference".to_owned(),
        value: format!("{slow:.1} µs, {fast:.1} µs, {:.1} µs", slow - fast),
        limit: "difference < 20 µs".to_owned(),
    }];
    for (name, place, limit) in [
        ("same_process", "the same process", "Python < 1 ms"),
        ("other_process", "another process", "Python < 2 ms"),
    ] {
        let (slow, fast) = (of(python, name)? / 1_000.0, of(rust, name)? / 1_000.0);
        figures.push(Figure {
            what: format!("publish to async handler in {place}, p50: Python, Rust"),
            value: format!("{slow:.2} ms, {fast:.2} ms"),
            limit: limit.to_owned(),
        });
    }
    let watchdog = sorted(python, "watchdog_percent")?;
    figures.push(Figure {
        what: "publish and handle in Python: processor time that the watchdog adds".to_owned(),
        value: format!("{:.2} %", watchdog[watchdog.len() / 2]),
        limit: "< 1 %".to_owned(),
    });
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_stands_beside_rust_with_its_limit() {
        let values = |call: &str| {
            let mut values = Values::new();
            let lines = "value\tsame_process\t500\nvalue\tother_process\t1500.00\nno figure\n\
                         value\twatchdog_percent\t-2.4\nvalue\twatchdog_percent\t0.4\n\
                         value\twatchdog_percent\t0.8\nvalue\tcall\t99\n";
            for (name, value) in lines.lines().chain([call]).filter_map(value) {
                values.entry(name).or_default().push(value);
            }
            values
        };
        let (rust, python) = (values("value\tcall\t4.25"), values("value\tcall\t20.25"));
        let all = figures(&rust, &python).expect("all are there");
        assert_eq!(all[0].value, "20.2 µs, 4.2 µs, 16.0 µs");
        assert_eq!(all[2].value, "1.50 ms, 1.50 ms");
        assert_eq!(all[3].value, "0.40 %");
        figures(&rust, &Values::new()).expect_err("there is none");
    }
}
