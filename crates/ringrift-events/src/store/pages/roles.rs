//! Roles that one process of a home hosts: a kernel lock on a side file each.
//!
//! The lock goes with the process, however it ends; any program may take it the same way.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::sync::{Mutex, PoisonError};

use super::kernel::{self, Mapping};
use super::layout::RoleCells;
use super::peer;
use super::side::{Side, Standing, refused};
use crate::event::ProcessId;
use crate::store::{Error, ErrorCode};

/// "RRROLE" and two zeros: who hosts a role.
const ROLE_MAGIC: u64 = 0x5252_524F_4C45_0000;

/// Longest name of a role: it is part of a file's name.
const ROLE_BYTES_MAX: usize = 64;

/// The roles this handle hosts. Owns mappings only, no descriptor.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    held: Mutex<BTreeMap<String, Mapping>>,
}

impl Roles {
    /// Tries to become the host of `role`; `true` also when this handle is it already. On a
    /// database thread.
    pub(crate) fn elect(&self, side: &Side, process: ProcessId, role: &str) -> Result<bool, Error> {
        let name = file_name(role)?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains_key(role) {
            return Ok(true);
        }
        let path = side.path(&name);
        let file = open(side, &name)?;
        if !kernel::lock(&file).map_err(|e| refused("lock", &path, &e))? {
            return Ok(false);
        }
        super::side::allocate(&file, size_of::<RoleCells>() as u64)
            .map_err(|e| refused("allocate", &path, &e))?;
        // The mapping keeps the lock when `file` is closed.
        let mapping = Mapping::of(&file, size_of::<RoleCells>(), true)
            .map_err(|e| refused("map", &path, &e))?;
        if let Some(cells) = mapping.cells::<RoleCells>() {
            side.sign(&cells.head, ROLE_MAGIC, size_of::<RoleCells>(), process);
        }
        held.insert(role.to_owned(), mapping);
        Ok(true)
    }

    /// Whether this handle is the host of `role`. Memory only.
    pub(crate) fn holds(&self, role: &str) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.contains_key(role)
    }

    /// Gives a role back; one that is not held is fine.
    pub(crate) fn resign(&self, role: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(role);
    }

    /// Gives every role back.
    pub(crate) fn resign_all(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clear();
    }
}

/// Who hosts a role, if anybody does. Takes nothing. On a database thread.
pub(crate) fn elected(side: &Side, role: &str) -> Result<Option<ProcessId>, Error> {
    let path = side.path(&file_name(role)?);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(refused("open", &path, &e)),
    };
    if !kernel::is_locked(&file).map_err(|e| refused("ask about", &path, &e))? {
        return Ok(None);
    }
    let head = peer::head_of(&file).map_err(|e| refused("read", &path, &e))?;
    let ours = side.judge(&head, ROLE_MAGIC) == Standing::Ours;
    Ok(ours.then_some(head.process))
}

fn file_name(role: &str) -> Result<String, Error> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if role.is_empty() || role.len() > ROLE_BYTES_MAX || !role.bytes().all(allowed) {
        let message = format!(
            "role '{role}' is not made of 1 to {ROLE_BYTES_MAX} letters, digits, '_' and '-'"
        );
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    Ok(format!("{role}.role"))
}

/// Opens the role's file, making it with the database's mode. It is never removed: two processes
/// could then lock two files of one name.
fn open(side: &Side, name: &str) -> Result<File, Error> {
    let path = side.path(name);
    let existing = OpenOptions::new().read(true).write(true).open(&path);
    match existing {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        other => return other.map_err(|e| refused("open", &path, &e)),
    }
    let made = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path);
    match made {
        Ok(file) => {
            file.set_permissions(std::fs::Permissions::from_mode(side.mode()))
                .map_err(|e| refused("set the mode of", &path, &e))?;
            Ok(file)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|e| refused("open", &path, &e)),
        Err(e) => Err(refused("make", &path, &e)),
    }
}
