//! One run of `--exec`: `sh -c CMD` in a process group of its own, one JSON line on its standard
//! input, its exit code the answer.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::time::timeout;

/// Bytes of standard error that a failure keeps: the last ones, where the reason stands.
pub(crate) const STDERR_BYTES_MAX: usize = 64 << 10;

/// How long a command has between SIGTERM and SIGKILL.
pub(crate) const KILL_AFTER: Duration = Duration::from_secs(5);

/// How long standard error is read on after the command ended: something it left behind may hold
/// the pipe open for ever.
const DRAIN: Duration = Duration::from_millis(500);

/// Exit code that asks for another attempt (`EX_TEMPFAIL`).
const AGAIN: i32 = 75;

/// Exit code of an event that can never succeed (`EX_DATAERR`).
const DEAD: i32 = 65;

/// A command to run for one event.
pub(crate) struct Run<'a> {
    /// What `sh -c` gets.
    pub(crate) command: &'a str,
    /// The JSON line, without its line break.
    pub(crate) line: String,
    /// Its environment, beside this process's own.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// When its process group gets SIGTERM.
    pub(crate) limit: Duration,
    /// Whether its standard error passes through to ours as well: an operator may be watching.
    pub(crate) passes_stderr: bool,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// Exit 0.
    Done,
    /// Exit 75, with the last of its standard error.
    Again(String),
    /// Exit 65, with the last of its standard error.
    Dead(String),
    /// Any other exit code or a signal, in words, with the last of its standard error.
    Failed(String),
    /// It exceeded its limit and was ended.
    TimedOut(String),
}

/// Runs it to its end. Dropping the future kills the command's process group.
///
/// # Errors
/// The system's, when the command cannot be started.
pub(crate) async fn run(run: Run<'_>) -> std::io::Result<Came> {
    let mut child = spawn(&run)?;
    let mut group = Group(child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())));
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let mut tail = Tail::default();
    let (ended, _drained) = {
        let feeding = feed(stdin, run.line);
        let reading = tail.read(stderr, run.passes_stderr);
        let waiting = wait(&mut child, &group, run.limit);
        tokio::pin!(feeding, reading, waiting);
        let (mut fed, mut read) = (false, false);
        let ended = loop {
            tokio::select! {
                ended = &mut waiting => break ended?,
                () = &mut feeding, if !fed => fed = true,
                () = &mut reading, if !read => read = true,
            }
        };
        // Something the command left behind may hold the pipe: what came until then is enough.
        let drained = read || timeout(DRAIN, &mut reading).await.is_ok();
        (ended, drained)
    };
    group.ended();
    Ok(came(&ended, tail.text(), run.limit))
}

fn spawn(run: &Run<'_>) -> std::io::Result<Child> {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(run.command)
        .stdin(Stdio::piped())
        .stdout(Stdio::inherit())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    for (name, value) in &run.environment {
        // An environment cannot carry a NUL; such a value stands in the JSON line alone.
        if !value.contains('\0') {
            command.env(name, value);
        }
    }
    command.spawn()
}

/// The command's process group, killed when the run is given up.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        // No such group: its last process has ended, which is what was wanted.
        if let Some(group) = self.0
            && kill_process_group(group, signal).is_err()
        {}
    }

    fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// How the command ended.
struct Ended {
    status: ExitStatus,
    timed_out: bool,
}

async fn wait(child: &mut Child, group: &Group, limit: Duration) -> std::io::Result<Ended> {
    if let Ok(status) = timeout(limit, child.wait()).await {
        return Ok(Ended {
            status: status?,
            timed_out: false,
        });
    }
    group.signal(Signal::TERM);
    let status = match timeout(KILL_AFTER, child.wait()).await {
        Ok(status) => status?,
        Err(_) => {
            group.signal(Signal::KILL);
            child.wait().await?
        }
    };
    Ok(Ended {
        status,
        timed_out: true,
    })
}

/// Gives the command its line. A command that reads none of it closes the pipe: no failure.
async fn feed(stdin: Option<ChildStdin>, mut line: String) {
    line.push('\n');
    if let Some(mut stdin) = stdin
        && stdin.write_all(line.as_bytes()).await.is_ok()
        && stdin.shutdown().await.is_err()
    {}
}

/// The last bytes of a command's standard error.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    /// Reads to the end.
    async fn read(&mut self, stderr: Option<ChildStderr>, passes: bool) {
        let Some(mut stderr) = stderr else { return };
        let mut ours = tokio::io::stderr();
        let mut part = vec![0; 8 << 10];
        while let Ok(count @ 1..) = stderr.read(&mut part).await {
            self.push(&part[..count]);
            if passes && ours.write_all(&part[..count]).await.is_ok() && ours.flush().await.is_err()
            {
            }
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let surplus = self.0.len().saturating_sub(STDERR_BYTES_MAX);
        self.0.drain(..surplus);
    }

    fn text(&mut self) -> String {
        let bytes = std::mem::take(&mut self.0);
        String::from_utf8_lossy(&Vec::from(bytes))
            .trim_end()
            .to_owned()
    }
}

fn came(ended: &Ended, stderr: String, limit: Duration) -> Came {
    if ended.timed_out {
        return Came::TimedOut(said(
            &format!(
                "ended by SIGTERM after {}",
                crate::output::duration_text(limit)
            ),
            &stderr,
        ));
    }
    match (ended.status.code(), ended.status.signal()) {
        (Some(0), _) => Came::Done,
        (Some(AGAIN), _) => Came::Again(said("exit code 75: try again", &stderr)),
        (Some(DEAD), _) => Came::Dead(said("exit code 65: refused for good", &stderr)),
        (Some(code), _) => Came::Failed(said(&format!("exit code {code}"), &stderr)),
        (None, Some(signal)) => Came::Failed(said(&format!("killed by signal {signal}"), &stderr)),
        (None, None) => Came::Failed(said("ended without an exit code", &stderr)),
    }
}

/// What happened, then the last of the standard error, within the bound of an error's text.
fn said(what: &str, stderr: &str) -> String {
    if stderr.is_empty() {
        return what.to_owned();
    }
    let room = ringrift_events::verdict::ERROR_BYTES_MAX.saturating_sub(what.len() + 2);
    let from = stderr.ceil_char_boundary(stderr.len().saturating_sub(room));
    format!("{what}: {}", &stderr[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    }

    fn run_with(command: &str, line: &str, limit: Duration) -> Came {
        let bounded = async {
            timeout(
                Duration::from_secs(30),
                run(Run {
                    command,
                    line: line.to_owned(),
                    environment: vec![("RINGRIFT_KEY", "hex8_2p".to_owned())],
                    limit,
                    passes_stderr: false,
                }),
            )
            .await
        };
        runtime()
            .block_on(bounded)
            .expect("the run ends")
            .expect("sh starts")
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_line_and_the_environment_reach_the_command() {
        let came = run_with(
            r#"read line; [ "$line" = '{"a":1}' ] && [ "$RINGRIFT_KEY" = hex8_2p ]"#,
            r#"{"a":1}"#,
            LONG,
        );
        assert_eq!(came, Came::Done);
    }

    #[test]
    fn a_command_that_reads_nothing_is_no_failure() {
        assert_eq!(run_with("true", &"x".repeat(1 << 20), LONG), Came::Done);
    }

    #[test]
    fn exit_codes_have_their_meaning() {
        let again = run_with("echo busy >&2; exit 75", "{}", LONG);
        assert_eq!(again, Came::Again("exit code 75: try again: busy".into()));
        let dead = run_with("exit 65", "{}", LONG);
        assert_eq!(dead, Came::Dead("exit code 65: refused for good".into()));
        let failed = run_with("exit 3", "{}", LONG);
        assert_eq!(failed, Came::Failed("exit code 3".into()));
        let killed = run_with("kill -9 $$", "{}", LONG);
        assert_eq!(killed, Came::Failed("killed by signal 9".into()));
    }

    #[test]
    fn a_failure_keeps_the_last_bytes_of_standard_error() {
        let came = run_with(
            "head -c 200000 /dev/zero | tr '\\0' a >&2; echo the reason >&2; exit 1",
            "{}",
            LONG,
        );
        let Came::Failed(text) = came else {
            panic!("{came:?}")
        };
        assert!(text.len() <= STDERR_BYTES_MAX);
        assert!(text.starts_with("exit code 1: aaaa"));
        assert!(text.ends_with("the reason"));
    }

    #[test]
    fn at_the_limit_the_whole_process_group_ends() {
        // The grandchild holds the pipe: only a signal to the group ends both.
        let came = run_with(
            "sleep 60 & echo started >&2; wait",
            "{}",
            Duration::from_millis(200),
        );
        assert_eq!(
            came,
            Came::TimedOut("ended by SIGTERM after 200 ms: started".into())
        );
    }

    #[test]
    fn what_a_command_leaves_behind_holds_nobody_up() {
        let came = run_with("sleep 20 & exit 0", "{}", LONG);
        assert_eq!(came, Came::Done);
    }
}
