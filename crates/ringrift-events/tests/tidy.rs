//! The house rules that a compiler does not know, checked over the sources themselves.
//!
//! Each check is a pure function from text to findings, so each has a test that feeds it a bad
//! text and sees it fail. `TIDY_WRITE=1 cargo test -p ringrift-events --test tidy` rewrites the
//! generated pages and lists (`docs/errors/README.md`, `docs/findings/README.md`, `docs/verdicts.md`, `tests/tidy/plain.txt`);
//! read the difference before you commit it.

#![cfg(test)]

#[path = "tidy/codes.rs"]
mod codes;
#[path = "tidy/findings.rs"]
mod findings;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/form.rs"]
mod form;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/plain.rs"]
mod plain;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/words.rs"]
mod words;

use std::path::Path;

use source::Source;
use tree::Tree;

/// Fails with one line a finding: `file:line: what`.
#[track_caller]
fn none(findings: Vec<String>) {
    assert!(
        findings.is_empty(),
        "{} finding(s):\n{}",
        findings.len(),
        findings.join("\n")
    );
}

/// Runs a check on every Rust file of the repository.
#[track_caller]
fn every_source(check: impl Fn(&Source) -> Vec<String>) {
    let tree = Tree::read();
    assert!(tree.sources.len() > 20, "the sources were not found");
    none(tree.sources.iter().flat_map(check).collect());
}

/// Compares a generated file with what it should be; with `TIDY_WRITE` set, writes it.
#[track_caller]
fn generated(path: &Path, expected: &str) {
    if std::env::var_os("TIDY_WRITE").is_some() {
        std::fs::write(path, expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let differing = found
        .lines()
        .zip(expected.lines())
        .position(|(found, expected)| found != expected)
        .unwrap_or(found.lines().count().min(expected.lines().count()));
    assert!(
        found == expected,
        "{} is stale from line {} on; run: TIDY_WRITE=1 cargo test -p ringrift-events --test tidy",
        path.display(),
        differing + 1
    );
}

#[test]
fn a_room_names_only_rooms_of_lower_floors() {
    every_source(floors::check);
}

#[test]
fn the_pages_that_draw_the_floors_name_every_room() {
    let tree = Tree::read();
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = tree.texts.iter().find(|text| text.path == page);
        let text = text.unwrap_or_else(|| panic!("{page} is missing"));
        none(floors::check_page(page, &text.text));
    }
}

#[test]
fn files_are_short_and_rooms_open_with_their_promise() {
    every_source(form::check_shape);
}

#[test]
fn no_rule_is_switched_off_in_silence() {
    every_source(form::check_rules);
}

#[test]
fn unsafe_stands_in_files_of_its_own() {
    every_source(form::check_unsafe);
}

#[test]
fn names_say_what_a_thing_is() {
    every_source(words::check_names);
}

#[test]
fn no_text_names_a_path_of_one_machine() {
    let tree = Tree::read();
    none(
        tree.texts
            .iter()
            .flat_map(|text| words::check_paths(&text.path, &text.text))
            .collect(),
    );
}

#[test]
fn every_link_between_pages_leads_to_a_file() {
    let tree = Tree::read();
    let files = tree.texts.iter().map(|text| text.path.clone()).collect();
    none(
        tree.texts
            .iter()
            .flat_map(|text| links::check(&text.path, &text.text, &files))
            .collect(),
    );
}

#[test]
fn every_error_code_has_a_page_and_every_page_a_code() {
    let tree = Tree::read();
    none(codes::check_pages(
        &codes::of_errors(&tree),
        &codes::pages(&tree),
    ));
}

#[test]
fn the_index_of_errors_is_what_the_pages_say() {
    let tree = Tree::read();
    generated(
        &tree.root.join("docs/errors/README.md"),
        &codes::index(&codes::pages(&tree)),
    );
}

#[test]
fn every_finding_has_a_page_and_every_page_a_finding() {
    none(findings::check_pages(&findings::pages(&Tree::read())));
}

#[test]
fn every_finding_is_brought_about_by_a_test() {
    none(findings::check_tests(&Tree::read().sources));
}

#[test]
fn the_index_of_findings_is_what_the_code_says() {
    let tree = Tree::read();
    generated(
        &tree.root.join("docs/findings/README.md"),
        &findings::index(),
    );
}

#[test]
fn the_page_of_verdicts_is_what_the_code_says() {
    let tree = Tree::read();
    generated(&tree.root.join("docs/verdicts.md"), &codes::verdicts());
}

#[test]
fn what_crosses_to_a_database_thread_is_listed() {
    let tree = Tree::read();
    generated(
        &tree
            .root
            .join("crates/ringrift-events/tests/tidy/plain.txt"),
        &plain::list(&tree.sources),
    );
}

#[test]
fn verbs_name_nothing_that_owns_a_descriptor() {
    every_source(plain::check_verbs);
}
