//! `EventLog`: levels, lines, and where they go.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bound::{Bound, LeftOut};
use super::file::LogFile;
use crate::clock::SharedClock;
use crate::event::{EventId, EventType};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every run and every received event.
    Debug,
    /// What was published and subscribed, and the poller's life.
    Info,
    /// Surprising, nothing lost.
    Warn,
    /// Someone must act.
    Error,
}

impl Level {
    /// The level as it stands in a line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        }
    }

    /// The level with this name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Level> {
        [Level::Debug, Level::Info, Level::Warn, Level::Error]
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(name))
    }
}

/// Which part of the system says a line; each may have a level of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything that is not below: daemons, the store, alerts.
    System,
    /// Who subscribes, who receives, how handlers run.
    Router,
    /// What is published.
    Bus,
}

impl Part {
    const COUNT: usize = 3;

    /// The part that says lines of this kind.
    fn of(kind: &str) -> Part {
        match kind {
            "emit" | "publish failed" | "fields missing" => Part::Bus,
            _ => Part::Router,
        }
    }
}

/// The log of one process. Cheap to clone; writing never fails the caller: a log that cannot be
/// written is said once on the `tracing` subscriber, if there is one.
#[derive(Clone)]
pub struct EventLog(Arc<Inner>);

struct Inner {
    levels: [AtomicU8; Part::COUNT],
    clock: SharedClock,
    pid: u32,
    out: Mutex<Out>,
}

struct Out {
    file: Option<LogFile>,
    bound: Bound,
    broken: bool,
    line: String,
}

impl EventLog {
    /// A log that appends to `file`.
    #[must_use]
    pub fn open(file: LogFile, level: Level, clock: SharedClock) -> EventLog {
        EventLog::with(Some(file), level, clock)
    }

    /// A log that writes nothing to a file; warnings still reach a `tracing` subscriber.
    #[must_use]
    pub fn silent(clock: SharedClock) -> EventLog {
        EventLog::with(None, Level::Info, clock)
    }

    fn with(file: Option<LogFile>, level: Level, clock: SharedClock) -> EventLog {
        let out = Out {
            file,
            bound: Bound::default(),
            broken: false,
            line: String::new(),
        };
        EventLog(Arc::new(Inner {
            levels: std::array::from_fn(|_| AtomicU8::new(level as u8)),
            clock,
            pid: std::process::id(),
            out: Mutex::new(out),
        }))
    }

    /// A log at `path` with the standard bounds, whose files get `mode`.
    #[must_use]
    pub fn at(path: PathBuf, mode: u32, level: Level, clock: SharedClock) -> EventLog {
        let file = LogFile::new(path, mode, super::LOG_BYTES_MAX, super::LOG_FILES_MAX);
        EventLog::open(file, level, clock)
    }

    /// Whether lines of `level` that `part` says are written now.
    #[must_use]
    pub fn shows(&self, part: Part, level: Level) -> bool {
        level as u8 >= self.0.levels[part as usize].load(Ordering::Relaxed)
    }

    /// Changes every part's level from now on.
    pub fn set_level(&self, level: Level) {
        for part in [Part::System, Part::Router, Part::Bus] {
            self.set_part_level(part, level);
        }
    }

    /// Changes one part's level from now on.
    pub fn set_part_level(&self, part: Part, level: Level) {
        self.0.levels[part as usize].store(level as u8, Ordering::Relaxed);
    }

    /// Writes a line about one event, unless its kind and type had too many this second.
    pub(super) fn event_line(
        &self,
        level: Level,
        kind: &'static str,
        (event_type, id): (&EventType, EventId),
        text: impl FnOnce(&mut String),
    ) {
        if !self.shows(Part::of(kind), level) {
            return;
        }
        let now = self.0.clock.now();
        let second = now.0.div_euclid(1_000_000);
        let mut out = self.lock();
        let (admitted, left_out) = out.bound.admit(second, kind, event_type, id);
        for one in left_out {
            self.counted(&mut out, second, &one);
        }
        if admitted {
            self.put(&mut out, level, second, text);
        }
    }

    /// Writes one line: constant lower-case text first, then fields as `name=value`.
    pub fn line(&self, level: Level, text: &str) {
        self.line_of(Part::System, level, text);
    }

    /// The same, said by another part.
    pub(super) fn line_of(&self, part: Part, level: Level, text: &str) {
        if self.shows(part, level) {
            let second = self.0.clock.now().0.div_euclid(1_000_000);
            self.put(&mut self.lock(), level, second, |line| line.push_str(text));
        }
    }

    /// Writes the counted lines of past seconds; called once a second and at the end.
    pub fn flush(&self) {
        let second = self.0.clock.now().0.div_euclid(1_000_000);
        let mut out = self.lock();
        for one in out.bound.turn(second) {
            self.counted(&mut out, second, &one);
        }
    }

    fn counted(&self, out: &mut Out, second: i64, left: &LeftOut) {
        self.put(out, Level::Info, second, |line| {
            line.push_str(&format!(
                "{} {} {} more in that second first={} last={}",
                left.kind,
                left.event_type.constant(),
                left.count,
                left.first,
                left.last
            ));
        });
    }

    fn put(&self, out: &mut Out, level: Level, second: i64, text: impl FnOnce(&mut String)) {
        let mut line = std::mem::take(&mut out.line);
        line.clear();
        line.push_str(&format!(
            "{} {:5} [{}] ",
            self.0.clock.now().to_sql(),
            level.as_str(),
            self.0.pid
        ));
        let start = line.len();
        text(&mut line);
        // One line is one record, whatever an error's text contains.
        if line[start..].contains(char::is_control) {
            // Nor may a key or an error's text steer the terminal of whoever reads the log.
            let said = line.split_off(start);
            for letter in said.chars() {
                if letter.is_control() {
                    line.extend(letter.escape_default());
                } else {
                    line.push(letter);
                }
            }
        }
        match level {
            Level::Error => tracing::error!(target: "ringrift", "{}", &line[start..]),
            Level::Warn => tracing::warn!(target: "ringrift", "{}", &line[start..]),
            Level::Info | Level::Debug => {}
        }
        line.push('\n');
        let written = out
            .file
            .as_mut()
            .map_or(Ok(()), |file| file.append(line.as_bytes(), second));
        if let Err(error) = &written
            && !out.broken
        {
            tracing::error!(target: "ringrift", "the log file cannot be written: {error}");
        }
        out.broken = written.is_err();
        out.line = line;
    }

    fn lock(&self) -> MutexGuard<'_, Out> {
        self.0.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
