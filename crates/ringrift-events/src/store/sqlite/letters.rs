//! The verbs on dead letters, as this store answers them.

use super::SqliteStore;
use super::verbs::letters::{ActOnLetters, CountLetters, EditLetter, ListLetters};
use crate::event::Event;
use crate::store::Pending;
use crate::store::deliveries::LetterId;
use crate::store::letters::{Acted, Letter, LetterAct, LetterFilter, Letters, Seen};

impl Letters for SqliteStore {
    fn letters(&self, filter: LetterFilter) -> Pending<Vec<Letter>> {
        self.read(ListLetters { filter })
    }

    fn count_letters(&self) -> Pending<u64> {
        self.read(CountLetters)
    }

    fn act(&self, act: LetterAct, seen: Vec<Seen>, by: String) -> Pending<Acted> {
        self.write(ActOnLetters { act, seen, by })
    }

    fn edit(&self, seen: Seen, edited: Event, by: String) -> Pending<LetterId> {
        self.write(EditLetter { seen, edited, by })
    }
}
