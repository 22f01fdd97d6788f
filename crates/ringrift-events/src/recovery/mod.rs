//! What operators do to bring handlers and events together again: past events once more, for one
//! subscription, and what a move of it would mean.
//!
//! It promises that nothing is done before it was counted (`preview`), that a replay reaches one
//! subscription alone, and that an interrupted one goes on where it stood and repeats nothing: each
//! replayed event says in its own transaction which run asked for it. What a process alone can do, it
//! is asked to do (`ask`). It deliberately keeps no state of its own; a run is what its facts say.

mod ask;
mod preview;
mod replay;

pub use ask::{Question, Reply, ask};
pub use preview::{COUNTED_MAX, Counted, Selection, count};
pub use replay::{PER_SECOND, Progress, Replay, Request};
