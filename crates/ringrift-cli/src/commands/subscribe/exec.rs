//! One run of `--exec`: `sh -c CMD` in a process group of its own, one JSON line on its standard
//! input, its exit code the answer.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::time::{timeout, timeout_at};

use super::guard::Guard;
use super::members;

/// Bytes of standard error that a failure keeps: the last ones, where the reason stands.
pub(crate) const STDERR_BYTES_MAX: usize = 64 << 10;

/// How long a command has between SIGTERM and SIGKILL.
pub(crate) const KILL_AFTER: Duration = Duration::from_secs(5);

/// How long standard error is read on after the command ended: something it left behind may hold
/// the pipe open for ever.
const DRAIN: Duration = Duration::from_millis(500);

/// Between two looks whether a group has ended: a retry waits for that at most so much longer.
const LOOKS: Duration = Duration::from_millis(20);

/// Characters of a command that an error repeats.
const COMMAND_CHARS: usize = 120;

/// What the shell runs first: it waits for a line, so that nothing of the command runs before the
/// guard knows whom to end. A pipe that closes before ends it. `read` takes that line alone.
const GATE: &str = r#"read -r _ && exec sh -c "$1""#;

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
    /// How long it may take.
    pub(crate) limit: Duration,
    /// How long after its limit its process group gets SIGTERM.
    pub(crate) lag: Duration,
    /// Who ends it when this process is killed.
    pub(crate) guard: &'a Guard,
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
    let _watched = group.0.map(|group| run.guard.watch(group)).transpose()?;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let mut tail = Tail::default();
    let (ended, _drained) = {
        let feeding = feed(stdin, run.line);
        let reading = tail.read(stderr, run.passes_stderr);
        let waiting = wait(&mut child, &group, run.limit + run.lag);
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
    Ok(came(&ended, &tail.text(), run.command, run.limit))
}

fn spawn(run: &Run<'_>) -> std::io::Result<Child> {
    let mut command = Command::new("sh");
    command
        .args(["-c", GATE, "sh", run.command])
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

    /// Returns when none of its processes runs any more. Nothing announces that: it is asked.
    async fn gone(&self) {
        let mut looks = tokio::time::interval(LOOKS);
        while self.0.is_some_and(members::any_runs) {
            looks.tick().await;
        }
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
    /// The signal that its group got last because of its limit.
    forced: Option<&'static str>,
}

async fn wait(child: &mut Child, group: &Group, limit: Duration) -> std::io::Result<Ended> {
    if let Ok(status) = timeout(limit, child.wait()).await {
        return Ok(Ended {
            status: status?,
            forced: None,
        });
    }
    group.signal(Signal::TERM);
    let until = tokio::time::Instant::now() + KILL_AFTER;
    let ended = timeout_at(until, child.wait()).await;
    // The shell may end at SIGTERM and leave behind what it had started: its retry must not run
    // beside that.
    let gone = ended.is_ok() && timeout_at(until, group.gone()).await.is_ok();
    if !gone {
        group.signal(Signal::KILL);
    }
    let status = match ended {
        Ok(status) => status?,
        Err(_) => child.wait().await?,
    };
    if !gone {
        // What the kernel keeps in a system call dies when that returns; nothing more can be done.
        timeout(KILL_AFTER, group.gone()).await.ok();
    }
    Ok(Ended {
        status,
        forced: Some(if gone {
            "SIGTERM"
        } else {
            "SIGTERM, and SIGKILL 5 s later"
        }),
    })
}

/// Opens the gate and gives the command its line. A command that reads none of it closes the pipe: no failure.
async fn feed(stdin: Option<ChildStdin>, line: String) {
    let line = format!("\n{line}\n");
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

fn came(ended: &Ended, stderr: &str, command: &str, limit: Duration) -> Came {
    let how = match (ended.status.code(), ended.status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended without an exit code".to_owned(),
    };
    if let Some(signals) = ended.forced {
        let what = format!(
            "`{}` exceeded its time limit of {}; its process group got {signals}: {how}",
            crate::output::one_line(command, COMMAND_CHARS),
            crate::output::duration_text(limit)
        );
        return Came::TimedOut(said(&what, stderr));
    }
    match ended.status.code() {
        Some(0) => Came::Done,
        Some(AGAIN) => Came::Again(said(&format!("{how}: try again"), stderr)),
        Some(DEAD) => Came::Dead(said(&format!("{how}: refused for good"), stderr)),
        Some(_) | None => Came::Failed(said(&how, stderr)),
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
        let guard = Guard::start(std::path::Path::new("cat")).expect("a guard");
        let bounded = async {
            timeout(
                Duration::from_secs(30),
                run(Run {
                    command,
                    line: line.to_owned(),
                    environment: vec![("RINGRIFT_KEY", "hex8_2p".to_owned())],
                    limit,
                    lag: Duration::ZERO,
                    guard: &guard,
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
    fn nothing_runs_before_the_guard_knows_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ran");
        let guard = Guard::start(std::path::Path::new("cat")).expect("a guard");
        let run = Run {
            command: &format!("touch {}", file.display()),
            line: String::new(),
            environment: Vec::new(),
            limit: LONG,
            lag: Duration::ZERO,
            guard: &guard,
            passes_stderr: false,
        };
        // A subscriber that is killed here closes the pipe: the gate stays shut.
        let ended = runtime().block_on(async {
            let mut child = spawn(&run).expect("sh starts");
            drop(child.stdin.take());
            child.wait().await.expect("it ends")
        });
        assert_eq!(ended.code(), Some(1));
        assert!(!file.exists());
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
            Came::TimedOut(
                "`sleep 60 & echo started >&2; wait` exceeded its time limit of 200 ms; its process \
                 group got SIGTERM: killed by signal 15: started"
                    .into()
            )
        );
    }

    #[test]
    fn a_command_that_ends_itself_at_sigterm_says_how() {
        let command = "trap 'exit 7' TERM; echo started >&2; sleep 60 & wait";
        let came = run_with(command, "{}", Duration::from_millis(500));
        let Came::TimedOut(text) = came else {
            panic!("{came:?}")
        };
        assert!(text.contains("got SIGTERM: exit code 7: started"), "{text}");
    }

    #[test]
    fn what_ignores_sigterm_is_killed_though_the_shell_has_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        let command = format!(
            "sh -c 'trap \"\" TERM; echo $$ > {0}.new; mv {0}.new {0}; while :; do sleep 1; done' & \
             while [ ! -e {0} ]; do sleep 0.05; done; exec sleep 60",
            file.display()
        );
        let came = run_with(&command, "{}", Duration::from_secs(2));
        let pid = std::fs::read_to_string(&file).expect("it started");
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        assert!(
            stat.as_ref().map_or(true, |stat| stat.contains(") Z")),
            "it still runs: {stat:?}"
        );
        let Came::TimedOut(text) = came else {
            panic!("{came:?}")
        };
        assert!(text.contains("SIGKILL 5 s later"), "{text}");
    }

    #[test]
    fn what_a_command_leaves_behind_holds_nobody_up() {
        let came = run_with("sleep 20 & exit 0", "{}", LONG);
        assert_eq!(came, Came::Done);
    }
}
