//! What a handler made of the event: from pages, redeliveries and settled positions.

use super::judge::Case;
use super::known::{lives, utc};
use super::standing::Verdict;
use super::whole::Side;
use super::{busy, settle, wait};
use crate::event::ProcessId;
use crate::store::deliveries::Why;
use crate::store::letters::LetterState;
use crate::store::registry::{Liveness, ProcessState, Recent, Running};
use crate::store::trail::{Again, Place};
use crate::verdict::{Code, FailureKind};

/// Most characters of an error that evidence shows; the letter has all of it.
const ERROR_CHARS_MAX: usize = 200;

/// A run that goes on, or went on when its process died.
pub(super) fn running(case: &Case<'_>) -> Option<Verdict> {
    // A replay's run is told with the replay.
    let replayed = case
        .rows()
        .any(|row| row.why == Why::Replay && row.state == LetterState::Running);
    if replayed {
        return None;
    }
    let (process, run) = run_of(case)?;
    if !lives(process) {
        return died(case, process, run);
    }
    // Its page stands still while it hangs: what was taken over since is told by its record.
    if !run.abandoned && was_taken_over(case, process) {
        return None;
    }
    match (run.abandoned, case.own_row()) {
        (false, _) => Some(goes_on(case, process, run)),
        (true, Some(_)) => None,
        (true, None) => Some(given_up(case, process, run)),
    }
}

/// The slot of some page that has the event in this generation; a living process's first.
fn run_of<'a>(case: &Case<'a>) -> Option<(&'a ProcessState, &'a Running)> {
    let of_process = |process: &'a ProcessState| {
        let of = |run: &&Running| {
            run.event == case.event.id
                && run.subscription == case.state.id
                && case.is_of_now(run.since)
        };
        Some((process, process.running.iter().find(of)?))
    };
    let runs: Vec<_> = case
        .known
        .scenery
        .processes
        .iter()
        .filter_map(of_process)
        .collect();
    let living = || runs.iter().filter(|(process, _)| lives(process));
    let holds = living().find(|(process, _)| !was_taken_over(case, process));
    holds.or(living().next()).or(runs.first()).copied()
}

/// Whether what is recorded of the delivery says that it is no more this process's.
fn was_taken_over(case: &Case<'_>, process: &ProcessState) -> bool {
    let (id, hangs) = (process.process.id, process.liveness == Liveness::Hung);
    if let Some(row) = case.own_row() {
        return match row.state {
            LetterState::Running => row.owner.is_some_and(|owner| owner != id),
            // Records are read before pages: a process that beats may have begun since.
            LetterState::Retrying | LetterState::Dead => hangs,
            LetterState::Recovered
            | LetterState::Discarded
            | LetterState::Expired
            | LetterState::Purged => true,
        };
    }
    match case.passage.map(|passage| passage.place) {
        Some(Place::Claimed { by }) => by.is_some_and(|by| by != id) || (by.is_none() && hangs),
        Some(Place::Passed { by }) => by.is_some_and(|by| by != id) || hangs,
        Some(Place::Outside | Place::Ahead | Place::Deleted { .. }) | None => false,
    }
}

/// `; it has not beaten since …`, of a process that hangs.
fn hung(process: &ProcessState) -> String {
    match process.liveness {
        Liveness::Hung => format!("; it has not beaten since {}", utc(process.beat_at)),
        Liveness::Alive | Liveness::Left | Liveness::Dead => String::new(),
    }
}

fn goes_on(case: &Case<'_>, process: &ProcessState, run: &Running) -> Verdict {
    let pid = process.process.pid;
    let step = run.step.as_deref().map(|step| format!(", in {step}"));
    let mut stalls = process.stalls.iter();
    let stall = stalls.find(|stall| stall.event == run.event);
    let held = stall.map(|stall| format!("; it does not yield: {}", busy::held(process, stall)));
    let sentence = match process.liveness {
        Liveness::Hung => "The handler is running, in a process that hangs.",
        Liveness::Alive | Liveness::Left | Liveness::Dead => "The handler is running.",
    };
    Verdict::new(Code::HnRunning, case, sentence)
        .actual(format!(
            "by pid {pid} since {}{}{}{}",
            utc(run.since),
            step.unwrap_or_default(),
            held.unwrap_or_default(),
            hung(process)
        ))
        .next(format!("ringrift processes show {pid}"))
}

fn given_up(case: &Case<'_>, process: &ProcessState, run: &Running) -> Verdict {
    let pid = process.process.pid;
    Verdict::new(
        Code::HnTimeout,
        case,
        "The run was given up at its time limit, and its thread still runs.",
    )
    .actual(format!("by pid {pid} since {}", utc(run.since)))
    .next(format!("ringrift processes show {pid}"))
}

/// The page of a dead process tells of its last moment: that is news only until it is taken over.
fn died(case: &Case<'_>, process: &ProcessState, run: &Running) -> Option<Verdict> {
    let id = Some(process.process.id);
    let held = match case.passage {
        Some(passage) => passage.place == Place::Claimed { by: id },
        None => true,
    };
    (held && case.own_row().is_none()).then(|| lease_lost(case, id, run.step.as_deref()))
}

/// The process that held the event is gone.
pub(super) fn lease_lost(case: &Case<'_>, by: Option<ProcessId>, step: Option<&str>) -> Verdict {
    let who = case.known.named(by);
    let step = step.map(|step| format!(", in {step}")).unwrap_or_default();
    let verdict = |sentence: &str| {
        Verdict::new(Code::HnLeaseLost, case, sentence).actual(format!("{who} ended with it{step}"))
    };
    // A dead letter of a live handler goes to whoever bears its name.
    let verdict = match (case.passage, case.own_row()) {
        (None, None) => verdict(
            "The process died while the handler ran; a live subscription ends with it, and nobody \
             takes the event over.",
        )
        .expected("a durable subscription, which outlasts its processes")
        .on(Side::Failed),
        _ => verdict("The process ended while it held the event; another takes it.")
            .expected("a live process that hosts the subscription"),
    };
    verdict.next("ringrift processes ls --all")
}

/// How a redelivery of the event stands.
pub(super) fn of_row(case: &Case<'_>, row: &Again) -> Verdict {
    match row.state {
        LetterState::Running => row_running(case, row),
        LetterState::Retrying => wait::again(case, row).unwrap_or_else(|| retrying(case, row)),
        LetterState::Dead => dead(case, row),
        LetterState::Recovered => recovered(case, row),
        LetterState::Discarded => settle::discarded(case, row),
        LetterState::Expired => {
            Verdict::new(Code::StExpired, case, Code::StExpired.meaning()).actual(letter(row))
        }
        LetterState::Purged => Verdict::new(
            Code::StPurged,
            case,
            "The dead letter was deleted; it can be restored for a time.",
        )
        .actual(letter(row))
        .next(format!("ringrift dlq restore {}", row.id.0)),
    }
}

fn row_running(case: &Case<'_>, row: &Again) -> Verdict {
    let own = |process: &ProcessState| row.owner.is_none_or(|owner| owner == process.process.id);
    let run = run_of(case).filter(|(process, _)| lives(process) && own(process));
    if let Some((process, run)) = run {
        let verdict = goes_on(case, process, run);
        let actual = format!("{}, attempt {}", verdict.actual, row.attempts);
        return verdict.actual(actual);
    }
    let owner = row.owner.and_then(|id| case.known.process(id));
    match owner {
        Some(process) if lives(process) => {
            Verdict::new(Code::HnRunning, case, "A process has taken its retry.").actual(format!(
                "by pid {}, attempt {}",
                process.process.pid, row.attempts
            ))
        }
        Some(_) | None => lease_lost(case, row.owner, None),
    }
}

/// Waits for its next attempt, and nothing but its time is in the way.
fn retrying(case: &Case<'_>, row: &Again) -> Verdict {
    if !row.failed {
        return comes_again(case, row);
    }
    let letter_next = format!("ringrift dlq show {}", row.id.0);
    if row.held {
        let who = case.known.named(row.owner);
        return Verdict::new(
            Code::HnRetrying,
            case,
            "The run that timed out still holds its thread: the retry waits for its end.",
        )
        .actual(format!("held by {who}; {}", letter(row)))
        .next(letter_next);
    }
    let due = row.due.map_or_else(|| "unknown".to_owned(), utc);
    Verdict::new(
        Code::HnRetrying,
        case,
        format!("The handler failed and will be tried again at {due}."),
    )
    .actual(format!("next at {due}; {}", letter(row)))
    .next(letter_next)
}

/// A delivery that comes again without having failed.
fn comes_again(case: &Case<'_>, row: &Again) -> Verdict {
    let (code, sentence) = match row.why {
        Why::LeaseLost => (
            Code::HnLeaseLost,
            "Its process died or hung with it; it waits for another.",
        ),
        Why::HandedBack => (
            Code::WtPending,
            "Its process shut down before the handler ended; it waits for another.",
        ),
        Why::Replay => (Code::WtPending, "The replay waits its turn."),
        Why::Restored => (Code::WtPending, "It was restored and waits its turn."),
        Why::KeyBlocked | Why::Retry => (Code::WtPending, "It waits its turn."),
    };
    Verdict::new(code, case, sentence).actual(format!(
        "redelivery {}; processes that died with it: {}",
        row.id.0, row.deaths
    ))
}

fn dead(case: &Case<'_>, row: &Again) -> Verdict {
    let sentence = match row.error_kind {
        Some(FailureKind::Poison) => {
            "The event killed its process while it ran alone, too often: it waits for an operator."
        }
        Some(_) | None => Code::StDead.meaning(),
    };
    Verdict::new(Code::StDead, case, sentence)
        .actual(letter(row))
        .next(format!("ringrift dlq retry {}", row.id.0))
}

fn recovered(case: &Case<'_>, row: &Again) -> Verdict {
    if !row.failed {
        let why = match row.why {
            Why::LeaseLost => ", after its first process was lost",
            Why::HandedBack => ", after it was handed back",
            Why::Replay => ", as a replay",
            Why::Restored => ", after it was restored",
            Why::KeyBlocked => ", after the earlier events of its key",
            Why::Retry => "",
        };
        return Verdict::new(Code::HnOk, case, format!("The handler succeeded{why}.")).actual(
            format!(
                "redelivery {}, run {} times{why}",
                row.id.0, row.attempts_total
            ),
        );
    }
    Verdict::new(Code::StRecovered, case, Code::StRecovered.meaning())
        .actual(letter(row))
        .next(format!("ringrift dlq show {}", row.id.0))
}

/// What the last deliveries on some page say.
pub(super) fn recent(case: &Case<'_>) -> Option<Verdict> {
    let (process, recent) = case.known.scenery.processes.iter().find_map(|process| {
        let recent = process.recent.iter().find(|recent| {
            recent.event == case.event.id
                && recent.subscription == case.state.id
                && case.is_of_now(recent.at)
        })?;
        Some((process, recent))
    })?;
    let took = took(process, recent);
    match settle::last_fact(case) {
        // It succeeded; that it ran at all is the news.
        Some((Code::HnDedupExpired, fact)) if recent.code == Code::HnOk => {
            let verdict = settle::recorded(case, Code::HnDedupExpired, fact);
            let actual = format!("{took}; {}", verdict.actual);
            Some(verdict.actual(actual))
        }
        Some(_) | None => Some(Verdict::new(recent.code, case, recent.code.meaning()).actual(took)),
    }
}

/// `by pid 4711 at …, took 1.500 ms`.
pub(super) fn took(process: &ProcessState, recent: &Recent) -> String {
    format!(
        "by pid {} at {}, took {}.{:03} ms",
        process.process.pid,
        utc(recent.at),
        recent.took_us / 1_000,
        recent.took_us % 1_000
    )
}

/// Settled: a plain success leaves no record, everything else does.
pub(super) fn passed(case: &Case<'_>, by: Option<ProcessId>) -> Verdict {
    let after = match settle::last_fact(case) {
        None => "",
        Some((Code::HnLeaseLost, _)) => ", after its first process was lost",
        Some((code, fact)) => return settle::recorded(case, code, fact),
    };
    let who = by.map(|_| format!("by {}; ", case.known.named(by)));
    let actual = format!(
        "{}everything up to event {} is handled{after}, and no failure is recorded",
        who.unwrap_or_default(),
        case.state.settled
    );
    Verdict::new(Code::HnOk, case, format!("The handler succeeded{after}.")).actual(actual)
}

/// `letter 7, attempt 2: out of memory`.
pub(super) fn letter(row: &Again) -> String {
    let error = row.error.as_deref().unwrap_or("no error is recorded");
    let error: String = error.chars().take(ERROR_CHARS_MAX).collect();
    format!("letter {}, attempt {}: {error}", row.id.0, row.attempts)
}
