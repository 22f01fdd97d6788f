//! What there is to run: programs built, servers up, and who could not be found.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::contestants::{By, Class, Contestant, SET_UP};
use super::rows::Row;
use super::servers::{self, Server};
use crate::built::Program;
use crate::python;
use crate::run::{DISK_MAY_BE_FULL, cargo, run, target_folder};

/// Where the clients of other systems lie: a workspace of its own.
const PEERS: &str = "bench/peers";

/// Where the workers in Python lie, and the list of what others' want of pip.
const IN_PYTHON: &str = "bench/python";

/// The classes that a server is started in.
const CLASSES: [Class; 2] = [Class::Process, Class::Power];

/// Everything that can be run.
#[derive(Default)]
pub(super) struct Field {
    worker: PathBuf,
    /// The interpreter that has the product's package.
    package: Option<PathBuf>,
    /// The clients in Rust.
    peers: Option<PathBuf>,
    /// The interpreter that has what pip has of others.
    python: Option<PathBuf>,
    servers: Vec<(By, Class, Server)>,
    /// Peers were asked for.
    with_peers: bool,
    /// Who is not there, and what would help.
    missing: Vec<String>,
}

impl Field {
    /// Builds and starts what the peers of these rows need, if they are to take part; whatever cannot be
    /// had is noted. `package` is the interpreter that has the product's package.
    pub(super) fn prepare(
        worker: &Program,
        package: Option<PathBuf>,
        peers_of: Option<&[Row]>,
    ) -> Result<Field> {
        let mut field = Field {
            worker: worker.file.clone(),
            package,
            ..Field::default()
        };
        let Some(rows) = peers_of else {
            return Ok(field);
        };
        field.with_peers = true;
        let scenes = rows.iter().flat_map(|row| &row.scenes);
        let all: Vec<By> = scenes.map(|scene| scene.contestant.by).collect();
        let any = |wanted: &[By]| all.iter().any(|by| wanted.contains(by));
        if any(&[By::Honker, By::Redis, By::JetStream]) {
            field.note("the clients in bench/peers", clients(), |field, file| {
                field.peers = Some(file);
            });
        }
        if any(&[By::Litequeue, By::PyHonker, By::PyRedis, By::JetStream]) {
            field.note("what pip has", from_pip(), |field, python| {
                field.python = Some(python);
            });
        }
        if any(&[By::Redis, By::PyRedis]) {
            field.start_redis();
        }
        if any(&[By::JetStream]) {
            field.start_nats()?;
        }
        Ok(field)
    }

    fn note<T>(&mut self, what: &str, found: Result<T>, keep: impl FnOnce(&mut Field, T)) {
        match found {
            Ok(found) => keep(self, found),
            Err(error) => self.missing.push(format!("{what}: {error:#}")),
        }
    }

    fn start_redis(&mut self) {
        if servers::find("redis-server", &[]).is_none() {
            let missing =
                "Redis: no redis-server on the path; on Debian: apt-get install redis-server";
            self.missing.push(missing.to_owned());
            return;
        }
        for class in CLASSES {
            self.note("Redis", servers::redis(class), |field, up| {
                field.servers.push((By::Redis, class, up));
            });
        }
    }

    fn start_nats(&mut self) -> Result<()> {
        let Some(program) = servers::find("nats-server", &[environment()?.join("bin")]) else {
            let missing =
                "NATS: no nats-server on the path, and pip has not put one below the target folder";
            self.missing.push(missing.to_owned());
            return Ok(());
        };
        for class in CLASSES {
            self.note("NATS", servers::nats(&program, class), |field, up| {
                field.servers.push((By::JetStream, class, up));
            });
        }
        Ok(())
    }

    /// Whether this contestant can take part.
    pub(super) fn has(&self, contestant: Contestant) -> bool {
        match contestant.by {
            By::Product | By::Limit | By::Channels => true,
            By::Package | By::PlainLimit | By::PlainQueue => self.package.is_some(),
            By::Honker => self.peers.is_some(),
            By::Redis | By::JetStream => self.peers.is_some() && self.port(contestant).is_some(),
            By::Litequeue | By::PyHonker => self.python.is_some(),
            By::PyRedis => self.python.is_some() && self.port(contestant).is_some(),
        }
    }

    fn port(&self, contestant: Contestant) -> Option<u16> {
        let is_its = |(by, class, _): &&(By, Class, Server)| {
            *by == contestant.by.server() && *class == contestant.class
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
        let script = |file: &str, python: &Option<PathBuf>| {
            let mut command = Command::new(python.as_ref().context("no Python")?);
            command.arg(Path::new(IN_PYTHON).join(file));
            // The workers' folder is part of the repository.
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            Ok::<Command, anyhow::Error>(command)
        };
        let mut command = match who.by {
            By::Product | By::Limit | By::Channels => Command::new(&self.worker),
            By::Honker => client("honker")?,
            By::Redis => client("redis")?,
            By::JetStream => client("jetstream")?,
            By::Package => script("ours.py", &self.package)?,
            By::PlainLimit | By::PlainQueue => script("plain_sqlite.py", &self.package)?,
            By::Litequeue => script("litequeue_worker.py", &self.python)?,
            By::PyHonker => script("honker_worker.py", &self.python)?,
            By::PyRedis => script("redis_worker.py", &self.python)?,
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
        if !self.with_peers {
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

/// Where pip's part lies: on the interpreter that ours is measured on.
fn environment() -> Result<PathBuf> {
    Ok(target_folder()?.join("bench-peers/python"))
}

/// Installs what pip has, and gives the interpreter that sees it.
fn from_pip() -> Result<PathBuf> {
    let place = environment()?;
    let python = place.join("bin/python");
    if !python.exists() {
        python::environment(&place)?;
    }
    let list = Path::new(IN_PYTHON).join("requirements.txt");
    run(python::pip(&place).arg("--requirement").arg(list))?;
    Ok(python)
}
