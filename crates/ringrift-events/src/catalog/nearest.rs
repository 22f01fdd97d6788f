//! Names that somebody may have meant.
//!
//! A misspelt name often arrives thousands of times, so answers are remembered; the search itself
//! compares only names of about the same letters, and few of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::types::TYPE_NAME_BYTES_MAX;

/// Most names suggested.
const NEAREST_MAX: usize = 3;

/// Least similarity, from 0 to 1, of a name worth suggesting.
const SIMILARITY_MIN: f64 = 0.6;

/// Most refused names remembered; when full, they are all forgotten, which costs one search each.
const REMEMBERED_MAX: usize = 1024;

/// Most names whose edit distance is computed: those that share most letters with the refused one.
const COMPARED_MAX: usize = 24;

/// The nearest of `known` (canonical values) to `name`, best first, at most three; none for names
/// too long to be one.
pub(super) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Vec<String> {
    if name.len() > TYPE_NAME_BYTES_MAX {
        return Vec::new();
    }
    let name = name.to_ascii_lowercase().replace(['-', '.', ' '], "_");
    let name_letters = letters(&name);
    let mut near: Vec<(f64, &str)> = known
        .map(|candidate| (shared_letters(&name, &name_letters, candidate), candidate))
        .filter(|(at_most, _)| *at_most >= SIMILARITY_MIN)
        .collect();
    best_first(&mut near);
    near.truncate(COMPARED_MAX);
    for (similarity, candidate) in &mut near {
        *similarity = self::similarity(&name, candidate);
    }
    near.retain(|(similarity, _)| *similarity >= SIMILARITY_MIN);
    best_first(&mut near);
    near.truncate(NEAREST_MAX);
    near.into_iter()
        .map(|(_, candidate)| candidate.to_owned())
        .collect()
}

/// The name that was meant by `name`, among those of a few; none if none is like it.
#[must_use]
pub fn nearest_words<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let end = name.floor_char_boundary(TYPE_NAME_BYTES_MAX);
    let name = name[..end].to_ascii_lowercase();
    let scored = known.map(|word| {
        (
            strsim::normalized_damerau_levenshtein(&name, &word.to_lowercase()),
            word,
        )
    });
    let near = scored.filter(|(similarity, _)| *similarity >= WORD_SIMILARITY_MIN);
    near.max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

/// Least similarity of a word worth suggesting: there are few, so a bolder guess is right.
const WORD_SIMILARITY_MIN: f64 = 0.4;

fn best_first(names: &mut [(f64, &str)]) {
    names.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
}

/// The most that [`similarity`] can be, at a fraction of its price: each edit mends at most two
/// differing letter counts.
fn shared_letters(name: &str, name_letters: &[u8; 32], candidate: &str) -> f64 {
    let longest = name.len().max(candidate.len());
    if is_part(name, candidate) {
        return 1.0;
    }
    if 1.0 - ratio(name.len().abs_diff(candidate.len()), longest) < SIMILARITY_MIN {
        return 0.0;
    }
    let differing: usize = name_letters
        .iter()
        .zip(letters(candidate))
        .map(|(a, b)| usize::from(a.abs_diff(b)))
        .sum();
    1.0 - ratio(differing.div_ceil(2), longest)
}

/// How similar two canonical values are, from 0 to 1: by edits, or as part of one another.
fn similarity(name: &str, candidate: &str) -> f64 {
    let longest = name.len().max(candidate.len());
    if is_part(name, candidate) {
        return 0.7 + 0.3 * ratio(name.len().min(candidate.len()), longest);
    }
    1.0 - ratio(strsim::osa_distance(name, candidate), longest)
}

/// `sync_completed` for `data_sync_completed`: a forgotten or an added word.
fn is_part(name: &str, candidate: &str) -> bool {
    name.len().min(candidate.len()) >= 6 && (candidate.contains(name) || name.contains(candidate))
}

#[expect(clippy::cast_precision_loss, reason = "names are at most 100 bytes")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn letters(name: &str) -> [u8; 32] {
    let mut counts = [0_u8; 32];
    for byte in name.bytes() {
        let slot = &mut counts[usize::from(byte & 31)];
        *slot = slot.saturating_add(1);
    }
    counts
}

/// Answers given before, for one state of the catalog.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<HashMap<String, Vec<String>>>);

impl Remembered {
    /// The remembered answer for `name`, or the one `search` gives.
    pub(super) fn get(&self, name: &str, search: impl FnOnce() -> Vec<String>) -> Vec<String> {
        if name.len() > TYPE_NAME_BYTES_MAX {
            return Vec::new();
        }
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.get(name) {
            return answer.clone();
        }
        if answers.len() >= REMEMBERED_MAX {
            answers.clear();
        }
        let answer = search();
        answers.insert(name.to_owned(), answer.clone());
        answer
    }

    /// Forgets everything: the catalog has changed.
    pub(super) fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = [
        "training_completed",
        "training_started",
        "data_sync_completed",
        "model_promoted",
    ];

    #[test]
    fn a_misspelling_finds_the_name_first() {
        for (given, meant) in [
            ("TRAINING_COMPLETE", "training_completed"),
            ("trainign_completed", "training_completed"),
            ("training-completed", "training_completed"),
            ("Training_Completed", "training_completed"),
            ("sync_completed", "data_sync_completed"),
            ("MODEL_PROMTED", "model_promoted"),
        ] {
            assert_eq!(
                nearest(given, KNOWN.into_iter())
                    .first()
                    .map(String::as_str),
                Some(meant),
                "{given}"
            );
        }
        assert!(nearest("banana", KNOWN.into_iter()).is_empty());
        assert!(nearest(&"training_completed".repeat(9), KNOWN.into_iter()).is_empty());
    }

    #[test]
    fn a_name_is_searched_for_once_and_the_memory_is_bounded() {
        let remembered = Remembered::default();
        let mut searches = 0;
        for index in 0..REMEMBERED_MAX * 2 {
            for _ in 0..3 {
                remembered.get(&format!("name_{index}"), || {
                    searches += 1;
                    Vec::new()
                });
            }
            assert!(remembered.0.lock().unwrap().len() <= REMEMBERED_MAX);
        }
        assert_eq!(searches, REMEMBERED_MAX * 2);
    }
}
