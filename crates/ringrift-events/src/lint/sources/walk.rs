//! Which files are read, and what they say together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use ignore::WalkBuilder;

use super::uses::{Found, Uses, uses};
use super::{Language, Place, Read};
use crate::catalog::Catalog;
use crate::lint::{Error, Wiring};

/// Largest source that is read: larger ones are generated, and nobody's own.
pub const SOURCE_BYTES_MAX: u64 = 2 << 20;

impl Wiring {
    /// Adds the names that sources publish and subscribe to. Files that version control ignores,
    /// hidden ones and tests are left out: an event that only a test publishes is published by
    /// nobody.
    ///
    /// # Errors
    /// [`Error::Source`] for a named folder or file that cannot be read. One below it that cannot
    /// be read is left out and counted.
    pub(in crate::lint) fn read_sources(
        &mut self,
        catalog: &Catalog,
        roots: &[PathBuf],
    ) -> Result<Read, Error> {
        let mut read = Read::default();
        let mut found: Vec<(String, Found)> = Vec::new();
        let mut seen = BTreeSet::new();
        for root in roots {
            let unreadable = |why: String| Error::Source {
                path: root.clone(),
                why,
            };
            root.metadata()
                .map_err(|error| unreadable(error.to_string()))?;
            // Also without a repository, what a .gitignore says is nobody's source.
            let walk = WalkBuilder::new(root).require_git(false).build();
            for entry in walk {
                let Ok(entry) = entry else {
                    read.left_out += 1;
                    continue;
                };
                let Some(language) = language(entry.path()) else {
                    continue;
                };
                if !seen.insert(entry.path().to_owned()) {
                    continue;
                }
                let inside = entry.path().strip_prefix(root).unwrap_or(entry.path());
                let text = match entry.metadata() {
                    Ok(of) if of.is_file() && of.len() <= SOURCE_BYTES_MAX && !is_test(inside) => {
                        std::fs::read(entry.path()).ok()
                    }
                    Ok(_) | Err(_) => None,
                };
                let Some(text) = text else {
                    read.left_out += 1;
                    continue;
                };
                read.files += 1;
                let shown = shown(entry.path());
                let text = String::from_utf8_lossy(&text);
                found.push((shown, uses(&text, language)));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        self.join(catalog, &found);
        Ok(read)
    }

    fn join(&mut self, catalog: &Catalog, files: &[(String, Found)]) {
        let shared = shared_constants(files);
        for (file, found) in files {
            for used in &found.uses {
                let constant = |name: &String| {
                    let value = found.constants.get(name).or_else(|| shared.get(name));
                    value.cloned()
                };
                let Some(name) = used.name.resolved(constant) else {
                    continue;
                };
                let known = catalog.resolve(&name);
                let name = match known {
                    Ok(entry) => entry.event_type.as_str().to_owned(),
                    Err(_) if used.certain || looks_like_a_type(&name) => name,
                    Err(_) => continue,
                };
                let place = Place {
                    file: file.clone(),
                    line: used.line,
                };
                let of = self.of(&one_case(&name));
                let places = match used.uses {
                    Uses::Publishes => &mut of.published_in,
                    Uses::Subscribes => &mut of.subscribed_in,
                };
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            for (line, function) in &found.emitters {
                // `emit_model_promoted(…)`: one function a type is a custom of some users.
                if let Ok(entry) = catalog.resolve(function) {
                    let place = Place {
                        file: file.clone(),
                        line: *line,
                    };
                    self.of(entry.event_type.as_str()).published_in.push(place);
                }
            }
        }
    }
}

/// Constants that mean the same wherever they are defined; what two files define differently is
/// anybody's guess.
fn shared_constants(files: &[(String, Found)]) -> BTreeMap<String, String> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, found) in files {
        for (name, value) in &found.constants {
            values.entry(name).or_default().insert(value);
        }
    }
    values
        .into_iter()
        .filter(|(_, of)| of.len() == 1)
        .filter_map(|(name, of)| Some((name.to_owned(), (*of.first()?).to_owned())))
        .collect()
}

/// A strange name in the form in which a canonical value would stand, if it has one case.
fn one_case(name: &str) -> String {
    if name.bytes().any(|b| b.is_ascii_lowercase()) {
        name.to_owned()
    } else {
        name.to_ascii_lowercase()
    }
}

/// `training_complete`, `trainingCompleted`, `training-completed`: two words or more, and nothing
/// that a path, a topic or a sentence has.
fn looks_like_a_type(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(letters)
        && crate::catalog::words(name).len() >= 2
}

fn language(path: &Path) -> Option<Language> {
    match path.extension()?.to_str()? {
        "rs" => Some(Language::Rust),
        "py" | "pyi" => Some(Language::Python),
        _ => None,
    }
}

/// Whether a file, by its path below the named folder, is a test.
fn is_test(inside: &Path) -> bool {
    let named = |part: &str| matches!(part, "tests" | "test" | "benches" | "testing");
    let folders = inside.parent().into_iter().flat_map(Path::components);
    let in_tests = folders
        .into_iter()
        .any(|part| matches!(part, Component::Normal(part) if part.to_str().is_some_and(named)));
    let name = inside.file_stem().and_then(|name| name.to_str());
    let is = |name: &str| {
        name.starts_with("test_")
            || name.ends_with("_test")
            || name.ends_with("_tests")
            || matches!(name, "conftest" | "tests")
    };
    in_tests || name.is_some_and(is)
}

/// A path as it is shown: relative to the current folder where it lies below it.
fn shown(path: &Path) -> String {
    let current = std::env::current_dir().unwrap_or_default();
    let short = path.strip_prefix(&current).unwrap_or(path);
    let short = short.strip_prefix(".").unwrap_or(short);
    short.to_string_lossy().into_owned()
}
