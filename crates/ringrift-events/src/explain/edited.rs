//! An event that an edit of a dead letter made: it is in no log, and one handler gets it.

use super::Error;
use super::known::{letters_of, utc};
use super::standing::Verdict;
use crate::clock::Time;
use crate::event::EventId;
use crate::store::Store;
use crate::store::deliveries::LetterId;
use crate::store::letters::{Letter, LetterFilter, LetterState};
use crate::store::registry::Fact;
use crate::verdict::Code;

/// The edit that made an event.
pub(super) struct Edit {
    /// The letter that it made.
    letter: LetterId,
    handler: String,
    /// The letter that was edited, and its event, if that is still kept.
    from: Option<(LetterId, EventId)>,
    /// Who did it and when, while that is recorded.
    by: Option<(String, Time)>,
}

impl Edit {
    /// The edit that made the event of these letters and facts; none for an event that was
    /// published.
    pub(super) fn read(
        store: &dyn Store,
        letters: &[Letter],
        facts: &[Fact],
    ) -> Result<Option<Edit>, Error> {
        let linked = letters.iter().find(|letter| letter.linked.is_some());
        let Some(letter) = linked.filter(|letter| letter.event.seq.is_none()) else {
            return Ok(None);
        };
        // The fact that an edit ended the letter has a code; that one made it has none.
        let is_edit = |fact: &&Fact| {
            fact.code.is_none() && act(fact).is_some_and(|(_, name)| name == "dlq.edit")
        };
        let made = facts.iter().find(is_edit);
        let from = match made.and_then(letter_of) {
            Some(id) => original(store, id)?,
            None => ancestor(store, letter)?,
        };
        if made.is_none() && from.is_none() {
            return Ok(None);
        }
        Ok(Some(Edit {
            letter: letter.id,
            handler: letter.handler.clone(),
            from: from.map(|from| (from.id, from.event.id)),
            by: made.and_then(|fact| Some((act(fact)?.0.clone(), fact.at))),
        }))
    }

    /// The line of the publication.
    pub(super) fn publication(&self, id: EventId) -> Verdict {
        let from = match self.from {
            Some((letter, event)) => format!("dead letter {} (event {event})", letter.0),
            None => "a dead letter that is no longer kept".to_owned(),
        };
        let by = match &self.by {
            Some((by, at)) => format!(" by {by} at {}", utc(*at)),
            None => String::new(),
        };
        let handler = &self.handler;
        let sentence =
            format!("It was edited{by} from {from}: it is in no log, and only {handler} gets it.");
        Verdict::about(Code::PubAccepted, id, sentence)
            .actual(format!("letter {}", self.letter.0))
            .next(format!("ringrift dlq show {}", self.letter.0))
    }
}

fn act(fact: &Fact) -> Option<&(String, String)> {
    fact.act.as_ref()
}

/// The number of the letter that was edited, as recorded.
fn letter_of(fact: &Fact) -> Option<LetterId> {
    let evidence: serde_json::Value = serde_json::from_str(&fact.evidence).ok()?;
    evidence.get("letter")?.as_i64().map(LetterId)
}

fn original(store: &dyn Store, id: LetterId) -> Result<Option<Letter>, Error> {
    let only = LetterFilter {
        ids: vec![id],
        states: LetterState::ALL.to_vec(),
        limit: 1,
        ..LetterFilter::default()
    };
    Ok(store.letters(only).wait()?.pop())
}

/// The letter that this one was edited from: the earlier one of the two that an edit links.
fn ancestor(store: &dyn Store, letter: &Letter) -> Result<Option<Letter>, Error> {
    let Some(linked) = letter.linked else {
        return Ok(None);
    };
    let all = store.letters(letters_of(linked)).wait()?;
    Ok(all
        .into_iter()
        .find(|other| other.subscription == letter.subscription && other.id < letter.id))
}
