//! The SQLite store: one file per home, shared by every process of it.
//!
//! Every SQLite call runs on database threads that own a private descriptor table ([`keeper`]): a
//! second copy of SQLite in this process (Python's own) drops the locks of its own table when it
//! closes the file, never ours. The reverse is deadly: a descriptor number means something else
//! there. So a request is plain data ([`verb::Plain`]), its answer is filled through memory, and
//! the [`courier`], a thread of the ordinary table, wakes async callers, runs follow-ups and
//! writes the log.
//!
//! One writer a process, group commit ([`writer`]); a few readers ([`reader`]); checkpoints off the
//! publishing path ([`housekeeper`]); power durability by one sync for many commits ([`syncer`]).

mod connection;
mod fault;
mod frames;
pub mod fs_probe;
mod identity;
mod migrate;
mod open;

mod begin;
mod checkpoint;
mod courier;
mod follow;
mod handle;
mod housekeeper;
mod inbox;
mod keeper;
mod line;
mod lookout;
mod neighbours;
mod news;
mod open_guard;
mod packed;
mod place;
mod presence;
mod private_table;
mod raw;
mod reader;
mod request;
mod room;
mod signals;
mod start;
mod syncer;
mod threads;
mod watch;
mod writer;

mod alone;
mod backup;
mod integrity;
mod long;
mod restore;
mod riding;
mod sql;
mod sql_write;

mod claiming;
mod deliveries;
mod letters;
mod log;
mod recent;
mod records;
mod registry;
mod rows;
mod subscriptions;
mod upkeep;
mod verb;
mod verbs;
mod watching;

#[cfg(test)]
mod compared;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod engine_tests;
#[cfg(test)]
pub(crate) mod testing;

pub use begin::LOCK_WAIT_RECORDED;
pub use courier::OnNotice;
pub use handle::SqliteStore;
pub use open::{BUSY_TIMEOUT, LOG_BYTES_MAX, LOG_EVENTS_MAX, OpenOptions, READERS, WAL_BYTES_MAX};
pub use place::database_of;
pub use restore::{Restored, restore};
