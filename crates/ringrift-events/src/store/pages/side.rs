//! The folder of mapped files beside the database: names, modes, and whose database they are for.
//!
//! Every function here opens and closes files, so it runs on a database thread, as everything
//! that opens files of a store does.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use uuid::Uuid;

use super::kernel::{Cells, Mapping};
use super::layout::{HeadCells, LAYOUT};
use crate::event::ProcessId;
use crate::store::{Error, ErrorCode};

/// The ending of a process's page.
const PAGE_ENDING: &str = ".page";

/// The ending of a file that has not got its name yet.
const UNFINISHED_ENDING: &str = ".new";

/// Where the side files of one database lie and what they carry. Plain values; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Side {
    database: PathBuf,
    folder: PathBuf,
    device: u64,
    inode: u64,
    mode: u32,
    boot: [u64; 2],
}

impl Side {
    /// The side folder of the existing database at `database`; links are followed, so that every
    /// name of the file leads to one folder. With `create` the folder is made, with the
    /// database's mode.
    pub(crate) fn of(database: &Path, create: bool) -> Result<Side, Error> {
        let real = fs::canonicalize(database).map_err(|e| refused("find", database, &e))?;
        let stat = fs::metadata(&real).map_err(|e| refused("look at", &real, &e))?;
        let side = Side {
            folder: Side::folder_of(&real),
            database: real,
            device: stat.dev(),
            inode: stat.ino(),
            mode: stat.mode() & 0o666,
            boot: boot_id(),
        };
        if create && !side.folder.is_dir() {
            side.make_folder()?;
        }
        Ok(side)
    }

    /// Where the side folder of the database at its real path lies.
    pub(crate) fn folder_of(database: &Path) -> PathBuf {
        let mut folder = database.as_os_str().to_owned();
        folder.push(".pages");
        PathBuf::from(folder)
    }

    /// The real path of the database.
    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    /// The mode that files beside it get: the database's own.
    pub(crate) fn mode(&self) -> u32 {
        self.mode
    }

    /// The path of a side file.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The path of a process's page.
    pub(crate) fn page_path(&self, process: ProcessId) -> PathBuf {
        self.path(&format!("{process}{PAGE_ENDING}"))
    }

    /// The processes that have a page, in the order of their starts.
    pub(crate) fn pages(&self) -> Result<Vec<ProcessId>, Error> {
        let mut found = Vec::new();
        for name in self.names()? {
            let id = name.strip_suffix(PAGE_ENDING).map(Uuid::parse_str);
            if let Some(Ok(id)) = id {
                found.push(ProcessId(id));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Removes a page. Only for one whose claims, attempts and subscriptions' ends were taken
    /// over and committed. Gone already is fine.
    pub(crate) fn unlink(&self, process: ProcessId) -> Result<(), Error> {
        let path = self.page_path(process);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(refused("remove", &path, &e)),
        }
    }

    /// Removes files that never got their name because their maker died, at least a minute old by
    /// `now_s` (seconds since 1970).
    pub(crate) fn unlink_unfinished(&self, now_s: i64) -> Result<(), Error> {
        for name in self.names()? {
            let path = self.path(&name);
            let old = || fs::metadata(&path).is_ok_and(|stat| stat.mtime() < now_s - 60);
            if name.ends_with(UNFINISHED_ENDING) && old() {
                fs::remove_file(&path).map_err(|e| refused("remove", &path, &e))?;
            }
        }
        Ok(())
    }

    /// Makes a file of `len` allocated bytes under a temporary name, with the database's mode.
    pub(crate) fn begin(&self, name: &str, len: u64) -> Result<Unfinished, Error> {
        let path = self.path(&format!(
            ".{name}-{}{UNFINISHED_ENDING}",
            std::process::id()
        ));
        // A process of an earlier boot may have had our pid and died just here.
        drop(fs::remove_file(&path));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| refused("make", &path, &e))?;
        let unfinished = Unfinished { path, file };
        let ready = allocate(&unfinished.file, len)
            .and_then(|()| {
                let mode = fs::Permissions::from_mode(self.mode);
                unfinished.file.set_permissions(mode)
            })
            .map_err(|e| refused("allocate", &unfinished.path, &e));
        match ready {
            Ok(()) => Ok(unfinished),
            Err(error) => {
                unfinished.discard();
                Err(error)
            }
        }
    }

    /// Writes the head that says whose file it is.
    pub(crate) fn sign(&self, head: &HeadCells, magic: u64, len: usize, process: ProcessId) {
        head.layout.store(LAYOUT, Ordering::Relaxed);
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        head.length.store(len, Ordering::Relaxed);
        head.device.store(self.device, Ordering::Relaxed);
        head.inode.store(self.inode, Ordering::Relaxed);
        let id = process.0.as_u64_pair();
        head.process[0].store(id.0, Ordering::Relaxed);
        head.process[1].store(id.1, Ordering::Relaxed);
        head.pid.store(std::process::id(), Ordering::Relaxed);
        head.state.store(1, Ordering::Relaxed);
        head.boot[0].store(self.boot[0], Ordering::Relaxed);
        head.boot[1].store(self.boot[1], Ordering::Relaxed);
        head.magic.store(magic, Ordering::Release);
    }

    /// How a head relates to this database and this boot.
    pub(crate) fn judge(&self, head: &Head, magic: u64) -> Standing {
        if head.magic != magic || head.boot != self.boot {
            return Standing::Stale;
        }
        if (head.device, head.inode) != (self.device, self.inode) {
            return Standing::OtherDatabase;
        }
        if head.layout != LAYOUT {
            return Standing::OtherLayout;
        }
        Standing::Ours
    }

    /// The error for a side file that a live process keeps for another database file.
    pub(crate) fn two_homes(&self, path: &Path, pid: u32) -> Error {
        Error::new(
            ErrorCode::TwoHomes,
            format!(
                "{} belongs to process {pid}, which uses another file than {} (inode {})",
                path.display(),
                self.database.display(),
                self.inode
            ),
        )
        .with_next("ringrift processes ls")
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(refused("list", &self.folder, &e)),
        };
        let names = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        Ok(names)
    }

    /// Makes the folder: who may use the database may use it, and its group stays the home's.
    fn make_folder(&self) -> Result<(), Error> {
        match fs::create_dir(&self.folder) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(e) => return Err(refused("make", &self.folder, &e)),
        }
        let home = self
            .folder
            .parent()
            .and_then(|home| fs::metadata(home).ok());
        let setgid = home.map_or(0, |home| home.mode() & 0o2000);
        let mode = self.mode | ((self.mode & 0o444) >> 2) | setgid;
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(mode))
            .map_err(|e| refused("set the mode of", &self.folder, &e))
    }
}

/// A file that has no name yet that others would look for.
#[derive(Debug)]
pub(crate) struct Unfinished {
    path: PathBuf,
    /// Open for reading and writing.
    pub(crate) file: File,
}

impl Unfinished {
    /// Maps all of it.
    pub(crate) fn map<T: Cells>(&self) -> Result<Mapping, Error> {
        Mapping::of(&self.file, size_of::<T>(), true).map_err(|e| refused("map", &self.path, &e))
    }

    /// Gives it its name, whatever had that name before.
    pub(crate) fn name(self, path: &Path) -> Result<(), Error> {
        let renamed = fs::rename(&self.path, path);
        renamed.map_err(|e| {
            self.discard();
            refused("name", path, &e)
        })
    }

    /// Gives it its name unless another file has it, and then removes it.
    pub(crate) fn name_if_free(self, path: &Path) -> Result<(), Error> {
        use rustix::fs::{CWD, RenameFlags};
        let renamed = rustix::fs::renameat_with(CWD, &self.path, CWD, path, RenameFlags::NOREPLACE);
        match renamed {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::EXIST) => {
                self.discard();
                Ok(())
            }
            // The file system knows no such renaming; two makers at once then ring two bells.
            Err(rustix::io::Errno::INVAL) => self.name(path),
            Err(refusal) => {
                self.discard();
                Err(refused("name", path, &refusal.into()))
            }
        }
    }

    /// Removes it.
    pub(crate) fn discard(&self) {
        drop(fs::remove_file(&self.path));
    }
}

/// A head as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// What kind of file.
    pub(crate) magic: u64,
    /// Its layout.
    pub(crate) layout: u32,
    /// The boot it was made in.
    pub(crate) boot: [u64; 2],
    /// The database's device.
    pub(crate) device: u64,
    /// The database's inode.
    pub(crate) inode: u64,
    /// Its maker.
    pub(crate) process: ProcessId,
    /// Its maker's pid.
    pub(crate) pid: u32,
    /// 1 in use, 2 left.
    pub(crate) state: u32,
}

/// What a head says about the rest of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// This database, this boot, this layout: the rest may be read.
    Ours,
    /// Of another boot, or no file of ours: nothing in it holds any more.
    Stale,
    /// Of this boot, for another database file.
    OtherDatabase,
    /// Written by another version of this library.
    OtherLayout,
}

/// `posix_fallocate`, with zeros written where the file system cannot promise space: a mapped file
/// that was only made longer means a SIGBUS once the disk is full.
pub(super) fn allocate(file: &File, len: u64) -> io::Result<()> {
    use rustix::fs::FallocateFlags;
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP) => {
            use std::io::Write;
            let mut file = file;
            let zeros = [0u8; 4096];
            let mut left = usize::try_from(len).unwrap_or(usize::MAX);
            while left > 0 {
                let part = left.min(zeros.len());
                file.write_all(&zeros[..part])?;
                left -= part;
            }
            Ok(())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// The kernel's boot id; zeros where there is none, and then every page seems to be of this boot.
fn boot_id() -> [u64; 2] {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let id = Uuid::parse_str(text.trim()).unwrap_or(Uuid::nil());
    let (high, low) = id.as_u64_pair();
    [high, low]
}

/// A refusal of the operating system as a store error; decided by its number, never by its text.
pub(crate) fn refused(attempt: &str, path: &Path, refusal: &io::Error) -> Error {
    let code = match refusal.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => ErrorCode::Full,
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => ErrorCode::ReadOnly,
        Some(libc::ENOENT | libc::ENOTDIR) => ErrorCode::Missing,
        _ => ErrorCode::Io,
    };
    Error::new(
        code,
        format!("cannot {attempt} {}: {refusal}", path.display()),
    )
}
