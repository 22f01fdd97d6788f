//! Process pages: one small mapped file a process, locked for life, that others read; and one
//! page that all share, with the doorbell and the turnstile.
//!
//! Promises: writing a page waits for nobody and writes no row; a death is seen at once, by the
//! kernel lock on the page; what a process ran when it died stays readable until it is swept; a
//! ring or a turn that is missed costs time and never an event.
//!
//! Files are opened, locked and closed on database threads only, as all files of a store. What is
//! kept afterwards is a mapping: it owns no descriptor, holds the lock, and may be used and
//! dropped on any thread. It deliberately knows no SQL.

mod bells;
mod doorbell;
mod futex;
mod holder;
mod kernel;
mod layout;
mod locks;
mod memory;
mod own;
mod peer;
mod present;
mod rides;
mod roles;
mod shared;
mod side;
mod tail;
mod turnstile;
mod words;

#[cfg(test)]
mod tests;
#[cfg(test)]
use layout::{RING, SLOTS};

pub(crate) use bells::Bells;
pub(crate) use futex::pause;
pub(crate) use holder::{OldestReader, command_line, oldest_reader, write_lock_holder};
pub(crate) use layout::TAIL;
pub(crate) use locks::{any_user, excluder, posix_locks};
pub(crate) use own::{OwnPage, PAGE_MAGIC, micros};
pub(crate) use peer::{Life, Seen, Watch, glance, life, look};
pub(crate) use rides::{Passenger, RIDE_BYTES, Rides, Rode};
pub(crate) use roles::{Roles, elected};
pub(crate) use shared::SharedPage;
pub(crate) use side::{Side, Standing};
pub(crate) use tail::{TAIL_BYTES, Tail};
pub(crate) use turnstile::{Guard, Turnstile};
