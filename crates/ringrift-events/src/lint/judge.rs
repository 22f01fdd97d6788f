//! From wiring to findings, by plain rules.

use std::collections::BTreeSet;

use super::finding::{Class, Evidence, Finding};
use super::wiring::{Use, Wiring};
use crate::catalog::{Catalog, TypeEntry};
use crate::coded::quoted;
use crate::event::EventType;

/// Two names that were probably meant to be one.
struct Pair<'w> {
    /// The one to correct.
    name: &'w str,
    partner: &'w str,
    percent: u32,
}

impl Wiring {
    /// Everything that does not meet, the gravest class first, then by name.
    #[must_use]
    pub fn judge(&self, catalog: &Catalog) -> Vec<Finding> {
        let pairs = self.pairs(catalog);
        let mut findings: Vec<Finding> = pairs
            .iter()
            .map(|pair| self.near_miss(catalog, pair))
            .collect();
        findings.extend(self.unbridged(catalog));
        for (name, of) in &self.names {
            let partner = pairs.iter().find_map(|pair| match name.as_str() {
                name if name == pair.name => Some(pair.partner),
                name if name == pair.partner => Some(pair.name),
                _ => None,
            });
            let known = entry_of(catalog, name).is_some();
            if !known && partner.is_none() {
                findings.push(unknown(catalog, name, of));
            }
            match (of.is_published(), of.is_subscribed()) {
                (true, false) => findings.push(orphan(name, of, partner)),
                (false, true) => findings.push(dead_subscription(name, of, partner)),
                (true, true) | (false, false) => {}
            }
        }
        findings.sort_by(|a, b| (a.class, &a.name).cmp(&(b.class, &b.name)));
        findings
    }

    /// The best pairs first, each lonely name in one pair only.
    fn pairs(&self, catalog: &Catalog) -> Vec<Pair<'_>> {
        let names = catalog.near_names();
        let mut candidates = Vec::new();
        for (name, of) in &self.names {
            let strange = entry_of(catalog, name).is_none();
            for (other, other_of) in &self.names {
                if name == other || !may_pair(of, other_of, strange) {
                    continue;
                }
                if strange && entry_of(catalog, other).is_none() && name > other {
                    // Two unknown names are one pair, not two.
                    continue;
                }
                if let Some(percent) = names.near(name, other) {
                    candidates.push(Pair {
                        name,
                        partner: other,
                        percent,
                    });
                }
            }
        }
        candidates.sort_by(|a, b| {
            b.percent
                .cmp(&a.percent)
                .then((a.name, a.partner).cmp(&(b.name, b.partner)))
        });
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        let mut pairs = Vec::new();
        for pair in candidates {
            let is_met = |name: &str| {
                let of = &self.names[name];
                of.is_published() && of.is_subscribed()
            };
            // A name that is well wired may be the partner of many misspellings.
            let free = !taken.contains(pair.name)
                && (is_met(pair.partner) || !taken.contains(pair.partner));
            if free {
                taken.extend([pair.name, pair.partner]);
                pairs.push(pair);
            }
        }
        pairs
    }

    fn near_miss(&self, catalog: &Catalog, pair: &Pair<'_>) -> Finding {
        let (of, partner_of) = (&self.names[pair.name], &self.names[pair.partner]);
        let refused = match entry_of(catalog, pair.name) {
            Some(_) => "",
            None => ", which the catalog does not know,",
        };
        let message = format!(
            "{}{refused} is {}; {} is {}: did somebody mean {}?",
            shown(pair.name),
            usage(of),
            shown(pair.partner),
            usage(partner_of),
            shown(pair.partner)
        );
        Finding {
            partner: Some(pair.partner.to_owned()),
            evidence: Evidence {
                similarity: Some(pair.percent),
                ..evidence(of)
            },
            places: all_places(of),
            next: format!("ringrift types show {}", quoted(pair.partner)),
            ..finding(Class::NearMiss, pair.name, of, message)
        }
    }

    fn unbridged(&self, catalog: &Catalog) -> Vec<Finding> {
        let nobody = Use::default();
        let mut found = Vec::new();
        for entry in catalog.types() {
            let name = entry.event_type.as_str();
            let of = self.names.get(name).unwrap_or(&nobody);
            // What other processes really did counts as much as this one's rule.
            if entry.bridged && of.unbridged == 0 {
                continue;
            }
            let across = of.across();
            let reason = if let Some(first) = across.first() {
                let others = across.len() - 1;
                let more = match others {
                    0 => String::new(),
                    _ => format!(" and {others} more"),
                };
                format!(
                    "{}{more} subscribes to it in another process than the one that publishes it",
                    first.name
                )
            } else if let Some(why) = critical(catalog, &entry) {
                why
            } else {
                continue;
            };
            let message = format!(
                "{} is not bridged and stays in its process, but {reason}",
                entry.event_type.constant()
            );
            found.push(Finding {
                places: all_places(of),
                next: format!(
                    "add to ringrift.toml: [[types]] name = \"{name}\", volatile = false"
                ),
                ..finding(Class::Unbridged, name, of, message)
            });
        }
        found
    }
}

/// Whether one could be what the other waits for. A name that no catalog knows is worth comparing
/// with everything that is known; of two known ones each must lack what the other has.
fn may_pair(of: &Use, other: &Use, strange: bool) -> bool {
    let lonely =
        of.is_published() && !of.is_subscribed() && other.is_subscribed() && !other.is_published();
    let meets =
        of.is_published() && other.is_subscribed() || of.is_subscribed() && other.is_published();
    lonely || strange && meets
}

/// Why a type matters to others than its own process.
fn critical(catalog: &Catalog, entry: &TypeEntry) -> Option<String> {
    if let Some(alert) = &entry.alert {
        return Some(format!("it raises an alert ({alert})"));
    }
    if let Some(position) = entry.pipeline_position {
        return Some(format!("it is step {position} of the pipeline"));
    }
    catalog
        .stages()
        .iter()
        .find(|stage| stage.data_event == entry.event_type)
        .map(|stage| format!("it completes the stage {}", stage.value))
}

fn orphan(name: &str, of: &Use, partner: Option<&str>) -> Finding {
    let meant = match partner {
        Some(partner) => format!("; {} waits for something like it", shown(partner)),
        None => String::new(),
    };
    let message = format!(
        "{} is {}, and nobody subscribes to it{meant}",
        shown(name),
        publishing(of)
    );
    Finding {
        partner: partner.map(str::to_owned),
        places: of.published_in.clone(),
        next: format!("ringrift types show {}", quoted(name)),
        ..finding(Class::Orphan, name, of, message)
    }
}

fn dead_subscription(name: &str, of: &Use, partner: Option<&str>) -> Finding {
    let meant = match partner {
        Some(partner) => format!("; {} is published instead", shown(partner)),
        None => String::new(),
    };
    let message = format!(
        "{} is {}, and nobody publishes it{meant}",
        shown(name),
        subscribing(of)
    );
    let next = match of.subscribers.first() {
        Some(subscriber) => format!("ringrift subs show {}", quoted(&subscriber.name)),
        None => format!("ringrift types show {}", quoted(name)),
    };
    Finding {
        partner: partner.map(str::to_owned),
        places: of.subscribed_in.clone(),
        next,
        ..finding(Class::DeadSubscription, name, of, message)
    }
}

fn unknown(catalog: &Catalog, name: &str, of: &Use) -> Finding {
    let nearest = match catalog.resolve(name) {
        Err(crate::catalog::Error::TypeUnknown { nearest, .. }) => nearest.into_iter().next(),
        Ok(_) | Err(_) => None,
    };
    let meant = match &nearest {
        Some(nearest) => format!("; the nearest that it knows is {}", shown(nearest)),
        None => String::new(),
    };
    let message = format!(
        "{} is {}, and the catalog does not know it{meant}",
        shown(name),
        usage(of)
    );
    Finding {
        next: format!("ringrift types add {}", quoted(name)),
        places: all_places(of),
        partner: nearest,
        ..finding(Class::Unknown, name, of, message)
    }
}

fn finding(class: Class, name: &str, of: &Use, message: String) -> Finding {
    Finding {
        class,
        severity: class.severity(),
        name: name.to_owned(),
        partner: None,
        message,
        evidence: evidence(of),
        places: Vec::new(),
        next: String::new(),
        accepted: false,
    }
}

fn evidence(of: &Use) -> Evidence {
    Evidence {
        events: of.events,
        unbridged: of.unbridged,
        refused: of.refused,
        publishers: of.publishers.len(),
        subscribers: of.subscribers.iter().map(|one| one.name.clone()).collect(),
        similarity: None,
    }
}

fn all_places(of: &Use) -> Vec<super::Place> {
    let mut places = of.published_in.clone();
    places.extend(of.subscribed_in.iter().cloned());
    places
}

fn entry_of(catalog: &Catalog, name: &str) -> Option<std::sync::Arc<TypeEntry>> {
    catalog.get(&EventType::from_canonical(name))
}

/// A known name as people write it; a strange one as it stands.
fn shown(name: &str) -> String {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plain {
        name.to_ascii_uppercase()
    } else {
        name.to_owned()
    }
}

/// How it is used, in words.
fn usage(of: &Use) -> String {
    match (of.is_published(), of.is_subscribed()) {
        (true, true) => format!("{} and {}", publishing(of), subscribing(of)),
        (true, false) => format!("{} and awaited by nobody", publishing(of)),
        (false, true) => format!("{} and published by nobody", subscribing(of)),
        (false, false) => "not used".to_owned(),
    }
}

fn publishing(of: &Use) -> String {
    match (of.events, of.published_in.len()) {
        (0, 0) => "not published".to_owned(),
        (0, 1) => format!("published in {}", of.published_in[0]),
        (0, n) => format!(
            "published in {} and {} more places",
            of.published_in[0],
            n - 1
        ),
        (1, _) => "published once".to_owned(),
        (n, _) => format!("published {n} times"),
    }
}

fn subscribing(of: &Use) -> String {
    match (of.subscribers.as_slice(), of.subscribed_in.as_slice()) {
        ([], []) => "awaited by nobody".to_owned(),
        ([], [place]) => format!("subscribed to in {place}"),
        ([], [place, more @ ..]) => {
            format!("subscribed to in {place} and {} more places", more.len())
        }
        ([one], _) => format!("subscribed to by {}", one.name),
        ([one, more @ ..], _) => format!("subscribed to by {} and {} more", one.name, more.len()),
    }
}
