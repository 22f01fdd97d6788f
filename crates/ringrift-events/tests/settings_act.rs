//! Every setting acts on something: a name in the table that nobody reads would promise what
//! nothing keeps.

#![cfg(test)]

use std::path::{Path, PathBuf};

use ringrift_events::config::{Config, Home};

/// A source file without its tests and without white space.
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
            let text = code
                .lines()
                .map(|line| line.split("//").next().unwrap_or_default())
                .flat_map(str::split_whitespace)
                .collect();
            sources.push(Source { path, text });
        }
    }
}

/// Whether `word` stands in `text` as a whole, at its end at least.
fn has(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let next = text[at + word.len()..].chars().next();
        !next.is_some_and(|next| next.is_alphanumeric() || next == '_')
    })
}

fn unread(sources: &[Source], names: impl IntoIterator<Item = String>) -> Vec<String> {
    names
        .into_iter()
        .filter(|name| {
            let read = format!(".{name}");
            !sources.iter().any(|source| has(&source.text, &read))
        })
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
            // `let name = …` and `mut name: …`, their white space gone, are no fields.
            let local = field.starts_with("let") || field.starts_with("mut");
            let plain = !local
                && !field.is_empty()
                && field.chars().all(|c| c.is_alphanumeric() || c == '_');
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
    let sources = [source("settings.store.lease_of;self.store.readers)")];
    let names = ["store.lease", "store.readers"].map(str::to_owned);
    assert_eq!(unread(&sources, names), ["store.lease"]);
}
