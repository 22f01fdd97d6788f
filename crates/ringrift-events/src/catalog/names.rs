//! Which two names were meant to be one.
//!
//! Edit distance alone is a bad judge here: `host_online` and `host_offline` differ by two letters
//! and mean opposites, `sync_complete` and `data_sync_completed` differ by seven and mean the same.
//! So names are compared word by word: the same stem, words that say the same of an event, an
//! abbreviation, a misspelling (of a word that nobody else uses), a word left out or two swapped.

use std::collections::{BTreeMap, BTreeSet};

use super::Catalog;
use crate::event::EventType;

/// How similar two names must be, in percent, to be called a near miss. Below it are pairs of
/// short names that share one word of two.
pub const NEAR_MISS_PERCENT: u32 = 72;

/// How similar two names must be when each has a word that the other lacks.
const BOTH_DIFFER: f64 = 0.8;

/// What a misspelt word must have in common with the right one.
const TYPO_MIN: f64 = 0.66;

/// The one measure of near misses: what `lint`, `doctor`, `why-not` and `route` call one.
#[derive(Clone, Debug)]
pub struct NearNames {
    vocabulary: Vocabulary,
    percent: u32,
}

impl Default for NearNames {
    /// Of the types as they ship.
    fn default() -> NearNames {
        Catalog::ringrift().near_names()
    }
}

impl NearNames {
    /// By the words of this catalog, from this similarity on, in percent.
    pub(super) fn of(catalog: &Catalog, percent: u32) -> NearNames {
        NearNames {
            vocabulary: Vocabulary::of(catalog),
            percent,
        }
    }

    /// How similar two names are, in percent, if they were probably meant to be one; none for equal
    /// ones too.
    #[must_use]
    pub fn near(&self, one: &str, other: &str) -> Option<u32> {
        // Between 0 and 100.
        let percent = (self.vocabulary.similarity(one, other) * 100.0) as u32;
        (one != other && percent >= self.percent).then_some(percent)
    }

    /// The most similar of these names that may have been meant by `name`.
    pub fn nearest<'n>(
        &self,
        name: &str,
        among: impl Iterator<Item = &'n EventType>,
    ) -> Option<&'n EventType> {
        let near = among.filter_map(|one| Some((self.near(name, one.as_str())?, one)));
        let best = near.max_by(|(a, one), (b, other)| a.cmp(b).then(other.cmp(one)));
        best.map(|(_, one)| one)
    }
}

/// Words that say the same of an event.
const SAME: [&[&str]; 5] = [
    &["complete", "finish", "done", "success", "succeed"],
    &["fail", "failure", "error"],
    &["start", "begin", "begun", "began"],
    &["remove", "delete"],
    &["update", "change", "modify"],
];

/// Words without which a name means something else: left out, it is another event.
const TURNING: [&str; 16] = [
    "fail", "failure", "error", "start", "begin", "begun", "began", "timeout", "reject", "cancel",
    "abort", "skip", "request", "progress", "not", "no",
];

/// The words that names of this home are made of, and are known to be spelt right.
#[derive(Clone, Debug, Default)]
pub(super) struct Vocabulary {
    words: BTreeSet<String>,
}

impl Vocabulary {
    /// The words of types that came with this version, and those that several declared types share.
    fn of(catalog: &Catalog) -> Vocabulary {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for entry in catalog.types() {
            let weight = if entry.shipped { 2 } else { 1 };
            let words: BTreeSet<String> = words(entry.event_type.as_str()).into_iter().collect();
            for word in words {
                *counts.entry(word).or_default() += weight;
            }
        }
        Vocabulary {
            words: counts
                .into_iter()
                .filter(|(_, count)| *count >= 2)
                .map(|(word, _)| word)
                .collect(),
        }
    }

    fn knows(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// How likely two names were meant to be one, from 0 to 1; 1 only for the same name in another
    /// spelling.
    fn similarity(&self, one: &str, other: &str) -> f64 {
        let (a, b) = (words(one), words(other));
        if a.is_empty() || b.is_empty() {
            return 0.0;
        }
        let joined = self.joined(&a, &b);
        let (ordered, pairs) = self.in_order(&a, &b);
        let (swapped, swapped_pairs) = self.in_any_order(&a, &b);
        let score = weigh(&a, &b, ordered, &pairs);
        let score = score.max(0.93 * weigh(&a, &b, swapped, &swapped_pairs));
        score.max(joined)
    }

    /// The same letters with borders elsewhere: `datasync_completed`; or all but the same, when
    /// some word is nobody's.
    fn joined(&self, a: &[String], b: &[String]) -> f64 {
        let (whole_a, whole_b) = (a.concat(), b.concat());
        if whole_a == whole_b {
            return if a == b { 1.0 } else { 0.97 };
        }
        let strange = |word: &String| !self.knows(word);
        let near = strsim::normalized_damerau_levenshtein(&whole_a, &whole_b);
        if near >= 0.9 && (a.iter().any(strange) || b.iter().any(strange)) && a.len() != b.len() {
            return near - 0.03;
        }
        0.0
    }

    /// The best pairing of words that keeps their order, and which words it pairs.
    fn in_order(&self, a: &[String], b: &[String]) -> (f64, Vec<(usize, usize)>) {
        let mut best = vec![vec![0.0_f64; b.len() + 1]; a.len() + 1];
        for (i, one) in a.iter().enumerate() {
            for (j, other) in b.iter().enumerate() {
                best[i + 1][j + 1] = (best[i][j] + self.word(one, other))
                    .max(best[i][j + 1])
                    .max(best[i + 1][j]);
            }
        }
        let (mut i, mut j) = (a.len(), b.len());
        let mut pairs = Vec::new();
        while i > 0 && j > 0 {
            let here = best[i][j];
            if here <= best[i - 1][j] {
                i -= 1;
            } else if here <= best[i][j - 1] {
                j -= 1;
            } else {
                pairs.push((i - 1, j - 1));
                (i, j) = (i - 1, j - 1);
            }
        }
        (best[a.len()][b.len()], pairs)
    }

    /// A good pairing in any order: each word of the one takes the best that is left.
    fn in_any_order(&self, a: &[String], b: &[String]) -> (f64, Vec<(usize, usize)>) {
        let mut left: Vec<usize> = (0..b.len()).collect();
        let mut sum = 0.0;
        let mut pairs = Vec::new();
        for (i, one) in a.iter().enumerate() {
            let scored = left.iter().map(|j| (self.word(one, &b[*j]), *j));
            let best = scored.max_by(|x, y| x.0.total_cmp(&y.0).then(y.1.cmp(&x.1)));
            if let Some((score, j)) = best.filter(|(score, _)| *score > 0.0) {
                sum += score;
                pairs.push((i, j));
                left.retain(|at| *at != j);
            }
        }
        (sum, pairs)
    }

    /// How likely two words were meant to be one.
    fn word(&self, one: &str, other: &str) -> f64 {
        if one == other {
            return 1.0;
        }
        if is_same_stem(&stem(one), &stem(other)) {
            return 0.95;
        }
        let group = |word: &str| SAME.iter().position(|group| says(group, word));
        if let (Some(a), Some(b)) = (group(one), group(other))
            && a == b
        {
            return 0.85;
        }
        let (short, long) = if one.len() < other.len() {
            (one, other)
        } else {
            (other, one)
        };
        if short.len() >= 3 && long.starts_with(short) {
            return 0.85;
        }
        let similar = strsim::normalized_damerau_levenshtein(one, other);
        if short.len() >= 4 && similar >= TYPO_MIN && !(self.knows(one) && self.knows(other)) {
            return 0.6 + 0.3 * similar;
        }
        0.0
    }
}

/// From the sum over paired words to one figure; `pairs` tells which words are left alone.
fn weigh(a: &[String], b: &[String], sum: f64, pairs: &[(usize, usize)]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a name has a few words")]
    let score = 2.0 * sum / (a.len() + b.len()) as f64;
    let alone_a = (0..a.len()).filter(|i| pairs.iter().all(|(at, _)| at != i));
    let alone_b = (0..b.len()).filter(|j| pairs.iter().all(|(_, at)| at != j));
    let left_a: Vec<&String> = alone_a.map(|i| &a[i]).collect();
    let left_b: Vec<&String> = alone_b.map(|j| &b[j]).collect();
    let turns = left_a
        .iter()
        .chain(&left_b)
        .any(|word| says(&TURNING, word));
    let both = !left_a.is_empty() && !left_b.is_empty();
    match (turns, both) {
        (true, _) => score * 0.6,
        (false, true) if score < BOTH_DIFFER => score * 0.8,
        (false, _) => score,
    }
}

/// Whether a word is one of these, in whatever form.
fn says(group: &[&str], word: &str) -> bool {
    let own = stem(word);
    group
        .iter()
        .any(|known| *known == word || is_same_stem(&stem(known), &own))
}

/// The words of a name, in lower case: `trainingCompleted`, `training-completed` and
/// `TRAINING_COMPLETED` have the same.
pub(crate) fn words(name: &str) -> Vec<String> {
    let camel = name.chars().any(|c| c.is_ascii_lowercase());
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let hump = camel && was_lower && c.is_ascii_uppercase();
        if hump || !c.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric() {
            let last = words.len() - 1;
            words[last].push(c.to_ascii_lowercase());
        }
        was_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Endings that change a word's form and not what it says of an event, longest first.
const ENDINGS: [&str; 18] = [
    "ations", "ation", "itions", "ition", "tions", "tion", "sions", "sion", "ments", "ment",
    "ings", "ing", "ers", "er", "ed", "es", "s", "e",
];

/// Fewest letters that are left of a word.
const STEM_MIN: usize = 3;

fn stem(word: &str) -> String {
    let cut = ENDINGS.iter().find_map(|ending| {
        word.strip_suffix(ending)
            .filter(|rest| rest.len() >= STEM_MIN)
    });
    cut.unwrap_or(word).to_owned()
}

/// `promot` (promoted) and `promo` (promotion): one begins the other and little is missing.
fn is_same_stem(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let missing = if short.len() >= 5 { 2 } else { 0 };
    long.starts_with(short) && long.len() - short.len() <= missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{DeclaredIn, TypeDeclaration};

    fn percent(one: &str, other: &str) -> u32 {
        let vocabulary = Vocabulary::of(&Catalog::ringrift());
        // Between 0 and 100.
        (vocabulary.similarity(one, other) * 100.0) as u32
    }

    #[test]
    fn forms_spellings_and_forgotten_words_are_near() {
        for (one, other) in [
            ("training_complete", "training_completed"),
            ("TRAINING_COMPLETE", "training_completed"),
            ("training_finished", "training_completed"),
            ("sync_completed", "data_sync_completed"),
            ("sync_complete", "data_sync_completed"),
            ("datasync_completed", "data_sync_completed"),
            ("trainign_completed", "training_completed"),
            ("completed_training", "training_completed"),
            ("eval_completed", "evaluation_completed"),
            ("model_promotion", "model_promoted"),
            ("model_promtoed", "model_promoted"),
            ("new_game_available", "new_games_available"),
            ("games_available", "new_games_available"),
            ("trainingCompleted", "training_completed"),
            ("training-completed", "training_completed"),
            ("node_removed", "node_deleted"),
        ] {
            assert!(
                percent(one, other) >= NEAR_MISS_PERCENT,
                "{one} {other}: {}",
                percent(one, other)
            );
        }
    }

    #[test]
    fn opposites_and_siblings_are_not() {
        for (one, other) in [
            ("host_online", "host_offline"),
            ("training_started", "training_completed"),
            ("training_completed", "training_failed"),
            ("model_promoted", "model_promotion_failed"),
            ("data_sync", "data_sync_failed"),
            ("data_sync_started", "data_sync_completed"),
            ("npz_export_started", "npz_combination_started"),
            ("regression_detected", "split_brain_detected"),
            ("model_promoted", "host_online"),
        ] {
            assert!(
                percent(one, other) < NEAR_MISS_PERCENT,
                "{one} {other}: {}",
                percent(one, other)
            );
        }
    }

    #[test]
    fn a_word_that_one_declaration_alone_uses_may_be_misspelt() {
        let catalog = Catalog::ringrift();
        for name in ["holography_rendered", "hologrpahy_rendered"] {
            catalog
                .declare(&TypeDeclaration::new(name), DeclaredIn::Code)
                .unwrap();
        }
        let vocabulary = Vocabulary::of(&catalog);
        let near = vocabulary.similarity("holography_rendered", "hologrpahy_rendered");
        assert!(near >= f64::from(NEAR_MISS_PERCENT) / 100.0, "{near}");
    }
}
