//! Settings with their origins, and the home they belong to.
//!
//! A setting has one name (`handler.time_limit`), one place in `ringrift.toml`, one environment
//! variable (`RINGRIFT_HANDLER_TIME_LIMIT`), one default with its reason, and limits. The command
//! line wins over the environment, the environment over the file, the file over the default;
//! [`Config::origins`] says which one spoke. A key that names no setting and a value that does not fit
//! are errors, never ignored: they name the file, the line, the key and the nearest key.
//!
//! It deliberately starts nothing and changes nothing while the system runs: what a running
//! process may change (the log's level, the audit) goes by commands.

mod conflicts;
mod error;
mod file;
mod home;
mod load;
mod rules;
mod settings;
#[cfg(test)]
mod tests;
mod value;
mod watching;
#[cfg(test)]
mod watching_tests;

pub use error::{Error, Place};
pub use file::{Declared, Expected};
pub use home::{Created, HOME_FILE, HOME_VARIABLE, Home, NamedBy};
pub use load::{Config, ConfigSources, Origin, Setting};
pub use settings::{
    Alerts, Daemons, DeadLetters, Handlers, Health, Live, Log, Process, Publish, Retention,
    Settings, Store,
};
pub use value::{Bytes, LogLevel};
