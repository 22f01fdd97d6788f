//! The control group of a process, and how often the kernel killed in it for want of memory.
//!
//! The count is the group's: who was killed it does not say, so it is told as it stands. Where it
//! cannot be read (control groups of version 1, another mount, a group that is gone) nothing is
//! known.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where control groups of version 2 are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// A control group, and its count at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its path below the mount, as its processes see it.
    pub(crate) path: String,
    /// The inode of its folder: another container gives the same path to another group.
    pub(crate) inode: u64,
    /// How often the kernel had killed in it.
    pub(crate) kills: u64,
}

impl Group {
    /// This process's. On a database thread, once.
    pub(super) fn own() -> Option<Group> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
        Group::at(Path::new(ROOT), path)
    }

    pub(super) fn at(root: &Path, path: &str) -> Option<Group> {
        let folder = below(root, path);
        let events = fs::read_to_string(folder.join("memory.events")).ok()?;
        let mut lines = events.lines();
        let kills = lines.find_map(|line| line.strip_prefix("oom_kill "))?;
        Some(Group {
            path: path.to_owned(),
            inode: fs::metadata(&folder).ok()?.ino(),
            kills: kills.trim().parse().ok()?,
        })
    }

    /// How often the kernel has killed in it since then; `None` where that cannot be known.
    pub(crate) fn kills_since(&self) -> Option<u64> {
        self.kills_since_at(Path::new(ROOT))
    }

    pub(super) fn kills_since_at(&self, root: &Path) -> Option<u64> {
        let now = Group::at(root, &self.path)?;
        let is_same = now.inode == self.inode;
        now.kills.checked_sub(self.kills).filter(|_| is_same)
    }
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, kills: u64) {
        fs::create_dir_all(folder).unwrap();
        let text = format!("low 0\nhigh 0\nmax 3\noom 2\noom_kill {kills}\noom_group_kill 0\n");
        fs::write(folder.join("memory.events"), text).unwrap();
    }

    #[test]
    fn kills_are_counted_from_a_moment_on_in_the_same_group() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("user.slice/trainer");
        assert_eq!(Group::at(root.path(), "/user.slice/trainer"), None);
        write(&folder, 2);
        let group = Group::at(root.path(), "/user.slice/trainer").unwrap();
        assert_eq!(group.kills, 2);
        assert_eq!(group.kills_since_at(root.path()), Some(0));
        write(&folder, 3);
        assert_eq!(group.kills_since_at(root.path()), Some(1));
        let other = Group {
            inode: group.inode + 1,
            ..group.clone()
        };
        assert_eq!(other.kills_since_at(root.path()), None, "another group");
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(group.kills_since_at(root.path()), None, "it is gone");
    }
}
