//! A child with everything it started: what each of them waits for, and the end of them all.

use std::collections::BTreeMap;
use std::fmt;
use std::process::{Child, Command};

use anyhow::{Context, Result};

use crate::run::succeeds;

/// Longest that is shown of a command line, in characters.
const LINE_MAX: usize = 100;

/// The process ids of a child and its descendants, the child first. Only Linux tells who started
/// whom; elsewhere it is the child alone.
pub(crate) struct Family(Vec<u32>);

impl Family {
    pub(crate) fn of(child: &Child) -> Family {
        let mut family = vec![child.id()];
        let pairs = parents();
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            let children = pairs.iter().filter(|(_, its)| *its == parent);
            family.extend(children.map(|(pid, _)| *pid));
            next += 1;
        }
        Family(family)
    }

    /// Ends `child` and its descendants.
    pub(crate) fn end(&self, child: &mut Child) -> Result<()> {
        let pids = self.0.iter().skip(1).map(u32::to_string);
        succeeds(Command::new("kill").arg("-KILL").args(pids));
        child.kill().context("ending the child")?;
        child.wait()?;
        Ok(())
    }
}

/// A line a process: its id, its command, and how many of its threads wait for what. libtest gives a
/// thread its test's name, of which the kernel keeps fifteen bytes.
impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for pid in &self.0 {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let line: String = line.trim_end().chars().take(LINE_MAX).collect();
            let threads: Vec<String> = threads(*pid)
                .into_iter()
                .map(|((name, place), count)| match count {
                    1 => format!("{name} in {place}"),
                    count => format!("{count} x {name} in {place}"),
                })
                .collect();
            writeln!(formatter, "    {pid} {line}: {}", threads.join(", "))?;
        }
        Ok(())
    }
}

/// How many threads of a process have this name and wait at this place of the kernel.
fn threads(pid: u32) -> BTreeMap<(String, String), usize> {
    let mut threads = BTreeMap::new();
    let entries = std::fs::read_dir(format!("/proc/{pid}/task"));
    for thread in entries.into_iter().flatten().flatten() {
        let read = |file: &str| {
            let text = std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
            text.trim().to_owned()
        };
        *threads.entry((read("comm"), read("wchan"))).or_default() += 1;
    }
    threads
}

/// Every process with its parent.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name in brackets may hold anything; after the last one come state and parent.
            let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?;
            Some((pid, parent.parse().ok()?))
        })
        .collect()
}
