//! The wiring of a home as a check: a replica of a badly wired system, and how its findings are
//! accepted, shrink and are written for other tools.

#![cfg(test)]

use std::sync::Arc;

use ringrift_events::catalog::{AlertRule, Catalog, DeclaredIn, TypeDeclaration};
use ringrift_events::clock::{Clock as _, ManualClock, SharedClock, Time};
use ringrift_events::event::{Event, EventId, EventType, Payload, ProcessId, TraceId};
use ringrift_events::lint::{self, Baseline, Class, Linted, Question};
use ringrift_events::store::Store;
use ringrift_events::store::log::{Batch, Draft, Durability, TypeSet};
use ringrift_events::store::memory::MemoryHub;
use ringrift_events::store::records::Unbridged;
use ringrift_events::store::registry::ProcessIdentity;
use ringrift_events::store::subscriptions::{Definition, Kind, Start};

/// Seven names that one side writes in another way than the other.
const NEAR: [(&str, &str); 7] = [
    ("harvest_complete", "harvest_completed"),
    ("ledger_sync_done", "ledger_sync_completed"),
    ("survey_finished", "field_survey_finished"),
    ("turbine_insepcted", "turbine_inspected"),
    ("completed_audit", "audit_completed"),
    ("calib_started", "calibration_started"),
    ("waterlevel_changed", "water_level_changed"),
];

const SUBJECTS: [&str; 12] = [
    "orchard", "quarry", "lantern", "meadow", "harbour", "glacier", "bridge", "kettle", "violin",
    "compass", "anchor", "saddle",
];
const ORPHAN_ENDS: [&str; 2] = ["opened", "painted"];
const DEAD_ENDS: [&str; 4] = ["closed", "weighed", "mapped", "sold"];
const UNBRIDGED_ENDS: [&str; 3] = ["burnt", "flooded", "lost"];

/// 12 × 2 and seven of the near misses.
const ORPHANS: usize = 31;
/// 39 of 12 × 4 and seven of the near misses.
const DEAD: usize = 46;
/// 32 of 12 × 3.
const UNBRIDGED: usize = 32;

fn names(ends: &'static [&'static str]) -> impl Iterator<Item = String> {
    ends.iter().flat_map(|end| {
        SUBJECTS
            .iter()
            .map(move |subject| format!("{subject}_{end}"))
    })
}

struct Replica {
    clock: Arc<ManualClock>,
    catalog: Catalog,
    one: Arc<dyn Store>,
    two: Arc<dyn Store>,
}

impl Replica {
    fn new() -> Replica {
        let clock = Arc::new(ManualClock::new(Time(1_700_000_000_000_000), 7));
        let hub = MemoryHub::new(Arc::clone(&clock) as SharedClock);
        let process = |pid| ProcessIdentity {
            id: ProcessId::new(&*clock),
            host: "node-1".to_owned(),
            pid,
            command: "trainer".to_owned(),
            started_at: clock.now(),
            catalog_hash: 0,
            version: "0".to_owned(),
        };
        let (one, two) = (hub.open(process(1)), hub.open(process(2)));
        Replica {
            catalog: Catalog::ringrift(),
            one,
            two,
            clock,
        }
    }

    /// The whole wiring.
    fn wired() -> Replica {
        let replica = Replica::new();
        for name in names(&ORPHAN_ENDS) {
            replica.declare(&name, false, None);
            replica.publish(&name);
        }
        for name in names(&DEAD_ENDS).take(DEAD - NEAR.len()) {
            replica.declare(&name, false, None);
            replica.subscribe(&replica.two, &name);
        }
        for (published, awaited) in NEAR {
            replica.declare(published, false, None);
            replica.declare(awaited, false, None);
            replica.publish(published);
            replica.subscribe(&replica.two, awaited);
        }
        for (at, name) in names(&UNBRIDGED_ENDS).take(UNBRIDGED).enumerate() {
            // Half of them matter by themselves, half because another process awaits them.
            let critical = (at % 2 == 0).then_some(AlertRule::ANY);
            replica.declare(&name, true, critical);
            replica.stays(&name);
            let subscriber = if critical.is_some() {
                &replica.one
            } else {
                &replica.two
            };
            replica.subscribe(subscriber, &name);
        }
        // What is well wired, and a subscriber to everything: none of it is found.
        for name in [
            "training_started",
            "training_completed",
            "data_sync_completed",
        ] {
            replica.publish(name);
            replica.subscribe(&replica.two, name);
        }
        replica.declare("gossip_heard", true, None);
        replica.stays("gossip_heard");
        replica.subscribe(&replica.one, "gossip_heard");
        replica.make("logger", TypeSet::All, &replica.two);
        replica
    }

    fn declare(&self, name: &str, volatile: bool, alert: Option<AlertRule>) {
        let declaration = TypeDeclaration {
            volatile: Some(volatile),
            alert,
            ..TypeDeclaration::new(name)
        };
        self.catalog
            .declare(&declaration, DeclaredIn::Code)
            .unwrap();
    }

    fn publish(&self, name: &str) {
        let event = Event {
            id: EventId::new(&*self.clock),
            event_type: EventType::from_canonical(name),
            payload: Payload::from_checked("{}"),
            source: "replica".to_owned(),
            key: None,
            published_at: self.clock.now(),
            trace_id: TraceId(uuid::Uuid::from_u128(1)),
            parent_id: None,
            depth: 0,
            origin: self.one.process(),
            stage: None,
            seq: None,
        };
        let batch = Batch {
            drafts: vec![Draft {
                event: Arc::new(event),
                idempotency_key: None,
                call_site: None,
            }],
            durability: Durability::Process,
        };
        self.one.append(batch, None).wait().unwrap();
    }

    /// A volatile event of the first process.
    fn stays(&self, name: &str) {
        let counts = vec![Unbridged {
            process: self.one.process(),
            event_type: EventType::from_canonical(name),
            count: 3,
            last: None,
        }];
        self.one.count_unbridged(counts).wait().unwrap();
    }

    fn subscribe(&self, store: &Arc<dyn Store>, name: &str) {
        let types = TypeSet::only([EventType::from_canonical(name)]);
        self.make(&format!("on_{name}"), types, store);
    }

    fn make(&self, name: &str, types: TypeSet, store: &Arc<dyn Store>) {
        let definition = Definition {
            name: name.to_owned(),
            kind: Kind::Live,
            types,
            filter: None,
            start: Start::Now,
            dedup: Vec::new(),
            ordered_by_key: false,
        };
        store.subscribe(definition, false).wait().unwrap();
    }

    fn look(&self, baseline: Option<Baseline>) -> Linted {
        let question = Question {
            since: self.clock.now().before(lint::SINCE),
            until: self.clock.now(),
            baseline,
            ..Question::default()
        };
        lint::look(Some(&*self.one), &self.catalog, &question).unwrap()
    }
}

#[test]
fn a_type_that_alerts_are_raised_of_is_no_orphan() {
    let replica = Replica::wired();
    let orphans = |alerted: Option<TypeSet>| {
        let question = Question {
            since: replica.clock.now().before(lint::SINCE),
            until: replica.clock.now(),
            alerted,
            ..Question::default()
        };
        let linted = lint::look(Some(&*replica.one), &replica.catalog, &question).unwrap();
        let of = linted.findings.into_iter();
        let of = of.filter(|one| one.class == Class::Orphan);
        of.map(|one| one.name).collect::<Vec<_>>()
    };
    let mut all = orphans(None);
    let told = all.remove(0);
    let alerted = TypeSet::only([EventType::from_canonical(&told)]);
    assert_eq!(orphans(Some(alerted)), all, "all but {told}");
}

#[test]
fn a_replica_of_a_bad_wiring_is_found_class_by_class_with_each_right_partner() {
    let linted = Replica::wired().look(None);
    let of = |class| {
        let found = linted.findings.iter().filter(move |one| one.class == class);
        found.map(|one| one.name.clone()).collect::<Vec<_>>()
    };
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let published = NEAR.iter().map(|(published, _)| (*published).to_owned());
    let awaited = NEAR.iter().map(|(_, awaited)| (*awaited).to_owned());
    let orphans = sorted(names(&ORPHAN_ENDS).chain(published).collect());
    assert_eq!(
        (of(Class::Orphan).len(), of(Class::Orphan)),
        (ORPHANS, orphans)
    );
    let dead = names(&DEAD_ENDS).take(DEAD - NEAR.len()).chain(awaited);
    assert_eq!(
        (
            of(Class::DeadSubscription).len(),
            of(Class::DeadSubscription)
        ),
        (DEAD, sorted(dead.collect()))
    );
    let unbridged = sorted(names(&UNBRIDGED_ENDS).take(UNBRIDGED).collect());
    assert_eq!(
        (of(Class::Unbridged).len(), of(Class::Unbridged)),
        (UNBRIDGED, unbridged)
    );
    let mut pairs: Vec<(&str, &str)> = linted
        .findings
        .iter()
        .filter(|one| one.class == Class::NearMiss)
        .map(|one| (one.name.as_str(), one.partner.as_deref().unwrap_or("none")))
        .collect();
    pairs.sort_unstable();
    let mut near = NEAR;
    near.sort_unstable();
    assert_eq!(pairs, near);
    assert_eq!(of(Class::Unknown), Vec::<String>::new());
    assert_eq!(linted.takes_all, ["logger"]);
    assert!(!linted.is_clean());
    for finding in &linted.findings {
        assert!(
            !finding.next.is_empty() && finding.message.len() > 20,
            "{finding:?}"
        );
    }
}

#[test]
fn what_was_published_long_ago_and_what_ended_long_ago_do_not_count() {
    let replica = Replica::wired();
    replica.clock.advance(lint::SINCE + lint::SINCE);
    let linted = replica.look(None);
    assert_eq!(linted.count(Class::Orphan), 0);
    // Its processes live, so its subscriptions do.
    assert!(linted.count(Class::DeadSubscription) >= DEAD);
}

#[test]
fn a_baseline_accepts_what_was_there_and_only_shrinks() {
    let replica = Replica::wired();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lint.txt");
    assert_eq!(Baseline::read(&file).unwrap(), None);
    Baseline::of(&replica.look(None).findings)
        .write(&file)
        .unwrap();
    let accepted = Baseline::read(&file).unwrap().unwrap();
    let linted = replica.look(Some(accepted.clone()));
    assert!(linted.is_clean(), "{:?}", linted.fresh().next());

    // Something new is found, and is not added by writing it again.
    replica.declare("pigeon_arrived", false, None);
    replica.publish("pigeon_arrived");
    // And something is mended.
    replica.subscribe(&replica.two, "orchard_opened");
    let linted = replica.look(Some(accepted.clone()));
    let fresh: Vec<String> = linted.fresh().map(lint::Finding::entry).collect();
    assert_eq!(fresh, ["orphan pigeon_arrived"]);
    assert_eq!(linted.stale, ["orphan orchard_opened"]);
    let shrunk = accepted.shrunk(&linted.findings);
    assert_eq!(shrunk.len(), accepted.len() - 1);
    let linted = replica.look(Some(shrunk));
    assert_eq!(linted.stale, Vec::<String>::new());
    assert_eq!(linted.fresh().count(), 1);
}

#[test]
fn a_baseline_with_a_bad_line_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lint.txt");
    for (text, said) in [
        (
            "# fine\n\norphan a_b\norphon b_c\n",
            "line 4: \"orphon\" is none of near_miss",
        ),
        ("near_miss a_b\n", "line 1: near_miss takes 2 names"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = Baseline::read(&file).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn sources_count_beside_what_was_seen_and_name_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("trainer.py");
    std::fs::write(
        &source,
        "router.publish('training_complete', {})\n\
         @events.on(DataEventType.TRAINING_COMPLETED)\ndef on_training(event): ...\n\
         router.publish(DataEventType.DATA_FRESH, {})\n\
         router.publish('zebra_xylophone', {})\n",
    )
    .unwrap();
    let question = Question {
        sources: vec![folder.path().to_owned()],
        ..Question::default()
    };
    let linted = lint::look(None, &Catalog::ringrift(), &question).unwrap();
    let found: Vec<(String, Vec<usize>)> = linted
        .findings
        .iter()
        .map(|one| (one.entry(), one.places.iter().map(|at| at.line).collect()))
        .collect();
    let entry = |text: &str, lines: &[usize]| (text.to_owned(), lines.to_vec());
    assert_eq!(
        found,
        [
            entry("near_miss training_complete training_completed", &[1]),
            entry("unknown zebra_xylophone", &[5]),
            entry("dead_subscription training_completed", &[2]),
            entry("orphan data_fresh", &[4]),
            entry("orphan training_complete", &[1]),
            entry("orphan zebra_xylophone", &[5]),
        ]
    );
    assert_eq!(linted.looked.files, 1);
}

/// What SARIF 2.1.0 requires of each object that is written, checked by hand: the schema itself is
/// no part of this repository.
#[test]
fn the_sarif_log_has_the_form_that_its_readers_require() {
    let replica = Replica::wired();
    let accepted = "orphan orchard_opened\norphan nobody_here\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lint.txt");
    std::fs::write(&file, accepted).unwrap();
    let linted = replica.look(Baseline::read(&file).unwrap());
    let log = lint::sarif(&linted, true);
    assert_eq!(log["version"], "2.1.0");
    assert!(
        log["$schema"]
            .as_str()
            .unwrap()
            .ends_with("sarif-2.1.0.json")
    );
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "ringrift lint");
    let rules = driver["rules"].as_array().unwrap();
    assert_eq!(rules.len(), Class::ALL.len());
    for rule in rules {
        assert!(
            rule["shortDescription"]["text"]
                .as_str()
                .unwrap()
                .ends_with('.')
        );
    }
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), linted.findings.len() + 1);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let level = result["level"].as_str().unwrap();
        assert!(["none", "note", "warning", "error"].contains(&level));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        for location in result["locations"].as_array().unwrap() {
            let place = &location["physicalLocation"];
            if !place.is_null() {
                let uri = place["artifactLocation"]["uri"].as_str().unwrap();
                assert!(!uri.contains([' ', '\\']));
                assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
            }
            for logical in location["logicalLocations"].as_array().unwrap() {
                assert!(!logical["name"].as_str().unwrap().is_empty());
            }
        }
    }
    let states = |state: &str| {
        let is = |result: &&serde_json::Value| result["baselineState"] == state;
        results.iter().filter(is).count()
    };
    assert_eq!((states("unchanged"), states("absent")), (1, 1));
    assert_eq!(states("new"), linted.findings.len() - 1);
}
