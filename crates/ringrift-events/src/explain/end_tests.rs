//! What became of an event, by a table: what is recorded, and what must be said of it.

use super::known::Known;
use super::scene::{
    Line, at, check, claimed, dead, fact, letter, live, passed, process_id, range, recent, row,
    run, scene, standing, stopped, waiting,
};
use super::whole::Side;
use crate::event::Seq;
use crate::store::deliveries::Why;
use crate::store::letters::LetterState;
use crate::store::registry::Liveness;
use crate::store::subscriptions::Generation;
use crate::store::trail::Again;
use crate::store::trail::Place;
use crate::verdict::Code;
use crate::verdict::FailureKind;

fn due(second: i64) -> Again {
    Again {
        due: Some(at(second)),
        ..row(1, LetterState::Retrying)
    }
}

fn deleted(known: &mut Known, taken: bool) {
    known.logged.deleted_at = Some(at(300));
    known.trail.passages[0].place = Place::Deleted { taken };
}

const LETTERS: &[Line] = &[
    (
        |k| letter(k, due(2_000)),
        Code::HnRetrying,
        "next at 1970-01-01 00:33:20.000 UTC; letter 7, attempt 2: out of memory",
        "ringrift dlq show 7",
    ),
    (
        |k| {
            letter(k, due(900));
            stopped(k, 1);
        },
        Code::HnRetrying,
        "due since 1970-01-01 00:15:00.000 UTC; pid 11: stopped since",
        "ringrift daemons start DLQ_RETRY",
    ),
    (
        |k| {
            letter(k, due(2_000));
            dead(k);
        },
        Code::WtNoProcess,
        "letter 7, attempt 2",
        "ringrift processes ls --all",
    ),
    (
        |k| {
            letter(k, due(2_000));
            k.scene().subscriptions[0].paused = Some((at(300), "ann".to_owned()));
        },
        Code::RtPaused,
        "letter 7",
        "ringrift subs resume d",
    ),
    (
        |k| {
            let row = row(1, LetterState::Retrying);
            let owner = Some(process_id(11));
            letter(
                k,
                Again {
                    held: true,
                    owner,
                    ..row
                },
            );
        },
        Code::HnRetrying,
        "held by pid 11",
        "ringrift dlq show 7",
    ),
    (
        |k| {
            let owner = Some(process_id(11));
            letter(
                k,
                Again {
                    owner,
                    ..row(1, LetterState::Running)
                },
            );
        },
        Code::HnRunning,
        "by pid 11, attempt 2",
        "ringrift processes ls",
    ),
    (
        |k| {
            let owner = Some(process_id(11));
            letter(
                k,
                Again {
                    owner,
                    ..row(1, LetterState::Running)
                },
            );
            dead(k);
        },
        Code::HnLeaseLost,
        "pid 11 ended with it",
        "ringrift processes ls --all",
    ),
    (
        |k| letter(k, row(1, LetterState::Dead)),
        Code::StDead,
        "letter 7, attempt 2: out of memory",
        "ringrift dlq retry 7",
    ),
    (
        |k| {
            let error_kind = Some(FailureKind::Poison);
            letter(
                k,
                Again {
                    error_kind,
                    ..row(1, LetterState::Dead)
                },
            );
        },
        Code::StDead,
        "letter 7",
        "ringrift dlq retry 7",
    ),
    (
        |k| letter(k, row(1, LetterState::Recovered)),
        Code::StRecovered,
        "letter 7",
        "ringrift dlq show 7",
    ),
    (
        |k| letter(k, row(1, LetterState::Discarded)),
        Code::StDiscarded,
        "letter 7",
        "ringrift dlq restore 7",
    ),
    (
        |k| letter(k, row(1, LetterState::Purged)),
        Code::StPurged,
        "letter 7",
        "ringrift dlq restore 7",
    ),
    (
        |k| letter(k, row(1, LetterState::Expired)),
        Code::StExpired,
        "letter 7",
        "ringrift config show",
    ),
    (
        |k| letter(k, waiting(Why::LeaseLost)),
        Code::HnLeaseLost,
        "redelivery 7",
        "ringrift processes ls",
    ),
];

#[test]
fn a_failed_delivery_is_told_from_its_letter() {
    check(LETTERS);
}

const SHOW: &str = "ringrift explain 00000000-0000-0000-0000-000000000005";

const SEEK: &str = "ringrift subs seek d --to 00000000-0000-0000-0000-000000000005 --preview";

const ENDS: &[Line] = &[
    (
        passed,
        Code::HnOk,
        "by pid 11; everything up to event 9 is handled",
        SHOW,
    ),
    (
        |k| {
            passed(k);
            k.scene().processes[0].recent = vec![recent(Code::HnOk, at(300))];
        },
        Code::HnOk,
        "by pid 11 at 1970-01-01 00:05:00.000 UTC, took 1.500 ms",
        SHOW,
    ),
    (
        |k| {
            passed(k);
            k.facts = vec![fact(Code::HnSkipped, at(300), r#"{"reason":"old"}"#)];
        },
        Code::HnSkipped,
        "old",
        SHOW,
    ),
    (
        |k| {
            passed(k);
            k.facts = vec![fact(Code::HnDuplicate, at(300), r#"{"original":"0a-1"}"#)];
        },
        Code::HnDuplicate,
        "original",
        "ringrift explain 0a-1",
    ),
    // Its letter is gone by retention; the fact stays for longer.
    (
        |k| {
            passed(k);
            k.facts = vec![fact(Code::StDiscarded, at(300), "{}")];
        },
        Code::StDiscarded,
        "",
        "ringrift dlq restore 00000000-0000-0000-0000-000000000005",
    ),
    (
        |k| {
            passed(k);
            k.facts = vec![range(Code::StExpired, at(300))];
        },
        Code::StExpired,
        "",
        "ringrift config show",
    ),
    (
        |k| deleted(k, false),
        Code::StPurged,
        "deleted at 1970-01-01 00:05:00.000 UTC",
        "ringrift queue restore",
    ),
    (
        |k| deleted(k, true),
        Code::StPurged,
        "deleted at",
        "ringrift queue restore",
    ),
    // Deleted, restored, handled.
    (
        |k| {
            passed(k);
            k.facts = vec![fact(Code::StPurged, at(300), "{}")];
        },
        Code::HnOk,
        "everything up to event 9 is handled",
        "ringrift explain 00000000-0000-0000-0000-000000000005",
    ),
    // It had its end by then, and expiry came later.
    (
        |k| {
            deleted(k, false);
            k.facts = vec![range(Code::StExpired, at(400))];
        },
        Code::StPurged,
        "deleted at",
        "ringrift queue restore",
    ),
    // Handled, then deleted.
    (
        |k| {
            passed(k);
            k.logged.deleted_at = Some(at(300));
        },
        Code::HnOk,
        "everything up to event 9 is handled",
        "ringrift explain 00000000-0000-0000-0000-000000000005",
    ),
];

#[test]
fn what_ended_is_told_by_its_record() {
    check(ENDS);
}

const ROUTES: &[Line] = &[
    (
        |k| {
            k.scene().subscriptions[0].versions[0].definition.filter =
                Some("elo__gte = 1600".to_owned());
        },
        Code::RtFilterFalse,
        "elo is 1500",
        "ringrift subs show d",
    ),
    // A seek skips a range; what the filter turns away was never owed in it.
    (
        |k| {
            k.scene().subscriptions[0].versions[0].definition.filter =
                Some("elo__gte = 1600".to_owned());
            k.trail.passages[0].ended_at = Some(at(300));
            k.scene().subscriptions[0].generation = Generation(2);
            k.facts = vec![range(Code::StSkippedBySeek, at(300))];
        },
        Code::RtFilterFalse,
        "elo is 1500",
        "ringrift subs show d",
    ),
    (
        |k| {
            k.scene().subscriptions[0].versions[0].valid_from = Seq(6);
            k.trail.passages[0].place = Place::Outside;
        },
        Code::RtSubscribedLater,
        "it begins with event 6",
        SEEK,
    ),
    (
        |k| {
            live(k);
            k.scene().subscriptions[0].cursor = Seq(9);
        },
        Code::HnNoRecord,
        "pid 11 has read up to 9",
        "ringrift processes show 11",
    ),
    (
        |k| {
            live(k);
            stopped(k, 0);
        },
        Code::WtPollerStopped,
        "pid 11 has read up to 2",
        "ringrift daemons start CROSS_PROCESS_POLLER",
    ),
    (
        |k| {
            live(k);
            dead(k);
        },
        Code::HnNoRecord,
        "pid 11 read up to 2",
        "ringrift processes ls --all",
    ),
    (
        |k| {
            live(k);
            k.scene().processes[0].recent = vec![recent(Code::HnOk, at(300))];
        },
        Code::HnOk,
        "by pid 11",
        "ringrift explain 00000000-0000-0000-0000-000000000005",
    ),
];

/// Another process has taken the event over from pid 11, which stands still.
fn hung(known: &mut Known, again: Again) {
    letter(known, again);
    known.scene().processes[0].liveness = Liveness::Hung;
    known.scene().processes[0].beat_at = at(200);
    known.scene().processes[0].running = vec![run(at(160))];
}

const HANGS: &[Line] = &[
    (
        |k| {
            hung(k, waiting(Why::LeaseLost));
            k.trail.again.clear();
            claimed(k);
        },
        Code::HnRunning,
        "in db:load; it has not beaten since 1970-01-01 00:03:20.000 UTC",
        "ringrift processes show 11",
    ),
    (
        |k| hung(k, waiting(Why::LeaseLost)),
        Code::HnLeaseLost,
        "redelivery 7",
        "ringrift processes ls",
    ),
    (
        |k| {
            let owner = Some(process_id(12));
            let again = waiting(Why::LeaseLost);
            hung(
                k,
                Again {
                    owner,
                    state: LetterState::Running,
                    ..again
                },
            );
        },
        Code::HnRunning,
        "by pid 12, attempt 2",
        "ringrift processes ls",
    ),
    (
        |k| {
            let again = waiting(Why::LeaseLost);
            hung(
                k,
                Again {
                    state: LetterState::Recovered,
                    ..again
                },
            );
        },
        Code::HnOk,
        "run 2 times, after its first process was lost",
        SHOW,
    ),
    // It goes on, and beats again: what was settled stays settled.
    (
        |k| {
            let again = waiting(Why::LeaseLost);
            hung(
                k,
                Again {
                    state: LetterState::Recovered,
                    ..again
                },
            );
            k.scene().processes[0].liveness = Liveness::Alive;
        },
        Code::HnOk,
        "after its first process was lost",
        SHOW,
    ),
];

#[test]
fn a_run_of_a_process_that_hangs_counts_until_another_has_it() {
    check(HANGS);
}

/// Pid 11 died with the live `d`; it beat last a second before the event.
fn died(known: &mut Known, swept: bool) {
    live(known);
    dead(known);
    known.scene().processes[0].beat_at = at(149);
    if swept {
        known.scene().subscriptions[0].versions[0].valid_to = Some(Seq(4));
        known.scene().subscriptions[0].ended_at = Some(at(160));
    }
}

const DEATHS: &[Line] = &[
    (
        |k| died(k, false),
        Code::HnNoRecord,
        "pid 11 read up to 2",
        "ringrift processes ls --all",
    ),
    (
        |k| died(k, true),
        Code::HnNoRecord,
        "pid 11 beat last at 1970-01-01 00:02:29.000 UTC, and had read up to 5 then",
        "ringrift processes ls --all",
    ),
    // Long dead, and nobody has noted it.
    (
        |k| {
            died(k, false);
            k.scene().processes[0].beat_at = at(120);
        },
        Code::RtUnsubscribed,
        "pid 11 beat last at 1970-01-01 00:02:00.000 UTC",
        "ringrift processes ls --all",
    ),
    (
        |k| {
            died(k, true);
            k.scene().processes[0].beat_at = at(120);
        },
        Code::RtUnsubscribed,
        "pid 11 beat last at 1970-01-01 00:02:00.000 UTC",
        "ringrift processes ls --all",
    ),
];

#[test]
fn a_live_subscription_whose_process_died_is_told_alike_before_and_after_a_sweep() {
    check(DEATHS);
}

#[test]
fn what_died_with_a_live_subscription_is_not_called_open() {
    let mut known = scene();
    died(&mut known, false);
    known.scene().processes[0].running = vec![run(at(160))];
    let told = standing(&known).verdict;
    assert_eq!((told.code, told.side), (Code::HnLeaseLost, Side::Failed));
    assert!(told.sentence.contains("nobody"), "{told:?}");
    // Of a durable one another process takes it.
    let mut known = scene();
    claimed(&mut known);
    dead(&mut known);
    let told = standing(&known).verdict;
    assert_eq!((told.code, told.side), (Code::HnLeaseLost, Side::Open));
}

#[test]
fn whether_it_is_taken_is_told_by_the_version_for_its_place() {
    check(ROUTES);
}
