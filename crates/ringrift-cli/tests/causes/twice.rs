//! A second copy of SQLite in this process, the system's own, as Python's `sqlite3` module is one.

#[expect(dead_code, reason = "its version is asked for by another test")]
#[path = "../../../ringrift-events/tests/second_sqlite/mod.rs"]
mod second_sqlite;

pub(crate) use second_sqlite::SecondSqlite;
