//! Delivery to live subscriptions inside this process.
//!
//! An [`EventBus`] knows which live subscription takes which events, and puts each event into the
//! [`Mailbox`] of every one that matches. Whoever owns a mailbox takes events out of it, in
//! batches, at its own pace.
//!
//! Promises: delivering never waits and never runs the user's code; while the process lives, each
//! matching event comes once; a full mailbox loses nothing that is in the log. Such a mailbox is
//! *lagging*: its owner reads the log from [`Mailbox::lag`] on, until [`Mailbox::caught_up`].
//!
//! It deliberately knows no handlers, reads no log and decides nothing about failures.

mod event_bus;
mod mailbox;
mod marks;

pub use event_bus::{Delivered, EventBus, Joined};
pub use mailbox::{MAILBOX_CAPACITY, Mailbox, Offered, Spent};
pub use marks::Lag;
