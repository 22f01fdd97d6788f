//! What rusqlite does not tell: the database file's bytes as they lie on the disk, beside the
//! cache and the WAL, and what the operating system said to the last failure.
//!
//! # Soundness
//! The connection's handle and its file object live as long as the connection, which is borrowed
//! here and used by one thread at a time. Reading through the file object takes no lock and moves
//! nothing: SQLite's own reads pass their offset too.
#![expect(
    unsafe_code,
    reason = "the file object and the system's error number are only in the C interface"
)]

use std::ffi::c_int;

use rusqlite::{Connection, ffi};

/// Reads the database file at `offset`; `false` when it ends before `into` is full or does not
/// answer.
pub(super) fn read_file(conn: &Connection, offset: i64, into: &mut [u8]) -> bool {
    let Ok(amount) = c_int::try_from(into.len()) else {
        return false;
    };
    let Some((file, methods)) = file_of(conn) else {
        return false;
    };
    let Some(read) = methods.xRead else {
        return false;
    };
    // SAFETY: at most `amount` bytes are written into a buffer of that length.
    let code = unsafe { read(file, into.as_mut_ptr().cast(), amount, offset) };
    code == ffi::SQLITE_OK
}

/// Has the disk take what was written to the database file. No substitute for the sync of a
/// checkpoint, which decides what may be written over and tells of a failure: that one only finds
/// less left to do.
pub(super) fn sync_file(conn: &Connection) {
    if let Some((file, methods)) = file_of(conn)
        && let Some(sync) = methods.xSync
    {
        let how = ffi::SQLITE_SYNC_NORMAL | ffi::SQLITE_SYNC_DATAONLY;
        // SAFETY: the file object is the open connection's; nothing in memory is touched.
        unsafe { sync(file, how) };
    }
}

/// Takes SQLite's exclusive lock on the database file, without reading it; `false` when anybody
/// else has a share of it. Only on a connection that has read nothing and reads nothing afterwards:
/// it knows nothing of this lock, and gives it up when it is closed.
pub(super) fn lock_whole(conn: &Connection) -> bool {
    let Some((file, methods)) = file_of(conn) else {
        return false;
    };
    let Some(lock) = methods.xLock else {
        return false;
    };
    [ffi::SQLITE_LOCK_SHARED, ffi::SQLITE_LOCK_EXCLUSIVE]
        .into_iter()
        // SAFETY: the file object is the open connection's; the steps are those SQLite takes.
        .all(|level| unsafe { lock(file, level) } == ffi::SQLITE_OK)
}

/// The database's file object and what it answers to.
fn file_of(
    conn: &Connection,
) -> Option<(*mut ffi::sqlite3_file, &'static ffi::sqlite3_io_methods)> {
    opened(conn, ffi::SQLITE_FCNTL_FILE_POINTER)
}

/// One of the connection's file objects, by the control that tells it: of its database, or of its
/// WAL, which has none before the first transaction.
pub(super) fn opened(
    conn: &Connection,
    which: c_int,
) -> Option<(*mut ffi::sqlite3_file, &'static ffi::sqlite3_io_methods)> {
    let mut file: *mut ffi::sqlite3_file = std::ptr::null_mut();
    // SAFETY: the handle is open; this control only writes the pointer given to it.
    let told = unsafe {
        ffi::sqlite3_file_control(
            conn.handle(),
            c"main".as_ptr(),
            which,
            (&raw mut file).cast(),
        )
    };
    if told != ffi::SQLITE_OK || file.is_null() {
        return None;
    }
    // SAFETY: the file object is the open connection's, its methods are static in the library; an
    // object without methods is not open.
    let methods = unsafe { (*file).pMethods.as_ref() }?;
    Some((file, methods))
}

/// The operating system's number for the connection's last input or output failure; 0 for none.
pub(super) fn system_errno(conn: &Connection) -> i32 {
    // SAFETY: the handle is open; only a field of it is read.
    unsafe { ffi::sqlite3_system_errno(conn.handle()) }
}
