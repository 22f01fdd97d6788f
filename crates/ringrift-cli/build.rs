//! Puts the pages of `docs/errors/` and `docs/findings/` into the program, so that `ringrift codes CODE` can show them
//! where no documentation is installed; and makes functions of the Rust blocks of `docs/runbook/`, which
//! its test compiles and runs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    write_pages("errors", "pages.rs")?;
    write_pages("findings", "findings.rs")?;
    write_blocks()
}

/// Writes every Rust block of the runbook as a function, and a list of page, line and function.
fn write_blocks() -> io::Result<()> {
    let docs = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../docs");
    let root = docs.canonicalize()?.join("runbook");
    println!("cargo::rerun-if-changed={}", root.display());
    let (mut list, mut functions) = (String::new(), String::new());
    for page in pages_below(&root)? {
        let text = fs::read_to_string(&page)?;
        let name = page
            .strip_prefix(&root)
            .unwrap_or(&page)
            .display()
            .to_string();
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            if line != "```rust" {
                continue;
            }
            let body = lines.by_ref().map(|(_, line)| line);
            let body: Vec<&str> = body.take_while(|line| *line != "```").collect();
            let number = list.lines().count();
            writeln!(list, "    ({name:?}, {}, block_{number}),", index + 1)
                .and_then(|()| {
                    writeln!(
                        functions,
                        "fn block_{number}(system: &System) -> Done {{\n    let _system = system;\n{}\n    Ok(())\n}}\n",
                        body.join("\n")
                    )
                })
                .map_err(io::Error::other)?;
        }
    }
    let source = format!("const BLOCKS: &[(&str, usize, Block)] = &[\n{list}];\n\n{functions}");
    let to = Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("runbook.rs");
    fs::write(to, source)
}

/// The pages of a folder and of those in it, in order.
fn pages_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        println!("cargo::rerun-if-changed={}", path.display());
        if path.is_dir() {
            pages.extend(pages_below(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    Ok(pages)
}

/// Writes the pages of one folder as a list of codes and texts.
fn write_pages(folder: &str, to: &str) -> io::Result<()> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default())
        .join("../../docs")
        .join(folder)
        .canonicalize()?;
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut pages: Vec<(String, String)> = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let code = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let is_page = path.extension().is_some_and(|extension| extension == "md");
        // Names in capitals are codes; a README is none.
        let is_code = |code: &String| code.contains('_') || code == "USAGE" || code == "BUG";
        if let Some(code) = code.filter(|code| is_page && is_code(code)) {
            println!("cargo::rerun-if-changed={}", path.display());
            pages.push((code, fs::read_to_string(path)?));
        }
    }
    pages.sort();
    let mut source = String::from("&[\n");
    for (code, text) in pages {
        writeln!(source, "    ({code:?}, {text:?}),").map_err(io::Error::other)?;
    }
    source.push_str("]\n");
    let to = Path::new(&env::var("OUT_DIR").unwrap_or_default()).join(to);
    fs::write(to, source)
}
