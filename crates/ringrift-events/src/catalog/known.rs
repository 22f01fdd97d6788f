//! The catalog itself: names to types.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock};

use foldhash::HashMap;

use super::error::{Error, bounded_name};
use super::names::{NEAR_MISS_PERCENT, NearNames};
use super::nearest::{Remembered, nearest};
use super::{Pipeline, StageEntry, TypeEntry, shipped};
use crate::event::EventType;

/// Every type this process knows.
///
/// Clones share one catalog: what one declares, all know. Look-ups never wait for anything but a
/// declaration in progress.
#[derive(Clone, Debug)]
pub struct Catalog(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    /// Every catalog begins with the types as they ship and copies them with its first change.
    pub(super) types: RwLock<Arc<Types>>,
    pub(super) refused: Remembered,
    pub(super) stages: Vec<Arc<StageEntry>>,
    pub(super) pipeline: Pipeline,
    /// How similar two names must be, in percent, to be a near miss.
    near_percent: AtomicU32,
}

/// The catalog as it ships: read once a process, for it cannot change.
static SHIPPED: LazyLock<Shipped> = LazyLock::new(|| {
    let mut types = Types::default();
    for entry in shipped::types() {
        types.put(entry);
    }
    Shipped {
        pipeline: Pipeline::of(types.values.values().map(Arc::as_ref)),
        types: Arc::new(types),
        stages: shipped::stages(),
    }
});

struct Shipped {
    types: Arc<Types>,
    stages: Vec<Arc<StageEntry>>,
    pipeline: Pipeline,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Types {
    /// By canonical value and by constant.
    names: HashMap<String, Arc<TypeEntry>>,
    values: BTreeMap<EventType, Arc<TypeEntry>>,
    /// [`Catalog::text`] and [`Catalog::hash`], once somebody has asked; gone with a change.
    written: OnceLock<(String, u64)>,
}

impl Types {
    pub(super) fn put(&mut self, entry: TypeEntry) {
        self.written.take();
        let entry = Arc::new(entry);
        let event_type = entry.event_type.clone();
        self.names
            .insert(event_type.as_str().to_owned(), Arc::clone(&entry));
        self.names.insert(event_type.constant(), Arc::clone(&entry));
        self.values.insert(event_type, entry);
    }

    pub(super) fn get(&self, event_type: &EventType) -> Option<&Arc<TypeEntry>> {
        self.values.get(event_type)
    }

    fn written(&self) -> &(String, u64) {
        self.written.get_or_init(|| {
            let mut text = String::new();
            for entry in self.values.values() {
                let (volatile, declaration) = (!entry.bridged, entry.declaration_text());
                // Writing to a string cannot fail.
                writeln!(text, "{{\"volatile\":{volatile},\"type\":{declaration}}}")
                    .unwrap_or_default();
            }
            let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
            (text, hash)
        })
    }
}

impl Catalog {
    /// The catalog as it ships: 354 types, 21 stages, the pipeline of seven steps.
    #[must_use]
    pub fn ringrift() -> Catalog {
        Catalog(Arc::new(Shared {
            types: RwLock::new(Arc::clone(&SHIPPED.types)),
            refused: Remembered::default(),
            stages: SHIPPED.stages.clone(),
            pipeline: SHIPPED.pipeline.clone(),
            near_percent: AtomicU32::new(NEAR_MISS_PERCENT),
        }))
    }

    /// From which similarity on, in percent, two names are a near miss.
    pub fn set_near_miss_percent(&self, percent: u32) {
        self.0.near_percent.store(percent, Ordering::Relaxed);
    }

    /// Which names are near misses of each other, by the types known now.
    #[must_use]
    pub fn near_names(&self) -> NearNames {
        NearNames::of(self, self.0.near_percent.load(Ordering::Relaxed))
    }

    /// The type of this name: its canonical value or its constant, nothing else.
    ///
    /// # Errors
    /// [`Error::TypeUnknown`] with the nearest names. Cheap also when a misspelt name comes again
    /// and again.
    ///
    /// ```
    /// use ringrift_events::catalog::{Catalog, Error};
    /// let catalog = Catalog::ringrift();
    /// assert_eq!(catalog.resolve("TRAINING_COMPLETED")?, catalog.resolve("training_completed")?);
    /// let Err(Error::TypeUnknown { nearest, .. }) = catalog.resolve("TRAINING_COMPLETE") else { panic!() };
    /// assert_eq!(nearest[0], "training_completed");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn resolve(&self, name: &str) -> Result<Arc<TypeEntry>, Error> {
        let found = self.read(|types| types.names.get(name).cloned());
        found.ok_or_else(|| Error::TypeUnknown {
            name: bounded_name(name),
            nearest: self.0.refused.get(name, || {
                self.read(|types| nearest(name, types.values.keys().map(EventType::as_str)))
            }),
        })
    }

    /// What is known of a type; `None` for one that this process does not know (a newer process
    /// published it, or a foreign writer).
    #[must_use]
    pub fn get(&self, event_type: &EventType) -> Option<Arc<TypeEntry>> {
        self.read(|types| types.get(event_type).cloned())
    }

    /// Every type, by canonical value.
    #[must_use]
    pub fn types(&self) -> Vec<Arc<TypeEntry>> {
        self.read(|types| types.values.values().cloned().collect())
    }

    /// The bridge rules and requirements this process publishes by: one JSON object a line, by
    /// canonical value. Equal catalogs have equal texts.
    #[must_use]
    pub fn text(&self) -> String {
        self.read(|types| types.written().0.clone())
    }

    /// A number that differs when [`Catalog::text`] does (FNV-1a): the same in every process and
    /// version, unlike the standard library's hashes.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.read(|types| types.written().1)
    }

    /// Whether the process whose catalog has this [`Catalog::text`] bridged a type; `None` if it
    /// did not know it.
    #[must_use]
    pub fn bridged_by(text: &str, event_type: &EventType) -> Option<bool> {
        text.lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find(|line| line["type"]["name"] == event_type.as_str())
            .and_then(|line| line["volatile"].as_bool())
            .map(|volatile| !volatile)
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&Types) -> T) -> T {
        look(&self.0.types.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Types) -> T) -> T {
        let mut types = self.0.types.write().unwrap_or_else(PoisonError::into_inner);
        let changed = change(Arc::make_mut(&mut types));
        drop(types);
        self.0.refused.clear();
        changed
    }
}
