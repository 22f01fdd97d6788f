//! The lookout: a thread that looks, a few times a second, whether somebody changed the database
//! without telling, as a `sqlite3` shell does. It is started by the first who waits for news, and looks
//! for all who wait in this process.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::SqliteStore;
use super::connection::{connect, version_of};
use super::keeper::keeper;
use super::line::{Line, Notice};
use super::presence::Presence;
use crate::store::Error;

/// After so long a connection is tried for again.
const TRIES_EVERY: Duration = Duration::from_secs(5);

/// The lookout thread's own.
pub(super) struct Lookout {
    conn: Connection,
    presence: Arc<Presence>,
    looked: Looked,
}

/// What a look saw.
#[derive(Clone, Copy)]
struct Looked {
    /// How often a commit had been told of.
    told: u32,
    /// The database's version, as this connection sees it; none where it cannot be known.
    version: Option<i64>,
}

impl Looked {
    /// A look now.
    fn at(conn: &Connection, presence: &Presence) -> Looked {
        // What was told first: a commit that is told of meanwhile counts as one that is not.
        let told = presence.told();
        let version = version_of(conn).ok();
        Looked { told, version }
    }
}

impl Lookout {
    pub(super) fn begin(conn: Connection, presence: Arc<Presence>) -> Lookout {
        let looked = Looked::at(&conn, &presence);
        presence.begin_looking();
        Lookout {
            conn,
            presence,
            looked,
        }
    }

    pub(super) fn look(&mut self) {
        let looked = Looked::at(&self.conn, &self.presence);
        match looked.version {
            // It may have changed; that is no reason to wake everybody at each look.
            None => self.presence.changed(false),
            // Beside a commit that was told of nobody knows whose the change was.
            version if version != self.looked.version => {
                self.presence.changed(looked.told == self.looked.told);
            }
            Some(_) => {}
        }
        self.looked = looked;
    }
}

impl SqliteStore {
    /// Sees to it that somebody looks.
    pub(super) fn look_out(&self) {
        self.line.looks_out.get_or_init(|| {
            if let Err(error) = self.start_lookout() {
                let what = "nobody looks for changes that are not told of, all who wait guess";
                self.line
                    .say(Notice::Warn(format!("{what}: {}", error.message)));
            }
        });
    }

    fn start_lookout(&self) -> Result<(), Error> {
        let guard = self.line.threads.enter();
        // A close that has not counted it would not wait for it.
        self.check()?;
        let (line, presence) = (Arc::clone(&self.line), Arc::clone(&self.presence));
        let database = self.database.clone();
        let (reading, patience) = (self.reading, self.options.busy_timeout);
        keeper()?.spawn("rr-db-lookout", move || {
            let _guard = guard;
            // Dropped before the guard: this thread is never the last to know the line.
            let line = line;
            match until_open(&line, || connect(&database, reading, patience)) {
                Some(conn) => run(&line, &mut Lookout::begin(conn, presence)),
                None => drop(presence),
            }
        })
    }
}

/// Looks until the store closes.
fn run(line: &Line, lookout: &mut Lookout) {
    let every = lookout.presence.foreign_poll();
    while !line.lookout.wait(every) {
        lookout.look();
    }
}

/// A connection; none where the store closes before there is one. What is in its way is said once.
fn until_open(
    line: &Line,
    mut open: impl FnMut() -> Result<Connection, Error>,
) -> Option<Connection> {
    let mut said = false;
    loop {
        match open() {
            Ok(conn) => return Some(conn),
            Err(error) if !said => {
                said = true;
                line.say(Notice::Warn(format!(
                    "changes that are not told of are guessed, for want of a connection: {}",
                    error.message
                )));
            }
            Err(_) => {}
        }
        if line.lookout.wait(TRIES_EVERY) {
            return None;
        }
    }
}
