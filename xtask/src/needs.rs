//! What the tests need beyond Rust, a C compiler and Python: installed, and said.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run::{cargo, run, succeeds};

/// Debian packages, each with what needs it.
const PACKAGES: &[(&str, &str)] = &[
    (
        "sqlite3",
        "the runbook's shell blocks run with Debian's own shell",
    ),
    (
        "libsqlite3-0",
        "a second copy of SQLite is loaded beside the bundled one",
    ),
    (
        "bindfs",
        "a home is opened on a real FUSE mount, where the kernel lets one be made",
    ),
    ("valgrind", "the hot functions' instructions are counted"),
    (
        "python3-venv",
        "the Python package is built and tested in environments of its own",
    ),
];

/// Installs the Debian packages that are missing.
///
/// Without the rights to, it prints the command and fails: a test that is skipped proves nothing.
pub(crate) fn packages() -> Result<()> {
    if !succeeds(Command::new("dpkg-query").arg("--version")) {
        return elsewhere();
    }
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(name, _)| !installed(name))
        .map(|(name, _)| *name)
        .collect();
    for (name, reason) in PACKAGES {
        let state = if missing.contains(name) {
            "missing"
        } else {
            "there"
        };
        println!("    {name}: {state} ({reason})");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let Some(prefix) = rights() else {
        bail!(
            "these packages are missing and this user may not install them; run: {}",
            by_hand(&missing)
        );
    };
    install(prefix, &missing)
}

/// Adds pip where Python came without it, if this user may install packages. Without the rights to,
/// it does nothing: whoever wants pip has another way.
pub(crate) fn pip() -> Result<()> {
    let there = succeeds(Command::new("python3").args(["-m", "pip", "--version"]));
    let debian = succeeds(Command::new("dpkg-query").arg("--version"));
    match rights() {
        Some(prefix) if debian && !there => install(prefix, &["python3-pip"]),
        _ => Ok(()),
    }
}

fn install(prefix: &[&str], packages: &[&str]) -> Result<()> {
    println!("    installing {}", packages.join(", "));
    apt(prefix, &["update", "--quiet"])?;
    let mut arguments = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    arguments.extend(packages);
    apt(prefix, &arguments)?;
    match packages.iter().find(|name| !installed(name)) {
        None => Ok(()),
        Some(name) => bail!("apt-get succeeded, but {name} is still not installed"),
    }
}

/// rustfmt and clippy, added with rustup where a minimal toolchain lacks them.
pub(crate) fn components() -> Result<()> {
    let lacks = |verb: &str| !succeeds(&mut cargo(&[verb, "--version"]));
    if !lacks("fmt") && !lacks("clippy") {
        return Ok(());
    }
    println!("    installing rustfmt and clippy into the toolchain");
    run(Command::new("rustup").args(["component", "add", "rustfmt", "clippy"]))
        .context("rustfmt or clippy is missing; run: rustup component add rustfmt clippy")
}

/// Not Debian: nothing is installed, but the shell must be there.
fn elsewhere() -> Result<()> {
    if succeeds(Command::new("sqlite3").arg("--version")) {
        println!("    not a Debian system; sqlite3 is there, its shared library is not checked");
        return Ok(());
    }
    bail!("sqlite3 is missing and this is no Debian system; install it with its shared library")
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success() && output.stdout == b"installed")
}

/// What to put before `apt-get`: nothing for root, `sudo` where it asks for no password.
fn rights() -> Option<&'static [&'static str]> {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if root {
        return Some(&["env"]);
    }
    succeeds(Command::new("sudo").args(["--non-interactive", "true"])).then_some(&[
        "sudo",
        "--non-interactive",
        "env",
    ])
}

fn apt(prefix: &[&str], arguments: &[&str]) -> Result<()> {
    let (program, before) = prefix.split_first().context("an empty prefix")?;
    run(Command::new(program)
        .args(before)
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .args(arguments))
}

fn by_hand(missing: &[&str]) -> String {
    format!(
        "sudo apt-get update && sudo apt-get install --yes --no-install-recommends {}",
        missing.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_for_somebody_with_rights_names_every_missing_package() {
        assert_eq!(
            by_hand(&["sqlite3", "libsqlite3-0"]),
            "sudo apt-get update && sudo apt-get install --yes --no-install-recommends \
             sqlite3 libsqlite3-0"
        );
    }

    #[test]
    fn a_package_that_does_not_exist_is_not_installed() {
        assert!(!installed("ringrift-no-such-package"));
    }
}
