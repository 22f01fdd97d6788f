//! The follower: a reader that waits at the doorbell by itself, so that a ring wakes the thread that
//! reads, and not one that has to ask it. It is started by the first who follows the log; a process
//! that only publishes has none.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rusqlite::Connection;

use super::SqliteStore;
use super::connection::connect;
use super::handle::reader;
use super::inbox::Taken;
use super::keeper::keeper;
use super::line::{Notice, closed};
use super::presence::{FOREIGN_POLL, Presence};
use super::reader::Reader;
use super::registry::bells_of;
use super::request::{Reading, Request};
use super::verb::Listen;
use super::verbs::read::{FollowLog, ReadLog};
use crate::clock::{Clock as _, SystemClock};
use crate::store::log::{Follow, Followed};
use crate::store::pages::Bells;
use crate::store::pending::Carrier;
use crate::store::{Error, Pending, wait_and_read};

/// How long it sleeps when nobody follows. Only a guard: whoever follows wakes it.
const NAP: Duration = Duration::from_secs(60);

/// The follower thread's own.
struct Follower {
    reader: Reader,
    presence: Arc<Presence>,
    /// The database's version as its connection saw it last.
    version: Cell<i64>,
}

impl Follower {
    /// Serves until its inbox is closed and empty.
    fn run(&mut self) {
        self.reader.begin();
        let line = Arc::clone(&self.reader.line);
        loop {
            match line.follows.take(1, NAP, |_| false) {
                Taken::Some(asked) => asked.into_iter().for_each(|one| self.serve(one)),
                Taken::Nothing => {}
                Taken::Closed => return,
            }
        }
    }

    fn serve(&mut self, asked: Box<dyn Request>) {
        if let Some(listen) = asked.listens() {
            self.listen(listen);
        }
        self.reader.serve(asked);
    }

    /// Blocks until there is news, the time is over or the store closes.
    fn listen(&self, listen: Listen) {
        let until = SystemClock.monotonic().saturating_add(listen.at_most);
        loop {
            let left = until.saturating_sub(SystemClock.monotonic());
            if left.is_zero() || self.reader.line.closing() {
                return;
            }
            // A slice at a time: the end of the store rings for nobody.
            let slice = left.min(FOREIGN_POLL);
            let news = self
                .presence
                .follow_news(listen.bells, listen.seen, slice, || self.has_changed());
            if news != listen.seen {
                return;
            }
        }
    }
}

impl Follower {
    fn has_changed(&self) -> bool {
        // Unknown counts as changed: whoever reads finds out.
        let now = version_of(&self.reader.conn).unwrap_or(-1);
        self.version.replace(now) != now
    }
}

fn version_of(conn: &Connection) -> Result<i64, Error> {
    let mut statement = conn.prepare_cached("PRAGMA data_version")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

impl SqliteStore {
    /// See [`crate::store::Store::follow`].
    pub(super) fn follow_log(&self, follow: Follow) -> Result<Followed, Error> {
        if !*self.line.follower.get_or_init(|| self.start_follower()) {
            return wait_and_read(self, follow);
        }
        self.admit(0)?;
        let carrier = Arc::clone(&self.line) as Arc<dyn Carrier>;
        let (answer, pending) = Pending::channel_carried(None, carrier);
        let asked = FollowLog {
            listen: Listen {
                bells: bells_of(&follow.types).and(Bells::WORK),
                seen: follow.seen,
                at_most: follow.at_most,
            },
            read: ReadLog {
                after: follow.after,
                types: follow.types,
                limit: follow.limit,
                presence: Arc::clone(&self.presence),
            },
        };
        let asked: Box<dyn Request> = Box::new(Reading::new(asked, answer));
        if self.line.follows.push(asked).is_err() {
            self.line.release(0);
            return Err(closed());
        }
        pending.wait()
    }

    /// Says whether there is one now; without one the callers wait themselves.
    fn start_follower(&self) -> bool {
        let (tell, told) = sync_channel(1);
        let (line, options) = (Arc::clone(&self.line), self.options.clone());
        let (database, reading) = (self.database.clone(), self.reading);
        let presence = Arc::clone(&self.presence);
        let guard = line.threads.enter();
        let started = keeper().and_then(|keeper| {
            keeper.spawn("rr-db-follower", move || {
                let _guard = guard;
                let conn = connect(&database, reading, options.busy_timeout);
                let ready = conn.and_then(|conn| Ok((version_of(&conn)?, conn)));
                match ready {
                    Ok((version, conn)) => {
                        if tell.send(Ok(())).is_ok() {
                            let reader = reader(conn, line, &options);
                            Follower {
                                reader,
                                presence,
                                version: Cell::new(version),
                            }
                            .run();
                        }
                    }
                    Err(error) => drop(tell.send(Err(error))),
                }
            })
        });
        let started = started.and_then(|_| told.recv().unwrap_or_else(|_| Err(closed())));
        if let Err(error) = &started {
            self.line.say(Notice::Warn(format!(
                "the log is followed without a thread of its own: {}",
                error.message
            )));
        }
        started.is_ok()
    }
}
