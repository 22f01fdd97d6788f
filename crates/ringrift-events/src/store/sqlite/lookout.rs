//! The lookout: a thread that looks, a few times a second, whether somebody changed the database
//! without a ring, as a `sqlite3` shell does. It is started by the first who waits for news, and looks
//! for all who wait in this process.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use rusqlite::Connection;

use super::SqliteStore;
use super::connection::connect;
use super::inbox::Taken;
use super::keeper::keeper;
use super::line::{Line, Notice, closed};
use super::presence::Presence;
use crate::store::Error;

/// The lookout thread's own.
pub(super) struct Lookout {
    conn: Connection,
    presence: Arc<Presence>,
    seen: Seen,
}

/// What a look saw.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// How often anybody had rung.
    rings: u32,
    /// The database's version, as this connection sees it.
    version: i64,
}

impl Lookout {
    pub(super) fn begin(conn: Connection, presence: Arc<Presence>) -> Result<Lookout, Error> {
        let seen = Seen {
            rings: presence.rings(),
            version: version_of(&conn)?,
        };
        Ok(Lookout {
            conn,
            presence,
            seen,
        })
    }

    /// Looks until the store closes.
    fn run(&mut self, line: &Line) {
        let every = self.presence.foreign_poll();
        while let Taken::Nothing = line.lookout.take(1, every, |()| true) {
            self.look();
        }
    }

    pub(super) fn look(&mut self) {
        // The rings first: a commit that rings meanwhile counts as one that does not.
        let seen = Seen {
            rings: self.presence.rings(),
            // Unknown counts as changed: whoever reads finds out.
            version: version_of(&self.conn).unwrap_or(-1),
        };
        if seen.version != self.seen.version {
            // Beside a ring nobody knows whose the change was, and who was rung is awake.
            self.presence.changed(seen.rings == self.seen.rings);
        }
        self.seen = seen;
    }
}

fn version_of(conn: &Connection) -> Result<i64, Error> {
    let mut statement = conn.prepare_cached("PRAGMA data_version")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

impl SqliteStore {
    /// Sees to it that somebody looks.
    pub(super) fn look_out(&self) {
        self.line.looks_out.get_or_init(|| {
            if let Err(error) = self.start_lookout() {
                self.line.say(Notice::Warn(format!(
                    "nobody looks for changes without a ring, so all that wait look at the log \
                     from time to time: {}",
                    error.message
                )));
            }
        });
    }

    fn start_lookout(&self) -> Result<(), Error> {
        let (tell, told) = sync_channel(1);
        let (line, database) = (Arc::clone(&self.line), self.database.clone());
        let (reading, patience) = (self.reading, self.options.busy_timeout);
        let presence = Arc::clone(&self.presence);
        let guard = line.threads.enter();
        keeper()?.spawn("rr-db-lookout", move || {
            let _guard = guard;
            let begun = connect(&database, reading, patience)
                .and_then(|conn| Lookout::begin(conn, Arc::clone(&presence)));
            match begun {
                Ok(mut lookout) => {
                    presence.is_looked_after();
                    if tell.send(Ok(())).is_ok() {
                        lookout.run(&line);
                    }
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        })?;
        told.recv().unwrap_or_else(|_| Err(closed()))
    }
}
