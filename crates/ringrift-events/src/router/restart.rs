//! Restarting a router where it stands: its subscriptions get fresh loops.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Router, Shared};

/// What a restart came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Restarted {
    /// The subscriptions that have a fresh loop.
    pub restarted: Vec<String>,
    /// Those that ran something for longer than was waited: they go on with the loop they have.
    pub busy: Vec<String>,
}

impl Router {
    /// Gives every subscription of this process a fresh loop. A loop makes room where it holds
    /// nothing: a durable one hands back what it has not started and ends what runs, a live one
    /// leaves its mailbox to the next. So nothing is lost and nothing runs twice; one that still
    /// runs something after `patience` is left as it is, and named.
    ///
    /// Blocks at most a little longer than `patience`. One call at a time.
    #[must_use]
    pub fn restart(&self, patience: Duration) -> Restarted {
        let shared = &self.shared;
        let mut done = Restarted::default();
        let hosts = shared.hosts.all();
        if shared.is_stopping() {
            return done;
        }
        for hosted in &hosts {
            hosted.ask_restart();
        }
        let until = shared.clock.monotonic() + patience;
        for hosted in hosts {
            let left = until.saturating_sub(shared.clock.monotonic());
            let name = hosted.name.to_string();
            if !hosted.wait_room(left) {
                done.busy.push(name);
                continue;
            }
            hosted.run_in(
                &shared.runtime,
                Shared::host(Arc::clone(shared), Arc::clone(&hosted)),
            );
            hosted.tell_news();
            shared.log_subscribed(&hosted);
            done.restarted.push(name);
        }
        done
    }
}
