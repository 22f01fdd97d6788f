//! What was accepted, in a file that may only shrink.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::Path;

use super::Error;
use super::finding::{Class, Finding};

/// What stands at the top of the file.
const OPENING: &str = "\
# Findings of `ringrift lint` that were there when the check began. This file may only shrink:
# an entry that no longer occurs is removed by `ringrift lint --baseline FILE --write-baseline`.
";

/// The accepted findings, one entry each: class, name and, for a near miss, its partner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    entries: BTreeSet<String>,
}

impl Baseline {
    /// Reads a file; `None` if there is none yet.
    ///
    /// # Errors
    /// [`Error::Baseline`] names the file, the line and what is wrong with it.
    pub fn read(path: &Path) -> Result<Option<Baseline>, Error> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(invalid(path, None, error.to_string())),
        };
        let mut entries = BTreeSet::new();
        for (at, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let class = match words.first() {
                None => continue,
                Some(word) if word.starts_with('#') => continue,
                Some(word) => Class::parse(word).ok_or_else(|| {
                    let classes = Class::ALL.map(Class::as_str).join(", ");
                    let why = format!("{word:?} is none of {classes}");
                    invalid(path, Some(at + 1), why)
                })?,
            };
            let named = if class == Class::NearMiss { 3 } else { 2 };
            if words.len() != named {
                let why = format!("{} takes {} names", class.as_str(), named - 1);
                return Err(invalid(path, Some(at + 1), why));
            }
            entries.insert(words.join(" "));
        }
        Ok(Some(Baseline { entries }))
    }

    /// A baseline of everything that was found.
    #[must_use]
    pub fn of(findings: &[Finding]) -> Baseline {
        Baseline {
            entries: findings.iter().map(Finding::entry).collect(),
        }
    }

    /// Marks what it accepts, and answers the entries that no longer occur.
    pub fn apply(&self, findings: &mut [Finding]) -> Vec<String> {
        let mut stale = self.entries.clone();
        for finding in findings {
            let entry = finding.entry();
            finding.accepted = self.entries.contains(&entry);
            stale.remove(&entry);
        }
        stale.into_iter().collect()
    }

    /// The same without the entries that no longer occur; nothing is ever added.
    #[must_use]
    pub fn shrunk(&self, findings: &[Finding]) -> Baseline {
        let found = Baseline::of(findings).entries;
        Baseline {
            entries: self.entries.intersection(&found).cloned().collect(),
        }
    }

    /// How many findings it accepts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it accepts none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = OPENING.to_owned();
        for entry in &self.entries {
            // Writing to a string cannot fail.
            writeln!(text, "{entry}").unwrap_or_default();
        }
        text
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`Error::Baseline`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        std::fs::write(path, self.text()).map_err(|error| invalid(path, None, error.to_string()))
    }
}

fn invalid(path: &Path, line: Option<usize>, why: String) -> Error {
    Error::Baseline {
        path: path.to_owned(),
        line,
        why,
    }
}
