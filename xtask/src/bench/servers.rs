//! The servers of other systems: on this machine alone, on free ports, gone with the value.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::contestants::Class;
use super::workers::fresh_folder;
use crate::run::succeeds;

/// A server ends by itself after so many seconds, should whoever started it be killed.
const LASTS_AT_MOST_SECONDS: &str = "14400";

/// Looks for a server that starts, and time between two of them.
const LOOKS: usize = 200;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A running server and the folder that it writes to.
pub(super) struct Server {
    pub(super) port: u16,
    child: Child,
    _folder: TempDir,
}

/// Redis with an append-only file; `power` syncs before each answer.
pub(super) fn redis(class: Class) -> Result<Server> {
    let fsync = match class {
        Class::Power => "always",
        Class::Process | Class::Memory => "everysec",
    };
    Server::start(|port, folder| {
        let mut command = bounded(Path::new("redis-server"));
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"]);
        command.arg(folder).args(["--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", fsync]);
        Ok(command)
    })
}

/// NATS with JetStream in files; `power` syncs before each answer.
pub(super) fn nats(program: &Path, class: Class) -> Result<Server> {
    let sync = match class {
        Class::Power => ", sync_interval: always",
        Class::Process | Class::Memory => "",
    };
    Server::start(|port, folder| {
        let settings = folder.join("nats.conf");
        let text = format!(
            "host: 127.0.0.1\nport: {port}\njetstream {{ store_dir: {:?}{sync} }}\n",
            folder.join("store")
        );
        std::fs::write(&settings, text)?;
        let mut command = bounded(program);
        command.arg("--config").arg(settings);
        Ok(command)
    })
}

/// Where the program is, if anywhere on the path or in one of these folders.
pub(super) fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = folders.iter().cloned().chain(std::env::split_paths(&path));
    all.map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// A command that ends by itself in the end.
fn bounded(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    // In the foreground an interrupt at the terminal ends it too.
    command
        .arg("--foreground")
        .arg(LASTS_AT_MOST_SECONDS)
        .arg(program);
    command
}

impl Server {
    /// Starts what `command` makes of a free port and a fresh folder, and waits until it answers.
    fn start(command: impl FnOnce(u16, &Path) -> Result<Command>) -> Result<Server> {
        let folder = fresh_folder()?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = command(port, folder.path())?;
        let quiet = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = quiet.spawn().context("starting a server")?;
        let mut server = Server {
            port,
            child,
            _folder: folder,
        };
        for _ in 0..LOOKS {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                bail!("{command:?} ended with {status}");
            }
            std::thread::park_timeout(BETWEEN_LOOKS);
        }
        bail!("{command:?} did not answer on its port")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // `timeout` hands the signal on; killed at once, it would leave the server behind.
        let told = succeeds(Command::new("kill").arg(self.child.id().to_string()));
        if !told {
            self.child.kill().ok();
        }
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_at_once_is_an_error_that_names_it() {
        let error = Server::start(|_, _| Ok(Command::new("false")))
            .err()
            .unwrap();
        assert!(error.to_string().contains("false"), "{error}");
    }

    #[test]
    fn a_program_is_found_on_the_path_or_not_at_all() {
        assert!(find("sh", &[]).is_some());
        assert_eq!(find("no-such-server", &[]), None);
    }
}
