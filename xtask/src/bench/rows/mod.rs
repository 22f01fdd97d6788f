//! The rows: each a kind of work, who does it, and what is to be reached.

mod delivered;
mod published;
mod whole;

use super::Size;
use super::contestants::Contestant;
use super::field::Field;
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

/// Every row of this size, with those who are there.
pub(super) fn all(size: &Size, field: &Field) -> Vec<Row> {
    let mut rows = published::rows(size);
    rows.extend(delivered::rows(size));
    rows.extend(whole::rows(size));
    for row in &mut rows {
        row.scenes.retain(|scene| field.has(scene.contestant));
    }
    rows
}
