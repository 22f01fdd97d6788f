//! Sinks: who is told of alerts, and how one message goes out.

mod command;
mod file;
mod text;
mod webhook;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::rule::{Refused, check_name, one_of};
use crate::clock::Clock;
use crate::log::{EventLog, Level};
use crate::store::watching::Message;

pub(super) use text::Letter;
pub use webhook::is_web_address;

/// The name of the sink that there always is.
const LOG: &str = "log";

/// How a webhook's body is shaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The alert as JSON.
    #[default]
    Json,
    /// A message as Slack's incoming webhooks take it.
    Slack,
}

/// What a sink does with a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkKind {
    /// One line in the log file.
    Log,
    /// One JSON line at the end of a file.
    File(PathBuf),
    /// `sh -c`, with the JSON on its standard input.
    Command(String),
    /// A POST to this address.
    Webhook {
        /// The address, which often holds a secret.
        #[serde(skip)]
        url: String,
        /// How the body is shaped.
        form: Form,
        /// PEM certificates of the authorities that vouch for the server, in place of the web's.
        ca: Option<PathBuf>,
    },
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sink {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: SinkKind,
    /// Whether it is told of ends too.
    pub resolved: bool,
}

/// The log's sink, which every home has unless its file says otherwise.
#[must_use]
pub fn log_sink() -> Sink {
    Sink {
        name: LOG.to_owned(),
        kind: SinkKind::Log,
        resolved: false,
    }
}

/// A sink as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkDraft {
    /// `name`.
    pub name: String,
    /// `log`.
    pub log: bool,
    /// `file`.
    pub file: Option<String>,
    /// `command`.
    pub command: Option<String>,
    /// `webhook`.
    pub webhook: Option<String>,
    /// `form`.
    pub form: Option<String>,
    /// `ca`.
    pub ca: Option<String>,
    /// `resolved`.
    pub resolved: bool,
}

impl SinkDraft {
    /// The keys of `[[sink]]`.
    pub const KEYS: [&'static str; 8] = [
        "name", "log", "file", "command", "webhook", "form", "ca", "resolved",
    ];

    /// The sink that was meant; a file's path begins at `home`.
    ///
    /// # Errors
    /// [`Refused`], naming the first key at fault.
    pub fn checked(&self, home: &Path) -> Result<Sink, Refused> {
        check_name(&self.name)?;
        let form = match self.form.as_deref() {
            None | Some("json") => Form::Json,
            Some("slack") => Form::Slack,
            Some(other) => return Err(one_of("form", other, ["json", "slack"].into_iter())),
        };
        let mut kinds = Vec::new();
        kinds.extend(self.log.then_some(SinkKind::Log));
        kinds.extend(
            self.file
                .as_ref()
                .map(|path| SinkKind::File(home.join(path))),
        );
        kinds.extend(self.command.clone().map(SinkKind::Command));
        if let Some(url) = &self.webhook {
            webhook::check(url)?;
            let ca = self.ca.as_ref().map(|path| home.join(path));
            let url = url.clone();
            kinds.push(SinkKind::Webhook { url, form, ca });
        } else {
            let lonely = [("form", &self.form), ("ca", &self.ca)];
            for (key, value) in lonely {
                if let Some(value) = value {
                    return Err(Refused {
                        key,
                        value: value.clone(),
                        expected: format!("a {key} only beside `webhook`"),
                    });
                }
            }
        }
        let [kind] = <[SinkKind; 1]>::try_from(kinds).map_err(|kinds| Refused {
            key: "name",
            value: self.name.clone(),
            expected: format!(
                "a sink with exactly one of `log = true`, `file`, `command`, `webhook`; it has {}",
                kinds.len()
            ),
        })?;
        Ok(Sink {
            name: self.name.clone(),
            kind,
            resolved: self.resolved,
        })
    }
}

/// Why a message did not go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotSent {
    /// In words, without secrets.
    pub(super) why: String,
    /// Trying again cannot help: the message itself was refused.
    pub(super) for_good: bool,
}

impl NotSent {
    fn now(why: impl Into<String>) -> NotSent {
        NotSent {
            why: why.into(),
            for_good: false,
        }
    }
}

/// What sending needs.
pub(super) struct Means<'m> {
    pub(super) log: &'m EventLog,
    pub(super) clock: &'m dyn Clock,
    pub(super) home: &'m Path,
    pub(super) timeout: Duration,
    /// Which home speaks: a message's number means nothing without it.
    pub(super) incarnation: u64,
}

impl Sink {
    /// Sends one message; returns within about the time-out.
    pub(super) fn send(&self, message: &Message, means: &Means<'_>) -> Result<(), NotSent> {
        let letter = Letter::of(message, means);
        match &self.kind {
            SinkKind::Log => {
                means.log.line(Level::Error, &letter.line());
                Ok(())
            }
            SinkKind::File(path) => file::append(path, &letter),
            SinkKind::Command(command) => command::run(command, &letter, means),
            SinkKind::Webhook { url, form, ca } => {
                webhook::post((url, *form), ca.as_deref(), &letter, means)
            }
        }
    }

    /// What it is, in a few words, without secrets.
    #[must_use]
    pub fn what(&self) -> String {
        match &self.kind {
            SinkKind::Log => "log".to_owned(),
            SinkKind::File(path) => format!("file {}", path.display()),
            SinkKind::Command(command) => format!("command {command}"),
            SinkKind::Webhook { url, form, .. } => {
                let name = match form {
                    Form::Json => "webhook",
                    Form::Slack => "Slack",
                };
                format!("{name} {}", webhook::place(url))
            }
        }
    }
}
