//! Which programs a build gave: read from cargo's own messages, never guessed from folders.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::run::cargo;

/// One program of the workspace.
#[derive(Debug, PartialEq)]
pub(crate) struct Program {
    /// `bin` or `example`.
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
    /// The file to run.
    pub(crate) file: PathBuf,
}

/// Builds every binary and example of the workspace, in the tests' profile and features.
pub(crate) fn programs() -> Result<Vec<Program>> {
    build(&["build", "--workspace", "--locked", "--bins", "--examples"])
}

/// Builds the program whose instructions are counted, alone, as [`programs`] builds it.
pub(crate) fn instructions() -> Result<Vec<Program>> {
    build(&["build", "--workspace", "--locked", "--bin", "instructions"])
}

/// Builds the command `ringrift` in release.
pub(crate) fn release() -> Result<Vec<Program>> {
    build(&["build", "--release", "--locked", "-p", "ringrift-cli"])
}

/// Builds the worker of `bench`, in release or in the tests' profile.
pub(crate) fn workers(in_release: bool) -> Result<Vec<Program>> {
    let mut arguments = vec!["build", "--locked", "-p", "ringrift-bench"];
    arguments.extend(["--bin", "ringrift-bench"]);
    arguments.extend(in_release.then_some("--release"));
    build(&arguments)
}

/// The command `ringrift` among them.
pub(crate) fn ringrift(programs: &[Program]) -> Result<&Program> {
    binary(programs, "ringrift")
}

/// The worker of `bench` among them.
pub(crate) fn worker(programs: &[Program]) -> Result<&Program> {
    binary(programs, "ringrift-bench")
}

fn binary<'a>(programs: &'a [Program], name: &str) -> Result<&'a Program> {
    programs
        .iter()
        .find(|program| program.kind == "bin" && program.name == name)
        .with_context(|| format!("the build gave no command `{name}`"))
}

fn build(arguments: &[&str]) -> Result<Vec<Program>> {
    println!("    cargo {}", arguments.join(" "));
    let output = cargo(arguments)
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo build")?;
    if !output.status.success() {
        bail!("cargo build ended with {}", output.status);
    }
    let mut programs: Vec<Program> = String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| program(line).transpose())
        .collect::<Result<_>>()?;
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

/// The program a message of cargo announces, if it does.
fn program(line: &str) -> Result<Option<Program>> {
    let message: Value = serde_json::from_str(line).context("a message of cargo is not JSON")?;
    let (Some(file), Some(kind), Some(name)) = (
        message["executable"].as_str(),
        message["target"]["kind"][0].as_str(),
        message["target"]["name"].as_str(),
    ) else {
        return Ok(None);
    };
    Ok(Some(Program {
        kind: kind.to_owned(),
        name: name.to_owned(),
        file: PathBuf::from(file),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_with_an_executable_name_a_program() {
        let line = r#"{"reason":"compiler-artifact","target":{"kind":["example"],"name":"pub_sub"},
            "executable":"target/debug/examples/pub_sub"}"#;
        let found = program(line).unwrap().unwrap();
        assert_eq!(
            (found.kind.as_str(), found.name.as_str()),
            ("example", "pub_sub")
        );
        assert_eq!(program(r#"{"executable":null}"#).unwrap(), None);
        assert!(program("no JSON").is_err());
    }
}
