//! Names that somebody may have meant.
//!
//! A misspelt name often arrives thousands of times, so answers are remembered; the search itself
//! compares only names of about the same letters.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::types::TYPE_NAME_BYTES_MAX;

/// Most names suggested.
const NEAREST_MAX: usize = 3;

/// Least similarity, from 0 to 1, of a name worth suggesting.
const SIMILARITY_MIN: f64 = 0.6;

/// Most refused names remembered; when full, they are all forgotten, which costs one search each.
const REMEMBERED_MAX: usize = 1024;

/// The nearest of `known` (canonical values) to `name`, best first, at most three; none for names
/// too long to be one.
pub(super) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Vec<String> {
    if name.len() > TYPE_NAME_BYTES_MAX {
        return Vec::new();
    }
    let name = name.to_ascii_lowercase().replace(['-', '.', ' '], "_");
    let letters = letters(&name);
    let mut best: Vec<(f64, &str)> = known
        .filter_map(|candidate| similarity(&name, &letters, candidate).map(|s| (s, candidate)))
        .collect();
    best.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    best.truncate(NEAREST_MAX);
    best.into_iter()
        .map(|(_, candidate)| candidate.to_owned())
        .collect()
}

fn similarity(name: &str, name_letters: &[u8; 32], candidate: &str) -> Option<f64> {
    let longest = name.len().max(candidate.len());
    let shorter = name.len().min(candidate.len());
    // `sync_completed` for `data_sync_completed`: a forgotten or an added word.
    if shorter >= 6 && (candidate.contains(name) || name.contains(candidate)) {
        return Some(0.7 + 0.3 * ratio(shorter, longest));
    }
    // Each edit mends at most two differing letter counts, so this bounds the similarity from
    // above at a fraction of the price of the edit distance.
    let differing: usize = name_letters
        .iter()
        .zip(letters(candidate))
        .map(|(a, b)| usize::from(a.abs_diff(b)))
        .sum();
    if 1.0 - ratio(differing.div_ceil(2), longest) < SIMILARITY_MIN {
        return None;
    }
    let distance = strsim::osa_distance(name, candidate);
    let similarity = 1.0 - ratio(distance, longest);
    (similarity >= SIMILARITY_MIN).then_some(similarity)
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
