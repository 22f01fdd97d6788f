//! Cheap figures of the log and the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::write_lock;
use crate::event::Seq;
use crate::store::Error;
use crate::store::pages::{self, OldestReader};
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::room::{self, Bounds};
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::sqlite::verbs::head::log_end;
use crate::store::sqlite::verbs::positions::{before_oldest, natural};
use crate::store::upkeep::Figures;

/// See [`crate::store::Upkeep::figures`].
pub(crate) struct LogFigures {
    pub(crate) database: PathBuf,
    pub(crate) wal: PathBuf,
    pub(crate) notes: Vec<String>,
    /// A larger WAL is noted, with whoever keeps it from being cut.
    pub(crate) wal_bytes_max: u64,
    /// How much the store may take.
    pub(crate) bounds: Bounds,
    /// Where the pages of waiting processes are read.
    pub(crate) presence: Arc<Presence>,
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
        let mut wal_reader = None;
        if wal_bytes > self.wal_bytes_max {
            wal_reader = pages::oldest_reader(&self.database);
            let note = large_wal(wal_reader.as_ref(), wal_bytes, self.wal_bytes_max);
            notes.push(note);
        }
        let write_lock = write_lock::held(&self.presence, &self.wal)?;
        notes.extend(write_lock.as_ref().map(write_lock::text));
        Ok(Figures {
            head: Seq(log_end(tx.conn)?),
            oldest: Seq(before_oldest(tx)? + 1),
            file_bytes: size(&self.database),
            wal_bytes,
            wal_reader: wal_reader.map(|reader| (reader.pid, reader.command)),
            letters: tx.conn.prepare_cached(sql)?.query_row([], natural)?,
            swept: self.presence.shared().and_then(|shared| shared.swept()),
            write_lock,
            held_back: room::reasons(tx.conn, &self.database, self.bounds)?,
            notes,
        })
    }
}

/// A checkpoint cannot cut the WAL beyond the oldest state of the database that somebody reads.
fn large_wal(reader: Option<&OldestReader>, bytes: u64, most: u64) -> String {
    let reader = match reader {
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
