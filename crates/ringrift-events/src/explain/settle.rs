//! How a delivery ended otherwise than by its handler: by an operator, a seek, a removal, retention.

use super::evidence::readable;
use super::judge::Case;
use super::known::{Known, utc};
use super::standing::Verdict;
use super::whole::Side;
use crate::clock::Time;
use crate::store::letters::{Letter, LetterState};
use crate::store::registry::Fact;
use crate::store::subscriptions::Kind;
use crate::store::trail::{Again, Place};
use crate::verdict::Code;

/// The verdict of a recorded fact that ends a delivery, whatever its position says.
pub(super) fn of_fact(case: &Case<'_>) -> Option<Verdict> {
    const ENDS: [Code; 5] = [
        Code::HnSkipped,
        Code::HnDuplicate,
        Code::RtRefused,
        Code::StExpired,
        Code::StPurged,
    ];
    let (code, fact) = last_fact(case)?;
    (ENDS.contains(&code) && !is_open(case)).then(|| recorded(case, code, fact))
}

/// The newest fact about this very event that says what became of it. A replay is a delivery of its
/// own: that one was asked for says nothing of this one. What delayed it is no end either.
pub(super) fn last_fact<'a>(case: &Case<'a>) -> Option<(Code, &'a Fact)> {
    const ON_THE_WAY: [Code; 6] = [
        Code::StReplayedAs,
        Code::WtLoopBlocked,
        Code::WtStoreBusy,
        Code::WtConcurrency,
        Code::WtProcessLimit,
        Code::WtRate,
    ];
    let undone = |code: Code| code == Code::StPurged && !is_purged(case);
    case.facts()
        .find(|(code, _)| !ON_THE_WAY.contains(code) && !undone(*code))
}

/// The event, or its letter, is deleted now: one that was restored since goes on.
fn is_purged(case: &Case<'_>) -> bool {
    let row = case.own_row();
    case.known.logged.deleted_at.is_some()
        || row.is_some_and(|row| row.state == crate::store::letters::LetterState::Purged)
}

/// The delivery has a way of its own that goes on: what was recorded earlier is not its end.
fn is_open(case: &Case<'_>) -> bool {
    let row = case.own_row();
    row.is_some_and(|row| {
        matches!(
            row.state,
            LetterState::Retrying | LetterState::Running | LetterState::Dead
        )
    })
}

/// A recorded verdict, in its own words.
pub(super) fn recorded(case: &Case<'_>, code: Code, fact: &Fact) -> Verdict {
    let verdict = Verdict::new(code, case, words(code, fact)).actual(readable(&fact.evidence));
    match original(fact).filter(|_| code == Code::HnDuplicate) {
        Some(original) => verdict.next(format!("ringrift explain {original}")),
        None => verdict,
    }
}

/// A recorded verdict about the event alone.
pub(super) fn told(known: &Known, code: Code, fact: &Fact) -> Verdict {
    Verdict::about(code, known.logged.event.id, words(code, fact)).actual(readable(&fact.evidence))
}

fn words(code: Code, fact: &Fact) -> String {
    let by = fact.act.as_ref().map(|(by, _)| format!(", by {by}"));
    format!(
        "{} Recorded at {}{}.",
        code.meaning(),
        utc(fact.at),
        by.unwrap_or_default()
    )
}

/// The event that had a dedup key first.
fn original(fact: &Fact) -> Option<String> {
    let evidence: serde_json::Value = serde_json::from_str(&fact.evidence).ok()?;
    Some(evidence.get("original")?.as_str()?.to_owned())
}

/// What ended the whole range that the event lies in, if it was still owed then.
pub(super) fn of_range(case: &Case<'_>) -> Option<Verdict> {
    let place = case.passage?.place;
    let owed = match place {
        Place::Ahead | Place::Claimed { .. } | Place::Outside => true,
        Place::Passed { .. } | Place::Deleted { .. } => false,
    };
    let covers = |fact: &&Fact| {
        fact.event.is_none()
            && fact.subscription == Some(case.state.id)
            && fact.seq.is_some_and(|from| from <= case.seq)
            && fact.seq_to.is_some_and(|to| case.seq <= to)
    };
    let mut ranges = case.known.facts.iter().filter(covers);
    // Expiry moves the positions past what it ends; a seek and a removal leave them to say what was
    // owed.
    let ends = |code: Code, fact: &Fact| match code == Code::StExpired {
        true => case.is_of_now(fact.at),
        false => {
            let by_act = [Code::StSkippedBySeek, Code::StSubscriptionRemoved].contains(&code);
            by_act && owed && ended_with(case, fact)
        }
    };
    let (code, fact) = ranges.find_map(|fact| {
        let code = fact.code.filter(|code| ends(*code, fact))?;
        Some((code, fact))
    })?;
    Some(recorded(case, code, fact))
}

/// Whether the generation ended with this fact. The end is kept to the millisecond.
fn ended_with(case: &Case<'_>, fact: &Fact) -> bool {
    let ended = case.passage.and_then(|passage| passage.ended_at);
    ended.is_some_and(|end| fact.at.0 / 1_000 == end.0 / 1_000)
}

/// Owed by a generation that is over.
pub(super) fn left_behind(case: &Case<'_>) -> Verdict {
    let ended = case.passage.and_then(|passage| passage.ended_at);
    let ended = ended.map(utc).unwrap_or_default();
    if case.generation == case.state.generation {
        return Verdict::new(
            Code::StSubscriptionRemoved,
            case,
            format!("The subscription was removed at {ended}, before it handled the event."),
        )
        .actual(format!("removed at {ended}"));
    }
    let actual = format!("generation {} ended at {ended}", case.generation.0);
    let (code, sentence) = match comes_again(case) {
        true => (
            Code::StReplayedAs,
            format!(
                "A seek at {ended} came before it was handled; it comes in a later generation."
            ),
        ),
        false => (
            Code::StSkippedBySeek,
            format!("A seek at {ended} moved the subscription past the event."),
        ),
    };
    Verdict::new(code, case, sentence).actual(actual)
}

/// Whether a later generation is for the event's place, too.
fn comes_again(case: &Case<'_>) -> bool {
    case.known.trail.passages.iter().any(|other| {
        other.subscription == case.state.id
            && other.generation > case.generation
            && other.place != Place::Outside
    })
}

/// The event was deleted from the queue before it was settled.
pub(super) fn deleted(case: &Case<'_>) -> Option<Verdict> {
    let Place::Deleted { taken } = case.passage?.place else {
        return None;
    };
    let sentence = match taken {
        true => {
            "The event was deleted from the queue while a process had taken it: whether its \
             handler still ran is not kept."
        }
        false => "The event was deleted from the queue before any process took it.",
    };
    let at = case.known.logged.deleted_at.map(utc);
    let at = at.unwrap_or_else(|| "a time that is not kept".to_owned());
    Some(Verdict::new(Code::StPurged, case, sentence).actual(format!("deleted at {at}")))
}

/// Whether the durable subscription had been removed when the event was committed.
pub(super) fn was_removed_before(case: &Case<'_>) -> bool {
    let removed = case
        .state
        .ended_at
        .filter(|_| case.state.current().kind == Kind::Durable);
    removed.is_some_and(|at| {
        let covered = case.known.facts.iter().any(|fact| {
            fact.code == Some(Code::StSubscriptionRemoved)
                && fact.subscription == Some(case.state.id)
        });
        // A wall clock may step back; the range that the removal ended does not.
        !covered && at < case.known.logged.committed_at
    })
}

/// The letter that an edit put in the place of this redelivery.
fn heir<'a>(case: &Case<'a>, row: &Again) -> Option<&'a Letter> {
    let event = row.linked?;
    let mut edits = case.known.edits.iter();
    edits.find(|heir| {
        heir.event.id == event && heir.subscription == row.subscription && heir.id > row.id
    })
}

/// Whether the letter was not taken back.
fn stands(state: LetterState) -> bool {
    !matches!(state, LetterState::Discarded | LetterState::Purged)
}

/// An edited event has taken the letter's place: what becomes of that one counts.
fn replaced(case: &Case<'_>, heir: &Letter, edit: Option<(Time, &str)>) -> Verdict {
    let edit = edit.map(|(at, by)| format!(", by {by} at {}", utc(at)));
    let verdict = Verdict::new(
        Code::StDiscarded,
        case,
        format!(
            "An edited event took its place{}.",
            edit.unwrap_or_default()
        ),
    )
    .actual(format!(
        "letter {} (event {}) is {}",
        heir.id.0,
        heir.event.id,
        heir.state.as_str()
    ))
    .next(format!("ringrift explain {}", heir.event.id));
    verdict.on(match heir.state {
        LetterState::Recovered => Side::Done,
        LetterState::Retrying | LetterState::Running => Side::Open,
        LetterState::Dead | LetterState::Discarded | LetterState::Expired | LetterState::Purged => {
            Side::Failed
        }
    })
}

/// A letter that an operator, a seek or a removal ended.
pub(super) fn discarded(case: &Case<'_>, row: &Again) -> Verdict {
    let own = case.facts().find(|(code, _)| *code == Code::StDiscarded);
    let act = own.and_then(|(_, fact)| Some((fact, fact.act.as_ref()?)));
    let edit = act.filter(|(_, (_, name))| name == "dlq.edit");
    let heir = heir(case, row).filter(|heir| edit.is_some() || stands(heir.state));
    if let Some(heir) = heir {
        return replaced(
            case,
            heir,
            edit.map(|(fact, (by, _))| (fact.at, by.as_str())),
        );
    }
    let ended = case.passage.and_then(|passage| passage.ended_at);
    let letter = row.id.0;
    if let Some((code, fact)) = own {
        return recorded(case, code, fact).next(format!("ringrift dlq restore {letter}"));
    }
    let Some(end) = ended else {
        return Verdict::new(Code::StDiscarded, case, Code::StDiscarded.meaning())
            .actual(format!("letter {letter}"))
            .next(format!("ringrift dlq restore {letter}"));
    };
    let code = match case.generation == case.state.generation {
        true => Code::StSubscriptionRemoved,
        false => Code::StDiscarded,
    };
    Verdict::new(
        code,
        case,
        format!(
            "Its dead letter was discarded when the generation ended, at {}.",
            utc(end)
        ),
    )
    .actual(format!("letter {letter}"))
}
