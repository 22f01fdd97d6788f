//! `cargo xtask instructions`: counts instructions of the library's hot functions under valgrind and
//! compares them with a baseline. A count does not depend on what else the machine does, so a loss
//! cannot hide in noise as it does in times.
//!
//! `crates/ringrift-bench/src/bin/instructions.rs` does the work and says which functions it called
//! how often; a function that is not found, or was called at another count, is a failure with its
//! name. It is built in the tests' profile: nothing is compiled twice, and no function is inlined.

mod baseline;
mod profile;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::built::{self, Program};
use crate::run::{DISK_MAY_BE_FULL, bounded, target_folder};
use baseline::{Baseline, Counts};
use profile::Profile;

/// What the program does, one kind a run: so one kind's calls never count into another's functions.
const WORKS: &[&str] = &["stored", "live", "durable"];

/// Longest that one of them may run: each takes seconds.
const WORK_LIMIT: Duration = Duration::from_secs(120);

/// What only some processors have is withheld from the C library, which would choose its way of
/// copying and comparing memory by it: so every machine runs the same code.
const TUNABLES: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.cpu.hwcaps=-AVX_Fast_Unaligned_Load,-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-ERMS,-FSRM,-RTM,-FMA,-FMA4,-SSE4_2,-SSSE3",
);

/// Builds the program, counts, and compares or writes.
pub(crate) fn run(write: bool) -> Result<()> {
    check(&built::instructions()?, write)
}

/// The same with programs that are built already.
pub(crate) fn check(programs: &[Program], write: bool) -> Result<()> {
    let program = programs
        .iter()
        .find(|program| program.kind == "bin" && program.name == "instructions")
        .context("the build gave no program `instructions`")?;
    let counts = count(&program.file)?;
    if write {
        return baseline::write(&counts);
    }
    let compared = Baseline::read()?.compare(&counts);
    for line in &compared.lines {
        println!("{line}");
    }
    ensure!(
        compared.failures.is_empty(),
        "{}; if that is meant, run: cargo xtask instructions --write",
        compared.failures.join("; ")
    );
    Ok(())
}

/// Instructions per operation.
fn count(program: &Path) -> Result<Counts> {
    let folder = target_folder()?.join("instructions");
    std::fs::create_dir_all(&folder)?;
    let ran: Vec<Result<(String, String)>> = std::thread::scope(|scope| {
        let runs: Vec<_> = WORKS
            .iter()
            .map(|work| scope.spawn(|| under_valgrind(program, work, &folder)))
            .collect();
        runs.into_iter()
            .map(|run| run.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect()
    });
    let mut counts = Counts::new();
    for ran in ran {
        let (said, profile) = ran?;
        add(&mut counts, &said, &Profile::parse(&profile)?)?;
    }
    Ok(counts)
}

/// What one run of the program said of itself, and valgrind of it.
fn under_valgrind(program: &Path, work: &str, folder: &Path) -> Result<(String, String)> {
    let out = folder.join(format!("callgrind.{work}"));
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .arg(work)
        .envs([DISK_MAY_BE_FULL, TUNABLES]);
    let said = bounded(&mut command, WORK_LIMIT)?;
    let profile = std::fs::read_to_string(&out)
        .with_context(|| format!("reading what valgrind wrote to {}", out.display()))?;
    Ok((said, profile))
}

/// Adds the functions that the program names to their operations.
fn add(counts: &mut Counts, said: &str, profile: &Profile) -> Result<()> {
    for line in said.lines() {
        let Some(counted) = line.strip_prefix("counted\t") else {
            continue;
        };
        let [operation, times, function] = counted.split('\t').collect::<Vec<_>>()[..] else {
            bail!("the program's line has not three fields: {line}");
        };
        let times: u64 = times.parse()?;
        ensure!(times > 0, "{operation} was never done");
        let called = profile.function(function)?;
        ensure!(
            called.calls == times,
            "{function} was called {} times, and {operation} was done {times} times",
            called.calls
        );
        *counts.entry(operation.to_owned()).or_default() += called.instructions / times;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: &str = "fn=(1) main\n5 7\ncfn=(2) a::run\ncalls=4 9\n6 4000\ncfn=(3) a::end\n\
                       calls=4 1\n7 100\n";

    fn counted(said: &str) -> Result<Counts> {
        let mut counts = Counts::new();
        add(&mut counts, said, &Profile::parse(OUT)?)?;
        Ok(counts)
    }

    #[test]
    fn the_functions_of_one_operation_are_added_and_shared_by_its_times() {
        let said = "something else\ncounted\tone\t4\ta::run\ncounted\tone\t4\ta::end\n";
        let counts = counted(said).unwrap();
        assert_eq!(counts, Counts::from([("one".to_owned(), 1_025)]));
    }

    #[test]
    fn another_count_of_calls_and_a_missing_function_fail_by_name() {
        let error = counted("counted\tone\t5\ta::run\n").unwrap_err();
        assert!(error.to_string().contains("a::run was called 4 times"));
        let error = counted("counted\tone\t4\ta::gone\n").unwrap_err();
        assert!(error.to_string().contains("a::gone"));
        assert!(counted("counted\tone\t4\n").is_err());
    }
}
