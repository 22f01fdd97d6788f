//! From file, environment and command line to settings, with their origins.

use serde::Serialize;

use super::error::{Error, Place};
use super::file::{self, Declared, Expected, Refuse};
use super::home::Home;
use super::settings::{Settings, Slot};
use super::watching::Watching;
use crate::catalog::{Catalog, DeclaredIn};
use crate::coded::Coded;

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
    /// The alert rules, sinks and pipelines of the file.
    pub(super) watching: Watching,
    /// What of the file and the environment was passed over, in words; empty unless it was read by
    /// [`Config::load_what_is_well`].
    pub refused: Vec<String>,
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
    /// Reads and checks every setting and every type of the file. Makes nothing: whoever makes a
    /// home reads its configuration first, so that a refusal leaves nothing behind.
    ///
    /// # Errors
    /// The first of [`Error::Unreadable`], [`Error::KeyUnknown`], [`Error::ValueInvalid`]: file
    /// before environment before command line; then [`Error::Type`].
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
        Config::load_with(sources, &mut Err)
    }

    /// The same for who must look at a home in an incident: what is refused of the file and the
    /// environment keeps its default, and is told in [`Config::refused`].
    ///
    /// # Errors
    /// As [`Config::load`], of `flags` alone: they were typed for this very call.
    pub fn load_what_is_well(sources: ConfigSources) -> Result<Config, Error> {
        let mut refused = Vec::new();
        let mut config = Config::load_with(sources, &mut |error: Error| {
            refused.push(format!("{error} ({})", error.code()));
            Ok(())
        })?;
        config.refused = refused;
        Ok(config)
    }

    fn load_with(sources: ConfigSources, refuse: Refuse<'_>) -> Result<Config, Error> {
        let file = file::of_home(&sources.home, refuse)?;
        let mut config = Config::defaults(sources.home);
        for (name, text, place) in file.values {
            if let Err(error) = config.set(&name, &text, place) {
                refuse(error)?;
            }
        }
        for (name, text) in sources.variables {
            let set = match setting_of(&name, &config.origins) {
                Ok(Some(setting)) => config.set(setting, &text, Place::Variable(name)),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = set {
                refuse(error)?;
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
        config.watching = file.watching;
        // Each refusal resets two settings of the few that are compared.
        while let Some((error, pair)) = config.contradiction() {
            refuse(error)?;
            config.reset(pair);
        }
        if !config.types.is_empty() || !config.watching.is_empty() {
            config.check_lists(refuse)?;
        }
        Ok(config)
    }

    /// Holds the file's types, rules and pipelines against the catalog.
    fn check_lists(&mut self, refuse: Refuse<'_>) -> Result<(), Error> {
        let catalog = Catalog::ringrift();
        catalog.set_near_miss_percent(self.settings.lint.near_miss_percent);
        let mut types = Vec::with_capacity(self.types.len());
        for declared in std::mem::take(&mut self.types) {
            match declared.declare(&catalog) {
                Ok(()) => types.push(declared),
                Err(error) => refuse(error)?,
            }
        }
        self.types = types;
        // A rule names sinks: where one list is wrong, neither is in force.
        if let Err(error) = self.alert_rules(&catalog) {
            refuse(error)?;
            self.watching.forget_alerts();
        }
        if let Err(error) = self.pipelines(&catalog) {
            refuse(error)?;
            self.watching.forget_pipelines();
        }
        Ok(())
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
            watching: Watching::default(),
            refused: Vec::new(),
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
        catalog.set_near_miss_percent(self.settings.lint.near_miss_percent);
        self.types
            .iter()
            .try_for_each(|declared| declared.declare(catalog))
    }

    /// Gives settings their defaults back.
    fn reset(&mut self, names: [&'static str; 2]) {
        let mut defaults = Settings::default();
        defaults.each(|default: &mut dyn Slot| {
            if names.contains(&default.name()) {
                self.settings.each(|slot: &mut dyn Slot| {
                    if slot.name() == default.name() {
                        // A default is a value that its own setting takes.
                        drop(slot.set(&default.text()));
                    }
                });
            }
        });
        let reset = self.origins.iter_mut();
        for setting in reset.filter(|setting| names.contains(&setting.name)) {
            setting.value.clone_from(&setting.default);
            setting.origin = Origin::Default;
        }
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

    /// The first two settings that make no sense together: the error, and their names.
    fn contradiction(&self) -> Option<(Error, [&'static str; 2])> {
        let Settings {
            store,
            dlq,
            process,
            daemons,
            alerts,
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
            (
                "alerts.backoff_first",
                alerts.backoff_first,
                "alerts.backoff_most",
                alerts.backoff_most,
            ),
        ];
        for (name, lower, other, upper) in pairs {
            if lower > upper {
                let setting = self.origins.iter().find(|setting| setting.name == name);
                let other_text = self.text_of(other);
                let error = Error::ValueInvalid {
                    place: setting
                        .map_or(Place::Flag, |setting| setting.place(other, &self.origins)),
                    key: name.to_owned(),
                    value: self.text_of(name),
                    expected: format!("at most `{other}`, which is `{other_text}`"),
                };
                return Some((error, [name, other]));
            }
        }
        None
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

impl Declared {
    fn declare(&self, catalog: &Catalog) -> Result<(), Error> {
        let declared = catalog.declare(&self.declaration, DeclaredIn::Config);
        declared.map(drop).map_err(|source| Error::Type {
            place: self.place.clone(),
            source: Box::new(source),
        })
    }
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
        None => nearest_of(
            key,
            names
                .into_iter()
                .chain(["types", "expect", "alert", "sink", "pipeline"]),
        ),
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
