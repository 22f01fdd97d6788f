//! How a delivery ended otherwise than by its handler at once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ringrift_events::handler::{Function, NotDone, Policy};
use ringrift_events::store::letters::LetterState;
use ringrift_events::store::subscriptions::SeekTo;
use ringrift_events::store::upkeep::SweepRules;
use ringrift_events::verdict::Code;

use crate::stage::{broken, durable, orphan, publish_one, standing, told};
use crate::support::{Seen, World, letters, quick_retry, until};

pub(crate) fn dead(world: &World) {
    let system = world.process();
    durable(&system, "h", quick_retry(1), broken());
    let id = publish_one(&system);
    let said = told(world, &system, id, "h", Code::StDead);
    assert!(
        said.verdict.next.starts_with("ringrift dlq retry"),
        "{said:?}"
    );
    system.close();
}

pub(crate) fn discarded(world: &World) {
    let system = world.process();
    durable(&system, "h", quick_retry(1), broken());
    let id = publish_one(&system);
    told(world, &system, id, "h", Code::StDead);
    let dead = letters(&system, &[LetterState::Dead]);
    system.dead_letters().discard(&dead, "ann").unwrap();
    let said = told(world, &system, id, "h", Code::StDiscarded);
    assert!(
        said.history
            .iter()
            .any(|fact| fact.by.as_deref() == Some("ann")),
        "{said:?}"
    );
    system.close();
}

pub(crate) fn recovered(world: &World) {
    let system = world.process();
    let runs = AtomicU32::new(0);
    let second = Function::blocking(move |_| match runs.fetch_add(1, Ordering::SeqCst) {
        0 => Err(NotDone::failed("not yet")),
        _ => Ok(()),
    });
    durable(&system, "h", quick_retry(3), second);
    let id = publish_one(&system);
    told(world, &system, id, "h", Code::StRecovered);
    system.close();
}

pub(crate) fn expired(world: &World) {
    let system = world.process();
    orphan(&system, "h");
    let id = publish_one(&system);
    let rules = SweepRules {
        keep_orphaned: Duration::ZERO,
        ..system.config().settings.sweep_rules()
    };
    // One millisecond later: how long it is without a process is kept to the millisecond.
    std::thread::park_timeout(Duration::from_millis(20));
    system.store().retain(rules).wait().unwrap();
    told(world, &system, id, "h", Code::StExpired);
    system.close();
}

pub(crate) fn purged(world: &World) {
    let system = world.process();
    orphan(&system, "h");
    let id = publish_one(&system);
    system
        .store()
        .clear_queue("ann".to_owned(), false)
        .wait()
        .unwrap();
    told(world, &system, id, "h", Code::StPurged);
    system.close();
}

/// What was handled before it was deleted, since another owed it, stays handled.
pub(crate) fn handled_and_purged(world: &World) {
    let system = world.process();
    let seen = Seen::default();
    durable(&system, "h", Policy::default(), seen.noting());
    orphan(&system, "owes");
    let id = publish_one(&system);
    until("it is handled", || {
        standing(&system, id, "h").is_some_and(|one| one.verdict.code == Code::HnOk)
    });
    // What the process alone knows of until then is not in the store.
    until("it is settled", || {
        let all = system.store().subscriptions().wait().unwrap();
        all.iter().all(|one| one.claimed == 0)
    });
    let clear = system.store().clear_queue("ann".to_owned(), false);
    clear.wait().unwrap();
    told(world, &system, id, "owes", Code::StPurged);
    told(world, &system, id, "h", Code::HnOk);
    system.close();
}

pub(crate) fn skipped_by_seek(world: &World) {
    let system = world.process();
    let subscription = orphan(&system, "h");
    let id = publish_one(&system);
    let sought = system
        .store()
        .seek(subscription, SeekTo::End, "ann".to_owned(), false);
    sought.wait().unwrap();
    let said = told(world, &system, id, "h", Code::StSkippedBySeek);
    let words = format!("{} {}", said.verdict.sentence, said.verdict.actual);
    assert!(words.contains("ann"), "{said:?}");
    system.close();
}

pub(crate) fn removed(world: &World) {
    let system = world.process();
    let subscription = orphan(&system, "h");
    let id = publish_one(&system);
    system
        .store()
        .remove(subscription, "ann".to_owned(), false)
        .wait()
        .unwrap();
    told(world, &system, id, "h", Code::StSubscriptionRemoved);
    // Another one of its name, which came later, changes nothing.
    orphan(&system, "h");
    told(world, &system, id, "h", Code::StSubscriptionRemoved);
    system.close();
}

pub(crate) fn replayed_as(world: &World) {
    let system = world.process();
    let subscription = orphan(&system, "h");
    let id = publish_one(&system);
    let sought = system
        .store()
        .seek(subscription, SeekTo::Beginning, "ann".to_owned(), false);
    sought.wait().unwrap();
    let said = told(world, &system, id, "h", Code::WtNoProcess);
    let before: Vec<Code> = said.earlier.iter().map(|one| one.verdict.code).collect();
    assert_eq!(before, [Code::StReplayedAs], "{said:?}");
    let again = standing(&system, id, "h");
    assert_eq!(again.map(|one| one.earlier.len()), Some(1));
    system.close();
}
