//! What may be mended without asking: done once, after a backup, and nothing is lost by it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringrift_events::clock::SharedClock;
use ringrift_events::clock::SystemClock;
use ringrift_events::config::{Bytes, Config, Home, Settings};
use ringrift_events::daemons::{CROSS_PROCESS_POLLER, RunState};
use ringrift_events::doctor::{Finding, FindingCode, Fix, Mended, Mender};
use ringrift_events::router::Subscribe;
use ringrift_events::store::Store;
use ringrift_events::store::faulty::{FaultPlan, FaultyStore};
use ringrift_events::store::registry::FactFilter;
use ringrift_events::store::sqlite::{OpenOptions, SqliteStore};
use ringrift_events::system::{System, this_process};

use super::ground::Reader;
use super::support::{Seen, World, publish, publish_numbers, until};
use super::{ends, finds, found};

/// What `doctor --fix` does.
fn mend(system: &System, findings: &[Finding], backup: &Path) -> Vec<Mended> {
    let mender = Mender {
        store: &**system.store(),
        clock: Arc::clone(system.clock()),
        rules: system.config().settings.sweep_rules(),
        by: "ann".to_owned(),
    };
    mender.mend(findings, backup).expect("mended")
}

fn backup(world: &World, number: u32) -> PathBuf {
    world.folder().join(format!("before-fix-{number}.db"))
}

/// The lines about it in the audit.
fn audit(system: &System) -> usize {
    let acts = FactFilter {
        acts_only: true,
        limit: 1_000,
        ..FactFilter::default()
    };
    let facts = system.store().facts(acts).wait().expect("facts");
    let own = facts.iter().filter_map(|fact| fact.act.as_ref());
    own.filter(|(by, act)| by == "ann" && act == "doctor.fix")
        .count()
}

/// A process whose store can be made to fail.
fn fragile(world: &World, settings: impl FnOnce(&mut Settings)) -> (System, Arc<FaultyStore>) {
    let clock: SharedClock = Arc::new(SystemClock);
    let mut options = OpenOptions::new(
        world.folder().to_owned(),
        this_process(&*clock),
        Arc::clone(&clock),
    );
    options.disk_free_min_percent = 0;
    let store = SqliteStore::open(options).expect("a store");
    let refuse = FaultPlan {
        refused: 1_000,
        ..FaultPlan::default()
    };
    let faulty = Arc::new(FaultyStore::new(store, 1, refuse));
    faulty.calm(true);
    let mut config = Config::defaults(Home::at(world.folder()));
    settings(&mut config.settings);
    let store: Arc<dyn Store> = Arc::clone(&faulty) as _;
    let system = System::over(config, store, clock).expect("a system");
    (system, faulty)
}

#[test]
fn a_daemon_that_failed_for_good_is_started_after_a_backup_and_once() {
    let world = World::sqlite();
    let other = world.process();
    let (system, faulty) = fragile(&world, |settings| {
        settings.daemons.restarts_max = 1;
        settings.daemons.restart_first = std::time::Duration::from_millis(1);
    });
    let seen = Seen::default();
    let wanted = Subscribe::durable("trainer").to(["TRAINING_COMPLETED"]);
    let hosted = system.router().subscribe(wanted, seen.noting());
    hosted.expect("a subscription");
    publish(&other, "TRAINING_COMPLETED", "{}");
    let sums = || other.store().tallies().wait().expect("sums").remove(0);
    until("it is handled", || sums().done == 1);
    faulty.calm(false);
    until("its poller is given up", || {
        let status = system.daemons().status(CROSS_PROCESS_POLLER);
        status.expect("a daemon").state == RunState::Failed
    });
    faulty.calm(true);
    publish_numbers(&other, "TRAINING_COMPLETED", 0..10);
    let finding = finds(&other, FindingCode::PollerStopped, |_| ());
    let fix = Fix::StartDaemon {
        process: system.store().process(),
        daemon: CROSS_PROCESS_POLLER.to_owned(),
    };
    assert_eq!(finding.fix, Some(fix.clone()));
    assert_eq!((sums().matching, sums().done), (11, 1));

    // Events come while it is mended; the same finding twice is one thing to do.
    let publishes = other.clone();
    let beside = std::thread::spawn(move || {
        publish_numbers(&publishes, "TRAINING_COMPLETED", 10..20);
    });
    let mended = mend(&other, &[finding.clone(), finding], &backup(&world, 1));
    beside.join().expect("published");
    assert_eq!(mended.len(), 1, "{mended:?}");
    assert!(mended[0].done, "{mended:?}");
    assert_eq!(mended[0].fix, fix);
    assert!(mended[0].said.contains(CROSS_PROCESS_POLLER), "{mended:?}");
    assert!(backup(&world, 1).is_file());
    assert_eq!(audit(&other), 1);
    until("every event is handled", || seen.distinct() == 21);
    until("and settled", || (sums().matching, sums().done) == (21, 21));
    assert_eq!(
        other.store().check().wait().expect("a check").problems,
        [""; 0]
    );

    ends(&other, FindingCode::PollerStopped, |_| ());
    let findings = found(&other, FindingCode::PollerStopped, |_| ());
    assert_eq!(mend(&other, &findings, &backup(&world, 2)), []);
    assert!(!backup(&world, 2).exists(), "nothing to do needs no backup");
    assert_eq!(audit(&other), 1);
}

#[test]
fn a_log_is_copied_once_its_reader_lets_it_go_and_until_then_it_is_said_why_not() {
    let world = World::sqlite();
    let system = world.process_with(|settings| settings.store.wal_max = Bytes(4_096));
    publish(&system, "TRAINING_COMPLETED", "{}");
    let reader = Reader::begin(&system.config().home.database());
    publish_numbers(&system, "TRAINING_COMPLETED", 0..200);
    let finding = finds(&system, FindingCode::WalGrown, |_| ());
    assert_eq!(finding.fix, Some(Fix::Checkpoint));
    let kept = mend(&system, &[finding], &backup(&world, 1));
    assert!(!kept[0].done, "{kept:?}");
    assert!(kept[0].said.contains("keeps it"), "{kept:?}");
    let figures = || system.store().figures().wait().expect("figures");
    let (head, letters) = (figures().head, figures().letters);
    reader.end();
    // Whoever is sooner, the housekeeper or this one: the log is copied.
    let findings = found(&system, FindingCode::WalGrown, |_| ());
    let copied = mend(&system, &findings, &backup(&world, 2));
    assert!(copied.iter().all(|one| one.done), "{copied:?}");
    ends(&system, FindingCode::WalGrown, |_| ());
    assert_eq!((figures().head, figures().letters), (head, letters));
    assert_eq!(mend(&system, &[], &backup(&world, 3)), []);
}

#[test]
fn without_a_backup_nothing_is_done() {
    let world = World::sqlite();
    let system = world.process();
    let file = world.folder().join("shut");
    std::fs::write(&file, "").expect("a file");
    let mode = |file: &Path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(file)
            .expect("a file")
            .permissions()
            .mode()
            & 0o777
    };
    let before = mode(&file);
    let finding = Finding::new(
        FindingCode::Permissions,
        ringrift_events::doctor::Subject::thing("shut"),
        "it is shut",
        serde_json::json!({}),
        "chmod 600 shut",
    );
    let fix = Fix::Permissions {
        file: file.clone(),
        mode: 0o600,
    };
    let findings = [finding.fixed_by(fix)];
    let mender = Mender {
        store: &**system.store(),
        clock: Arc::clone(system.clock()),
        rules: system.config().settings.sweep_rules(),
        by: "ann".to_owned(),
    };
    let nowhere = world.folder().join("no/such/folder/backup.db");
    assert!(mender.mend(&findings, &nowhere).is_err());
    assert_eq!((mode(&file), audit(&system)), (before, 0));
    let mended = mend(&system, &findings, &backup(&world, 1));
    assert!(mended[0].done, "{mended:?}");
    assert_eq!((mode(&file), audit(&system)), (0o600, 1));
}
