//! The runbook that this edition answers: its blocks are counted and, where ours claims to print the
//! same, run beside ours. It lies outside of the repository and may be absent.

use std::path::Path;

use crate::page::narrow;
use crate::run::{SECONDS_MAX, bounded, sqlite};
use crate::scene::Scene;

/// How many blocks it has.
pub(crate) const BLOCKS: usize = 28;

/// Language and text of its blocks, in order; none if it is not there.
pub(crate) fn blocks() -> Option<Vec<(String, String)>> {
    let place =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/runbook/EVENT_DEBUGGING.md");
    let text = std::fs::read_to_string(place).ok()?;
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push((language.to_owned(), body.join("\n")));
        }
    }
    Some(found)
}

/// Whether the block of this number, from 1, prints these lines in this scene.
pub(crate) fn prints_the_same(number: usize, scene: &Scene, ours: &[String]) -> Result<(), String> {
    let Some(blocks) = blocks() else {
        println!("the original is not there: nothing to compare block {number} with");
        return Ok(());
    };
    let (language, text) = &blocks[number - 1];
    let scratch = tempfile::tempdir().expect("a folder");
    let file = scratch.path().join("block");
    std::fs::write(&file, text).expect("a file");
    let command = match language.as_str() {
        "sql" => sqlite(SECONDS_MAX, &file),
        "bash" => bounded(SECONDS_MAX, "bash", &["-eu", &file.display().to_string()]),
        other => return Err(format!("block {number} is {other}: it cannot be compared")),
    };
    let output = scene.dressed(command).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let theirs: Vec<&str> = text.lines().collect();
    // Headings, and how columns are told apart, are a matter of how `sqlite3` was started.
    let is_ruled = |lines: &[&str]| lines.get(1).is_some_and(|line| line.starts_with("--"));
    let rows = |lines: &[&str]| -> Vec<String> {
        let skipped = if is_ruled(lines) { 2 } else { 0 };
        let row = |line: &&str| narrow(&line.replace('|', " "));
        lines.iter().skip(skipped).map(row).collect()
    };
    let own: Vec<&str> = ours.iter().map(String::as_str).collect();
    match rows(&theirs) == rows(&own) && !rows(&own).is_empty() {
        true => Ok(()),
        false => Err(format!(
            "ours prints\n{}\nand block {number} of the original\n{}",
            ours.join("\n"),
            theirs.join("\n")
        )),
    }
}
