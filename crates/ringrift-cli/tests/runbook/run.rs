//! Runs a block as it is written and judges what it printed and left behind.

use std::path::Path;
use std::process::{Command, Output};

use crate::home::{LONG, said, within};
use crate::page::{Block, Language, is_line, is_shown};
use crate::scene::Scene;
use crate::{original, rust};

/// Longest a block may take: `timeout` ends it and whatever it started.
pub(crate) const SECONDS_MAX: u32 = 120;

/// Longest it may take where nothing happened: what it awaits there never comes.
const SECONDS_MAX_EMPTY: u32 = 5;

/// The database as the pages name it.
const DATABASE: &str = "data/coordination/coordination.db";

/// The interpreter with the package `ringrift_events`: `cargo xtask` builds it and says where it is.
const PYTHON: &str = "RUNBOOK_PYTHON";

/// What runs a Python block.
const PYTHON_RUNS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runbook/block.py");

/// Whether this run can run it: the package for Python is not built by `cargo test`.
pub(crate) fn is_possible(block: &Block) -> bool {
    block.language != Language::Python || std::env::var_os(PYTHON).is_some()
}

/// Runs a block where it belongs; what is wrong with it is said.
pub(crate) fn judge(block: &Block, scene: &Scene) -> Result<(), String> {
    judge_within(block, scene, SECONDS_MAX)
}

fn judge_within(block: &Block, scene: &Scene, seconds: u32) -> Result<(), String> {
    let wants = &block.wants;
    for (value, sql) in &wants.leaves {
        if scene.number(sql).as_ref() == Some(value) {
            return Err(format!(
                "{sql} is {value} before it: that it is so afterwards says nothing"
            ));
        }
    }
    let output = run(block, scene, seconds);
    let code = output.status.code();
    if code != Some(wants.exit) {
        return Err(format!(
            "it is to end with {}: {}",
            wants.exit,
            said(&output)
        ));
    }
    let lines = lines(block, &output);
    if !wants.shown.is_empty() && !is_shown(&wants.shown, &lines) {
        return Err(format!("it prints\n{}", lines.join("\n")));
    }
    for text in &wants.prints {
        let anywhere = format!("…{text}…");
        let mut all = lines.iter().map(String::as_str).chain(noted(&output));
        if !all.any(|line| is_line(&anywhere, line)) {
            return Err(format!("it does not print {text:?}: {}", said(&output)));
        }
    }
    for (value, sql) in &wants.leaves {
        // What a process was asked to do it may still be doing.
        if !within(LONG, || scene.number(sql).as_ref() == Some(value)) {
            let found = scene.number(sql);
            return Err(format!(
                "{sql} is {found:?}, not {value}: {}",
                said(&output)
            ));
        }
    }
    if let Some(refused) = refused_by_the_command(block, scene) {
        return Err(refused);
    }
    match wants.same {
        Some(number) => original::prints_the_same(number, scene, &lines),
        None => Ok(()),
    }
}

/// What `ringrift db sql` says against a statement that `sqlite3` has answered.
fn refused_by_the_command(block: &Block, scene: &Scene) -> Option<String> {
    if block.language != Language::Sql || !block.text.starts_with("SELECT") {
        return None;
    }
    let output = scene.ringrift(&["db", "sql", &block.text]);
    (!output.status.success()).then(|| said(&output))
}

/// Whether what is expected of a block that only looks would hold where nothing happened.
pub(crate) fn holds_anywhere(block: &Block, empty: &Scene) -> bool {
    let wants = &block.wants;
    wants.leaves.is_empty()
        && !wants.anywhere
        && judge_within(block, empty, SECONDS_MAX_EMPTY).is_ok()
}

fn run(block: &Block, scene: &Scene, seconds: u32) -> Output {
    let scratch = tempfile::tempdir().expect("a folder");
    let file = scratch.path().join("block");
    std::fs::write(&file, &block.text).expect("a file");
    let mut command = match block.language {
        Language::Shell => bounded(seconds, "bash", &["-eu", &file.display().to_string()]),
        Language::Sql => sqlite(seconds, &file),
        Language::Rust => {
            let own = std::env::current_exe().expect("this program lies somewhere");
            let args = ["--exact", "child", "--nocapture", "--test-threads=1"];
            let mut child = bounded(seconds, &own.display().to_string(), &args);
            child.env(rust::BLOCK, rust::name_of(block));
            child
        }
        Language::Python => {
            let python = std::env::var(PYTHON).expect("an interpreter, or it is not possible");
            let args = ["-W", "error", PYTHON_RUNS, &file.display().to_string()];
            bounded(seconds, &python, &args)
        }
    };
    // What it is to find in its environment stands in the command already.
    let named: Vec<(std::ffi::OsString, Option<std::ffi::OsString>)> = command
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
        .collect();
    command = scene.dressed(command);
    for (name, value) in named {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.output().expect("it runs")
}

/// SQL as an operator types it: with headings, and patient with a database that is busy.
pub(crate) fn sqlite(seconds: u32, file: &Path) -> Command {
    let line = format!("sqlite3 -header -column -cmd '.timeout 10000' {DATABASE} < \"$1\"");
    let file = file.display().to_string();
    bounded(seconds, "bash", &["-eu", "-c", &line, "-", &file])
}

/// A program that is ended after so many seconds.
pub(crate) fn bounded(seconds: u32, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["-k", "5", &seconds.to_string(), program])
        .args(args);
    command
}

/// What it printed; of a Rust block what stands between its marks.
fn lines(block: &Block, output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let all = text.lines().map(str::to_owned);
    match block.language {
        Language::Shell | Language::Sql | Language::Python => all.collect(),
        Language::Rust => all
            .skip_while(|line| line != rust::MARK)
            .skip(1)
            .take_while(|line| line != rust::MARK)
            .collect(),
    }
}

fn noted(output: &Output) -> impl Iterator<Item = &str> {
    std::str::from_utf8(&output.stderr)
        .unwrap_or_default()
        .lines()
}
