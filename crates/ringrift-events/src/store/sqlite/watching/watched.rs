//! What a watcher has kept.

use rusqlite::{OptionalExtension, params};

use crate::event::Seq;
use crate::store::Error;
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::sqlite::verbs::positions::natural;
use crate::store::watching::Watched;

/// Asks for it.
pub(super) struct AskWatched {
    pub(super) watcher: String,
}

impl Plain for AskWatched {}
impl Plain for Watched {}

impl Question for AskWatched {
    type Answer = Watched;

    fn run(self, tx: &Tx<'_>) -> Result<Watched, Error> {
        let kept = tx
            .conn
            .prepare_cached("SELECT place, steps FROM watchers WHERE name = ?1")?
            .query_row([&self.watcher], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
            })
            .optional()?;
        let (place, steps) = kept.unwrap_or_default();
        let mut statement = tx
            .conn
            .prepare_cached("SELECT name, text FROM watch_marks WHERE watcher = ?1")?;
        let marks = statement
            .query_map(params![self.watcher], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Watched {
            place: Seq(place),
            steps,
            marks,
        })
    }
}

/// The count of steps that a watcher has made.
pub(super) fn steps(tx: &Tx<'_>, watcher: &str) -> Result<u64, Error> {
    let steps = tx
        .conn
        .prepare_cached("SELECT steps FROM watchers WHERE name = ?1")?
        .query_row([watcher], natural)
        .optional()?;
    Ok(steps.unwrap_or_default())
}
