//! The demo as a smoke test: the whole system, end to end, must lose nothing.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::built::{self, Program};
use crate::run::{DISK_MAY_BE_FULL, bounded};

/// Longest the demo may run; it takes about 20 s by itself.
const LIMIT: Duration = Duration::from_secs(180);

/// Runs `ringrift demo --json` with the defaults, as a user would, and checks what it says of itself.
pub(crate) fn run(programs: &[Program]) -> Result<()> {
    let command = built::ringrift(programs)?;
    let mut command = Command::new(&command.file);
    command.args(["demo", "--json"]).envs([DISK_MAY_BE_FULL]);
    let text = bounded(&mut command, LIMIT)?;
    answer(&text)?;
    print!("{text}");
    Ok(())
}

/// What the closing answer says; it must be good and say that nothing was lost.
pub(crate) fn answer(text: &str) -> Result<Value> {
    let last = text.trim_end().lines().next_back().unwrap_or("");
    let answer: Value = serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(last))
        .with_context(|| format!("the demo's answer is not JSON: {text:?}"))?;
    ensure!(
        answer["ok"] == Value::Bool(true),
        "the demo failed: {answer}"
    );
    ensure!(
        answer["data"]["complete"] == Value::Bool(true),
        "the demo did not come to its end: {answer}"
    );
    match answer["data"]["lost"].as_u64() {
        Some(0) => Ok(answer["data"].clone()),
        Some(lost) => bail!("the demo lost {lost} events: {answer}"),
        None => bail!("the demo does not say what was lost: {answer}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_demo_that_ended_and_says_it_lost_nothing_passes() {
        answer(r#"{"ok":true,"data":{"complete":true,"lost":0}}"#).unwrap();
        answer("{\"line\":1}\n{\"ok\":true,\"data\":{\"complete\":true,\"lost\":0}}\n").unwrap();
        for bad in [
            "",
            r#"{"ok":true,"data":{"complete":true,"lost":1}}"#,
            r#"{"ok":true,"data":{"complete":true}}"#,
            r#"{"ok":true,"data":{"complete":false,"lost":0}}"#,
            r#"{"ok":false,"error":{}}"#,
        ] {
            assert!(answer(bad).is_err(), "{bad} passed");
        }
    }
}
