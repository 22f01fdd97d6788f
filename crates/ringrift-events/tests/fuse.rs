//! A home on a real FUSE mount: it works, and says that its locks may not hold between machines.
//!
//! Where the kernel knows no FUSE or refuses the mount, as in some containers, the test says so and
//! passes: what follows from the file system's number is tested through the seam.

#![cfg(test)]

mod sqlite_support;

use std::path::{Path, PathBuf};
use std::process::Command;

use ringrift_events::store::Upkeep as _;
use ringrift_events::store::log::Log as _;
use ringrift_events::store::sqlite::SqliteStore;
use sqlite_support::{batch, event, options};

/// A folder seen through FUSE, unmounted when dropped.
struct Mounted {
    folder: tempfile::TempDir,
}

impl Mounted {
    /// None where the kernel does not let it.
    fn new() -> Option<Mounted> {
        if !Path::new("/dev/fuse").exists() {
            println!("there is no /dev/fuse: nothing can be mounted");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (behind, seen) = (folder.path().join("behind"), folder.path().join("seen"));
        std::fs::create_dir(&behind).unwrap();
        std::fs::create_dir(&seen).unwrap();
        let done = Command::new("bindfs")
            .arg("--no-allow-other")
            .args([&behind, &seen])
            .output()
            .expect("bindfs is installed: cargo xtask test installs it");
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            println!("a FUSE mount is refused here: {}", said.trim());
            return None;
        }
        Some(Mounted { folder })
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("seen")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let home = self.home();
        let unmounted = |program: &str, how: &str| {
            let done = Command::new(program).arg(how).arg(&home).status();
            done.is_ok_and(|done| done.success())
        };
        if !unmounted("fusermount", "-uz") && !unmounted("fusermount3", "-uz") {
            assert!(unmounted("umount", "-l"), "{} stays", home.display());
        }
    }
}

#[test]
fn a_home_on_fuse_works_and_is_warned_of() {
    let Some(mounted) = Mounted::new() else {
        return;
    };
    let store = SqliteStore::open(options(&mounted.home())).unwrap();
    let warned = |notes: &[String]| notes.iter().any(|note| note.contains("FUSE file system"));
    assert!(warned(store.notes()), "{:?}", store.notes());
    let one = event(&store, "training_completed", "{}");
    store.append(batch([one]), None).wait().unwrap();
    let figures = store.figures().wait().unwrap();
    assert_eq!(figures.head.0, 1);
    assert!(warned(&figures.notes), "{figures:?}");
    store.close();
}
