//! The codes of findings and their pages: an operator who is shown one finds why and what to do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ringrift_events::doctor::FindingCode;

use crate::source::Source;
use crate::tree::Tree;

/// The pages of `docs/findings/`, each code with its text.
pub(crate) fn pages(tree: &Tree) -> BTreeMap<String, String> {
    let page = |path: &str| {
        let name = path.strip_prefix("docs/findings/")?.strip_suffix(".md")?;
        (name != "README").then(|| name.to_owned())
    };
    let texts = tree.texts.iter();
    texts
        .filter_map(|text| Some((page(&text.path)?, text.text.clone())))
        .collect()
}

/// Codes without a page, pages without a code, pages that do not say enough.
pub(crate) fn check_pages(pages: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for code in FindingCode::ALL {
        let Some(text) = pages.get(code.as_str()) else {
            found.push(format!("docs/findings/{code}.md is missing"));
            continue;
        };
        let place = format!("docs/findings/{code}.md:1");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.lines().next() != Some(&format!("# {code}")) {
            found.push(format!("{place}: does not begin with `# {code}`"));
        }
        if !words.contains(code.meaning()) {
            found.push(format!("{place}: its meaning is not the code's"));
        }
        if !words.contains(&format!("Severity: {}.", code.severity().as_str())) {
            found.push(format!("{place}: its severity is not the code's"));
        }
        if code
            .cause()
            .is_some_and(|slug| !words.contains(&format!("`{slug}`")))
        {
            found.push(format!("{place}: does not name its cause"));
        }
        for part in [
            "**Why it happens.**",
            "**How it is told.**",
            "**What to do.**",
        ] {
            if !words.contains(part) {
                found.push(format!("{place}: has no part {part}"));
            }
        }
    }
    let orphans = pages
        .keys()
        .filter(|code| FindingCode::parse(code).is_none());
    found
        .extend(orphans.map(|code| format!("docs/findings/{code}.md:1: no finding has this code")));
    found
}

/// `docs/findings/README.md`: each code with its weight, its cause and its meaning.
pub(crate) fn index() -> String {
    let mut text = String::from(
        "# Findings\n\n\
         What `ringrift doctor` can find. Each code has a page: why it happens, how it is told, what \
         to do. The cause is one of the runbook's 24.\n\
         (This list is generated from `doctor/code.rs`; a test fails when it is stale.)\n\n\
         | code | severity | cause | meaning |\n|---|---|---|---|\n",
    );
    for code in FindingCode::ALL {
        let cause = code.cause().map(|slug| format!("`{slug}`"));
        let (severity, meaning) = (code.severity().as_str(), code.meaning());
        let cause = cause.unwrap_or_default();
        writeln!(
            text,
            "| [{code}]({code}.md) | {severity} | {cause} | {meaning} |"
        )
        .unwrap();
    }
    text
}

/// Codes that no test brings about: neither an injection of their cause nor an assertion by name.
pub(crate) fn check_tests(sources: &[Source]) -> Vec<String> {
    let is_test = |path: &str| path.contains("/tests/") || path.ends_with("tests.rs");
    let tests: Vec<&Source> = sources.iter().filter(|one| is_test(&one.path)).collect();
    let is_brought_about = |code: &FindingCode| {
        let injection = code.cause().map(|slug| {
            let name = slug.replace('-', "_");
            format!("/tests/causes/injections/{name}.rs")
        });
        let (named, quoted) = (format!("FindingCode::{code:?}"), format!("\"{code}\""));
        tests.iter().any(|one| {
            let is_injection = injection
                .as_ref()
                .is_some_and(|end| one.path.ends_with(end));
            is_injection || one.text.contains(&named) || one.text.contains(&quoted)
        })
    };
    let codes = FindingCode::ALL.iter();
    let untried = codes.filter(|code| !is_brought_about(code));
    untried
        .map(|code| format!("doctor/code.rs: no test brings {code} about"))
        .collect()
}

#[test]
fn a_finding_that_no_test_brings_about_is_found() {
    let source = |path: &str, text: &str| Source::new(path, text);
    let none = check_tests(&[source("crates/a/src/b.rs", "FindingCode::ClockSkew")]);
    assert_eq!(none.len(), FindingCode::ALL.len(), "no test, no proof");
    let some = check_tests(&[
        source("crates/a/tests/b.rs", "FindingCode::ClockSkew"),
        source("crates/a/tests/causes/injections/infinite_loop.rs", ""),
    ]);
    assert_eq!(some.len(), FindingCode::ALL.len() - 2);
}

#[test]
fn the_24_causes_have_a_code_each_and_no_slug_is_misspelt() {
    let mut slugs: Vec<&str> = FindingCode::ALL
        .iter()
        .filter_map(|code| code.cause())
        .collect();
    slugs.sort_unstable();
    slugs.dedup();
    assert_eq!(slugs.len(), 24, "{slugs:?}");
}

#[test]
fn a_missing_and_a_stray_page_are_found() {
    let found = check_pages(&BTreeMap::from([("DR_OTHER".to_owned(), String::new())]));
    assert_eq!(found.len(), FindingCode::ALL.len() + 1);
    assert!(found.contains(&"docs/findings/DR_OTHER.md:1: no finding has this code".to_owned()));
}
