//! Running other programs: their command line is printed, their failure names it.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};

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

/// `cargo` as it was called, with these arguments.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
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
pub(crate) fn watch(command: &mut Command, mut see: impl FnMut(&str)) -> Result<bool> {
    println!("    {}", line_of(command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{}`", line_of(command)))?;
    let output = child.stdout.take().context("the child has no output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("reading the child's output")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        see(&line);
    }
    std::io::stdout().flush()?;
    Ok(child.wait()?.success())
}

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
        let good = watch(Command::new("printf").arg("a\\nb\\n"), |line| {
            lines.push(line.to_owned());
        });
        assert!(good.unwrap());
        assert_eq!(lines, ["a", "b"]);
    }
}
