//! The files of the repository, read once a test.

use std::path::{Path, PathBuf};

use crate::source::Source;

/// Every text of the repository.
pub(crate) struct Tree {
    /// The workspace's folder.
    pub(crate) root: PathBuf,
    /// Rust files.
    pub(crate) sources: Vec<Source>,
    /// All texts, Rust or not.
    pub(crate) texts: Vec<Text>,
}

/// One text file.
pub(crate) struct Text {
    /// Its path from the root, with `/`.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
}

/// Folders that hold no text of ours.
const SKIPPED: &[&str] = &["target", ".git", "data", "logs"];

/// Deepest folder that is looked into: no link may lead round for ever.
const DEPTH_MAX: usize = 16;

impl Tree {
    /// Reads the repository that this test was built from.
    pub(crate) fn read() -> Tree {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .unwrap();
        let mut texts = Vec::new();
        collect(root, "", 0, &mut texts);
        texts.sort_by(|a, b| a.path.cmp(&b.path));
        let sources = texts
            .iter()
            .filter(|text| text.path.ends_with(".rs"))
            .map(|text| Source::new(&text.path, &text.text))
            .collect();
        Tree {
            root: root.to_path_buf(),
            sources,
            texts,
        }
    }
}

fn collect(folder: &Path, prefix: &str, depth: usize, texts: &mut Vec<Text>) {
    assert!(depth < DEPTH_MAX, "{prefix} lies too deep");
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            if !(SKIPPED.contains(&name.as_str()) && depth == 0) {
                collect(&entry.path(), &format!("{path}/"), depth + 1, texts);
            }
        } else if kind.is_file() && !name.ends_with(".lock") && name != ".git" {
            // What is not UTF-8 (a fixture database) is no text.
            if let Ok(text) = std::fs::read_to_string(entry.path()) {
                texts.push(Text { path, text });
            }
        }
    }
}
