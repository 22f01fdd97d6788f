//! Puts the pages of `docs/errors/` into the program, so that `ringrift codes CODE` can show them
//! where no documentation is installed.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default())
        .join("../../docs/errors")
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
    let mut source = String::from("pub(crate) const PAGES: &[(&str, &str)] = &[\n");
    for (code, text) in pages {
        writeln!(source, "    ({code:?}, {text:?}),").map_err(io::Error::other)?;
    }
    source.push_str("];\n");
    let to = Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("pages.rs");
    fs::write(to, source)
}
