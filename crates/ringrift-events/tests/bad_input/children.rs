//! Parts that need a process of their own: another user, a disk of its own, a limit, a fork.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ringrift_events::coded::Coded as _;
use ringrift_events::event::EventId;
use ringrift_events::router::{Error, Publish};

use crate::ground::{Ground, Works, open};

const PART: &str = "RINGRIFT_BAD_INPUT_PART";
const HOME: &str = "RINGRIFT_BAD_INPUT_HOME";

/// A user and group without rights, as on every Linux.
const NOBODY: &str = "65534";

/// Runs the part that this process was started for, if it was started for one.
pub(crate) fn run_part() {
    let (Ok(part), Some(home)) = (std::env::var(PART), std::env::var_os(HOME)) else {
        return;
    };
    crate::bounded::bound_this_process();
    let home = Path::new(&home);
    match part.as_str() {
        "open" => match open(home) {
            Ok(_) => println!("\ntold opened"),
            Err(error) => println!("\ntold {} next {}", error.code(), error.next().is_some()),
        },
        "fill the disk" => {
            let filler = home.join("filler");
            std::fs::write(&filler, vec![b'x'; 4 << 20]).unwrap();
            fill_up(home, || std::fs::remove_file(&filler).unwrap());
        }
        "meet the limit" => fill_up(home, raise_limit),
        "fork" => crate::forked::use_after_fork(home),
        "fork under load" => crate::forked::fork_under_load(home),
        other => panic!("no part {other}"),
    }
}

fn raise_limit() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit {
        current: None,
        maximum: None,
    };
    setrlimit(Resource::Fsize, none).unwrap();
}

/// Publishes until it is refused, makes room, and publishes the refused event again.
fn fill_up(home: &Path, make_room: impl FnOnce()) {
    let works = Works::open(home);
    let payload = format!("{{\"x\":\"{}\"}}", "y".repeat(50_000));
    let mut published = 0;
    let (id, error) = loop {
        let id = EventId::new(&**works.system.clock());
        let publish = Publish::new("TRAINING_COMPLETED", payload.clone()).id(id);
        match works.system.router().publish_blocking(publish) {
            Ok(_) => published += 1,
            Err(error) => break (id, error),
        }
        assert!(published < 10_000, "the disk was never full");
    };
    let Error::PublishFailed { source, .. } = &error else {
        panic!("{error}")
    };
    println!(
        "\ntold {} {} {} after {published}",
        error.code(),
        source.code(),
        error.is_retryable()
    );
    make_room();
    // The store may need the same room once more for its checkpoint.
    let mut tries = 0;
    crate::ground::until("there is room again", || {
        tries += 1;
        let publish = Publish::new("TRAINING_COMPLETED", payload.clone()).id(id);
        works.system.router().publish_blocking(publish).is_ok()
    });
    works.stands_at(published + 1);
    assert_eq!(works.log().last(), Some(&id));
    works.close();
    println!("\ntold whole {tries}");
}

/// A copy of this program that any user may run.
pub(crate) fn program(ground: &Ground) -> PathBuf {
    let program = ground.path("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    mode(&program, 0o755);
    mode(program.parent().unwrap(), 0o755);
    program
}

pub(crate) fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs one part behind `wrapper`, which executes its last arguments; answers what it told.
#[track_caller]
pub(crate) fn part(part: &str, home: &Path, wrapper: &[&str], program: &Path) -> Vec<String> {
    let mut words = wrapper
        .iter()
        .map(AsRef::as_ref)
        .chain([program.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    let mut child = command
        .args(["--exact", "part_of_a_child", "--nocapture"])
        .env(PART, part)
        .env(HOME, home)
        .current_dir("/")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut text, mut errors) = (String::new(), String::new());
    let stdout = child.stdout.as_mut().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    let stderr = child.stderr.as_mut().unwrap();
    stderr.read_to_string(&mut errors).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{part}: {status}\n{text}\n{errors}");
    text.lines()
        .filter_map(|line| line.strip_prefix("told "))
        .map(str::to_owned)
        .collect()
}

/// Runs one part as a user without rights. Only root may; without it this user itself is one.
#[track_caller]
pub(crate) fn part_as_nobody(name: &str, home: &Path, program: &Path) -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return part(name, home, &["env"], program);
    }
    let user = format!("--reuid={NOBODY}");
    let group = format!("--regid={NOBODY}");
    part(
        name,
        home,
        &["setpriv", &user, &group, "--clear-groups"],
        program,
    )
}

/// A wrapper that runs a script in a mount namespace of its own; the script's `"$@"` is the part.
pub(crate) fn in_own_mounts(script: &str) -> Vec<&str> {
    let mut wrapper = vec!["unshare", "--mount"];
    if !rustix::process::geteuid().is_root() {
        wrapper.extend(["--user", "--map-root-user"]);
    }
    wrapper.extend(["sh", "-c", script, "sh"]);
    wrapper
}
