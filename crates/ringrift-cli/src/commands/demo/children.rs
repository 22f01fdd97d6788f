//! The stages' processes: started, killed once, started again, ended. Only processes that this one
//! started are ever signalled.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use super::observe::Observer;
use super::plan::{KILLED_STAGE, Plan, STAGES, Stage};
use super::stage;
use super::timings::Timings;
use crate::call::Call;
use crate::failure::{Error, Stop};

/// The processes of one run.
pub(super) struct Children {
    program: PathBuf,
    root: PathBuf,
    settings: Vec<String>,
    running: Vec<Running>,
    timings: Timings,
    /// Processes killed on purpose.
    pub(super) killed: u32,
    /// Processes that ended although nobody had asked.
    pub(super) crashed: u32,
}

/// One stage's process, and the thread that reads its timings.
struct Running {
    stage: &'static Stage,
    child: Child,
    listener: Option<JoinHandle<()>>,
}

impl Running {
    /// Kills it unless it has ended, and takes its end.
    fn kill(&mut self) {
        drop(self.child.kill());
        self.wait();
    }

    /// Waits for its end and for the last of its timings.
    fn wait(&mut self) {
        drop(self.child.wait());
        if let Some(listener) = self.listener.take() {
            // A listener that panicked has said so; what it heard before counts.
            drop(listener.join());
        }
    }
}

impl Children {
    /// Starts every stage, the last one first: whoever publishes early finds its subscribers.
    pub(super) fn start(root: &Path, plan: &Plan, call: &Call) -> Result<Children, Stop> {
        let mut children = Children {
            program: call.program().to_owned(),
            root: root.to_path_buf(),
            settings: call.global.set.clone(),
            running: Vec::new(),
            timings: Timings::default(),
            killed: 0,
            crashed: 0,
        };
        for stage in STAGES.iter().rev() {
            let running = children.begin(plan, stage, false)?;
            children.running.push(running);
        }
        Ok(children)
    }

    fn begin(&self, plan: &Plan, stage: &'static Stage, again: bool) -> Result<Running, Stop> {
        let mut command = Command::new(&self.program);
        command.arg("--home").arg(&self.root);
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        command
            .args(stage::Args::words(plan, stage, again))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Ctrl-C reaches the parent alone, which asks each stage once: a second signal would
            // end a stage that is still handing back what it holds.
            .process_group(0);
        let failed = |source| Error::Io {
            what: format!("cannot start stage {}", stage.name),
            source,
        };
        let mut running = Running {
            stage,
            child: command.spawn().map_err(failed)?,
            listener: None,
        };
        if let Some(said) = running.child.stdout.take() {
            running.listener = Some(self.timings.listen(stage, said).map_err(failed)?);
        }
        Ok(running)
    }

    /// How long events took, as far as the stages have said it.
    pub(super) fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Kills the chosen stage once, midway, and starts again whatever ended.
    pub(super) fn look(&mut self, observer: &Observer, plan: &Plan) -> Result<(), Stop> {
        let kill = plan.kill && self.killed == 0 && observer.is_midway(plan);
        for place in 0..self.running.len() {
            let running = &mut self.running[place];
            if matches!(running.child.try_wait(), Ok(Some(_))) {
                running.wait();
                self.crashed += 1;
            } else if kill && running.stage.name == KILLED_STAGE {
                running.kill();
                self.killed += 1;
            } else {
                continue;
            }
            self.running[place] = self.begin(plan, self.running[place].stage, true)?;
        }
        Ok(())
    }

    /// Asks every stage to finish, and waits for each.
    pub(super) fn end(&mut self) {
        for running in &self.running {
            let pid = rustix::process::Pid::from_child(&running.child);
            // One that ended meanwhile needs no signal.
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        }
        for mut running in self.running.drain(..) {
            running.wait();
        }
    }
}

impl Drop for Children {
    /// However the run ended, nothing of it stays behind.
    fn drop(&mut self) {
        self.running.iter_mut().for_each(Running::kill);
    }
}
