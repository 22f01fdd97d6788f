//! Links between the pages: each leads to a file that is there.

use std::collections::BTreeSet;

/// Every relative link of a page that leads nowhere.
pub(crate) fn check(path: &str, text: &str, files: &BTreeSet<String>) -> Vec<String> {
    if !path.ends_with(".md") {
        return Vec::new();
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', '#', ' ']).next().unwrap_or("");
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let place = resolve(folder, target);
            let folder_of = format!("{place}/");
            if !files.contains(&place) && !files.iter().any(|file| file.starts_with(&folder_of)) {
                found.push(format!(
                    "{path}:{}: the link {target} leads nowhere",
                    index + 1
                ));
            }
        }
    }
    found
}

/// The path from the root that a link in a page of this folder leads to.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let files: BTreeSet<String> = ["README.md", "docs/a/B.md"].map(str::to_owned).into();
    let good = "[b](B.md#part) [up](../../README.md) [a](../a) [web](https://example.org/x)";
    assert_eq!(check("docs/a/B.md", good, &files), Vec::<String>::new());
    let bad = "[gone](GONE.md)\n[b](docs/B.md)";
    assert_eq!(check("README.md", bad, &files).len(), 2);
}
