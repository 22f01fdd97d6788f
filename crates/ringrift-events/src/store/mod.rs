//! The durable log between processes, and everything that is owed from it.
//!
//! [`Store`] is one process's handle on one store. Each verb takes effect at the call; the
//! [`Pending`] it returns only waits, so dropping it, mid-await too, loses nothing. Memory is the
//! oracle: what it does, [`sqlite`] does, results and errors alike (`conformance`).
//!
//! It deliberately knows no handlers, no policies and no retry rules: callers say when a failed
//! delivery is next due, the store keeps it.

pub mod conformance;
pub mod counting;
pub mod deliveries;
pub mod error;
mod evidence;
pub mod faulty;
pub mod letters;
pub mod log;
pub mod memory;
mod opener;
#[cfg(test)]
#[path = "../../tests/support/over.rs"]
pub(crate) mod over;
pub mod pages;
pub mod pending;
pub mod records;
pub mod registry;
pub(crate) mod spin;
pub mod sqlite;
pub mod subscriptions;
pub mod trail;
pub mod upkeep;
pub mod watching;

pub use counting::Counting;
pub use deliveries::Deliveries;
pub use error::{Error, ErrorCode};
pub use letters::Letters;
pub use log::Log;
pub(crate) use opener::Opener;
pub use pending::Pending;
pub use records::Records;
pub use registry::Registry;
pub use subscriptions::Subscriptions;
pub use upkeep::Upkeep;
pub use watching::Watching;

/// One process's handle on one store: all its verbs.
pub trait Store:
    Log + Subscriptions + Deliveries + Letters + Registry + Records + Upkeep + Counting + Watching
{
    /// Stops the handle: answers what was asked, ends its threads, checkpoints if it is the last.
    ///
    /// Blocks at most a few seconds. May be called twice; every verb afterwards is
    /// [`ErrorCode::Closed`].
    fn close(&self);

    /// Waits as [`Registry::wait_for_news_of`] does for appends of these types, and where something
    /// may be new reads as [`Log::read`] does. Blocks. A store may have at hand what was just
    /// appended.
    ///
    /// # Errors
    /// As [`Log::read`].
    fn follow(&self, follow: log::Follow) -> Result<log::Followed, Error> {
        let news = self.wait_for_news_of(Some(&follow.types), follow.seen, follow.at_most);
        let read = match news == follow.seen {
            true => None,
            false => Some(self.read(follow.after, follow.types, follow.limit).wait()?),
        };
        Ok((news, read))
    }
}
