//! From file, environment and command line to settings, with their origins.

use std::io::Read;

use serde::Serialize;

use super::error::{Error, Place};
use super::file::{self, Declared, Expected, File};
use super::home::Home;
use super::settings::{Settings, Slot};
use crate::catalog::{Catalog, DeclaredIn};

/// What the settings are read from.
#[derive(Clone, Debug)]
pub struct ConfigSources {
    /// The home; its `ringrift.toml` is read if there is one.
    pub home: Home,
    /// The environment, as names and values; variables that name no setting are passed over
    /// unless they begin like one.
    pub variables: Vec<(String, String)>,
    /// The command line's `NAME=VALUE`, or what code sets; later ones win.
    pub flags: Vec<String>,
}

impl ConfigSources {
    /// This process's environment, and nothing from the command line.
    #[must_use]
    pub fn of_process(home: Home) -> ConfigSources {
        ConfigSources {
            home,
            // A variable that is not UTF-8 is no setting of ours.
            variables: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            flags: Vec::new(),
        }
    }
}

/// Everything that was set, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// The home.
    pub home: Home,
    /// Every setting.
    pub settings: Settings,
    /// The types of the file, in its order.
    pub types: Vec<Declared>,
    /// The handlers that must exist.
    pub expected: Vec<Expected>,
    origins: Vec<Setting>,
}

/// One setting as `config show --origin` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name, such as `handler.time_limit`.
    pub name: &'static str,
    /// Its value, as it would be written.
    pub value: String,
    /// Its unit: `time`, `bytes`, or empty.
    pub unit: &'static str,
    /// Where the value came from.
    pub origin: Origin,
    /// Its default, as it would be written.
    pub default: String,
    /// The environment variable that sets it.
    pub variable: String,
    /// What it is for, one sentence.
    pub doc: &'static str,
}

/// Where a value came from; the later of these wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The home's file, at a line.
    File(std::path::PathBuf, usize),
    /// An environment variable.
    Env(String),
    /// The command line, or code.
    Flag,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Env(name) => f.write_str(name),
            Origin::Flag => f.write_str("command line"),
        }
    }
}

impl Config {
    /// Reads and checks every setting.
    ///
    /// # Errors
    /// The first of [`Error::Unreadable`], [`Error::KeyUnknown`], [`Error::ValueInvalid`]: file
    /// before environment before command line.
    ///
    /// ```
    /// use ringrift_events::config::{Config, ConfigSources, Home};
    /// let folder = std::env::temp_dir();
    /// let config = Config::load(ConfigSources {
    ///     home: Home::at(&folder),
    ///     variables: vec![("RINGRIFT_STORE_LEASE".into(), "2s".into())],
    ///     flags: vec!["handler.time_limit=10m".into()],
    /// })?;
    /// assert_eq!(config.settings.store.lease.as_secs(), 2);
    /// assert_eq!(config.settings.handler.time_limit.as_secs(), 600);
    /// # Ok::<(), ringrift_events::config::Error>(())
    /// ```
    pub fn load(sources: ConfigSources) -> Result<Config, Error> {
        let file = read_file(&sources.home)?;
        let mut config = Config::defaults(sources.home);
        for (name, text, place) in file.values {
            config.set(&name, &text, place)?;
        }
        for (name, text) in sources.variables {
            if let Some(setting) = setting_of(&name, &config.origins)? {
                config.set(setting, &text, Place::Variable(name))?;
            }
        }
        for flag in sources.flags {
            let (name, text) = flag.split_once('=').ok_or_else(|| Error::ValueInvalid {
                place: Place::Flag,
                key: "--set".to_owned(),
                value: bounded(&flag),
                expected: "NAME=VALUE".to_owned(),
            })?;
            config.set(name.trim(), text.trim(), Place::Flag)?;
        }
        config.types = file.types;
        config.expected = file.expected;
        config.check_together()?;
        Ok(config)
    }

    /// Every default, at this home, nothing read.
    #[must_use]
    pub fn defaults(home: Home) -> Config {
        let mut settings = Settings::default();
        let mut origins = Vec::new();
        settings.each(|slot| {
            origins.push(Setting {
                name: slot.name(),
                value: slot.text(),
                unit: slot.unit(),
                origin: Origin::Default,
                default: slot.text(),
                variable: variable_of(slot.name()),
                doc: slot.doc(),
            });
        });
        Config {
            home,
            settings,
            types: Vec::new(),
            expected: Vec::new(),
            origins,
        }
    }

    /// Every setting with its value and where it came from, in the table's order.
    #[must_use]
    pub fn origins(&self) -> &[Setting] {
        &self.origins
    }

    /// Adds the file's types to a catalog.
    ///
    /// # Errors
    /// [`Error::Type`] naming the line; the types before it have been added.
    pub fn declare_types(&self, catalog: &Catalog) -> Result<(), Error> {
        for Declared { declaration, place } in &self.types {
            let declared = catalog.declare(declaration, DeclaredIn::Config);
            declared.map_err(|source| Error::Type {
                place: place.clone(),
                source: Box::new(source),
            })?;
        }
        Ok(())
    }

    fn set(&mut self, name: &str, text: &str, place: Place) -> Result<(), Error> {
        let mut answer = None;
        self.settings.each(|slot: &mut dyn Slot| {
            if slot.name() == name {
                answer = Some(slot.set(text).map(|()| slot.text()));
            }
        });
        let value = match answer {
            None => {
                return Err(Error::KeyUnknown {
                    place,
                    key: bounded(name),
                    nearest: nearest_key(name),
                });
            }
            Some(Err(expected)) => {
                return Err(Error::ValueInvalid {
                    place,
                    key: name.to_owned(),
                    value: bounded(text),
                    expected,
                });
            }
            Some(Ok(value)) => value,
        };
        if let Some(setting) = self.origins.iter_mut().find(|setting| setting.name == name) {
            setting.value = value;
            setting.origin = match place {
                Place::File(path, line) => Origin::File(path, line),
                Place::Variable(name) => Origin::Env(name),
                Place::Flag => Origin::Flag,
            };
        }
        Ok(())
    }

    /// Settings that only make sense together.
    fn check_together(&self) -> Result<(), Error> {
        let Settings {
            store,
            dlq,
            process,
            daemons,
            ..
        } = &self.settings;
        let pairs = [
            // A lease shorter than the beat that extends it would hand healthy claims away.
            (
                "process.heartbeat",
                process.heartbeat,
                "store.lease",
                store.lease,
            ),
            (
                "process.heartbeat",
                process.heartbeat,
                "process.hung_after",
                process.hung_after,
            ),
            (
                "dlq.backoff_first",
                dlq.backoff_first,
                "dlq.backoff_most",
                dlq.backoff_most,
            ),
            (
                "daemons.restart_first",
                daemons.restart_first,
                "daemons.restart_most",
                daemons.restart_most,
            ),
        ];
        for (name, lower, other, upper) in pairs {
            if lower > upper {
                let setting = self.origins.iter().find(|setting| setting.name == name);
                let other_text = self.text_of(other);
                return Err(Error::ValueInvalid {
                    place: setting
                        .map_or(Place::Flag, |setting| setting.place(other, &self.origins)),
                    key: name.to_owned(),
                    value: self.text_of(name),
                    expected: format!("at most `{other}`, which is `{other_text}`"),
                });
            }
        }
        Ok(())
    }

    fn text_of(&self, name: &str) -> String {
        let setting = self.origins.iter().find(|setting| setting.name == name);
        setting
            .map(|setting| setting.value.clone())
            .unwrap_or_default()
    }
}

impl Setting {
    /// Where to mend a conflict with `other`: here, unless only the other one was set.
    fn place(&self, other: &str, origins: &[Setting]) -> Place {
        let other = origins
            .iter()
            .find(|setting| setting.name == other)
            .map(|setting| &setting.origin);
        let set = if self.origin == Origin::Default {
            other
        } else {
            Some(&self.origin)
        };
        match set {
            Some(Origin::File(path, line)) => Place::File(path.clone(), *line),
            Some(Origin::Env(name)) => Place::Variable(name.clone()),
            Some(Origin::Default | Origin::Flag) | None => Place::Flag,
        }
    }
}

fn read_file(home: &Home) -> Result<File, Error> {
    let path = home.config_file();
    let unreadable = |reason: String| Error::Unreadable {
        place: Place::File(path.clone(), 1),
        reason,
    };
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let mut text = String::new();
    let read = file
        .take(file::FILE_BYTES_MAX + 1)
        .read_to_string(&mut text);
    read.map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > file::FILE_BYTES_MAX {
        return Err(unreadable(format!(
            "more than {} bytes",
            file::FILE_BYTES_MAX
        )));
    }
    file::read(&path, &text)
}

fn variable_of(name: &str) -> String {
    format!("RINGRIFT_{}", name.replace('.', "_").to_ascii_uppercase())
}

/// The setting that a variable sets. A variable that begins like a section's but names none of its
/// settings is a misspelling; other `RINGRIFT_` variables have other readers.
fn setting_of(variable: &str, settings: &[Setting]) -> Result<Option<&'static str>, Error> {
    let Some(rest) = variable.strip_prefix("RINGRIFT_") else {
        return Ok(None);
    };
    if let Some(setting) = settings.iter().find(|setting| setting.variable == variable) {
        return Ok(Some(setting.name));
    }
    let rest = rest.to_ascii_lowercase();
    let like_ours = Settings::SECTIONS.iter().any(|section| {
        rest.strip_prefix(section)
            .is_some_and(|rest| rest.starts_with('_'))
    });
    if !like_ours {
        return Ok(None);
    }
    let known = settings.iter().map(|setting| setting.variable.as_str());
    Err(Error::KeyUnknown {
        place: Place::Variable(bounded(variable)),
        key: bounded(variable),
        nearest: nearest_of(variable, known),
    })
}

/// The setting whose name is nearest to `key`, if any is near.
pub(super) fn nearest_key(key: &str) -> Option<String> {
    let mut names = Vec::new();
    Settings::default().each(|slot| names.push(slot.name()));
    // `time_limit` alone means the setting of that name in whatever section.
    let bare = names
        .iter()
        .find(|name| name.split_once('.').is_some_and(|(_, bare)| bare == key));
    match bare {
        Some(name) => Some((*name).to_owned()),
        None => nearest_of(key, names.into_iter().chain(["types", "expect"])),
    }
}

pub(super) fn nearest_of<'k>(key: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    const SIMILARITY_MIN: f64 = 0.5;
    let key = bounded(key);
    let scored = known.map(|name| (strsim::normalized_levenshtein(&key, name), name));
    scored
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.to_owned())
}

fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(200)].to_owned()
}
