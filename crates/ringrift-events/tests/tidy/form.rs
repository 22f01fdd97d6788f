//! The form of a file: its length, its opening, and rules that nobody may switch off in silence.
//! (The length of functions is clippy's `too_many_lines`.)

use crate::source::Source;

/// Most lines of a file, its tests among them.
const LINES_MAX: usize = 500;

/// Files are short; a `mod.rs` opens with what its room is for and what it promises.
pub(crate) fn check_shape(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let lines = source.text.lines().count();
    if lines > LINES_MAX {
        found.push(format!(
            "{}:{lines}: longer than {LINES_MAX} lines",
            source.path
        ));
    }
    if source.path.ends_with("/mod.rs") && !source.text.starts_with("//!") {
        found.push(format!(
            "{}:1: mod.rs does not open with its `//!` doc",
            source.path
        ));
    }
    found
}

/// No `allow` attribute, nothing left to do, no assertion that cannot fail.
pub(crate) fn check_rules(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for attribute in ["#[allow", "#![allow"] {
        for (at, _) in source.code.match_indices(attribute) {
            if !is_shared_by_tests(source, at) {
                let place = source.place(at);
                found.push(format!(
                    "{place}: `allow`; use #[expect(lint, reason = \"…\")]"
                ));
            }
        }
    }
    for call in [concat!("to", "do!"), concat!("unimple", "mented!")] {
        for at in source.words(call) {
            found.push(format!("{}: {call} left behind", source.place(at)));
        }
    }
    for (at, _) in source.text.match_indices(concat!("FIX", "ME")) {
        found.push(format!("{}: a mark of unfinished work", source.place(at)));
    }
    for at in source.words("matches!") {
        if is_statement(&source.code, at) {
            let place = source.place(at);
            found.push(format!(
                "{place}: a bare matches!(…); can never fail; assert it"
            ));
        }
    }
    found
}

/// What several test programs share is used by each in part, so no expectation holds in all of them:
/// there an `allow` with its reason may stand.
fn is_shared_by_tests(source: &Source, at: usize) -> bool {
    let end = source.code[at..]
        .find(']')
        .map_or(source.code.len(), |end| at + end);
    source.path.contains("/tests/") && source.code[at..end].contains("reason")
}

/// `unsafe` only in files that say so at their top, so that a reader knows where to look.
pub(crate) fn check_unsafe(source: &Source) -> Vec<String> {
    let squeezed: String = source.code.split_whitespace().collect();
    if squeezed.contains("#![expect(unsafe_code,") {
        return Vec::new();
    }
    source
        .words("unsafe")
        .map(|at| {
            let place = source.place(at);
            format!("{place}: unsafe in a file without #![expect(unsafe_code, reason = \"…\")]")
        })
        .collect()
}

/// Whether the macro call at this offset is a whole statement that ends with `;`.
fn is_statement(code: &str, at: usize) -> bool {
    let before = code[..at].trim_end().chars().next_back();
    if !matches!(before, None | Some(';' | '{' | '}')) {
        return false;
    }
    let mut depth = 0_i32;
    for (offset, c) in code[at..].char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth -= 1;
                if depth == 0 {
                    return code[at + offset + 1..].trim_start().starts_with(';');
                }
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
fn rules(text: &str) -> usize {
    check_rules(&Source::new("a.rs", text)).len()
}

#[test]
fn a_long_file_and_a_silent_mod_are_found() {
    let long = "fn f() {}\n".repeat(LINES_MAX + 1);
    assert_eq!(check_shape(&Source::new("a.rs", &long)).len(), 1);
    assert_eq!(check_shape(&Source::new("room/mod.rs", "mod a;")).len(), 1);
    assert_eq!(
        check_shape(&Source::new("room/mod.rs", "//! A room.")).len(),
        0
    );
}

#[test]
fn a_rule_switched_off_is_found() {
    assert_eq!(rules("#[allow(dead_code)] fn f() {}"), 1);
    assert_eq!(rules("#![allow(dead_code)]"), 1);
    assert_eq!(rules("#![allow(dead_code, reason = \"x\")]"), 1);
    let shared = |text| check_rules(&Source::new("crates/a/tests/shared/mod.rs", text)).len();
    assert_eq!(shared("#![allow(dead_code, reason = \"x\")]"), 0);
    assert_eq!(shared("#![allow(dead_code)]"), 1);
    assert_eq!(rules(concat!("fn f() { to", "do!() }")), 1);
    assert_eq!(rules(concat!("fn f() { unimple", "mented!() }")), 1);
    assert_eq!(rules(concat!("// FIX", "ME later")), 1);
    assert_eq!(
        rules("#[expect(dead_code, reason = \"x\")] // #[allow\nfn f() {}"),
        0
    );
}

#[test]
fn an_assertion_that_cannot_fail_is_found() {
    assert_eq!(rules("fn f() { g();\n matches!(a, Some(\n1));\n }"), 1);
    assert_eq!(rules("fn f() -> bool { matches!(a, Some(1)) }"), 0);
    assert_eq!(rules("fn f() { let b = matches!(a, Some(1)); }"), 0);
    assert_eq!(rules("fn f() { assert!(matches!(a, Some(1))); }"), 0);
}

#[test]
fn unsafe_without_a_header_is_found() {
    let body = "fn f() { unsafe { g() } }";
    assert_eq!(check_unsafe(&Source::new("a.rs", body)).len(), 1);
    let header = format!("#![expect(\n    unsafe_code,\n    reason = \"sound\"\n)]\n{body}");
    assert_eq!(check_unsafe(&Source::new("a.rs", &header)).len(), 0);
    let attribute = format!("#[expect(unsafe_code, reason = \"x\")] {body}");
    assert_eq!(check_unsafe(&Source::new("a.rs", &attribute)).len(), 1);
}
