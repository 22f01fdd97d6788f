//! Rules: presets of the catalog, and what the home's file adds.

use std::time::Duration;

use serde::Serialize;

use super::when::{When, window};
use crate::catalog::filter::Filter;
use crate::catalog::{Catalog, TypeEntry, nearest_words};
use crate::event::EventType;
use crate::store::log::{Logged, TypeSet};
use crate::store::watching::Severity;

/// Longest name of a rule or a sink, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 100;

/// Where a rule was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleOrigin {
    /// The type says so in the catalog.
    Catalog,
    /// `[[alert]]`, at this place.
    File(String),
}

/// A rule that is checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// Its name, one of a kind.
    pub name: String,
    /// The types it counts; empty for `stalled`.
    pub types: Vec<EventType>,
    /// When it raises an alert.
    pub when: When,
    /// Only events whose payload passes it.
    #[serde(serialize_with = "as_text")]
    pub filter: Option<Filter>,
    /// How bad an alert of it is.
    pub severity: Severity,
    /// Whether each key is counted by itself.
    pub by_key: bool,
    /// Of `any`: occurrences of one key that follow within this time are one alert.
    pub dedup: Option<Duration>,
    /// Of `stalled`: this durable subscription; none means each.
    pub subscription: Option<String>,
    /// The sinks that are told; none means all.
    pub sinks: Option<Vec<String>>,
    /// Where it was written.
    pub origin: RuleOrigin,
}

fn as_text<S: serde::Serializer>(filter: &Option<Filter>, to: S) -> Result<S::Ok, S::Error> {
    match filter {
        Some(filter) => to.collect_str(filter),
        None => to.serialize_none(),
    }
}

impl Rule {
    /// Whether it counts this event.
    #[must_use]
    pub fn takes(&self, logged: &Logged) -> bool {
        self.types.contains(&logged.event.event_type)
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| filter.evaluate(&logged.event.payload))
    }

    /// The types that these rules read.
    #[must_use]
    pub fn types_of(rules: &[Rule]) -> Option<TypeSet> {
        let types: Vec<EventType> = rules
            .iter()
            .filter(|rule| rule.when.reads_events())
            .flat_map(|rule| rule.types.iter().cloned())
            .collect();
        (!types.is_empty()).then(|| TypeSet::only(types))
    }
}

/// The rules that the catalog's types bring, named by their constants: the runbook's critical types,
/// and what users' types say.
#[must_use]
pub fn presets(catalog: &Catalog) -> Vec<Rule> {
    let preset = |entry: &TypeEntry| {
        let when = When::of(entry.alert?)?;
        Some(Rule {
            name: entry.event_type.constant(),
            types: vec![entry.event_type.clone()],
            when,
            filter: None,
            severity: Severity::Critical,
            by_key: when == When::Any,
            dedup: None,
            subscription: None,
            sinks: None,
            origin: RuleOrigin::Catalog,
        })
    };
    let types = catalog.types();
    types.iter().filter_map(|entry| preset(entry)).collect()
}

/// A rule as it was written; what is left out takes its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleDraft {
    /// `name`.
    pub name: String,
    /// `type` or `types`.
    pub types: Vec<String>,
    /// `when`.
    pub when: String,
    /// `filter`.
    pub filter: Option<String>,
    /// `severity`.
    pub severity: Option<String>,
    /// `by_key`.
    pub by_key: Option<bool>,
    /// `dedup`.
    pub dedup: Option<String>,
    /// `subscription`.
    pub subscription: Option<String>,
    /// `sinks`.
    pub sinks: Option<Vec<String>>,
    /// `enabled`: false switches a preset of this name off.
    pub enabled: bool,
}

/// Why a rule or a sink is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The key at fault.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What was expected, with the nearest valid value.
    pub expected: String,
}

impl RuleDraft {
    /// The keys of `[[alert]]`.
    pub const KEYS: [&'static str; 11] = [
        "name",
        "type",
        "types",
        "when",
        "filter",
        "severity",
        "by_key",
        "dedup",
        "subscription",
        "sinks",
        "enabled",
    ];

    /// The rule that was meant, with `sinks` the names of the sinks there are.
    ///
    /// # Errors
    /// [`Refused`], naming the first key at fault and the nearest valid value.
    pub fn checked(
        &self,
        catalog: &Catalog,
        sinks: &[String],
        origin: RuleOrigin,
    ) -> Result<Rule, Refused> {
        check_name(&self.name)?;
        let when = When::parse(&self.when).map_err(refused("when", &self.when))?;
        let filter = self.filter.as_ref().map(|text| {
            Filter::parse(text).map_err(|error| Refused {
                key: "filter",
                value: text.clone(),
                expected: format!("a filter ({error})"),
            })
        });
        let severity = self.severity.as_ref().map(|word| {
            Severity::parse(word).ok_or_else(|| {
                one_of(
                    "severity",
                    word,
                    Severity::ALL.iter().map(|one| one.as_str()),
                )
            })
        });
        let dedup = self.dedup.as_ref().map(|text| {
            window(text).ok_or_else(|| Refused {
                key: "dedup",
                value: text.clone(),
                expected: "a time such as `10m`".to_owned(),
            })
        });
        for sink in self.sinks.iter().flatten() {
            if !sinks.contains(sink) {
                return Err(one_of("sinks", sink, sinks.iter().map(String::as_str)));
            }
        }
        Ok(Rule {
            name: self.name.clone(),
            types: self.known_types(catalog, when)?,
            when,
            filter: filter.transpose()?,
            severity: severity.transpose()?.unwrap_or_default(),
            by_key: self.by_key.unwrap_or(when == When::Any),
            dedup: dedup.transpose()?,
            subscription: self.subscription.clone(),
            sinks: self.sinks.clone(),
            origin,
        })
    }

    fn known_types(&self, catalog: &Catalog, when: When) -> Result<Vec<EventType>, Refused> {
        let mut types = Vec::new();
        for name in &self.types {
            let entry = catalog.resolve(name).map_err(|error| Refused {
                key: "type",
                value: name.clone(),
                expected: error.expected_type(),
            })?;
            if !entry.bridged {
                return Err(Refused {
                    key: "type",
                    value: name.clone(),
                    expected: "a bridged type: events of a volatile one are in no log".to_owned(),
                });
            }
            types.push(entry.event_type.clone());
        }
        match (types.is_empty(), when.reads_events()) {
            (true, true) => Err(Refused {
                key: "type",
                value: String::new(),
                expected: "at least one type, as `type = \"TRAINING_FAILED\"`".to_owned(),
            }),
            (false, false) => Err(Refused {
                key: "type",
                value: self.types.join(","),
                expected: "no type: `stalled` looks at `subscription`".to_owned(),
            }),
            (true, false) | (false, true) => Ok(types),
        }
    }
}

/// Refuses empty names, long ones, and those that no command line bears.
pub(super) fn check_name(name: &str) -> Result<(), Refused> {
    let fits = !name.trim().is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    Err(Refused {
        key: "name",
        value: name.chars().take(NAME_BYTES_MAX).collect(),
        expected: format!("a name of at most {NAME_BYTES_MAX} bytes"),
    })
}

pub(super) fn refused(key: &'static str, value: &str) -> impl FnOnce(String) -> Refused {
    let value = value.to_owned();
    move |expected| Refused {
        key,
        value,
        expected,
    }
}

/// A refusal that lists what there is, the nearest by itself.
pub(super) fn one_of<'k>(
    key: &'static str,
    value: &str,
    known: impl Iterator<Item = &'k str> + Clone,
) -> Refused {
    let list: Vec<&str> = known.clone().collect();
    let nearest = nearest_words(value, known);
    let nearest = nearest.map(|nearest| format!("; the nearest is `{nearest}`"));
    Refused {
        key,
        value: value.to_owned(),
        expected: format!("one of {}{}", list.join(", "), nearest.unwrap_or_default()),
    }
}
