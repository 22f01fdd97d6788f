//! The home: which folder, what lies in it, and making one.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::Error;

/// The file whose presence makes a folder a home.
pub const HOME_FILE: &str = "ringrift.toml";

/// The environment variable that names the home.
pub const HOME_VARIABLE: &str = "RINGRIFT_HOME";

/// What a new home's file says: nothing is set, so that defaults stay defaults.
const HOME_FILE_TEXT: &str = "\
# This folder is a RingRift home: its database is data/coordination/coordination.db.
# `ringrift config show --origin` lists every setting; what is set here is for all processes.
#
# [handler]
# time_limit = \"10m\"
#
# [[types]]                # a type of your own
# name = \"AUDIT_DONE\"
# required = [\"config_key\"]
#
# [[expect]]               # a handler that some process must host
# handler = \"evaluator\"
";

/// How a home was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// `--home`, or code.
    Flag,
    /// [`HOME_VARIABLE`].
    Variable,
    /// The nearest folder upwards that holds [`HOME_FILE`].
    Folder,
    /// Nothing was found: the current folder, where a writing verb would make one.
    Current,
}

/// A folder that is a home, or that would become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
    named_by: NamedBy,
}

/// A home after it was made, or found made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The home.
    pub home: Home,
    /// Whether its file was written now: the path is to be said then.
    pub new: bool,
}

impl Home {
    /// The home at a folder, as if `--home` had named it; nothing is looked at.
    #[must_use]
    pub fn at(root: &Path) -> Home {
        Home {
            root: real(root),
            named_by: NamedBy::Flag,
        }
    }

    /// Finds the home: `explicit` (`--home`), else `variable` ([`HOME_VARIABLE`]; an empty one is
    /// none), else the nearest folder from `current` upwards that holds [`HOME_FILE`], else
    /// `current`. Creates nothing, and never looks at the user id.
    ///
    /// # Errors
    /// [`Error::HomeMissing`] if a named home is no folder.
    ///
    /// ```
    /// use ringrift_events::config::Home;
    /// use std::path::Path;
    /// let named = Home::find(Some(Path::new("/nowhere/at/all")), None, Path::new("."));
    /// assert!(named.is_err());
    /// ```
    pub fn find(
        explicit: Option<&Path>,
        variable: Option<&Path>,
        current: &Path,
    ) -> Result<Home, Error> {
        let variable = variable.filter(|path| !path.as_os_str().is_empty());
        let named = explicit
            .map(|path| (path, NamedBy::Flag, "--home"))
            .or(variable.map(|path| (path, NamedBy::Variable, HOME_VARIABLE)));
        if let Some((path, named_by, words)) = named {
            // A relative name starts where the search would, whatever the process's own folder is.
            let path = current.join(path);
            if !path.is_dir() {
                return Err(Error::HomeMissing {
                    path,
                    named_by: words,
                });
            }
            let root = real(&path);
            return Ok(Home { root, named_by });
        }
        let current = real(current);
        let found = current
            .ancestors()
            .find(|folder| folder.join(HOME_FILE).is_file());
        Ok(match found {
            Some(folder) => Home {
                root: folder.to_owned(),
                named_by: NamedBy::Folder,
            },
            None => Home {
                root: current,
                named_by: NamedBy::Current,
            },
        })
    }

    /// Makes the home at `root`: its folders and, unless it is there, its file. Repeating it
    /// changes nothing; what lies in the folder stays.
    ///
    /// # Errors
    /// [`Error::HomeUnwritable`] naming the folder or file.
    pub fn create(root: &Path) -> Result<Created, Error> {
        make(root, None)
    }

    /// Makes a home that every member of `group` (a name or a number) may use: its folders belong
    /// to the group, are writable by it, and hand the group on to what is made in them (2770).
    /// A root that was there already keeps its own mode.
    ///
    /// # Errors
    /// [`Error::HomeGroupInvalid`] if there is no such group or this user may not give files to
    /// it; [`Error::HomeUnwritable`].
    pub fn create_shared(root: &Path, group: &str) -> Result<Created, Error> {
        let id = group_id(group).ok_or_else(|| Error::HomeGroupInvalid {
            group: group.to_owned(),
            reason: "there is no such group".to_owned(),
        })?;
        make(root, Some((group, id)))
    }

    /// The folder, by its real path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How it was found.
    #[must_use]
    pub fn named_by(&self) -> NamedBy {
        self.named_by
    }

    /// Whether it was made: its file or its database is there.
    #[must_use]
    pub fn is_made(&self) -> bool {
        self.config_file().is_file() || self.database().is_file()
    }

    /// `data/coordination/coordination.db`.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join("data/coordination/coordination.db")
    }

    /// `logs/coordination.log`.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.root.join("logs/coordination.log")
    }

    /// `ringrift.toml`.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.root.join(HOME_FILE)
    }

    /// Whether users of a group share it: its database's folder is writable by the group.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        let folder = self.root.join("data/coordination");
        fs::metadata(folder).is_ok_and(|meta| meta.mode() & 0o020 != 0)
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize()
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned())
}

fn make(root: &Path, group: Option<(&str, u32)>) -> Result<Created, Error> {
    let new_root = !root.is_dir();
    make_folder(root, group.filter(|_| new_root))?;
    for folder in ["data", "data/coordination", "logs"] {
        make_folder(&root.join(folder), group)?;
    }
    let new = write_file(&root.join(HOME_FILE), group)?;
    Ok(Created {
        home: Home::at(root),
        new,
    })
}

fn make_folder(folder: &Path, group: Option<(&str, u32)>) -> Result<(), Error> {
    let unwritable = |error: io::Error| Error::HomeUnwritable {
        path: folder.to_owned(),
        reason: error.to_string(),
    };
    let mut builder = fs::DirBuilder::new();
    if group.is_some() {
        // Nobody else may look in before it has its final mode.
        builder.mode(0o700);
    }
    builder.recursive(true).create(folder).map_err(unwritable)?;
    share(folder, group, 0o2770)
}

/// Gives a path to the group. The mode comes last: changing the group clears setgid.
fn share(path: &Path, group: Option<(&str, u32)>, mode: u32) -> Result<(), Error> {
    let Some((name, id)) = group else {
        return Ok(());
    };
    let given = std::os::unix::fs::chown(path, None, Some(id))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .and_then(|()| fs::metadata(path));
    let refused = |reason: String| Error::HomeGroupInvalid {
        group: name.to_owned(),
        reason: format!("{}: {reason}", path.display()),
    };
    let given = given.map_err(|error| refused(error.to_string()))?;
    if given.mode() & 0o7777 != mode {
        // A user outside the group gets no setgid, and the kernel does not say so.
        return Err(refused(format!("mode {mode:o} was not kept")));
    }
    Ok(())
}

/// Writes the home's file unless it is there; says whether it wrote it.
fn write_file(path: &Path, group: Option<(&str, u32)>) -> Result<bool, Error> {
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o666)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, HOME_FILE_TEXT.as_bytes()));
    match made {
        Ok(()) => share(path, group, 0o660).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::HomeUnwritable {
            path: path.to_owned(),
            reason: error.to_string(),
        }),
    }
}

/// A group's number, from the number itself, `/etc/group`, or whatever else the system asks.
fn group_id(group: &str) -> Option<u32> {
    if let Ok(id) = group.parse() {
        return Some(id);
    }
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        (fields.next()? == group).then(|| fields.nth(1)?.parse().ok())?
    };
    let listed = fs::read_to_string("/etc/group").unwrap_or_default();
    listed.lines().find_map(of_line).or_else(|| {
        // Directories such as LDAP are known to the system's own tool only.
        let asked = std::process::Command::new("getent")
            .args(["group", "--", group])
            .output()
            .ok()?;
        String::from_utf8_lossy(&asked.stdout)
            .lines()
            .find_map(of_line)
    })
}
