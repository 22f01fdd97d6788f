//! The Python package: its wheel, and everything about it that can fail.
//!
//! Every tool comes from the package index into environments below the target folder, in the
//! versions of `requirements.txt`. The tools' environment stays; the one that the wheel is tested in
//! is made anew each time, so that nothing of an earlier wheel is left in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::chance::{self, Ran};
use crate::run::{DISK_MAY_BE_FULL, bounded, run, succeeds, target_folder, watch};
use crate::steps::Steps;
use crate::test::Count;

pub(crate) const PACKAGE: &str = "crates/ringrift-py";
/// RingRift's own import paths over the package.
const APP: &str = "python/ringrift-app";
const EXAMPLES: &str = "examples/python";

/// Longest that the tests say nothing: each is bounded to seconds, at full size one to ten minutes.
const QUIET_MAX: Duration = Duration::from_secs(5 * 60);
const QUIET_MAX_LONG: Duration = Duration::from_secs(20 * 60);

/// Longest an example may run.
const EXAMPLE_LIMIT: Duration = Duration::from_secs(60);

/// The profile that a wheel is built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// The tests': it shares what the workspace's build has made.
    Dev,
    /// The users'.
    Release,
}

/// Builds the wheel and prints where it lies.
pub(crate) fn wheel(profile: Profile) -> Result<PathBuf> {
    let tools = tools()?;
    let out = folder()?.join(match profile {
        Profile::Dev => "wheel-dev",
        Profile::Release => "wheel",
    });
    if out.exists() {
        fs::remove_dir_all(&out).context("taking away the last wheel")?;
    }
    let mut command = Command::new(tools.join("bin/maturin"));
    command
        .args(["build", "--locked", "--manifest-path"])
        .arg(Path::new(PACKAGE).join("Cargo.toml"))
        .args(["--profile", profile.name()])
        .arg("--interpreter")
        .arg(tools.join("bin/python"))
        .arg("--out")
        .arg(&out);
    run(&mut command)?;
    let wheels: Vec<PathBuf> = fs::read_dir(&out)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "whl"))
        .collect();
    match wheels.as_slice() {
        [wheel] => {
            println!("    {}", wheel.display());
            Ok(wheel.clone())
        }
        other => bail!("maturin made {} wheels instead of one", other.len()),
    }
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Profile::Dev => "dev",
            Profile::Release => "release",
        }
    }
}

/// Builds the wheel and installs it anew; the interpreter that has it.
pub(crate) fn built(steps: &mut Steps) -> Option<PathBuf> {
    steps.step("python: wheel, installed anew", || built_in(Profile::Dev))
}

/// The same without a step of its own; one in release lies beside the other.
pub(crate) fn built_in(profile: Profile) -> Result<PathBuf> {
    let name = match profile {
        Profile::Dev => "tested",
        Profile::Release => "measured",
    };
    installed(&wheel(profile)?, name)
}

/// Every step about the package that is installed there; `long` for tests at full size.
pub(crate) fn run_in(steps: &mut Steps, python: &Path, long: bool, count: &mut Count) {
    steps.step("python: what pip is told before it builds", metadata);
    steps.step("python: types", || types(python));
    steps.step("python: tests", || tests(python, PACKAGE, long, count));
    steps.step("python: tests of ringrift-app", || {
        tests(python, APP, long, count)
    });
    steps.step("python: examples", || examples(python));
}

/// Where everything of Python's lies.
fn folder() -> Result<PathBuf> {
    let folder = target_folder()?.join("python");
    fs::create_dir_all(&folder)?;
    // Tools are started from other folders too.
    folder.canonicalize().context("finding the target folder")
}

/// The environment with the tools, made where it is missing or its list has changed.
fn tools() -> Result<PathBuf> {
    let tools = folder()?.join("tools");
    let list = fs::read_to_string(Path::new(PACKAGE).join("requirements.txt"))?;
    let made = tools.join("requirements.txt");
    let same = fs::read_to_string(&made).is_ok_and(|made| made == list);
    if !same || !succeeds(Command::new(tools.join("bin/maturin")).arg("--version")) {
        environment(&tools)?;
        run(pip(&tools)
            .arg("--requirement")
            .arg(Path::new(PACKAGE).join("requirements.txt")))?;
        fs::write(made, list)?;
    }
    Ok(tools)
}

/// A fresh environment with the wheel and `ringrift-app`; the tools' packages are seen from it.
fn installed(wheel: &Path, name: &str) -> Result<PathBuf> {
    let place = folder()?.join(name);
    environment(&place)?;
    run(pip(&place).args(["--no-deps", "--no-index"]).arg(wheel))?;
    let tools = packages(&tools()?)?;
    // A `.pth` file: what is installed here comes first, the tools' packages after it.
    fs::write(
        packages(&place)?.join("tools.pth"),
        tools.display().to_string(),
    )?;
    // Its build needs no more than the tools have.
    run(pip(&place)
        .args(["--no-deps", "--no-index", "--no-build-isolation"])
        .arg(APP))?;
    Ok(place.join("bin/python"))
}

/// Debian's own interpreter where there is one, since people have that. The oldest that is promised is
/// older still: the stable ABI that the wheel is built for answers for it, and mypy reads all as of it.
fn interpreter() -> &'static str {
    if Path::new("/usr/bin/python3").exists() {
        "/usr/bin/python3"
    } else {
        "python3"
    }
}

/// Makes an environment anew.
pub(crate) fn environment(place: &Path) -> Result<()> {
    run(Command::new(interpreter())
        .args(["-m", "venv", "--clear"])
        .arg(place))
}

/// The command that installs into one.
pub(crate) fn pip(environment: &Path) -> Command {
    let mut command = Command::new(environment.join("bin/python"));
    command.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    command
}

/// Where an environment's packages lie.
fn packages(environment: &Path) -> Result<PathBuf> {
    let lib = environment.join("lib");
    fs::read_dir(&lib)
        .with_context(|| format!("reading {}", lib.display()))?
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages")))
        .find(|path| path.is_dir())
        .with_context(|| format!("no packages below {}", lib.display()))
}

/// What `pip install ./crates/ringrift-py` asks first, without the build that follows: the name, the
/// command and the pytest plugin come from these files alone.
fn metadata() -> Result<()> {
    let out = folder()?.join("metadata");
    if out.exists() {
        fs::remove_dir_all(&out).context("taking away the last metadata")?;
    }
    let tools = tools()?;
    let mut command = Command::new(tools.join("bin/maturin"));
    command
        .args(["pep517", "write-dist-info", "--metadata-directory"])
        .arg(&out)
        .arg("--interpreter")
        .arg(tools.join("bin/python"))
        .current_dir(PACKAGE);
    run(&mut command)?;
    let made: Vec<PathBuf> = fs::read_dir(&out)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    let [made] = made.as_slice() else {
        bail!("maturin wrote {} folders instead of one", made.len());
    };
    for (file, line) in [
        ("METADATA", "Name: ringrift-events"),
        ("METADATA", "Requires-Python: >=3.10"),
        ("entry_points.txt", "ringrift=ringrift_events._command:main"),
        ("entry_points.txt", "ringrift=ringrift_events.pytest_plugin"),
    ] {
        let text = fs::read_to_string(made.join(file))?;
        ensure!(
            text.lines().any(|one| one.trim() == line),
            "{file} of the package lacks the line {line}"
        );
    }
    Ok(())
}

/// mypy, strict, over the installed package, its tests and the examples; and the stubs against the
/// built module.
fn types(python: &Path) -> Result<()> {
    let config = Path::new(PACKAGE).join("pyproject.toml");
    let mypy = |what: &[&str]| -> Result<()> {
        run(Command::new(python)
            .args(["-m", "mypy", "--config-file"])
            .arg(&config)
            .arg("--cache-dir")
            .arg(folder()?.join("mypy"))
            .args(what))
    };
    mypy(&["--package", "ringrift_events"])?;
    mypy(&["--package", "app"])?;
    mypy(&[
        &format!("{PACKAGE}/tests"),
        &format!("{PACKAGE}/benches"),
        EXAMPLES,
    ])?;
    // The others' workers want packages that are not here.
    mypy(&["bench/python/ours.py", "bench/python/plain_sqlite.py"])?;
    mypy(&[&format!("{APP}/tests")])?;
    run(Command::new(python)
        .args(["-m", "mypy.stubtest", "ringrift_events._native"])
        .arg("--mypy-config-file")
        .arg(&config)
        .arg("--allowlist")
        .arg(Path::new(PACKAGE).join("stubtest.txt")))
}

/// Every test of a package, beside the installed one and never beside its sources.
fn tests(python: &Path, package: &str, long: bool, count: &mut Count) -> Result<()> {
    let package = Path::new(package);
    let quiet_max = if long { QUIET_MAX_LONG } else { QUIET_MAX };
    let run = |which: &[PathBuf]| {
        let mut command = Command::new(python);
        command
            .args(["-m", "pytest", "--config-file"])
            .arg(package.join("pyproject.toml"))
            .arg("--rootdir")
            .arg(package)
            .args(which)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs([DISK_MAY_BE_FULL]);
        if long {
            command.env("RINGRIFT_LONG", "1");
        }
        once(&mut command, quiet_max)
    };
    let first = run(&[package.join("tests")]);
    chance::settle(first, long, count, |failed| {
        // pytest names them as seen from here.
        run(&failed.iter().map(PathBuf::from).collect::<Vec<_>>())
    })
}

/// Runs pytest once, and reads what it says of itself.
fn once(command: &mut Command, quiet_max: Duration) -> Ran {
    let mut ran = Ran::default();
    let content = watch(command, quiet_max, |line| {
        if let Some(closing) = closing_line(line) {
            ran.count = closing;
            ran.whole = true;
        } else if let Some(name) = failed_name(line) {
            ran.failed.push(name.to_owned());
        }
    });
    ran.end(content);
    ran
}

/// The name of a test that failed, in pytest's summary.
fn failed_name(line: &str) -> Option<&str> {
    let failed = line
        .strip_prefix("FAILED ")
        .or_else(|| line.strip_prefix("ERROR "))?;
    let (name, _) = failed.split_once(" - ").unwrap_or((failed, ""));
    name.contains("::").then_some(name)
}

/// The counts of pytest's closing line.
fn closing_line(line: &str) -> Option<Count> {
    let (counts, _) = line.trim_matches(['=', ' ']).split_once(" in ")?;
    let number = |word: &str| {
        let part = counts.split(", ").find_map(|part| part.strip_suffix(word));
        part.map_or(Some(0), |number| number.trim().parse().ok())
    };
    let known = ["passed", "failed", "error"];
    known.iter().find(|word| counts.contains(**word))?;
    Some(Count {
        passed: number("passed")?,
        failed: number("failed")? + number("errors")? + number("error")?,
        unsteady: Vec::new(),
    })
}

/// Every example, as a user would run it: in an empty folder.
fn examples(python: &Path) -> Result<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(EXAMPLES)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "py"))
        .collect();
    files.sort();
    ensure!(!files.is_empty(), "{EXAMPLES} holds no example");
    for file in files {
        let mut command = Command::new(python);
        command.arg(&file).envs([DISK_MAY_BE_FULL]);
        let text = bounded(&mut command, EXAMPLE_LIMIT)?;
        ensure!(
            !text.trim().is_empty(),
            "{} printed nothing",
            file.display()
        );
        print!("{text}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_from_pytests_closing_line() {
        let count = |line| closing_line(line).map(|count| (count.passed, count.failed));
        assert_eq!(count("12 passed in 3.21s"), Some((12, 0)));
        assert_eq!(
            count("===== 2 failed, 10 passed, 1 error in 3.21s ====="),
            Some((10, 3))
        );
        assert_eq!(count("tests/test_a.py ......"), None);
        let name = "tests/test_a.py::test_b[1]";
        assert_eq!(
            failed_name(&format!("FAILED {name} - assert 1")),
            Some(name)
        );
        assert_eq!(failed_name("ERROR at setup of test_b"), None);
        assert_eq!(count("no tests ran in 0.01s"), None);
    }
}
