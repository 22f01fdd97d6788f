//! The stages' processes: started, killed once, started again, ended. Only processes that this one
//! started are ever signalled.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::observe::Observer;
use super::plan::{KILLED_STAGE, Plan, STAGES, Stage};
use super::stage;
use crate::call::Call;
use crate::failure::{Error, Stop};

/// The processes of one run.
pub(super) struct Children {
    program: PathBuf,
    root: PathBuf,
    settings: Vec<String>,
    running: Vec<(&'static Stage, Child)>,
    /// Processes killed on purpose.
    pub(super) killed: u32,
    /// Processes that ended although nobody had asked.
    pub(super) crashed: u32,
}

impl Children {
    /// Starts every stage, the last one first: whoever publishes early finds its subscribers.
    pub(super) fn start(root: &Path, plan: &Plan, call: &Call) -> Result<Children, Stop> {
        let program = std::env::current_exe().map_err(|source| Error::Io {
            what: "cannot tell where this program lies".to_owned(),
            source,
        })?;
        let mut children = Children {
            program,
            root: root.to_path_buf(),
            settings: call.global.set.clone(),
            running: Vec::new(),
            killed: 0,
            crashed: 0,
        };
        for stage in STAGES.iter().rev() {
            children.begin(plan, stage, false)?;
        }
        Ok(children)
    }

    fn begin(&mut self, plan: &Plan, stage: &'static Stage, again: bool) -> Result<(), Stop> {
        let mut command = Command::new(&self.program);
        command.arg("--home").arg(&self.root);
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        command
            .args(stage::Args::words(plan, stage, again))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let started = command.spawn().map_err(|source| Error::Io {
            what: format!("cannot start stage {}", stage.name),
            source,
        })?;
        self.running.push((stage, started));
        Ok(())
    }

    /// Kills the chosen stage once, midway, and starts again whatever ended.
    pub(super) fn look(&mut self, observer: &Observer, plan: &Plan) -> Result<(), Stop> {
        if plan.kill && self.killed == 0 && observer.is_midway(plan) {
            self.killed += 1;
            let chosen = self
                .running
                .iter_mut()
                .find(|(stage, _)| stage.name == KILLED_STAGE);
            if let Some((_, child)) = chosen {
                // A child that ended meanwhile cannot be killed, and is started again below.
                drop(child.kill());
                drop(child.wait());
            }
        }
        let mut ended = Vec::new();
        self.running.retain_mut(|(stage, child)| {
            let over = matches!(child.try_wait(), Ok(Some(_)));
            if over {
                ended.push(*stage);
            }
            !over
        });
        for stage in ended {
            if !(stage.name == KILLED_STAGE && self.killed > 0 && self.crashed == 0) {
                self.crashed += 1;
            }
            self.begin(plan, stage, true)?;
        }
        Ok(())
    }

    /// Asks every stage to finish, and waits for each.
    pub(super) fn end(&mut self) {
        for (_, child) in &self.running {
            if let Some(pid) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
                // One that ended meanwhile needs no signal.
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
            }
        }
        for (_, child) in &mut self.running {
            drop(child.wait());
        }
        self.running.clear();
    }
}

impl Drop for Children {
    /// However the run ended, nothing of it stays behind.
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
