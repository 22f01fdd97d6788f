//! The figures for programs.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::contestants::Side;
use super::measured::{Line, Measured};

/// The object of `--json`.
pub(super) fn object(rows: &[Measured]) -> Result<String> {
    let rows: Vec<Value> = rows.iter().map(row).collect();
    let object = json!({"machine": machine(), "date": date()?, "rows": rows});
    Ok(format!("{object:#}\n"))
}

/// One row: the figure that it is about, and below `lines` everything of everybody.
fn row(row: &Measured) -> Value {
    let figure = row.row.figure;
    let peers: Map<String, Value> = row
        .lines
        .iter()
        .filter(|line| line.contestant.side() == Side::Peer)
        .map(|line| (line.contestant.name.to_owned(), json!(line.get(figure))))
        .collect();
    json!({
        "row": row.row.name,
        "work": row.row.work,
        "ours": row.best("ours", figure),
        "unit": format!("{} {}", figure.key, figure.unit),
        "peers": peers,
        "limit": row.limit(),
        "goal": row.goal(),
        "met": row.met(),
        "lines": row.lines.iter().map(line).collect::<Vec<_>>(),
    })
}

fn line(line: &Line) -> Value {
    let kind = match line.contestant.side() {
        Side::Ours => "ours",
        Side::Limit => "limit",
        Side::Peer => "peer",
    };
    let names = line.runs.last().map(|run| run.names().collect::<Vec<_>>());
    let figures: Map<String, Value> = names
        .unwrap_or_default()
        .into_iter()
        .map(|name| (name.to_owned(), json!(line.median_of(name))))
        .collect();
    json!({
        "who": line.contestant.name,
        "kind": kind,
        "durability": line.contestant.class.name(),
        "rounds": line.runs.len(),
        "figures": figures,
    })
}

/// What the figures depend on.
fn machine() -> Value {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let after = |file: &str, name: &str| {
        let text = read(file);
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map(|(_, value)| value.trim().to_owned())
    };
    json!({
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "processor": after("/proc/cpuinfo", "model name"),
        "memory": after("/proc/meminfo", "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": read("/proc/loadavg").split(' ').next(),
    })
}

/// Now, as everybody writes it.
fn date() -> Result<String> {
    let output = Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])
        .output();
    let output = output.context("starting date")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::contestants::{Class, Contestant, HONKER, OURS};
    use crate::bench::goals::tests::row as some;
    use crate::bench::goals::times;
    use crate::bench::measured::RATE;

    #[test]
    fn a_row_says_who_did_what_and_whether_it_was_enough() {
        let raw = Contestant::limit("raw", Class::Process);
        let lines = [(OURS, 130.0, 7.0), (HONKER, 100.0, 9.0), (raw, 200.0, 1.0)];
        let said = row(&some(vec![times(RATE, 1.2, "honker")], &lines));
        assert_eq!(said["ours"], 130.0);
        assert_eq!(said["peers"], json!({"honker": 100.0}));
        assert_eq!(
            (&said["limit"], &said["met"]),
            (&json!(200.0), &json!(true))
        );
        assert_eq!(said["lines"][1]["figures"]["p99"], 9.0);
        let alone = row(&some(vec![times(RATE, 1.2, "honker")], &lines[..1]));
        assert_eq!(
            (&alone["limit"], &alone["met"]),
            (&Value::Null, &Value::Null)
        );
    }
}
