//! The types that users declared.

use rusqlite::{OptionalExtension, params};

use crate::coded::quoted;
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
    .with_next(format!("ringrift types show {}", quoted(&declared.value)))
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
