//! Opening a home's store, catalog, configuration or whole system for one call.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringrift_events::alerts::Alerts;
use ringrift_events::catalog::Catalog;
use ringrift_events::config::{Config, ConfigSources, HOME_VARIABLE, Home};
use ringrift_events::pipeline::Pipelines;
use ringrift_events::store::sqlite::{OpenOptions, SqliteStore};
use ringrift_events::store::{ErrorCode, Store};
use ringrift_events::system::{System, this_process};

use crate::call::Call;
use crate::failure::{Error, Stop};

/// What a call wants of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads: no row is written, nothing is created.
    Read,
    /// Writes; a home that nobody named is made where none is found.
    Write,
    /// The same; where a store was lost, an empty one takes its place.
    Anew,
}

/// An open store; it is closed when the call ends.
pub(crate) struct Opened(Arc<dyn Store>);

impl Opened {
    /// The store itself, for those who keep it.
    pub(crate) fn shared(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0)
    }
}

impl Deref for Opened {
    type Target = dyn Store;

    fn deref(&self) -> &(dyn Store + 'static) {
        &*self.0
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Opens the call's store for reading.
pub(crate) fn reading(call: &Call) -> Result<Opened, Stop> {
    call.open(Access::Read).map(Opened)
}

/// Opens the call's store for writing.
pub(crate) fn writing(call: &Call) -> Result<Opened, Stop> {
    call.open(Access::Write).map(Opened)
}

/// Opens the call's store for reading, if there is one.
pub(crate) fn reading_if_there(call: &Call) -> Result<Option<Opened>, Stop> {
    match reading(call) {
        Ok(opened) => Ok(Some(opened)),
        Err(Stop::Failed(failure)) if failure.code == ErrorCode::Missing.as_str() => Ok(None),
        Err(other) => Err(other),
    }
}

/// Finds the home of this call; creates nothing.
pub(crate) fn home(call: &Call) -> Result<Home, Stop> {
    let current = std::env::current_dir().map_err(|source| Error::Io {
        what: "cannot tell the current folder".to_owned(),
        source,
    })?;
    let variable = std::env::var_os(HOME_VARIABLE).map(PathBuf::from);
    let home = Home::find(call.global.home.as_deref(), variable.as_deref(), &current)?;
    call.at_home(home.root());
    Ok(home)
}

/// Reads every setting of the call's home: its file, the environment, `--set`.
pub(crate) fn config(call: &Call) -> Result<Config, Stop> {
    config_of(call, home(call)?)
}

/// The same of a given home.
pub(crate) fn config_of(call: &Call, home: Home) -> Result<Config, Stop> {
    let mut sources = ConfigSources::of_process(home);
    sources.flags.clone_from(&call.global.set);
    if !call.forgives() {
        return Ok(Config::load(sources)?);
    }
    let config = Config::load_what_is_well(sources)?;
    call.warn_of_refused(&config.refused);
    Ok(config)
}

/// Opens the store of the call's home.
pub(crate) fn of_home(call: &Call, access: Access) -> Result<Arc<dyn Store>, Stop> {
    let config = config(call)?;
    if access != Access::Read {
        made(call, config.home.root())?;
    }
    let mut options = store_options(call, &config);
    options.read_only = access == Access::Read;
    options.create = access != Access::Read;
    options.anew = access == Access::Anew;
    Ok(SqliteStore::open(options)?)
}

/// What the store of this configuration's home is opened with.
pub(crate) fn store_options(call: &Call, config: &Config) -> OpenOptions {
    config.settings.store_options(OpenOptions::new(
        config.home.root().to_path_buf(),
        this_process(&*call.clock),
        Arc::clone(&call.clock),
    ))
}

/// Makes the home unless it is made, and says so. Its configuration was read before: what is refused
/// leaves nothing behind.
pub(crate) fn made(call: &Call, root: &Path) -> Result<Home, Stop> {
    let created = Home::create(root)?;
    if created.new {
        call.note(&format!("made a home: {}", created.home.root().display()));
    }
    Ok(created.home)
}

/// Opens the system of the call's home: this process joins it.
pub(crate) fn system(call: &Call) -> Result<System, Stop> {
    let config = config(call)?;
    made(call, config.home.root())?;
    Ok(System::open(config)?)
}

/// The types of this home: shipped ones, those of its file, and those that processes declared.
pub(crate) fn catalog(call: &Call) -> Result<Catalog, Stop> {
    let store = reading_if_there(call)?;
    catalog_of(call, store.as_deref())
}

/// The same, with a store that is open already.
pub(crate) fn catalog_with(call: &Call, store: &dyn Store) -> Result<Catalog, Stop> {
    catalog_of(call, Some(store))
}

fn catalog_of(call: &Call, store: Option<&dyn Store>) -> Result<Catalog, Stop> {
    let catalog = Catalog::ringrift();
    config(call)?.declare_types(&catalog)?;
    if let Some(store) = store {
        for declared in store.declared_types().wait()? {
            catalog.learn(&declared.value, &declared.declaration)?;
        }
    }
    Ok(catalog)
}

/// The pipelines of this home, over a store that is open.
pub(crate) fn pipelines(call: &Call, store: &Opened) -> Result<Pipelines, Stop> {
    let catalog = catalog_with(call, &**store)?;
    let known = config(call)?.pipelines(&catalog)?;
    Ok(Pipelines::new(store.shared(), known))
}

/// The alerts of this home, over a store that is open.
pub(crate) fn alerts(call: &Call, store: &Opened) -> Result<Alerts, Stop> {
    let catalog = catalog_with(call, &**store)?;
    let config = config(call)?;
    let rules = Arc::new(config.alert_rules(&catalog)?);
    let clock = Arc::clone(&call.clock);
    let log = config.settings.event_log(&config.home, Arc::clone(&clock));
    Ok(Alerts::new(store.shared(), rules, log, clock))
}
