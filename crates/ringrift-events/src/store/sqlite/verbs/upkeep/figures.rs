//! Cheap figures of the log and the file.

use std::path::{Path, PathBuf};

use crate::event::Seq;
use crate::store::Error;
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::sqlite::verbs::positions::{before_oldest, head, natural};
use crate::store::upkeep::Figures;

/// See [`crate::store::Upkeep::figures`].
pub(crate) struct LogFigures {
    pub(crate) database: PathBuf,
    pub(crate) wal: PathBuf,
    pub(crate) notes: Vec<String>,
}

impl Plain for LogFigures {}
impl Plain for Figures {}

impl Question for LogFigures {
    type Answer = Figures;

    fn run(self, tx: &Tx<'_>) -> Result<Figures, Error> {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let sql = "SELECT COUNT(*) FROM redeliveries WHERE shown = 1";
        Ok(Figures {
            head: Seq(head(tx)?),
            oldest: Seq(before_oldest(tx)? + 1),
            file_bytes: size(&self.database),
            wal_bytes: size(&self.wal),
            letters: tx.conn.prepare_cached(sql)?.query_row([], natural)?,
            notes: self.notes,
        })
    }
}
