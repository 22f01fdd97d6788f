//! Cheap figures of the log and the file.

use std::path::{Path, PathBuf};

use crate::event::Seq;
use crate::store::Error;
use crate::store::pages;
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::sqlite::verbs::positions::{before_oldest, head, natural};
use crate::store::upkeep::Figures;

/// See [`crate::store::Upkeep::figures`].
pub(crate) struct LogFigures {
    pub(crate) database: PathBuf,
    pub(crate) wal: PathBuf,
    pub(crate) notes: Vec<String>,
    /// A larger WAL is noted, with whoever keeps it from being cut.
    pub(crate) wal_bytes_max: u64,
}

impl Plain for LogFigures {}
impl Plain for Figures {}

impl Question for LogFigures {
    type Answer = Figures;

    fn run(self, tx: &Tx<'_>) -> Result<Figures, Error> {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let sql = "SELECT COUNT(*) FROM redeliveries WHERE shown = 1";
        let wal_bytes = size(&self.wal);
        let mut notes = self.notes;
        if wal_bytes > self.wal_bytes_max {
            notes.push(large_wal(&self.database, wal_bytes, self.wal_bytes_max));
        }
        Ok(Figures {
            head: Seq(head(tx)?),
            oldest: Seq(before_oldest(tx)? + 1),
            file_bytes: size(&self.database),
            wal_bytes,
            letters: tx.conn.prepare_cached(sql)?.query_row([], natural)?,
            notes,
        })
    }
}

/// A checkpoint cannot cut the WAL beyond the oldest state of the database that somebody reads.
fn large_wal(database: &Path, bytes: u64, most: u64) -> String {
    let reader = match pages::oldest_reader(database) {
        Some(reader) if reader.pid > 0 => format!(
            "the oldest state in it is read by process {} ({})",
            reader.pid, reader.command
        ),
        Some(_) => "a process that has no number here (another container) reads the oldest \
                    state in it"
            .to_owned(),
        None => "no other process is seen reading it: either this one reads for long, or it is \
                 written faster than it is copied"
            .to_owned(),
    };
    format!(
        "the WAL has grown to {} MiB (over {} MiB); {reader}",
        bytes >> 20,
        most >> 20
    )
}
