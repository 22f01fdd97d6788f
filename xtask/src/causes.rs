//! `cargo xtask causes`: each of the runbook's 24 causes is brought about, and `ringrift doctor` must
//! name it and no other.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::run::{cargo, watch};

/// Longest without a word: a trial is bounded to some minutes, and the build comes first.
const QUIET_MAX: Duration = Duration::from_secs(15 * 60);

/// What the closing line begins with.
const CLOSING: &str = "causes: ";

/// The test that does it.
const TEST: &str = "every_cause_is_named_and_no_other";

/// Runs all of them, or those named; the last line says how many were named.
pub(crate) fn run(only: &[String], at_once: Option<u32>) -> Result<bool> {
    let mut command = cargo(&["test", "--locked", "--package", "ringrift-cli"]);
    command.args(["--test", "causes", "--", "--exact", TEST, "--nocapture"]);
    if !only.is_empty() {
        command.env("RINGRIFT_CAUSES", only.join(","));
    }
    if let Some(at_once) = at_once {
        command.env("RINGRIFT_CAUSES_AT_ONCE", at_once.to_string());
    }
    let mut closing = None;
    let good = watch(&mut command, QUIET_MAX, |line| {
        if line.starts_with(CLOSING) {
            closing = Some(line.to_owned());
        }
    })?;
    let closing = closing.context("the run came to no result")?;
    println!("{closing}");
    Ok(good && is_whole(&closing)?)
}

/// Whether the closing line says that every cause was named and nothing else.
fn is_whole(closing: &str) -> Result<bool> {
    let mut numbers = closing
        .split(|c: char| !c.is_ascii_digit())
        .filter(|text| !text.is_empty())
        .map(str::parse::<u32>);
    let mut next = || numbers.next().context("a number is missing");
    let (named, wanted, false_ones) = (next()??, next()??, next()??);
    ensure!(named <= wanted, "more were named than wanted: {closing}");
    Ok(named == wanted && false_ones == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_named_and_none_false_is_whole() {
        assert!(is_whole("causes: 24/24 named, 0 false").unwrap());
        assert!(!is_whole("causes: 23/24 named, 0 false").unwrap());
        assert!(!is_whole("causes: 24/24 named, 1 false").unwrap());
        assert!(is_whole("causes: none").is_err());
    }
}
