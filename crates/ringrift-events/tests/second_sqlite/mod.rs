//! The system's own SQLite, loaded beside the bundled one, as Python's `sqlite3` module would be.
#![expect(
    unsafe_code,
    reason = "a library that is loaded at run time is called through raw pointers"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

use libloading::{Library, Symbol};

type Callback =
    unsafe extern "C" fn(*mut c_void, c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;
type OpenFn = unsafe extern "C" fn(*const c_char, *mut *mut c_void, c_int, *const c_char) -> c_int;
type ExecFn = unsafe extern "C" fn(
    *mut c_void,
    *const c_char,
    Option<Callback>,
    *mut c_void,
    *mut *mut c_char,
) -> c_int;

const OPEN_READWRITE: c_int = 2;

/// The library. One for the test; connections come and go.
pub(crate) struct SecondSqlite(Library);

/// One connection of the second library.
pub(crate) struct SecondConnection<'a> {
    library: &'a SecondSqlite,
    handle: *mut c_void,
}

impl SecondSqlite {
    /// Loads `libsqlite3.so.0`. Panics where the system has none: the test cannot say anything.
    pub(crate) fn load() -> SecondSqlite {
        // SAFETY: the library's initialisers are SQLite's own and touch nothing of ours; its
        // symbols are looked up through its own handle.
        SecondSqlite(unsafe { Library::new("libsqlite3.so.0") }.unwrap())
    }

    /// Its version, such as `3.40.1`.
    pub(crate) fn version(&self) -> String {
        // SAFETY: `const char *sqlite3_libversion(void)` answers a static string.
        unsafe {
            let version: Symbol<'_, unsafe extern "C" fn() -> *const c_char> =
                self.0.get(b"sqlite3_libversion\0").unwrap();
            CStr::from_ptr(version()).to_str().unwrap().to_owned()
        }
    }

    /// Opens a database for reading and writing, waiting for locks at most 30 s.
    pub(crate) fn open(&self, path: &Path) -> SecondConnection<'_> {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        let mut handle = ptr::null_mut();
        // SAFETY: the signatures are those of sqlite3.h; `path` lives through the call and
        // `handle` is written by it.
        unsafe {
            let open: Symbol<'_, OpenFn> = self.0.get(b"sqlite3_open_v2\0").unwrap();
            let timeout: Symbol<'_, unsafe extern "C" fn(*mut c_void, c_int) -> c_int> =
                self.0.get(b"sqlite3_busy_timeout\0").unwrap();
            assert_eq!(
                open(path.as_ptr(), &mut handle, OPEN_READWRITE, ptr::null()),
                0
            );
            assert_eq!(timeout(handle, 30_000), 0);
        }
        SecondConnection {
            library: self,
            handle,
        }
    }
}

impl SecondConnection<'_> {
    /// Runs statements; answers the first column of each row, or SQLite's message.
    pub(crate) fn run(&self, sql: &str) -> Result<Vec<String>, String> {
        let sql = CString::new(sql).unwrap();
        let mut rows: Vec<String> = Vec::new();
        // SAFETY: the signatures are those of sqlite3.h; `rows` outlives the call, which is the
        // only one that uses it, and the handle is open until the drop.
        unsafe {
            let exec: Symbol<'_, ExecFn> = self.library.0.get(b"sqlite3_exec\0").unwrap();
            let message: Symbol<'_, unsafe extern "C" fn(*mut c_void) -> *const c_char> =
                self.library.0.get(b"sqlite3_errmsg\0").unwrap();
            let code = exec(
                self.handle,
                sql.as_ptr(),
                Some(collect),
                (&raw mut rows).cast(),
                ptr::null_mut(),
            );
            if code == 0 {
                Ok(rows)
            } else {
                let text = CStr::from_ptr(message(self.handle)).to_string_lossy();
                Err(format!("{text} (result code {code})"))
            }
        }
    }
}

impl Drop for SecondConnection<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle was opened by this library and is closed once.
        unsafe {
            let close: Symbol<'_, unsafe extern "C" fn(*mut c_void) -> c_int> =
                self.library.0.get(b"sqlite3_close\0").unwrap();
            assert_eq!(close(self.handle), 0);
        }
    }
}

/// Keeps the first column of a row.
unsafe extern "C" fn collect(
    rows: *mut c_void,
    _columns: c_int,
    values: *mut *mut c_char,
    _names: *mut *mut c_char,
) -> c_int {
    // SAFETY: `rows` is the vector that `run` passed; `values` points to at least one column,
    // NULL or a string that lives through this call.
    unsafe {
        let rows = &mut *rows.cast::<Vec<String>>();
        let first = *values;
        rows.push(if first.is_null() {
            String::new()
        } else {
            CStr::from_ptr(first).to_string_lossy().into_owned()
        });
    }
    0
}
