//! The rows: each a kind of work, who does it, and what is to be reached.

mod delivered;
mod published;
mod python;
mod whole;

use super::Size;
use super::contestants::Contestant;
use super::goals::Goal;
use super::measured::Figure;

/// One row of the table.
pub(super) struct Row {
    pub(super) name: String,
    /// The work, in words.
    pub(super) work: String,
    /// The number that the row is about.
    pub(super) figure: Figure,
    pub(super) scenes: Vec<Scene>,
    pub(super) goals: Vec<Goal>,
    pub(super) rounds: usize,
}

impl Row {
    /// Whether a contestant of it needs the product's Python package.
    pub(super) fn needs_package(&self) -> bool {
        let mut scenes = self.scenes.iter();
        scenes.any(|scene| scene.contestant.is_on_package())
    }
}

/// One contestant's part: its processes, each as the words that its program is given.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) contestant: Contestant,
    /// What runs before, to its end.
    pub(super) fill: Option<String>,
    /// What runs together, begun at the same moment.
    pub(super) workers: Vec<String>,
    /// Whether the first process alone says what counts; the others serve it.
    pub(super) first_counts: bool,
    /// Deliveries that follow each publish, if they are counted against each other.
    pub(super) owed: Option<usize>,
}

impl Scene {
    /// Processes that all count; each is given the same words.
    fn of(contestant: Contestant, processes: usize, words: &str) -> Scene {
        Scene {
            contestant,
            fill: None,
            workers: vec![words.to_owned(); processes],
            first_counts: false,
            owed: None,
        }
    }

    /// The same behind a store that another process filled.
    fn filled(mut self, words: String) -> Scene {
        self.fill = Some(words);
        self
    }
}

/// Every row of this size, with everybody.
pub(super) fn all(size: &Size) -> Vec<Row> {
    let mut rows = published::rows(size);
    rows.extend(delivered::rows(size));
    rows.extend(python::rows(size));
    rows.extend(whole::rows(size));
    rows
}
