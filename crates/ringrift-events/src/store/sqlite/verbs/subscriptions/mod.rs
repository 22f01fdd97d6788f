//! The verbs on subscriptions.

mod hosts;
mod list;
mod pause;
mod remove;
mod seek;
mod subscribe;
mod unsubscribe;

pub(crate) use list::ListSubscriptions;
pub(crate) use pause::Pause;
pub(crate) use remove::Remove;
pub(crate) use seek::Seek;
pub(crate) use subscribe::Subscribe;
pub(crate) use unsubscribe::{Unsubscribe, end_live_of, unhost};
