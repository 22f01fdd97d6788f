//! What failures have in common once numbers, ids and paths are taken out of their texts.

use std::collections::HashMap;

use serde::Serialize;

use crate::store::letters::Letter;
use crate::verdict::FailureKind;

/// Most characters of an error's line that are looked at: what differs comes early.
const LINE_CHARS_MAX: usize = 400;

/// Shortest run of hexadecimal digits that is taken for one number.
const HEX_CHARS_MIN: usize = 8;

/// Shortest run of letters and digits that is taken for an id.
const ID_CHARS_MIN: usize = 16;

/// One cause of failure as far as its text tells: the kind, and the error's line without what
/// differs from event to event. Equal fingerprints are one fault, most likely.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Fingerprint {
    /// Twelve hexadecimal digits: the same for the same pattern, in every process and version.
    pub id: String,
    /// The kind of failure, then the line: `error: cannot load PATH: no such file`.
    pub pattern: String,
}

/// Dead letters of one fingerprint.
#[derive(Clone, Debug, PartialEq)]
pub struct Alike<'a> {
    /// What they have in common.
    pub fingerprint: Fingerprint,
    /// The letters, in the order in which they were given; never empty.
    pub letters: Vec<&'a Letter>,
}

impl Fingerprint {
    /// The fingerprint of a failure of this kind with this text.
    #[must_use]
    pub fn of(kind: FailureKind, error: &str) -> Fingerprint {
        let line = telling_line(error);
        let line: String = line.chars().take(LINE_CHARS_MAX).collect();
        let pattern = format!("{}: {}", kind.as_str(), without_details(&line));
        Fingerprint {
            id: format!("{:012x}", fnv1a(pattern.as_bytes()) >> 16),
            pattern,
        }
    }

    /// The fingerprint of a letter's last failure.
    #[must_use]
    pub fn of_letter(letter: &Letter) -> Fingerprint {
        Fingerprint::of(letter.error_kind, &letter.error)
    }

    /// Whether `text`, at least four digits of an id, means this one.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        text.len() >= 4 && self.id.starts_with(&text.to_ascii_lowercase())
    }
}

/// The letters by fingerprint, the most frequent first.
#[must_use]
pub fn alike<'a>(letters: impl IntoIterator<Item = &'a Letter>) -> Vec<Alike<'a>> {
    let mut groups: HashMap<Fingerprint, Vec<&Letter>> = HashMap::new();
    for letter in letters {
        let fingerprint = Fingerprint::of_letter(letter);
        groups.entry(fingerprint).or_default().push(letter);
    }
    let group = |(fingerprint, letters)| Alike {
        fingerprint,
        letters,
    };
    let mut groups: Vec<Alike<'_>> = groups.into_iter().map(group).collect();
    groups.sort_by(|a, b| {
        let by_count = b.letters.len().cmp(&a.letters.len());
        by_count.then_with(|| a.fingerprint.id.cmp(&b.fingerprint.id))
    });
    groups
}

/// The line that says what happened: the first, but the last of a Python traceback.
fn telling_line(error: &str) -> &str {
    let mut lines = error.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("");
    match first.contains("Traceback (most recent call last)") {
        true => lines.next_back().unwrap_or(first),
        false => first,
    }
}

/// The line with paths, ids and numbers replaced by what they are.
fn without_details(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let separates = |c: char| c.is_whitespace() || "\"'`()[]{}<>,;=|".contains(c);
    for piece in line.split_inclusive(separates) {
        let end = piece.find(separates).unwrap_or(piece.len());
        let (word, separator) = piece.split_at(end);
        let core = word.trim_end_matches([':', '.', '!', '?']);
        match is_path(core) {
            true => text.push_str("PATH"),
            false => add_runs(&mut text, core),
        }
        text.push_str(&word[core.len()..]);
        text.push_str(separator);
    }
    text
}

fn is_path(word: &str) -> bool {
    let begins = ["/", "./", "../", "~/"]
        .iter()
        .any(|at| word.starts_with(at));
    let last = word.rsplit('/').next().unwrap_or("");
    let inside = word.contains("://")
        || word.matches('/').count() > 1
        || (word.contains('/') && last.contains('.'));
    (begins && word.len() > 1) || inside || word.contains(":\\")
}

/// Adds the word with ids and numbers replaced. What stands between digits (`1.5`, `10:30`) goes
/// with them, so that a number is one whatever its length.
fn add_runs(text: &mut String, word: &str) {
    let dashed = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    for piece in word.split_inclusive(dashed) {
        let end = piece.find(dashed).unwrap_or(piece.len());
        let (run, rest) = piece.split_at(end);
        if is_uuid(run) {
            add_once(text, "ID");
        } else {
            for part in run.split_inclusive('-') {
                let plain = part.trim_end_matches('-');
                add_run(text, plain);
                text.push_str(&part[plain.len()..]);
            }
        }
        text.push_str(rest);
    }
}

fn add_run(text: &mut String, run: &str) {
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    if digits == 0 {
        text.push_str(run);
    } else if run.strip_prefix("0x").is_some_and(hex)
        || (digits < run.len() && run.len() >= HEX_CHARS_MIN && hex(run))
    {
        add_once(text, "HEX");
    } else if digits < run.len() && run.len() >= ID_CHARS_MIN {
        add_once(text, "ID");
    } else {
        let mut in_digits = false;
        for c in run.chars() {
            if !c.is_ascii_digit() {
                text.push(c);
            } else if !in_digits {
                add_once(text, "N");
            }
            in_digits = c.is_ascii_digit();
        }
    }
}

/// Adds `what`, unless the text ends with it and a point or colon: `N.N` is one number.
fn add_once(text: &mut String, what: &str) {
    for joint in ['.', ':'] {
        if let Some(before) = text.strip_suffix(joint)
            && before.ends_with(what)
        {
            text.pop();
            return;
        }
    }
    text.push_str(what);
}

fn is_uuid(run: &str) -> bool {
    let dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    run.len() == 36
        && run.bytes().enumerate().all(|(at, byte)| match dash(at) {
            true => byte == b'-',
            false => byte.is_ascii_hexdigit(),
        })
}

fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(error: &str) -> String {
        Fingerprint::of(FailureKind::Error, error).pattern
    }

    #[test]
    fn what_differs_from_event_to_event_is_taken_out() {
        for (error, expected) in [
            (
                "cannot load /srv/models/hex8-17.pt: no such file",
                "error: cannot load PATH: no such file",
            ),
            (
                "game 4711 of 0199a3f2-7c1d-7abc-8def-0123456789ab is gone",
                "error: game N of ID is gone",
            ),
            ("took 1.25 s, at 10:30:05", "error: took N s, at N"),
            ("bad checksum 9f86d081884c7d65", "error: bad checksum HEX"),
            ("address 0x7f", "error: address HEX"),
            ("no row for hex8_2p", "error: no row for hexN_Np"),
            ("peer 10.1.2.3:8080 refused", "error: peer N refused"),
            ("key=abc and/or not", "error: key=abc and/or not"),
            (
                "panicked at src/play.rs:12:5: \"lost\"",
                "error: panicked at PATH: \"lost\"",
            ),
            ("get https://host/a?b=1 failed", "error: get PATH=N failed"),
            ("model run1-step20", "error: model runN-stepN"),
            ("", "error: "),
        ] {
            assert_eq!(pattern(error), expected, "{error}");
        }
    }

    #[test]
    fn letters_alone_are_no_number() {
        assert_eq!(pattern("deadbeef facade"), "error: deadbeef facade");
    }

    #[test]
    fn a_traceback_is_known_by_its_last_line_and_all_else_by_its_first() {
        let trace =
            "Traceback (most recent call last):\n  File \"a.py\", line 3\nKeyError: 'elo'\n";
        assert_eq!(pattern(trace), "error: KeyError: 'elo'");
        assert_eq!(pattern("\nfirst\nsecond 1"), "error: first");
    }

    #[test]
    fn the_kind_is_part_of_it_and_the_id_follows_from_the_pattern() {
        let one = Fingerprint::of(FailureKind::Error, "gone 1");
        assert_eq!(one, Fingerprint::of(FailureKind::Error, "gone 22"));
        let other = Fingerprint::of(FailureKind::Timeout, "gone 1");
        assert_ne!(one.id, other.id);
        assert!(one.is(&one.id[..6]) && !one.is(&one.id[..3]) && !one.is(&other.id));
    }

    #[test]
    fn an_endless_line_ends() {
        assert!(pattern(&"x".repeat(100_000)).len() < 500);
    }
}
