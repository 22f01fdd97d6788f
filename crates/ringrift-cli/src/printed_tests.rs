//! Every command that is printed for somebody to run is one that this grammar takes.

use std::path::{Path, PathBuf};

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::cli::Cli;

/// Literals that begin as a command and are none: verbs named beside each other, and what tests hold
/// against a part of a line.
const NO_COMMANDS: &[&str] = &[
    "ringrift ",
    "ringrift publish, ringrift queue clear",
    "ringrift dlq retry, ringrift dlq edit, ringrift dlq purge",
    "ringrift subs seek, ringrift subs pause, ringrift subs rm",
    "ringrift daemons restart",
    "ringrift types add",
    "ringrift db restore",
    "ringrift check",
    "ringrift dlq edit",
    "ringrift daemons start",
    "ringrift subscribe --where 'n__lt = 50'",
    "ringrift dlq purge --where 'elo > 1900'",
];

/// Every Rust file below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

/// The text of each literal that begins with the program's name, as the compiler reads it.
fn commands(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, begin) in source.match_indices("\"ringrift ") {
        let line = source[..at].rsplit('\n').next().unwrap_or_default();
        if line.trim_start().starts_with("//") {
            continue;
        }
        let mut text = String::new();
        let mut rest = source[at + 1..].chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '"' => break,
                '\\' => match rest.next() {
                    Some('\n') => while rest.next_if(|c| c.is_whitespace()).is_some() {},
                    Some('n') => text.push('\n'),
                    Some(other) => text.push(other),
                    None => break,
                },
                other => text.push(other),
            }
        }
        assert!(text.starts_with(begin.trim_start_matches('"')), "{text}");
        found.push(text);
    }
    found
}

/// The words of a literal, a sample in the place of each value; what follows in brackets or on
/// further lines is said of the command and no part of it.
fn words(text: &str) -> Vec<String> {
    let text = text.lines().next().unwrap_or_default();
    let text = text.split([';', '(']).next().unwrap_or_default();
    let mut words = vec![String::new()];
    let (mut quoted, mut inside) = (false, false);
    // The one value that only some words may be.
    let text = text.replace("{state}", "purged");
    for c in text.trim_end().chars() {
        match (c, inside, quoted) {
            ('{', false, _) => {
                inside = true;
                words.last_mut().unwrap().push('7');
            }
            ('}', true, _) => inside = false,
            (_, true, _) => {}
            ('\'', false, _) => quoted = !quoted,
            (' ', false, false) => words.push(String::new()),
            (c, false, _) => words.last_mut().unwrap().push(c),
        }
    }
    words
}

#[test]
fn every_printed_command_is_taken_by_the_grammar() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for one in ["ringrift-events/src", "ringrift-cli/src", "ringrift-py/src"] {
        sources(&crates.join(one), &mut files);
    }
    let own = Path::new(file!()).file_name();
    let (mut tried, mut refused) = (0, Vec::new());
    for file in files.iter().filter(|file| file.file_name() != own) {
        for text in commands(&std::fs::read_to_string(file).unwrap()) {
            if NO_COMMANDS.contains(&text.as_str()) {
                continue;
            }
            tried += 1;
            let kind = Cli::try_parse_from(words(&text)).err().map(|no| no.kind());
            let shows = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];
            if kind.is_some_and(|kind| !shows.contains(&kind)) {
                refused.push(format!("{}: {text}: {kind:?}", file.display()));
            }
        }
    }
    assert!(tried > 100, "only {tried} were found");
    assert_eq!(refused, Vec::<String>::new());
}
