//! `cargo xtask test`: everything that can fail, on a machine that has only a Rust toolchain, a C
//! compiler and Python.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::built::{self, Program};
use crate::chance::{self, Ran};
use crate::run::{DISK_MAY_BE_FULL, bounded, cargo, watch};
use crate::steps::Steps;
use crate::{bench, demo, instructions, lint, needs, python};

/// What the tests' processes find in their environment: short waits, so that waiting out a lease
/// or a dedup window costs seconds.
const SETTINGS: &[(&str, &str)] = &[
    ("RINGRIFT_STORE_LEASE", "2s"),
    ("RINGRIFT_HANDLER_DEDUP_TTL", "1s"),
    ("RINGRIFT_DLQ_BACKOFF_FIRST", "50ms"),
    DISK_MAY_BE_FULL,
];

/// Where the runbook's test finds an interpreter for its blocks of Python.
const RUNBOOK_PYTHON: &str = "RUNBOOK_PYTHON";

/// Longest an example may run.
const EXAMPLE_LIMIT: Duration = Duration::from_secs(120);

/// Longest that no test program says a word before the run counts as hung: tests are bounded to
/// seconds, at full size to hours. Examples in documentation are built meanwhile, too.
const QUIET_MAX: Duration = Duration::from_secs(5 * 60);
const QUIET_MAX_LONG: Duration = Duration::from_secs(12 * 60 * 60);

/// Longest that the tests' build takes.
const BUILD_MAX: Duration = Duration::from_secs(30 * 60);

/// How many tests passed and failed.
#[derive(Clone, Default, Debug, PartialEq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// The names of those that passed only when they ran once more, alone; they count as passed.
    pub(crate) unsteady: Vec<String>,
}

impl Count {
    pub(crate) fn add(&mut self, more: Count) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.unsteady.extend(more.unsteady);
    }

    /// The closing lines.
    fn report(&self) {
        for name in &self.unsteady {
            println!("unsteady: {name} failed, and passed once more, alone");
        }
        println!("{} passed, {} failed", self.passed, self.failed);
    }
}

/// Runs every step, prints seconds a step, and ends with `N passed, N failed`.
pub(crate) fn run(long: bool) -> bool {
    let mut steps = Steps::default();
    let mut count = Count::default();
    // Tests without what they need would fail one by one and say it worse.
    if steps.step("what the tests need", needs::packages).is_some() {
        lint::run_in(&mut steps);
        // The runbook has blocks of Python, which want the package.
        let python = python::built(&mut steps);
        let everything = ["--workspace", "--no-fail-fast"];
        steps.step("tests", || {
            tests(&everything, long, python.as_deref(), &mut count)
        });
        if let Some(programs) = steps.step("build of programs and examples", built::programs) {
            for example in programs.iter().filter(|program| program.kind == "example") {
                steps.step(&format!("example {}", example.name), || {
                    run_example(example)
                });
            }
            steps.step("demo", || demo::run(&programs));
            steps.step("instructions", || instructions::check(&programs, false));
            steps.step("bench: every worker works", || {
                bench::smoke(&programs, python.clone())
            });
        }
        if let Some(python) = &python {
            python::run_in(&mut steps, python, long, &mut count);
        }
    }
    let good = steps.report();
    count.report();
    good
}

/// The same for the Python package alone, and the runbook, which has blocks of Python.
pub(crate) fn python(long: bool) -> bool {
    let mut steps = Steps::default();
    let mut count = Count::default();
    if let Some(python) = python::built(&mut steps) {
        let runbook = ["-p", "ringrift-cli", "--test", "runbook"];
        steps.step("runbook", || {
            tests(&runbook, long, Some(&python), &mut count)
        });
        python::run_in(&mut steps, &python, long, &mut count);
    }
    let good = steps.report();
    count.report();
    good
}

/// These unit, integration and documentation tests; `python` has the package installed.
fn tests(which: &[&str], long: bool, python: Option<&Path>, count: &mut Count) -> Result<()> {
    // Apart: a compiler says nothing for longer than a test.
    let mut build = cargo(&["test", "--locked", "--no-run"]);
    let built = watch(build.args(which), BUILD_MAX, |_| ());
    count.failed += u64::from(!matches!(built, Ok(true)));
    ensure!(built?, "the tests do not build");
    let mut command = cargo(&["test", "--locked"]);
    command.args(which).envs(SETTINGS.iter().copied());
    if let Some(python) = python {
        command.env(RUNBOOK_PYTHON, python);
    }
    if long {
        command.env("RINGRIFT_LONG", "1");
    }
    let quiet_max = if long { QUIET_MAX_LONG } else { QUIET_MAX };
    let first = once(&mut command, quiet_max);
    chance::settle(first, long, count, |failed| {
        command.args(["--", "--test-threads=1", "--exact"]);
        once(command.args(failed), quiet_max)
    })
}

/// Runs test programs once, and reads what they say of themselves.
fn once(command: &mut Command, quiet_max: Duration) -> Ran {
    let mut ran = Ran::default();
    let mut running = 0;
    let content = watch(command, quiet_max, |line| {
        if line.starts_with("running ") {
            running += 1;
        } else if let Some(more) = result_line(line) {
            ran.count.add(more);
            running -= 1;
        } else if let Some(name) = named(line, SLOW) {
            ran.slow.push(name.to_owned());
        } else if let Some(name) = named(line, " ... FAILED") {
            ran.slow.retain(|slow| slow != name);
            ran.failed.push(name.to_owned());
        } else if let Some(name) = named(line, " ... ok") {
            ran.slow.retain(|slow| slow != name);
        }
    });
    ran.whole = running == 0;
    ran.end(content);
    ran
}

/// What libtest says of a test that takes long.
const SLOW: &str = " has been running for over 60 seconds";

/// The name of a test of which libtest says `what`: programs run one after the other, so its own
/// message is far up.
fn named<'l>(line: &'l str, what: &str) -> Option<&'l str> {
    line.strip_prefix("test ")?.strip_suffix(what)
}

/// The counts in the closing line of one test program.
fn result_line(line: &str) -> Option<Count> {
    let counts = line.strip_prefix("test result: ")?;
    let number = |word: &str| {
        let before = counts.split(word).next()?;
        before
            .rsplit([' ', '.', ';'])
            .find(|part| !part.is_empty())?
            .parse()
            .ok()
    };
    Some(Count {
        passed: number(" passed")?,
        failed: number(" failed")?,
        unsteady: Vec::new(),
    })
}

/// Runs an example as a user would: with the defaults.
fn run_example(example: &Program) -> Result<()> {
    let mut command = Command::new(&example.file);
    command.envs([DISK_MAY_BE_FULL]);
    let text = bounded(&mut command, EXAMPLE_LIMIT)?;
    if text.trim().is_empty() {
        bail!("example {} printed nothing", example.name);
    }
    print!("{text}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_from_the_closing_line_alone() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out";
        let expected = Count {
            passed: 12,
            failed: 3,
            unsteady: Vec::new(),
        };
        assert_eq!(result_line(line), Some(expected));
        assert_eq!(result_line("running 12 tests"), None);
        assert_eq!(result_line("test result: broken"), None);
        assert_eq!(named("test a::b ... FAILED", " ... FAILED"), Some("a::b"));
        assert_eq!(named("test a::b ... ok", " ... FAILED"), None);
    }

    #[test]
    fn a_run_that_hangs_keeps_its_counts_and_names_what_did_not_end() {
        let mut shell = Command::new("sh");
        let script = "echo 'running 3 tests'; echo 'test a ... ok'; \
                      echo 'test b has been running for over 60 seconds'; \
                      echo 'test c has been running for over 60 seconds'; echo 'test c ... ok'; \
                      echo 'test result: ok. 7 passed; 0 failed; 0 ignored'; sleep 61";
        let ran = once(shell.args(["-c", script]), Duration::from_secs(3));
        let mut count = Count::default();
        let never = |_: &[String]| panic!("it ran again");
        let error = chance::settle(ran, false, &mut count, never).unwrap_err();
        assert_eq!(error.to_string(), "failed or did not end: b");
        assert!(format!("{error:#}").contains("said nothing for 3s"));
        assert_eq!((count.passed, count.failed), (7, 1));
    }
}
