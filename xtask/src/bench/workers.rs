//! One contestant's processes in one round: started, begun together, and ended whatever happens.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::field::Field;
use super::measured::Run;
use super::rows::Scene;
use crate::run::target_folder;

/// Longest that a worker says nothing: filling a log of ten million takes minutes.
const QUIET_MAX: Duration = Duration::from_secs(900);

/// Lines that a worker is ahead of its reader; it says two.
const LINES_AHEAD: usize = 4;

/// Plays a scene in a folder of its own.
pub(super) fn play(scene: &Scene, field: &Field) -> Result<Run> {
    let home = fresh_folder()?;
    if let Some(words) = &scene.fill {
        let mut filler = Worker::start(field.command(scene.contestant, words, home.path())?)?;
        filler.begin()?;
        filler.outcome().context("filling")?;
    }
    let mut workers = Vec::new();
    for words in &scene.workers {
        let command = field.command(scene.contestant, words, home.path())?;
        workers.push(Worker::start(command)?);
    }
    for worker in &mut workers {
        worker.begin()?;
    }
    let mut said = Vec::new();
    for worker in workers {
        said.push(worker.outcome()?);
    }
    if scene.first_counts {
        said.truncate(1);
    }
    let run = Run::of(&said)?;
    let Some(owed) = scene.owed else {
        return Ok(run);
    };
    let (count, handled) = run
        .get("count")
        .zip(run.get("handled"))
        .context("no counts")?;
    let lost = count * owed as f64 - handled;
    ensure!(
        lost == 0.0,
        "{lost} of {} deliveries lost",
        count * owed as f64
    );
    Ok(run.with("lost", lost))
}

/// A folder that goes with the value: on the disk that builds go to, since a folder for what is
/// temporary may lie in memory, where nothing is durable.
pub(super) fn fresh_folder() -> Result<TempDir> {
    let homes = target_folder()?.join("bench-homes");
    std::fs::create_dir_all(&homes)?;
    Ok(tempfile::Builder::new().tempdir_in(homes.canonicalize()?)?)
}

/// A process that has said `ready`.
struct Worker {
    line: String,
    child: Child,
    input: Option<ChildStdin>,
    told: Receiver<String>,
}

impl Worker {
    fn start(mut command: Command) -> Result<Worker> {
        let line = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {line}"))?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("the worker has no output")?;
        let (tell, told) = sync_channel(LINES_AHEAD);
        std::thread::spawn(move || {
            // It ends with the worker, or when nobody listens any more.
            for line in BufReader::new(output).lines().map_while(|line| line.ok()) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        let mut worker = Worker {
            line,
            child,
            input,
            told,
        };
        let first = worker.next_line()?;
        ensure!(first == "ready", "{} said {first}", worker.line);
        Ok(worker)
    }

    /// The word that it waits for.
    fn begin(&mut self) -> Result<()> {
        let input = self.input.as_mut().context("the worker has no input")?;
        Ok(input.write_all(b"begin\n")?)
    }

    /// What it measured.
    fn outcome(mut self) -> Result<Value> {
        let line = self.next_line()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{} ended with {status}", self.line);
        Ok(serde_json::from_str(&line)?)
    }

    fn next_line(&mut self) -> Result<String> {
        match self.told.recv_timeout(QUIET_MAX) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Disconnected) => {
                bail!("{} ended with {}", self.line, self.child.wait()?)
            }
            Err(RecvTimeoutError::Timeout) => {
                bail!("{} said nothing for {QUIET_MAX:?}", self.line)
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended is only waited for.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_worker_begins_at_the_word_and_says_one_object() {
        let script = r#"echo ready; read word; echo "{\"word\": \"$word\"}""#;
        let mut worker = Worker::start(shell(script)).unwrap();
        worker.begin().unwrap();
        assert_eq!(worker.outcome().unwrap()["word"], "begin");
    }

    #[test]
    fn a_worker_that_fails_is_an_error_before_and_after_it_is_ready() {
        let error = Worker::start(shell("exit 3")).err().unwrap();
        assert!(error.to_string().contains("3"), "{error}");
        let failing = Worker::start(shell("echo ready; echo '{}'; exit 4")).unwrap();
        let error = failing.outcome().unwrap_err();
        assert!(error.to_string().contains("4"), "{error}");
    }
}
