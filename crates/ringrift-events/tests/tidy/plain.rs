//! What crosses to a database thread: its descriptor table is its own, so nothing that owns a
//! descriptor, a waker or a callback may reach it. A wake from there would be written into the
//! database.

use crate::source::Source;

const SQLITE: &str = "crates/ringrift-events/src/store/sqlite/";

/// Every implementation of `Plain`, one a line: a reviewer sees each type that begins to cross.
pub(crate) fn list(sources: &[Source]) -> String {
    let mut lines: Vec<String> = sources
        .iter()
        .filter(|source| source.path.starts_with("crates/ringrift-events/src/"))
        .flat_map(implementations)
        .collect();
    lines.sort();
    lines.dedup();
    let mut text = String::from(
        "# Types that cross to a database thread. Each must own no descriptor, waker or callback.\n",
    );
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn implementations(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for at in source.words("Plain for") {
        let rest = &source.code[at + "Plain for".len()..];
        let end = rest.find('{').unwrap_or(rest.len());
        let name = rest[..end].split_whitespace().collect::<Vec<_>>().join(" ");
        let file = source
            .path
            .trim_start_matches("crates/ringrift-events/src/");
        found.push(format!("{file}: {name}"));
    }
    found
}

/// Names that lead to a descriptor of the ordinary table, to a waker or to somebody else's code.
/// Files are not among them: what such a thread opens is its own.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "tracing",
    "Waker",
    "std::net",
    "print!",
    "println!",
    "eprint!",
    "eprintln!",
    "dyn Fn",
    "dyn FnOnce",
    "dyn FnMut",
];

/// Verbs and questions run on a database thread: they use their connection and what they own.
pub(crate) fn check_verbs(source: &Source) -> Vec<String> {
    let runs_there = ["Verb for", "Question for"]
        .iter()
        .any(|word| source.words(word).next().is_some());
    if !source.path.starts_with(SQLITE) || !runs_there {
        return Vec::new();
    }
    // Tests run on threads of their own.
    let tests = source.tests();
    FORBIDDEN
        .iter()
        .flat_map(|word| source.words(word).map(move |at| (at, word)))
        .filter(|(at, _)| *at < tests)
        .map(|(at, word)| format!("{}: beside a verb stands {word}", source.place(at)))
        .collect()
}

#[test]
fn a_type_that_begins_to_cross_changes_the_list() {
    let path = "crates/ringrift-events/src/store/sqlite/verbs/append.rs";
    let before = list(&[Source::new(path, "impl Plain for Append {}")]);
    assert!(before.ends_with("\nstore/sqlite/verbs/append.rs: Append\n"));
    let after = list(&[Source::new(
        path,
        "impl Plain for Append {} impl<T: Plain> Plain for Vec<T> {}",
    )]);
    assert_ne!(before, after);
}

#[test]
fn a_verb_that_logs_or_wakes_is_found() {
    let text = "impl Verb for Append { fn run() { tracing::info!(\"x\"); } }\n\
        #[cfg(test)] mod tests { use std::task::Waker; }";
    let verb = Source::new(&format!("{SQLITE}verbs/append.rs"), text);
    assert_eq!(check_verbs(&verb).len(), 1);
    let courier = Source::new(
        &format!("{SQLITE}courier.rs"),
        "fn run() { tracing::info!(); }",
    );
    assert_eq!(check_verbs(&courier).len(), 0);
}
