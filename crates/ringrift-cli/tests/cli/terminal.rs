//! The command as somebody runs it at a terminal: asked, answered, and shown how far it is.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

use super::home::LONG;

/// A command whose standard input and standard error are a terminal; killed when dropped.
pub(crate) struct Terminal {
    child: Child,
    keys: File,
    shown: Receiver<String>,
    seen: String,
}

impl Terminal {
    /// Starts a prepared command at a terminal; its standard output is kept.
    pub(crate) fn of(mut command: Command) -> Terminal {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let own = openpt(flags).expect("a terminal");
        grantpt(&own).expect("granted");
        unlockpt(&own).expect("unlocked");
        let name = ptsname(&own, Vec::new()).expect("its name");
        let name = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let end = || {
            let file = OpenOptions::new().read(true).write(true).open(name);
            Stdio::from(file.expect("its other end"))
        };
        let child = command
            .stdin(end())
            .stderr(end())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command starts");
        // Else its own copies of the other end would keep the terminal open for ever.
        drop(command);
        let keys = File::from(own);
        let mut screen = keys.try_clone().expect("a descriptor");
        let (tell, shown) = sync_channel(10_000);
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            // A terminal whose other end is closed answers an error.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                if tell.send(text).is_err() {
                    return;
                }
            }
        });
        Terminal {
            child,
            keys,
            shown,
            seen: String::new(),
        }
    }

    /// Waits until it has shown this text, and answers all that it has shown.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) -> &str {
        while !self.seen.contains(text) {
            match self.shown.recv_timeout(LONG) {
                Ok(more) => self.seen.push_str(&more),
                Err(_) => panic!("it never showed {text:?}: {}", self.seen),
            }
        }
        &self.seen
    }

    /// Types a line.
    pub(crate) fn types(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.keys.write_all(line.as_bytes()).expect("typed");
    }

    /// Kills it, as a machine that fails would, and waits for its end.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it lives");
        self.child.wait().expect("it ends");
    }

    /// Waits for its end; answers the exit code and the `data` of the envelope it printed.
    pub(crate) fn answer(mut self) -> (Option<i32>, Value) {
        let mut text = String::new();
        let mut output = self.child.stdout.take().expect("a pipe");
        output.read_to_string(&mut text).expect("text");
        let code = self.child.wait().expect("it ends").code();
        let mut envelope: Value = serde_json::from_str(&text).expect("one envelope");
        (code, envelope["data"].take())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended: that is what was wanted.
        if self.child.kill().is_ok() && self.child.wait().is_err() {}
    }
}
