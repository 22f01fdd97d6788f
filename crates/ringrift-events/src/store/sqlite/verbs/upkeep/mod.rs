//! The verbs that keep the store well: takeover, retention, counting, clearing and restoring.

mod clear_queue;
mod count_pending;
mod figures;
mod find_dead;
mod lost;
mod mark;
mod restore_queue;
mod retain;
mod take_over;
mod tallies;
mod write_lock;

pub(crate) use clear_queue::ClearQueue;
pub(crate) use count_pending::CountPending;
pub(crate) use figures::LogFigures;
pub(crate) use find_dead::{AnyLost, FindDead};
pub(crate) use lost::RetirePages;
pub(crate) use mark::SaveMark;
pub(crate) use restore_queue::RestoreQueue;
pub(crate) use retain::Retain;
pub(crate) use take_over::{Depart, TakeOver};
pub(crate) use tallies::Tallies;
