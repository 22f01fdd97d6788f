//! What the writer owes to the store's other processes: its turn, a ring, and how far the log is
//! on disk.

use std::sync::Arc;
use std::time::Duration;

use super::news::News;
use crate::event::Seq;
use crate::store::pages::{Bells, Guard, Passenger, Rides, SharedPage, Tail, Turnstile};
use crate::store::sqlite::presence::Presence;

/// The other processes of this store, as its writer meets them. Memory only.
pub(super) struct Neighbours {
    presence: Arc<Presence>,
    turnstile: Option<Turnstile>,
    rides: Option<Rides>,
    tail: Option<Tail>,
    incarnation: u64,
}

impl Neighbours {
    pub(super) fn new(presence: Arc<Presence>, incarnation: u64) -> Neighbours {
        Neighbours {
            turnstile: presence.turnstile(),
            rides: presence.rides(),
            tail: presence.tail(incarnation),
            presence,
            incarnation,
        }
    }

    /// Waits for this process's turn, at most `at_most`: fairness, not correctness.
    pub(super) fn enter(&self, at_most: Duration) -> Option<Guard> {
        self.turnstile.as_ref().map(|line| line.enter(at_most))
    }

    /// The same where nobody has it, and where nobody takes turns.
    pub(super) fn enter_if_free(&self) -> Option<Option<Guard>> {
        match &self.turnstile {
            Some(line) => line.enter_if_free().map(Some),
            None => Some(None),
        }
    }

    /// The rides with whoever has the turn.
    pub(super) fn rides(&self) -> Option<&Rides> {
        self.rides.as_ref()
    }

    /// This process wants no turn for a while: see [`Guard::end_quietly`].
    pub(super) fn rest(&self) {
        if let Some(line) = &self.turnstile {
            line.rest();
        }
    }

    /// Other processes' appends that go along with this one's.
    pub(super) fn passengers(&self) -> Vec<Passenger> {
        self.rides.as_ref().map(Rides::take).unwrap_or_default()
    }

    /// How many of them may wait.
    pub(super) fn waiting(&self) -> u32 {
        self.rides.as_ref().map_or(0, Rides::waiting)
    }

    /// Tells whoever listens what is new, in the order of the commits.
    pub(super) fn tell(&self, news: &[News]) {
        if let Some(tail) = &self.tail {
            News::put(news, tail);
        }
        let rings = news.iter().map(|one| one.rings);
        self.presence.ring(rings.fold(Bells::NONE, Bells::and));
    }

    /// Who is here.
    pub(super) fn presence(&self) -> &Arc<Presence> {
        &self.presence
    }

    fn shared(&self) -> Option<&SharedPage> {
        self.presence.shared().map(|shared| &**shared)
    }

    /// Whether somebody publishes with power durability here since the machine started: then
    /// every append is synced, since readers act on nothing beyond the synced place.
    pub(super) fn syncs(&self) -> bool {
        self.shared()
            .is_some_and(|shared| shared.synced_to(self.incarnation).is_some())
    }

    /// Makes readers stop at the present end until a sync says more. Before the first commit that
    /// waits for one.
    pub(super) fn begin_syncing(&self, end: i64) {
        if let Some(shared) = self.shared()
            && shared.synced_to(self.incarnation).is_none()
        {
            shared.note_synced(self.incarnation, Seq(end));
        }
    }

    /// Says that everything up to `seq` is on disk.
    pub(super) fn note_synced(&self, seq: i64) {
        if let Some(shared) = self.shared() {
            shared.note_synced(self.incarnation, Seq(seq));
        }
    }

    /// Whether a sync failed in some process.
    pub(super) fn is_poisoned(&self) -> bool {
        self.shared().is_some_and(SharedPage::is_poisoned)
    }

    /// A sync failed: nobody may sync again and call it good.
    pub(super) fn poison(&self) {
        if let Some(shared) = self.shared() {
            shared.poison();
        }
    }
}

/// The last place of the log that readers may act on.
pub(super) fn readable(presence: &Presence, incarnation: u64) -> i64 {
    presence
        .shared()
        .and_then(|shared| shared.synced_to(incarnation))
        .map_or(i64::MAX, |seq| seq.0)
}
