//! Codes and their pages: an operator who is shown a code finds what it means and what to do.

use std::collections::BTreeMap;
use std::fmt::Write;

use ringrift_events::store::ErrorCode;
use ringrift_events::verdict::Code;

use crate::source::Source;
use crate::tree::Tree;

/// The error codes of the program, each with the place that names it first.
pub(crate) fn of_errors(tree: &Tree) -> BTreeMap<String, String> {
    let mut codes: BTreeMap<String, String> = BTreeMap::new();
    for source in tree
        .sources
        .iter()
        .filter(|source| source.path.contains("/src/"))
    {
        for (code, place) in in_source(source) {
            codes.entry(code).or_insert(place);
        }
    }
    for text in tree.texts.iter().filter(|text| text.path.ends_with(PYTHON)) {
        for code in in_python(&text.text) {
            codes.entry(code).or_insert(text.path.clone());
        }
    }
    for code in ErrorCode::ALL {
        assert!(
            codes.contains_key(code.as_str()),
            "{} was not found",
            code.as_str()
        );
    }
    codes
}

/// Where the Python package says which codes its exceptions have.
const PYTHON: &str = "ringrift_events/_errors.py";

/// The codes that Python's exception classes have by themselves.
fn in_python(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("default_code = \""))
        .filter_map(|rest| rest.strip_suffix('"').map(str::to_owned))
}

/// The codes in a file: literals like `STORE_BUSY` that are given to a field `code`, or, where
/// `Coded` is implemented, that are the value of a match arm or of a whole body.
fn in_source(source: &Source) -> Vec<(String, String)> {
    let coded = source.words("Coded for").next().is_some();
    let tests = source.tests();
    source
        .strings
        .iter()
        .filter(|(at, text)| *at < tests && is_code(text))
        .filter(|(at, text)| {
            let before = source.code[..at - 1].trim_end();
            let after = source.code[at + text.len() + 1..].trim_start();
            let value = before.ends_with("=>") || before.ends_with('{');
            before.ends_with(" code:") || (coded && value && after.starts_with([',', '}']))
        })
        .map(|(at, text)| (text.clone(), source.place(*at)))
        .collect()
}

fn is_code(text: &str) -> bool {
    text.len() > 2
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// The pages of `docs/errors/`, each code with its text.
pub(crate) fn pages(tree: &Tree) -> BTreeMap<String, String> {
    tree.texts
        .iter()
        .filter_map(|text| {
            let name = text
                .path
                .strip_prefix("docs/errors/")?
                .strip_suffix(".md")?;
            (name != "README").then(|| (name.to_owned(), text.text.clone()))
        })
        .collect()
}

/// Codes without a page, pages without a code, pages that do not say enough.
pub(crate) fn check_pages(
    codes: &BTreeMap<String, String>,
    pages: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (code, place) in codes {
        if !pages.contains_key(code) {
            found.push(format!("{place}: {code} has no page docs/errors/{code}.md"));
        }
    }
    for (code, text) in pages {
        if !codes.contains_key(code) && Code::parse(code).is_none() {
            found.push(format!("docs/errors/{code}.md:1: no error has this code"));
        }
        if text.lines().next() != Some(&format!("# {code}")) {
            found.push(format!(
                "docs/errors/{code}.md:1: does not begin with `# {code}`"
            ));
        }
        if text.lines().filter(|line| !line.trim().is_empty()).count() < 4 {
            found.push(format!(
                "docs/errors/{code}.md:1: says too little: what it means, why it happens, what to do"
            ));
        }
        let advice = text.split_once("What to do.").map(|(_, advice)| advice);
        if !advice.is_some_and(|advice| advice.contains("`ringrift ")) {
            found.push(format!(
                "docs/errors/{code}.md:1: what to do names no `ringrift …` command on one line"
            ));
        }
    }
    found
}

/// `docs/errors/README.md`: each code with the first sentence of its page.
pub(crate) fn index(pages: &BTreeMap<String, String>) -> String {
    let mut text = String::from(
        "# Error codes\n\n\
         Whatever RingRift refuses, it refuses with a code, the value at fault and the next command \
         to run. Each code has a page.\n\
         (This list is generated from the pages; a test fails when it is stale.)\n\n\
         | code | meaning |\n|---|---|\n",
    );
    for (code, page) in pages {
        let line = first_sentence(page).replace('|', "\\|");
        writeln!(text, "| [{code}]({code}.md) | {line} |").unwrap();
    }
    text
}

/// The first sentence of the first paragraph after the title.
fn first_sentence(page: &str) -> String {
    let paragraph: Vec<&str> = page
        .lines()
        .skip(1)
        .skip_while(|line| line.trim().is_empty() || line.starts_with('#'))
        .take_while(|line| !line.trim().is_empty())
        .map(str::trim)
        .collect();
    let paragraph = paragraph.join(" ");
    let paragraph = paragraph
        .strip_prefix("**What it means.** ")
        .unwrap_or(&paragraph)
        .to_owned();
    match paragraph.find(". ") {
        Some(end) => paragraph[..=end].to_owned(),
        None => paragraph,
    }
}

/// `docs/verdicts.md`: every verdict code with its meaning and what to run next.
pub(crate) fn verdicts() -> String {
    let mut text = String::from(
        "# Verdict codes\n\n\
         A verdict is a coded fact about one event and one subscription, or about the event's \
         publication. `ringrift codes` prints the same list.\n\
         (Generated from `verdict.rs`; a test fails when it is stale.)\n",
    );
    let mut group = "";
    for code in Code::ALL {
        let prefix = code.as_str().split('_').next().unwrap_or("");
        if prefix != group {
            group = prefix;
            write!(
                text,
                "\n## {}\n\n| code | meaning | next |\n|---|---|---|\n",
                title(prefix)
            )
            .unwrap();
        }
        writeln!(
            text,
            "| `{code}` | {} | `{}` |",
            code.meaning(),
            code.next()
        )
        .unwrap();
    }
    text
}

fn title(prefix: &str) -> &str {
    match prefix {
        "PUB" => "Publishing",
        "RT" => "Routing",
        "WT" => "Waiting",
        "HN" => "Handling",
        "ST" => "Settling",
        other => other,
    }
}

#[cfg(test)]
fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn codes_are_read_from_arms_and_bodies_and_from_nothing_else() {
    let text = "impl Coded for E { fn code(&self) -> &'static str { match self { \
        E::A => \"BAD_TYPE\", E::B => { \"BAD_FILTER\" } } } }\n\
        fn f() { g(\"NOT_ONE\"); let x = \"NOR_THIS\"; E { code: \"BUG\".into() } }";
    let codes: Vec<String> = in_source(&Source::new("a.rs", text))
        .into_iter()
        .map(|(code, _)| code)
        .collect();
    assert_eq!(codes, ["BAD_TYPE", "BAD_FILTER", "BUG"]);
    assert!(
        in_source(&Source::new(
            "a.rs",
            "fn f() { match a { B => \"BAD_TYPE\", } }"
        ))
        .is_empty()
    );
}

#[test]
fn a_code_without_a_page_and_a_page_without_a_code_are_found() {
    let good = "# BAD_TYPE\n\nThe type is bad. More.\n\nWhy.\n\nWhat to do. `ringrift types ls`\n";
    let codes = map(&[("BAD_TYPE", "a.rs:1")]);
    assert_eq!(
        check_pages(&codes, &map(&[("BAD_TYPE", good)])),
        Vec::<String>::new()
    );
    assert_eq!(
        check_pages(&codes, &map(&[])),
        ["a.rs:1: BAD_TYPE has no page docs/errors/BAD_TYPE.md"]
    );
    assert_eq!(check_pages(&map(&[]), &map(&[("BAD_TYPE", good)])).len(), 1);
    assert_eq!(
        check_pages(
            &codes,
            &map(&[(
                "BAD_TYPE",
                "# OTHER\n\na\n\nb\n\nWhat to do. `ringrift run`\n"
            )])
        )
        .len(),
        1
    );
    assert_eq!(
        check_pages(
            &codes,
            &map(&[("BAD_TYPE", "# BAD_TYPE\n\nWhat to do. `ringrift run`\n")])
        )
        .len(),
        1
    );
    assert_eq!(first_sentence(good), "The type is bad.");
}

#[test]
fn the_list_of_verdicts_holds_every_code() {
    let text = verdicts();
    for code in Code::ALL {
        assert!(text.contains(&format!("| `{code}` |")), "{code} is missing");
    }
}
