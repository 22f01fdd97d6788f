//! The types that users declared, the catalogs processes publish by, and what stayed unbridged.

use rusqlite::{OptionalExtension, params};

use crate::event::EventType;
use crate::store::pages::Bells;
use crate::store::registry::DeclaredType;
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};
use crate::store::{Error, ErrorCode};

/// Adds types to the store's catalog, all or none.
pub(crate) struct DeclareTypes {
    /// Each with its canonical declaration.
    pub(crate) types: Vec<DeclaredType>,
}

impl Plain for DeclareTypes {}
impl Plain for DeclaredType {}

impl Verb for DeclareTypes {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let mut known = tx
            .conn
            .prepare_cached("SELECT declaration FROM declared_types WHERE value = ?1")?;
        let mut add = tx.conn.prepare_cached(
            "INSERT INTO declared_types (value, declaration, declared_by, at_us)
             VALUES (?1, ?2, ?3, ?4)",
        )?;
        for declared in self.types {
            let stands: Option<String> = known
                .query_row([&declared.value], |row| row.get(0))
                .optional()?;
            match stands {
                Some(stands) if stands == declared.declaration => {}
                Some(stands) => return Err(differs(&declared, &stands)),
                None => {
                    add.execute(params![
                        declared.value,
                        declared.declaration,
                        tx.process_row,
                        tx.now.0
                    ])?;
                }
            }
        }
        Ok(())
    }
}

fn differs(declared: &DeclaredType, stands: &str) -> Error {
    Error::new(
        ErrorCode::TypeDiffers,
        format!(
            "type {} is declared as {stands}, not as {}",
            declared.value, declared.declaration
        ),
    )
    .with_next(format!("ringrift types show {}", declared.value))
}

/// Asks for the declared types, by value.
pub(crate) struct DeclaredTypes;

impl Plain for DeclaredTypes {}

impl Question for DeclaredTypes {
    type Answer = Vec<DeclaredType>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<DeclaredType>, Error> {
        let mut statement = tx
            .conn
            .prepare_cached("SELECT value, declaration FROM declared_types ORDER BY value")?;
        let types = statement
            .query_map([], |row| {
                Ok(DeclaredType {
                    value: row.get(0)?,
                    declaration: row.get(1)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(types)
    }
}

/// Keeps the catalog this process publishes by, and says in its row that it does.
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

/// Adds to the counts of unbridged publishes of this process.
pub(crate) struct CountUnbridged {
    /// By type.
    pub(crate) counts: Vec<(EventType, u64)>,
}

impl Plain for CountUnbridged {}

impl Verb for CountUnbridged {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let mut statement = tx.conn.prepare_cached(
            "INSERT INTO unbridged (process, event_type, events) VALUES (?1, ?2, ?3)
             ON CONFLICT (process, event_type) DO UPDATE SET events = events + excluded.events",
        )?;
        for (event_type, count) in self.counts {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            statement.execute(params![tx.process_row, event_type.as_str(), count])?;
        }
        Ok(())
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}
