//! Every setting acts on something: a name in the table that nobody reads would promise what
//! nothing keeps.

#![cfg(test)]

use std::path::{Path, PathBuf};

use ringrift_events::config::{Config, Home};

/// A source file without its tests, and without white space save between two words.
struct Source {
    path: PathBuf,
    text: String,
}

fn sources() -> Vec<Source> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut sources = Vec::new();
    for name in ["ringrift-events", "ringrift-cli"] {
        collect(&crates.join(name).join("src"), &mut sources);
    }
    assert!(sources.len() > 100, "the sources were not found");
    sources
}

fn collect(folder: &Path, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if name != "tests" {
                collect(&path, sources);
            }
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let lines = code
                .lines()
                .map(|line| line.split("//").next().unwrap_or_default());
            sources.push(Source {
                path,
                text: tight(lines.flat_map(str::split_whitespace)),
            });
        }
    }
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The words joined, with one space where they would run into one.
fn tight<'w>(words: impl Iterator<Item = &'w str>) -> String {
    words.fold(String::new(), |mut text, word| {
        if text.ends_with(is_of_a_word) && word.starts_with(is_of_a_word) {
            text.push(' ');
        }
        text.push_str(word);
        text
    })
}

/// Whether `word` stands in `text` as a whole.
fn has(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let begins = !word.starts_with(is_of_a_word) || !text[..at].ends_with(is_of_a_word);
        begins && !text[at + word.len()..].starts_with(is_of_a_word)
    })
}

/// The names that `text` gives to a whole section: `let NAME = &….SECTION;`.
fn aliases<'t>(text: &'t str, section: &str) -> Vec<&'t str> {
    let end = format!(".{section}");
    text.split(';')
        .filter_map(|statement| {
            let (_, statement) = statement.rsplit_once("let ")?;
            let (name, value) = statement.split_once('=')?;
            (value.starts_with('&') && value.ends_with(&end)).then_some(name)
        })
        .collect()
}

/// Whether `text` reads a setting: `.section.field`, or `name.field` of a name for the section. A
/// name without a section is read as `.name`.
fn reads(text: &str, name: &str) -> bool {
    has(text, &format!(".{name}"))
        || name.split_once('.').is_some_and(|(section, field)| {
            aliases(text, section)
                .iter()
                .any(|alias| has(text, &format!("{alias}.{field}")))
        })
}

fn unread(sources: &[Source], names: impl IntoIterator<Item = String>) -> Vec<String> {
    names
        .into_iter()
        .filter(|name| !sources.iter().any(|source| reads(&source.text, name)))
        .collect()
}

#[test]
fn every_setting_is_read_outside_the_table_of_settings() {
    let mut sources = sources();
    sources.retain(|source| !source.path.ends_with("config/settings.rs"));
    let config = Config::defaults(Home::at(Path::new("/")));
    let names = config
        .origins()
        .iter()
        .map(|setting| setting.name.to_owned());
    let unread = unread(&sources, names);
    assert!(unread.is_empty(), "nobody reads {unread:?}");
}

#[test]
fn what_the_rooms_are_handed_of_the_settings_is_read_by_them() {
    let mut sources = sources();
    let rules = sources
        .iter()
        .position(|source| source.path.ends_with("config/rules.rs"))
        .unwrap();
    let handed = handed(&sources.swap_remove(rules).text);
    assert!(handed.len() > 40, "only {handed:?}");
    sources.retain(|source| {
        !source
            .path
            .components()
            .any(|part| part.as_os_str() == "config")
    });
    let unread = unread(&sources, handed);
    assert!(unread.is_empty(), "no room reads {unread:?}");
}

/// The fields that take a setting: `field:…self.section.name` and `options.field=self.…`.
fn handed(rules: &str) -> Vec<String> {
    rules
        .split([',', ';', '{', '('])
        .filter_map(|part| {
            let (field, value) = part.split_once([':', '='])?;
            let field = field.rsplit('.').next()?;
            let plain = !field.is_empty() && field.chars().all(is_of_a_word);
            (plain && !value.starts_with(':') && !value.starts_with('&')).then(|| field.to_owned())
        })
        .collect()
}

#[test]
fn a_setting_that_nobody_reads_is_found() {
    let source = |text: &str| Source {
        path: PathBuf::from("x.rs"),
        text: text.to_owned(),
    };
    let sources = [
        source("settings.store.lease_of;self.store.readers)"),
        source("{let set=&self.doctor;set.overdue,reset.unread}"),
    ];
    let names = [
        "store.lease",
        "store.readers",
        "doctor.overdue",
        "doctor.unread",
    ];
    let unread = unread(&sources, names.map(str::to_owned));
    assert_eq!(unread, ["store.lease", "doctor.unread"]);
}
