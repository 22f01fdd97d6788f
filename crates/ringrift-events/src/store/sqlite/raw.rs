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
    let mut file: *mut ffi::sqlite3_file = std::ptr::null_mut();
    // SAFETY: the handle is open; this control only writes the pointer given to it.
    let told = unsafe {
        ffi::sqlite3_file_control(
            conn.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_FILE_POINTER,
            (&raw mut file).cast(),
        )
    };
    if told != ffi::SQLITE_OK || file.is_null() {
        return false;
    }
    // SAFETY: the file object is the open connection's; an object without methods is not open.
    let read = unsafe { (*file).pMethods.as_ref() }.and_then(|methods| methods.xRead);
    let Some(read) = read else { return false };
    // SAFETY: at most `amount` bytes are written into a buffer of that length.
    let code = unsafe { read(file, into.as_mut_ptr().cast(), amount, offset) };
    code == ffi::SQLITE_OK
}

/// The operating system's number for the connection's last input or output failure; 0 for none.
pub(super) fn system_errno(conn: &Connection) -> i32 {
    // SAFETY: the handle is open; only a field of it is read.
    unsafe { ffi::sqlite3_system_errno(conn.handle()) }
}
