//! Whether the database changed: the correctness path for writers that do not ring.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::store::Error;
use crate::store::sqlite::verb::{Plain, Question, Tx};

/// Asks a connection for its `PRAGMA data_version`: it changes when another connection commits.
/// Answers which connection was asked, because versions of two connections cannot be compared.
pub(crate) struct ChangeMark;

impl Plain for ChangeMark {}

impl Question for ChangeMark {
    type Answer = (u64, i64);

    fn run(self, tx: &Tx<'_>) -> Result<(u64, i64), Error> {
        let version = tx
            .conn
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        let connection = std::ptr::from_ref(tx.conn).addr() as u64;
        Ok((connection, version))
    }
}

/// The versions seen last, by connection; a store has a handful.
#[derive(Debug, Default)]
pub(crate) struct Versions(Mutex<BTreeMap<u64, i64>>);

impl Versions {
    /// Takes a version in; says whether the database may have changed since the same connection was
    /// asked last. The first answer of a connection counts as a change: it came after what the
    /// others were asked before.
    pub(crate) fn has_changed(&self, (connection, version): (u64, i64)) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(connection, version)
            .is_none_or(|before| before != version)
    }
}
