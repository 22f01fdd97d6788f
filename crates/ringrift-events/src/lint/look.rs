//! One look: observe, read sources, judge, compare with what was accepted.

use std::path::PathBuf;

use serde::Serialize;

use super::finding::{Class, Finding};
use super::{Baseline, Error, Wiring};
use crate::catalog::Catalog;
use crate::clock::Time;
use crate::event::EventType;
use crate::store::Store;
use crate::store::log::TypeSet;

/// What to look at.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// What was published and subscribed since then counts.
    pub since: Time,
    /// Until then: now.
    pub until: Time,
    /// Folders or files of users' sources.
    pub sources: Vec<PathBuf>,
    /// Types that rules of alerts take: whoever is told of an event awaits it.
    pub alerted: Option<TypeSet>,
    /// What was accepted before.
    pub baseline: Option<Baseline>,
}

/// How much was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Looked {
    /// Types that the catalog knows.
    pub types: usize,
    /// Events that were published in the time looked at.
    pub events: u64,
    /// Names in use.
    pub names: usize,
    /// Source files read.
    pub files: usize,
    /// Source files left out: tests, and files too large to be anybody's own.
    pub files_left_out: usize,
    /// Whether a store was there to look at.
    pub store: bool,
    /// Whether events were left out, the older ones: there were too many to count.
    pub cut: bool,
}

/// What one look came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Linted {
    /// What counted was since then.
    pub since: Time,
    /// How much was looked at.
    pub looked: Looked,
    /// The gravest class first, then by name.
    pub findings: Vec<Finding>,
    /// Entries of the baseline that no longer occur, and are to be removed from it.
    pub stale: Vec<String>,
    /// Subscriptions that take every type; they count for none.
    pub takes_all: Vec<String>,
}

impl Linted {
    /// The findings that no baseline accepts.
    pub fn fresh(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| !finding.accepted)
    }

    /// Whether nothing is new, and the baseline holds nothing that is gone.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.fresh().next().is_none() && self.stale.is_empty()
    }

    /// How many findings of a class there are, accepted ones too.
    #[must_use]
    pub fn count(&self, class: Class) -> usize {
        let of = |finding: &&Finding| finding.class == class;
        self.findings.iter().filter(of).count()
    }
}

/// Looks at the wiring: of a store, if there is one, and of sources. Blocks for a few reads of the
/// store and one reading of each file.
///
/// # Errors
/// The store's, and [`Error::Source`].
pub fn look(
    store: Option<&dyn Store>,
    catalog: &Catalog,
    question: &Question,
) -> Result<Linted, Error> {
    let mut wiring = Wiring::default();
    let cut = match store {
        Some(store) => wiring.observe(store, (question.since, question.until))?,
        None => false,
    };
    let read = wiring.read_sources(catalog, &question.sources)?;
    let mut findings = wiring.judge(catalog);
    let told = |name: &str| {
        let of = EventType::from_canonical(name);
        question
            .alerted
            .as_ref()
            .is_some_and(|types| types.takes(&of))
    };
    findings.retain(|finding| finding.class != Class::Orphan || !told(&finding.name));
    let stale = match &question.baseline {
        Some(baseline) => baseline.apply(&mut findings),
        None => Vec::new(),
    };
    Ok(Linted {
        since: question.since,
        looked: Looked {
            types: catalog.types().len(),
            events: wiring.names.values().map(|of| of.events).sum(),
            names: wiring.names.len(),
            files: read.files,
            files_left_out: read.left_out,
            store: store.is_some(),
            cut,
        },
        findings,
        stale,
        takes_all: wiring.takes_all,
    })
}
