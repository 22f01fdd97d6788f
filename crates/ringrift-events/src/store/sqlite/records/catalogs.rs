//! The catalogs that processes publish by.

use rusqlite::{OptionalExtension as _, params};

use super::process_of;
use crate::clock::Time;
use crate::store::Error;
use crate::store::pages::Bells;
use crate::store::records::CatalogSince;
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};

/// Keeps the catalog this process publishes by from now on, and says in its row that it does.
pub(crate) struct KeepCatalog {
    /// Its hash.
    pub(crate) hash: u64,
    /// Its text.
    pub(crate) text: String,
}

impl Plain for KeepCatalog {}

impl Verb for KeepCatalog {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let hash = self.hash.cast_signed();
        tx.conn
            .prepare_cached(
                "INSERT OR IGNORE INTO catalogs (hash, text, kept_us) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![hash, self.text, tx.now.0])?;
        let last: Option<i64> = tx
            .conn
            .prepare_cached(
                "SELECT hash FROM process_catalogs WHERE process = ?1
                 ORDER BY since_us DESC LIMIT 1",
            )?
            .query_row([tx.process_row], |row| row.get(0))
            .optional()?;
        if last != Some(hash) {
            tx.conn
                .prepare_cached(
                    "INSERT OR REPLACE INTO process_catalogs (process, since_us, hash)
                     VALUES (?1, ?2, ?3)",
                )?
                .execute(params![tx.process_row, tx.now.0, hash])?;
        }
        tx.conn
            .prepare_cached("UPDATE processes SET catalog_hash = ?2 WHERE id = ?1")?
            .execute(params![tx.process_row, hash])?;
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.text.len()
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

/// Asks which catalogs processes published by, the last of each first.
pub(crate) struct ProcessCatalogs;

impl Plain for ProcessCatalogs {}
impl Plain for CatalogSince {}

impl Question for ProcessCatalogs {
    type Answer = Vec<CatalogSince>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<CatalogSince>, Error> {
        let mut statement = tx.conn.prepare_cached(
            "SELECT p.process_id, c.hash, c.since_us
             FROM process_catalogs AS c LEFT JOIN processes AS p ON p.id = c.process
             ORDER BY p.process_id, c.since_us DESC",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(CatalogSince {
                process: process_of(row.get(0)?),
                hash: row.get::<_, i64>(1)?.cast_unsigned(),
                since: Time(row.get(2)?),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// Asks for the text of a catalog.
pub(crate) struct CatalogText {
    /// Its hash.
    pub(crate) hash: u64,
}

impl Plain for CatalogText {}

impl Question for CatalogText {
    type Answer = Option<String>;

    fn run(self, tx: &Tx<'_>) -> Result<Option<String>, Error> {
        let text = tx
            .conn
            .prepare_cached("SELECT text FROM catalogs WHERE hash = ?1")?
            .query_row([self.hash.cast_signed()], |row| row.get(0))
            .optional()?;
        Ok(text)
    }
}
