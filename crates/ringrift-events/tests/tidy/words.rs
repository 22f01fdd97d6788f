//! Words: names that say nothing, and paths that exist on one machine only.

use crate::source::{Source, identifier};

/// Words that could name anything, so they name nothing.
const EMPTY: &[&str] = &[
    "data", "info", "manager", "helper", "helpers", "util", "utils", "common", "base", "mixin",
    "imp",
];

/// Names that others chose, each with who did.
const BORROWED: &[(&str, &str)] = &[("DataVersion", "SQLite's `PRAGMA data_version`")];

/// What introduces the name of an item.
const KEYWORDS: &[&str] = &[
    "fn",
    "struct",
    "enum",
    "trait",
    "mod",
    "type",
    "const",
    "static",
    "union",
    "macro_rules!",
];

/// Every item whose name holds an empty word.
pub(crate) fn check_names(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for keyword in KEYWORDS {
        for at in source.words(keyword) {
            let name = identifier(&source.code[at + keyword.len()..]);
            if BORROWED.iter().any(|(borrowed, _)| *borrowed == name) {
                continue;
            }
            if let Some(word) = parts(name)
                .into_iter()
                .find(|word| EMPTY.contains(&word.as_str()))
            {
                found.push(format!("{}: `{word}` in the name {name}", source.place(at)));
            }
        }
    }
    found
}

/// The words of a snake, camel or screaming name, in lower case.
fn parts(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if c == '_' || (c.is_ascii_uppercase() && was_lower) {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().unwrap().push(c.to_ascii_lowercase());
        }
        was_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    words
}

/// Every line that names a folder of somebody's machine. Documents may show a home folder.
pub(crate) fn check_paths(path: &str, text: &str) -> Vec<String> {
    let roots = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
    ];
    let shown = if path.ends_with(".md") { 2 } else { 3 };
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for root in &roots[..shown] {
            let stands = line.match_indices(root).any(|(at, _)| {
                // `crate/home/…` is a path of ours that ends alike.
                !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.}".contains(c))
            });
            if stands {
                found.push(format!(
                    "{path}:{}: a path of one machine: {root}",
                    index + 1
                ));
            }
        }
    }
    found
}

#[test]
fn an_empty_word_in_a_name_is_found() {
    let bad = "struct RouterManager; fn load_data() {} mod util; const BASE_NAME: u8 = 1;";
    assert_eq!(check_names(&Source::new("a.rs", bad)).len(), 4);
    let good = "struct Metadata; fn database(info: u8) {} mod baseline; // fn data()";
    assert_eq!(
        check_names(&Source::new("a.rs", good)),
        Vec::<String>::new()
    );
}

#[test]
fn a_path_of_one_machine_is_found() {
    let bad = format!("run {}there", concat!("/wo", "rk/"));
    assert_eq!(check_paths("a.md", &bad).len(), 1);
    let shown = format!("cd {}me", concat!("/ho", "me/"));
    assert_eq!(check_paths("a.md", &shown).len(), 0);
    assert_eq!(check_paths("a.rs", &shown).len(), 1);
    assert_eq!(
        check_paths("a.rs", &format!("target{}x", concat!("/wo", "rk/"))).len(),
        0
    );
}
