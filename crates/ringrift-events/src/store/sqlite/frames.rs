//! The writer's transaction goes into the WAL by one system call.
//!
//! SQLite writes each page of a transaction as a frame, by two calls: its header and its content.
//! A publish of four pages so makes eight, a third of its time. Here the frames of a transaction are
//! kept until the one that commits it, and then written together, before SQLite is told that this
//! frame is written: a failure is told as before, and nobody sees a frame in the index that is not in
//! the file. Whatever SQLite asks of the file in between finds everything written.
//!
//! # Soundness
//! The methods of two file objects are replaced by a table that differs from SQLite's own in a few
//! places, as its documentation has file systems do it. Each of ours calls the one it replaced, with
//! the arguments it was given. Both objects belong to one connection and are used by its thread
//! alone, which is where what is kept lies; the table is static.
#![expect(
    unsafe_code,
    reason = "a file object's methods are only in the C interface"
)]

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use rusqlite::{Connection, ffi};

use super::raw;

/// A WAL's own header, before its first frame.
const WAL_HEADER: i64 = 32;

/// A frame: its header, and the page.
const HEADER: usize = 24;
const PAGE: usize = 4_096;
const FRAME: usize = HEADER + PAGE;

/// Where a frame's header says how many pages the database has after the transaction that it
/// commits; zero in others.
const COMMITS_AT: std::ops::Range<usize> = 4..8;

/// Frames kept at once at most: SQLite's own write takes no more than 128 KiB at a time.
const KEPT_MAX: usize = 31;

/// SQLite's lock of whoever writes into the WAL.
const WRITE_LOCK: c_int = 0;

/// SQLite's own tables and ours.
static WAL_METHODS: OnceLock<Replaced> = OnceLock::new();
static DATABASE_METHODS: OnceLock<Replaced> = OnceLock::new();

struct Replaced {
    theirs: &'static ffi::sqlite3_io_methods,
    ours: ffi::sqlite3_io_methods,
}

thread_local! {
    /// The WAL of the connection that writes on this thread.
    static WAL: RefCell<Wal> = const { RefCell::new(Wal { file: ptr::null_mut(), frames: Frames::new() }) };
}

struct Wal {
    file: *mut ffi::sqlite3_file,
    frames: Frames,
}

/// Has the connection write its transactions so, from the next one on. Its thread keeps it until it
/// is closed. Nothing changes where its files are no ordinary ones.
pub(super) fn keep_together(conn: &Connection) {
    let files = [
        ffi::SQLITE_FCNTL_FILE_POINTER,
        ffi::SQLITE_FCNTL_JOURNAL_POINTER,
    ];
    let [Some((database, of_database)), Some((wal, of_wal))] =
        files.map(|which| raw::opened(conn, which))
    else {
        return;
    };
    let of_wal = WAL_METHODS.get_or_init(|| Replaced {
        theirs: of_wal,
        ours: ffi::sqlite3_io_methods {
            xClose: Some(close),
            xRead: Some(read),
            xWrite: Some(write),
            xTruncate: Some(truncate),
            xSync: Some(sync),
            xFileSize: Some(file_size),
            ..*of_wal
        },
    });
    let of_database = DATABASE_METHODS.get_or_init(|| Replaced {
        theirs: of_database,
        ours: ffi::sqlite3_io_methods {
            xShmLock: Some(shm_lock),
            ..*of_database
        },
    });
    WAL.set(Wal {
        file: wal,
        frames: Frames::new(),
    });
    for (file, replaced) in [(wal, of_wal), (database, of_database)] {
        // SAFETY: the object is the open connection's, and nobody else uses it at this moment. A
        // file of another kind has another table, and keeps it.
        unsafe {
            if ptr::eq((*file).pMethods, replaced.theirs) {
                (*file).pMethods = &raw const replaced.ours;
            }
        }
    }
}

/// SQLite's own methods of the WAL; a file has ours only once they are kept here.
fn theirs() -> Option<&'static ffi::sqlite3_io_methods> {
    WAL_METHODS.get().map(|replaced| replaced.theirs)
}

/// Does `with` to the frames that are kept, if `file` is the WAL.
fn with_frames(
    file: *mut ffi::sqlite3_file,
    with: impl FnOnce(&mut Frames, &mut dyn FnMut(&[u8], i64) -> c_int) -> c_int,
) -> Option<c_int> {
    WAL.with_borrow_mut(|wal| {
        (wal.file == file).then(|| {
            with(&mut wal.frames, &mut |bytes, at| {
                let Some((write, length)) = theirs()
                    .and_then(|theirs| theirs.xWrite)
                    .zip(c_int::try_from(bytes.len()).ok())
                else {
                    return ffi::SQLITE_IOERR_WRITE;
                };
                // SAFETY: the file object is open; so many bytes are read from the slice.
                unsafe { write(file, bytes.as_ptr().cast(), length, at) }
            })
        })
    })
}

/// Everything that was written so far is in the file, or says why not.
fn written(file: *mut ffi::sqlite3_file) -> c_int {
    with_frames(file, |frames, out| frames.flush(out)).unwrap_or(ffi::SQLITE_OK)
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    length: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    let Ok(count) = usize::try_from(length) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: SQLite gives so many bytes, which live through the call.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), count) };
    if let Some(code) = with_frames(file, |frames, out| frames.write(bytes, at, out)) {
        return code;
    }
    match theirs().and_then(|theirs| theirs.xWrite) {
        // SAFETY: the same call.
        Some(write) => unsafe { write(file, from, length, at) },
        None => ffi::SQLITE_IOERR_WRITE,
    }
}

/// Calls one of SQLite's own methods once everything is written; `missing` where there is none.
fn after_writing<M>(
    file: *mut ffi::sqlite3_file,
    method: impl FnOnce(&ffi::sqlite3_io_methods) -> Option<M>,
    missing: c_int,
    call: impl FnOnce(M) -> c_int,
) -> c_int {
    match written(file) {
        ffi::SQLITE_OK => theirs().and_then(method).map_or(missing, call),
        code => code,
    }
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    into: *mut c_void,
    length: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the same call.
    after_writing(
        file,
        |own| own.xRead,
        ffi::SQLITE_IOERR_READ,
        |read| unsafe { read(file, into, length, at) },
    )
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    let missing = ffi::SQLITE_IOERR_TRUNCATE;
    // SAFETY: the same call.
    after_writing(
        file,
        |own| own.xTruncate,
        missing,
        |truncate| unsafe { truncate(file, size) },
    )
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the same call.
    after_writing(
        file,
        |own| own.xSync,
        ffi::SQLITE_IOERR_FSYNC,
        |sync| unsafe { sync(file, flags) },
    )
}

unsafe extern "C" fn file_size(
    file: *mut ffi::sqlite3_file,
    size: *mut ffi::sqlite3_int64,
) -> c_int {
    let missing = ffi::SQLITE_IOERR_FSTAT;
    // SAFETY: the same call.
    after_writing(
        file,
        |own| own.xFileSize,
        missing,
        |file_size| unsafe { file_size(file, size) },
    )
}

/// Who gives up the lock has committed, or takes back what is kept: the next one writes over it.
unsafe extern "C" fn shm_lock(
    database: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    if first == WRITE_LOCK && flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        WAL.with_borrow_mut(|wal| wal.frames.forget());
    }
    let theirs = DATABASE_METHODS.get().map(|replaced| replaced.theirs);
    match theirs.and_then(|theirs| theirs.xShmLock) {
        // SAFETY: the same call.
        Some(lock) => unsafe { lock(database, first, count, flags) },
        None => ffi::SQLITE_IOERR_SHMLOCK,
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    WAL.with_borrow_mut(|wal| {
        if wal.file == file {
            wal.frames.forget();
            wal.file = ptr::null_mut();
        }
    });
    match theirs().and_then(|theirs| theirs.xClose) {
        // SAFETY: the same call.
        Some(close) => unsafe { close(file) },
        None => ffi::SQLITE_IOERR_CLOSE,
    }
}

/// Frames that SQLite has written and the file does not have yet.
struct Frames {
    /// They follow one another; the last may lack its page.
    kept: Vec<u8>,
    /// Where the first of them belongs.
    at: i64,
    /// What this transaction has written so far: SQLite may write headers in it again.
    first: i64,
    end: i64,
    /// What became of a write that SQLite had been told was done. Nothing of the transaction may be
    /// committed any more.
    failed: c_int,
}

impl Frames {
    const fn new() -> Frames {
        Frames {
            kept: Vec::new(),
            at: 0,
            first: 0,
            end: 0,
            failed: ffi::SQLITE_OK,
        }
    }

    /// Takes what SQLite writes, and writes by `out` what has to be written now.
    fn write(&mut self, bytes: &[u8], at: i64, out: &mut dyn FnMut(&[u8], i64) -> c_int) -> c_int {
        if self.failed != ffi::SQLITE_OK {
            return self.failed;
        }
        if self.is_page(bytes, at) {
            let header = self.kept.len() - HEADER;
            let commits = self.kept[header..][COMMITS_AT] != [0; 4];
            self.kept.extend(bytes);
            self.end = at + PAGE as i64;
            return match commits || self.kept.len() >= KEPT_MAX * FRAME {
                true => self.flush(out),
                false => ffi::SQLITE_OK,
            };
        }
        if !self.is_header(bytes, at) {
            let code = self.flush(out);
            return match code {
                ffi::SQLITE_OK => out(bytes, at),
                _ => code,
            };
        }
        if self.first == self.end {
            self.first = at;
        }
        if self.kept.is_empty() {
            self.at = at;
        }
        self.kept.extend(bytes);
        ffi::SQLITE_OK
    }

    /// The page of the last header.
    fn is_page(&self, bytes: &[u8], at: i64) -> bool {
        bytes.len() == PAGE
            && self.kept.len() % FRAME == HEADER
            && at == self.at + self.kept.len() as i64
    }

    /// The header of the transaction's first frame, or of the one after the last.
    fn is_header(&self, bytes: &[u8], at: i64) -> bool {
        bytes.len() == HEADER
            && (at - WAL_HEADER) % FRAME as i64 == 0
            && self.kept.len().is_multiple_of(FRAME)
            && (self.first == self.end || at == self.end)
    }

    /// Writes what is kept.
    fn flush(&mut self, out: &mut dyn FnMut(&[u8], i64) -> c_int) -> c_int {
        if self.failed == ffi::SQLITE_OK && !self.kept.is_empty() {
            self.failed = out(&self.kept, self.at);
            self.kept.clear();
        }
        self.failed
    }

    /// The transaction is over. What is still kept was never committed.
    fn forget(&mut self) {
        self.kept.clear();
        (self.first, self.end) = (0, 0);
        self.failed = ffi::SQLITE_OK;
    }
}

#[cfg(test)]
mod tests;
