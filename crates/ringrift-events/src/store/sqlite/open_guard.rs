//! Refuses to let this library's SQLite open a store's file off the database threads.
//!
//! SQLite keeps one record for each file in the process, and the record names descriptors. The
//! same linked SQLite, opening the file on a thread of the ordinary table (an application that
//! uses the same crate), would find records of the other table, and every statement would fail
//! with `SQLITE_PROTOCOL`. It gets `SQLITE_CANTOPEN` instead. Another copy of SQLite is not
//! concerned: it has its own records and its own table.
#![expect(
    unsafe_code,
    reason = "SQLite's system calls are replaced through its virtual file system"
)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use rusqlite::ffi;

use crate::store::{Error, ErrorCode};

thread_local! {
    static IS_DATABASE_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// How many stores of this process have each database open.
static OURS: RwLock<BTreeMap<Vec<u8>, usize>> = RwLock::new(BTreeMap::new());

/// One store's hold on its database's name; the name is free again when the last is dropped.
pub(super) struct Held(Vec<u8>);

/// Marks the calling thread as one of the database threads.
pub(super) fn mark_thread() {
    IS_DATABASE_THREAD.set(true);
}

/// From here on only database threads open `database` and the files beside it.
pub(super) fn hold(database: &Path) -> Held {
    let name = database.as_os_str().as_bytes().to_vec();
    *write_ours().entry(name.clone()).or_insert(0) += 1;
    Held(name)
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut ours = write_ours();
        if let Some(count) = ours.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                ours.remove(&self.0);
            }
        }
    }
}

fn write_ours() -> std::sync::RwLockWriteGuard<'static, BTreeMap<Vec<u8>, usize>> {
    OURS.write().unwrap_or_else(PoisonError::into_inner)
}

/// Puts the guard in place. Once for the process, before its first connection of ours.
pub(super) fn install() -> Result<(), Error> {
    // SAFETY: SQLite is initialised before its default file system is asked for, and both calls
    // take no argument that must outlive them. The file system is static in the library. Its
    // "open" is documented as int (*)(const char*, int, int), which `guarded_open` is; the
    // pointer's type is erased by the interface and restored by SQLite before the call. Nobody
    // else replaces it at this moment: the keeper calls this once, and connections of other
    // threads read the pointer as one word.
    let code = unsafe {
        if ffi::sqlite3_initialize() != ffi::SQLITE_OK {
            return Err(refused(ffi::SQLITE_ERROR));
        }
        let system = ffi::sqlite3_vfs_find(std::ptr::null());
        if system.is_null() {
            return Err(refused(ffi::SQLITE_NOTFOUND));
        }
        let Some(set) = (*system).xSetSystemCall else {
            return Err(refused(ffi::SQLITE_NOTFOUND));
        };
        let open: unsafe extern "C" fn(*const c_char, c_int, c_int) -> c_int = guarded_open;
        set(
            system,
            c"open".as_ptr(),
            Some(std::mem::transmute::<
                unsafe extern "C" fn(*const c_char, c_int, c_int) -> c_int,
                unsafe extern "C" fn(),
            >(open)),
        )
    };
    if code == ffi::SQLITE_OK {
        Ok(())
    } else {
        Err(refused(code))
    }
}

fn refused(code: c_int) -> Error {
    Error::new(
        ErrorCode::Io,
        format!("sqlite does not let its open call be guarded (result code {code})"),
    )
}

/// What SQLite calls to open a file.
unsafe extern "C" fn guarded_open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    // SAFETY: SQLite passes a name that ends with a zero byte and lives through the call.
    let name = unsafe { CStr::from_ptr(path) };
    if !IS_DATABASE_THREAD.get() && is_ours(name.to_bytes()) {
        // SAFETY: errno is this thread's own.
        unsafe { *libc::__errno_location() = libc::EACCES };
        return -1;
    }
    // SAFETY: the same call with the same arguments that SQLite would have made.
    unsafe { libc::open(path, flags, mode) }
}

fn is_ours(name: &[u8]) -> bool {
    let ours = OURS.read().unwrap_or_else(PoisonError::into_inner);
    if ours.is_empty() {
        return false;
    }
    ["", "-wal", "-shm", "-journal"].iter().any(|ending| {
        name.strip_suffix(ending.as_bytes())
            .is_some_and(|database| ours.contains_key(database))
    })
}

#[cfg(test)]
mod tests {
    use crate::store::sqlite::database_of;
    use crate::store::sqlite::testing::TestStore;

    #[test]
    fn the_same_library_cannot_open_a_store_s_file_off_the_database_threads() {
        let home = TestStore::new();
        home.append(1);
        let database = database_of(&home.options().home);
        let count = || {
            rusqlite::Connection::open(&database).and_then(|conn| {
                conn.query_row("SELECT COUNT(*) FROM events", [], |row| {
                    row.get::<_, i64>(0)
                })
            })
        };
        let error = count().unwrap_err();
        assert_eq!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::CannotOpen)
        );
        home.append(1);
        home.store.close();
        assert_eq!(count().unwrap(), 2);
    }
}
