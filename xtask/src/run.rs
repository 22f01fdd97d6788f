//! Running other programs: their command line is printed, their failure names it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::family::Family;

/// The folder of the workspace.
pub(crate) fn workspace_root() -> Result<PathBuf> {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = own.parent().context("xtask lies in no workspace")?;
    Ok(root.to_path_buf())
}

/// The folder that builds and tools go to.
pub(crate) fn target_folder() -> Result<PathBuf> {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => Ok(workspace_root()?.join("target")),
    }
}

/// What every program finds that a check starts: a machine whose disk is nearly full may still run
/// the checks.
pub(crate) const DISK_MAY_BE_FULL: (&str, &str) = ("RINGRIFT_STORE_DISK_FREE_MIN_PERCENT", "0");

/// What `cargo run` tells this program of its own package.
const OF_THIS_PACKAGE: &[&str] = &["CARGO_PKG_", "CARGO_MANIFEST_"];

/// `cargo` as it was called, with these arguments, and without what it was told of this package:
/// build scripts look at that, and would build anew what somebody built by hand.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if OF_THIS_PACKAGE
            .iter()
            .any(|begins| text.starts_with(begins))
        {
            command.env_remove(&name);
        }
    }
    command.args(arguments);
    command
}

/// Runs a command to its end, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("    {}", line_of(command));
    let status = command
        .status()
        .with_context(|| format!("starting `{}`", line_of(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line_of(command));
    }
    Ok(())
}

/// Whether a command can be started and succeeds; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a command, shows each line of its standard output and gives it to `see`. Returns whether
/// it succeeded.
///
/// A command that says nothing for `quiet_max` hangs: it is ended with all its descendants, so that
/// the run still comes to its closing line, and the error says what each of them waited for.
pub(crate) fn watch(
    command: &mut Command,
    quiet_max: Duration,
    mut see: impl FnMut(&str),
) -> Result<bool> {
    println!("    {}", line_of(command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{}`", line_of(command)))?;
    let output = child.stdout.take().context("the child has no output")?;
    let (tell, told) = sync_channel(LINES_AHEAD);
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            // Nobody listens any more once the command was ended.
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    loop {
        match told.recv_timeout(quiet_max) {
            Ok(line) => {
                let line = line.context("reading the child's output")?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                see(&line);
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(child.wait()?.success()),
            Err(RecvTimeoutError::Timeout) => {
                let family = Family::of(&child);
                let hung = family.to_string();
                family.end(&mut child)?;
                bail!(
                    "`{}` said nothing for {quiet_max:?}:\n{hung}",
                    line_of(command)
                );
            }
        }
    }
}

/// Lines read ahead of the one that is shown; the child waits when they are used up.
const LINES_AHEAD: usize = 1_000;

/// Runs a program that must end by itself within `limit`, and returns its standard output.
pub(crate) fn bounded(command: &mut Command, limit: Duration) -> Result<String> {
    println!("    {}", line_of(command));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{}`", line_of(command)))?;
    let output = child.stdout.take().context("the child has no output")?;
    // One message, and the reader ends with the child, so the thread is never waited for.
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || {
        let text = std::io::read_to_string(output);
        // A reader that comes after the limit finds nobody listening; that is the time-out below.
        tell.send(text).ok();
    });
    match told.recv_timeout(limit) {
        Ok(text) => {
            let status = child.wait()?;
            let text = text.context("reading the child's output")?;
            if !status.success() {
                bail!("`{}` ended with {status}\n{text}", line_of(command));
            }
            Ok(text)
        }
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            child.kill().context("ending the child")?;
            child.wait()?;
            bail!("`{}` did not end within {limit:?}", line_of(command));
        }
    }
}

/// The command as somebody would type it.
fn line_of(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_end_is_ended_and_named() {
        let error =
            bounded(Command::new("sleep").arg("60"), Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("`sleep 60` did not end"));
    }

    #[test]
    fn a_failing_program_is_an_error_and_a_good_one_gives_its_output() {
        assert!(run(&mut Command::new("false")).is_err());
        let text = bounded(Command::new("echo").arg("yes"), Duration::from_secs(10)).unwrap();
        assert_eq!(text, "yes\n");
    }

    #[test]
    fn every_line_is_seen() {
        let mut lines = Vec::new();
        let mut printf = Command::new("printf");
        let good = watch(printf.arg("a\\nb\\n"), Duration::from_secs(10), |line| {
            lines.push(line.to_owned());
        });
        assert!(good.unwrap());
        assert_eq!(lines, ["a", "b"]);
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_what_it_started_and_says_where_it_hung() {
        let mut child = None;
        let mut shell = Command::new("sh");
        // The line comes at once, then nothing: the shell waits for what it started.
        shell.args(["-c", "sleep 61 & echo $!; wait"]);
        let error = watch(&mut shell, Duration::from_secs(3), |line| {
            child = line.parse::<u32>().ok();
        });
        let error = error.unwrap_err().to_string();
        let child = child.unwrap();
        assert!(error.contains("said nothing for 3s"), "{error}");
        assert!(
            error.contains(&format!("{child} sleep 61: sleep in ")),
            "{error}"
        );
        let line = std::fs::read_to_string(format!("/proc/{child}/cmdline"));
        assert!(
            !line.is_ok_and(|line| line.starts_with("sleep")),
            "process {child} outlived the command that started it"
        );
    }
}
