//! A reader thread: one question at a time, each in a short read transaction with a time limit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::inbox::Taken;
use super::line::{Line, Notice};
use super::request::Request;
use super::verb::Tx;
use super::writer::panic_text;
use crate::clock::SharedClock;
use crate::event::ProcessId;
use crate::store::{Error, ErrorCode};

/// How long a reader sleeps when nothing comes: each question wakes one. After it nothing that was
/// read is kept.
const NAP: Duration = Duration::from_secs(60);

/// SQLite's steps between two looks at the clock: some tens of microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// A reader thread's own.
pub(super) struct Reader {
    pub(super) conn: Connection,
    pub(super) line: Arc<Line>,
    pub(super) clock: SharedClock,
    pub(super) process: ProcessId,
    /// When the present question ends, in microseconds of the monotonic clock.
    pub(super) ends_at: Arc<AtomicU64>,
}

impl Reader {
    /// Serves until the inbox is closed and empty.
    pub(super) fn run(&mut self) {
        self.begin();
        let line = Arc::clone(&self.line);
        loop {
            match line.reads.take(1, NAP, |_| false) {
                Taken::Some(questions) => questions.into_iter().for_each(|one| self.serve(one)),
                Taken::Nothing => line.recent.forget(),
                Taken::Closed => return,
            }
        }
    }

    /// Before the first question.
    fn begin(&mut self) {
        if let Err(error) = self.watch_time() {
            self.line.say(Notice::Error(format!(
                "a reader works without a time limit: {error}"
            )));
        }
    }

    fn watch_time(&mut self) -> Result<(), Error> {
        let (ends_at, clock, line) = (
            Arc::clone(&self.ends_at),
            Arc::clone(&self.clock),
            Arc::clone(&self.line),
        );
        let over =
            move || line.closing() || micros(clock.monotonic()) >= ends_at.load(Ordering::Relaxed);
        self.conn
            .progress_handler(STEPS_BETWEEN_LOOKS, Some(over))?;
        Ok(())
    }

    fn serve(&mut self, mut question: Box<dyn Request>) {
        let limit = question.time_limit();
        let end = micros(self.clock.monotonic()).saturating_add(micros(limit));
        self.ends_at.store(end, Ordering::Relaxed);
        let ran = catch_unwind(AssertUnwindSafe(|| self.ask(&mut *question)));
        if !self.conn.is_autocommit() {
            drop(self.conn.execute_batch("ROLLBACK"));
        }
        match ran {
            Ok(Ok(())) => {}
            Ok(Err(error)) => question.refuse(self.explain(error, limit)),
            Err(panic) => question.refuse(Error::new(
                ErrorCode::Io,
                format!("a question panicked: {}", panic_text(&*panic)),
            )),
        }
        self.line.answer(question);
    }

    fn ask(&self, question: &mut dyn Request) -> Result<(), Error> {
        self.conn.prepare_cached("BEGIN")?.execute([])?;
        let tx = Tx::new(
            &self.conn,
            self.clock.now(),
            self.process,
            self.line.process_row.load(Ordering::Acquire),
        );
        question.run(&tx)?;
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// An interrupt is ours: the time was over, or the store is closing.
    fn explain(&self, error: Error, limit: Duration) -> Error {
        if self.line.closing() {
            return super::line::closed();
        }
        if micros(self.clock.monotonic()) >= self.ends_at.load(Ordering::Relaxed)
            && error.code == ErrorCode::Io
        {
            return Error::new(
                ErrorCode::TimedOut,
                format!("a read took longer than its limit of {limit:?}"),
            )
            .with_next("ringrift status");
        }
        error
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
