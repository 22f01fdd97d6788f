//! What goes through the replaced methods, as a model and as SQLite uses them.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::store::sqlite::connection::{Use, connect};

/// What SQLite does to its WAL.
#[derive(Clone, Debug)]
enum Act {
    /// Writes frames after the last ones, the last of them as a commit or not.
    Frames { count: u8, commits: bool },
    /// Writes the header of one of the transaction's frames again.
    Again(u8),
    /// Reads, or syncs.
    Looks,
    /// Takes the transaction back.
    RollsBack,
    /// Another process commits so many frames.
    Neighbour(u8),
    /// Everything is in the database: the WAL begins anew.
    StartsAnew,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (1..40u8, any::<bool>()).prop_map(|(count, commits)| Act::Frames { count, commits }),
        2 => any::<u8>().prop_map(Act::Again),
        1 => Just(Act::Looks),
        1 => Just(Act::RollsBack),
        2 => (1..4u8).prop_map(Act::Neighbour),
        1 => Just(Act::StartsAnew),
    ];
    proptest::collection::vec(act, 1..40)
}

/// A file, and what it would be if each write went through at once.
struct Model {
    frames: Frames,
    file: Vec<u8>,
    direct: Vec<u8>,
    /// Frames in the WAL, and those of the transaction that is under way.
    committed: usize,
    open: usize,
    stamp: u8,
}

fn put(file: &mut Vec<u8>, bytes: &[u8], at: i64) {
    let at = usize::try_from(at).unwrap();
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn place(frame: usize) -> i64 {
    WAL_HEADER + (frame * FRAME) as i64
}

impl Model {
    fn write(&mut self, bytes: &[u8], at: i64) {
        let file = &mut self.file;
        let mut out = |bytes: &[u8], at: i64| {
            put(file, bytes, at);
            ffi::SQLITE_OK
        };
        assert_eq!(self.frames.write(bytes, at, &mut out), ffi::SQLITE_OK);
        put(&mut self.direct, bytes, at);
    }

    fn look(&mut self) {
        let file = &mut self.file;
        self.frames.flush(&mut |bytes: &[u8], at: i64| {
            put(file, bytes, at);
            ffi::SQLITE_OK
        });
    }

    fn header(&mut self, commits: bool) -> [u8; HEADER] {
        self.stamp = self.stamp.wrapping_add(1);
        let mut header = [self.stamp; HEADER];
        header[COMMITS_AT].fill(u8::from(commits));
        header
    }

    fn frame(&mut self, at: usize, commits: bool) {
        let header = self.header(commits);
        self.write(&header, place(at));
        let page = [self.stamp; PAGE];
        self.write(&page, place(at) + HEADER as i64);
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Frames { count, commits } => {
                for n in 1..=count {
                    self.frame(self.committed + self.open, commits && n == count);
                    self.open += 1;
                }
                if commits {
                    self.committed += std::mem::take(&mut self.open);
                    self.check();
                    self.frames.forget();
                }
            }
            Act::Again(which) if self.open > 0 => {
                let at = self.committed + usize::from(which) % self.open;
                let header = self.header(false);
                // SQLite reads the frame first.
                self.look();
                self.write(&header, place(at));
                self.check();
            }
            Act::Looks => {
                self.look();
                self.check();
            }
            Act::RollsBack => {
                self.open = 0;
                self.frames.forget();
            }
            Act::Neighbour(count) if self.open == 0 => {
                for _ in 0..count {
                    let header = self.header(true);
                    for file in [&mut self.file, &mut self.direct] {
                        put(file, &header, place(self.committed));
                        put(file, &[7; PAGE], place(self.committed) + HEADER as i64);
                    }
                    self.committed += 1;
                }
            }
            Act::StartsAnew if self.open == 0 => {
                self.committed = 0;
                let header = [9; WAL_HEADER as usize];
                self.write(&header, 0);
            }
            Act::Again(_) | Act::Neighbour(_) | Act::StartsAnew => {}
        }
    }

    /// Who reads now finds every frame as it was written last.
    fn check(&self) {
        let end = usize::try_from(place(self.committed + self.open)).unwrap();
        assert!(self.file.len() >= end);
        assert!(self.file[..end] == self.direct[..end]);
    }
}

proptest! {
    #[test]
    fn what_is_committed_is_in_the_file_whatever_came_before(acts in acts()) {
        let mut model = Model {
            frames: Frames::new(),
            file: Vec::new(),
            direct: Vec::new(),
            committed: 0,
            open: 0,
            stamp: 0,
        };
        model.act(&Act::StartsAnew);
        for act in &acts {
            model.act(act);
        }
        model.frame(model.committed + model.open, true);
        model.open += 1;
        model.check();
    }
}

#[test]
fn a_failure_is_told_when_the_transaction_commits_and_later_ones_go_on() {
    let mut frames = Frames::new();
    let (mut header, page) = ([0; HEADER], [1; PAGE]);
    header[COMMITS_AT].fill(1);
    let full = &mut |_: &[u8], _: i64| ffi::SQLITE_FULL;
    assert_eq!(frames.write(&header, place(0), full), ffi::SQLITE_OK);
    let at = place(0) + HEADER as i64;
    assert_eq!(frames.write(&page, at, full), ffi::SQLITE_FULL);
    frames.forget();
    let mut calls = Vec::new();
    let well = &mut |bytes: &[u8], at: i64| {
        calls.push((bytes.len(), at));
        ffi::SQLITE_OK
    };
    assert_eq!(frames.write(&header, place(0), well), ffi::SQLITE_OK);
    assert_eq!(frames.write(&page, at, well), ffi::SQLITE_OK);
    assert_eq!(calls, [(FRAME, place(0))]);
}

#[test]
fn what_sqlite_was_told_is_written_and_could_not_be_fails_the_whole_transaction() {
    let mut frames = Frames::new();
    let well = &mut |_: &[u8], _: i64| ffi::SQLITE_OK;
    let (mut header, page) = ([0; HEADER], [1; PAGE]);
    let page_at = |frame| place(frame) + HEADER as i64;
    frames.write(&header, place(0), well);
    frames.write(&page, page_at(0), well);
    // SQLite reads, which only fails its statement; there is room again when it commits.
    let full = &mut |_: &[u8], _: i64| ffi::SQLITE_FULL;
    assert_eq!(frames.flush(full), ffi::SQLITE_FULL);
    header[COMMITS_AT].fill(1);
    assert_eq!(frames.write(&header, place(1), well), ffi::SQLITE_FULL);
    assert_eq!(frames.write(&page, page_at(1), well), ffi::SQLITE_FULL);
    frames.forget();
    assert_eq!(frames.write(&header, place(0), well), ffi::SQLITE_OK);
    assert_eq!(frames.write(&page, page_at(0), well), ffi::SQLITE_OK);
}

/// System calls of this thread that wrote.
fn writes() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("syscw: "));
    line.unwrap().parse().unwrap()
}

#[test]
fn sqlite_s_transactions_are_one_call_and_spills_and_rollbacks_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    std::fs::write(&path, b"").unwrap();
    let conn = connect(&path, Use::Write, Duration::from_secs(5)).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT);
         CREATE INDEX t_b ON t (b);",
    )
    .unwrap();
    keep_together(&conn);
    let neighbour = connect(&path, Use::Write, Duration::from_secs(5)).unwrap();
    let insert = "INSERT INTO t (b) SELECT hex(randomblob(300)) FROM json_each(?1)";
    let rows = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
    let before = writes();
    conn.execute(insert, [rows(20)]).unwrap();
    assert_eq!(writes() - before, 1);

    // A cache of ten pages: a large transaction writes frames before it commits, and some twice.
    conn.pragma_update(None, "cache_size", 10).unwrap();
    let mut expected = 20;
    for round in 0..20 {
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        conn.execute(insert, [rows(200)]).unwrap();
        conn.execute_batch("SAVEPOINT s").unwrap();
        conn.execute("UPDATE t SET b = hex(randomblob(290)) WHERE a % 3 = 0", [])
            .unwrap();
        if round % 3 == 0 {
            conn.execute_batch("ROLLBACK TO s").unwrap();
        }
        conn.execute(insert, [rows(50)]).unwrap();
        if round % 4 == 1 {
            conn.execute_batch("ROLLBACK").unwrap();
        } else {
            conn.execute_batch("COMMIT").unwrap();
            expected += 250;
        }
        neighbour.execute(insert, [rows(3)]).unwrap();
        expected += 3;
        if round % 5 == 4 {
            conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
                .unwrap();
        }
        let third = connect(&path, Use::Read, Duration::from_secs(5)).unwrap();
        let ok: String = third
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        let count: i64 = third
            .query_row("SELECT COUNT(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!((ok.as_str(), count), ("ok", expected));
    }
}
