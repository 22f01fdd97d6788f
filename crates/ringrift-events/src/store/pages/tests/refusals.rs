//! Full disks, other boots, other files, modes, and who holds the write lock.

use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Actor, Home, PART, look_until, process_of, system_clock, watch};
use crate::clock::{Clock, SystemClock};
use crate::event::ProcessId;
use crate::store::ErrorCode;
use crate::store::pages::Bells;
use crate::store::pages::{OwnPage, SharedPage, Side, look, write_lock_holder};
use crate::store::registry::Liveness;

const NEVER: Duration = Duration::from_secs(3_600);

const FULL: &str = "Some(Full) Some(Full) Some(Full) 0";

/// The child's command under a shell that prepares a place without room.
fn under(shell: &[&str], script: &str, database: &Path) -> Command {
    let inner = Actor::command("has no room", database);
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).args(["-c", script]);
    command.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap());
    }
    assert!(command.get_envs().any(|(name, _)| name == PART));
    command
}

#[test]
fn a_limit_on_file_size_is_a_full_disk_and_never_a_signal() {
    let home = Home::new();
    home.side();
    // The limit is zero so that the smallest of our files is refused too.
    let script = r#"trap "" XFSZ; ulimit -f 0; exec "$0" "$@""#;
    let mut actor = Actor::of(&mut under(&["sh"], script, &home.database()));
    assert_eq!(actor.hear("codes"), FULL);
}

#[test]
fn a_full_file_system_is_refused_when_the_file_is_made() {
    let home = Home::new();
    let full = home.folder.path().join("full");
    std::fs::create_dir(&full).unwrap();
    let database = full.join("c.db");
    let script = format!(
        r#"mount -t tmpfs -o size=16k none '{0}' && touch '{0}/c.db' && mkdir '{0}/c.db.pages' \
           && head -c 1000000 /dev/zero > '{0}/filler' 2> /dev/null; exec "$0" "$@""#,
        full.display()
    );
    let probe = Command::new("unshare")
        .args(["-rm", "sh", "-c"])
        .arg(format!(
            "mount -t tmpfs -o size=16k none '{}'",
            full.display()
        ))
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("no mount namespace here: the limit on file size stands for the full disk");
        return;
    }
    let mut actor = Actor::of(&mut under(&["unshare", "-rm", "sh"], &script, &database));
    assert_eq!(actor.hear("codes"), FULL);
}

#[test]
fn a_page_of_another_boot_is_dead_and_what_it_ran_unknown() {
    let home = Home::new();
    let mut actor = Actor::start("runs a handler", &home.database());
    let process = process_of(&actor.hear("ready"));
    let side = home.side();
    actor.kill();
    look_until(&side, process, NEVER, |s| s.liveness == Liveness::Dead);
    let file = std::fs::File::options()
        .write(true)
        .open(side.page_path(process))
        .unwrap();
    // The boot id follows magic, layout and length.
    file.write_all_at(&[7; 16], 16).unwrap();
    let seen = look(&side, process, watch(NEVER)).unwrap().unwrap();
    assert_eq!(seen.liveness, Liveness::Dead);
    assert_eq!(seen.running, None);
}

#[test]
fn an_empty_or_foreign_page_is_a_dead_process_and_no_failure() {
    let home = Home::new();
    let side = home.side();
    let process = ProcessId::new(&SystemClock);
    for text in [&b""[..], b"not a page", &[0xFF; 200_000]] {
        std::fs::write(side.page_path(process), text).unwrap();
        let seen = look(&side, process, watch(NEVER)).unwrap().unwrap();
        assert_eq!((seen.liveness, seen.running), (Liveness::Dead, None));
    }
}

#[test]
fn the_shared_page_of_another_file_is_refused_while_somebody_uses_it() {
    let home = Home::new();
    let me = ProcessId::new(&SystemClock);
    let own = OwnPage::create(&home.side(), me, system_clock(), NEVER).unwrap();
    let shared = SharedPage::open(&home.side(), me).unwrap();
    shared.ring(Bells::WORK);
    // Another file under the old name, as `mv copy.db c.db` does.
    std::fs::write(home.folder.path().join("copy.db"), b"").unwrap();
    std::fs::rename(home.folder.path().join("copy.db"), home.database()).unwrap();
    let newcomer = Side::of(&home.database(), true).unwrap();
    let error = SharedPage::open(&newcomer, me).unwrap_err();
    assert_eq!(error.code, ErrorCode::TwoHomes);
    assert!(
        error.message.contains(&std::process::id().to_string()),
        "{error}"
    );
    drop(own);
    let fresh = SharedPage::open(&newcomer, me).unwrap();
    assert_eq!(fresh.rings(Bells::ALL), 0, "begun anew");
}

#[test]
fn side_files_have_the_mode_of_the_database_and_its_folder_the_group() {
    let home = Home::new();
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set(home.folder.path(), 0o2770);
    set(&home.database(), 0o660);
    let me = ProcessId::new(&SystemClock);
    let _own = OwnPage::create(&home.side(), me, system_clock(), NEVER).unwrap();
    let _shared = SharedPage::open(&home.side(), me).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    let side = home.side();
    assert_eq!(mode(&side.page_path(me)), 0o660);
    assert_eq!(mode(&side.path("shared")), 0o660);
    assert_eq!(mode(side.page_path(me).parent().unwrap()), 0o2770);
}

#[test]
fn files_that_never_got_their_name_are_removed_after_a_minute() {
    let home = Home::new();
    let side = home.side();
    let unfinished = side.begin("x", 4096).unwrap();
    let now = SystemClock.now().0 / 1_000_000;
    side.unlink_unfinished(now).unwrap();
    drop(unfinished);
    let left = || std::fs::read_dir(side.path("").as_path()).unwrap().count();
    assert_eq!(left(), 1);
    side.unlink_unfinished(now + 3_600).unwrap();
    assert_eq!(left(), 0);
}

#[test]
fn the_holder_of_the_write_lock_is_named_with_its_command() {
    let home = Home::new();
    let database = std::fs::canonicalize(home.database()).unwrap();
    let conn = rusqlite::Connection::open(&database).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
        .unwrap();
    assert_eq!(write_lock_holder(&database), None);
    let mut actor = Actor::start("holds the write lock", &database);
    actor.hear("ready");
    let (pid, command) = write_lock_holder(&database).unwrap();
    assert_eq!(pid, actor.pid());
    assert!(command.contains("a_child_plays_its_part"), "{command}");
    assert!(conn.execute_batch("BEGIN IMMEDIATE").is_err());
}
