//! The bound on publishes that are on their way to the store.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::Error;

/// Most publishes of one process that may wait for their commit at once: more would only hide
/// that the store is slower than its publishers.
pub const IN_FLIGHT_COUNT_MAX: usize = 65_536;

/// Most payload bytes in flight at once, so that large payloads do not fill the memory.
pub const IN_FLIGHT_BYTES_MAX: usize = 64 << 20;

/// Counts what is in flight and lets callers wait for room.
#[derive(Debug)]
pub(super) struct InFlight {
    used: Mutex<Used>,
    count_max: usize,
    bytes_max: usize,
    freed: Condvar,
    freed_async: Notify,
}

#[derive(Debug, Default)]
struct Used {
    count: usize,
    bytes: usize,
    /// Threads that wait for a change: without one the wake-up's system call is saved.
    waiting: usize,
}

/// Room that one publish takes until its commit is answered.
#[derive(Debug)]
pub(super) struct Room {
    in_flight: Arc<InFlight>,
    count: usize,
    bytes: usize,
}

impl InFlight {
    pub(super) fn new(count_max: usize, bytes_max: usize) -> Arc<InFlight> {
        Arc::new(InFlight {
            used: Mutex::new(Used::default()),
            count_max,
            bytes_max,
            freed: Condvar::new(),
            freed_async: Notify::new(),
        })
    }

    /// Takes room now, or says why not.
    pub(super) fn try_take(self: &Arc<Self>, count: usize, bytes: usize) -> Result<Room, Error> {
        let mut used = self.lock();
        self.take(&mut used, count, bytes)
    }

    /// Waits on this thread until there is room.
    pub(super) fn take_blocking(self: &Arc<Self>, count: usize, bytes: usize) -> Room {
        let mut used = self.lock();
        loop {
            match self.take(&mut used, count, bytes) {
                Ok(room) => return room,
                Err(_) => {
                    used.waiting += 1;
                    used = self
                        .freed
                        .wait(used)
                        .unwrap_or_else(PoisonError::into_inner);
                    used.waiting -= 1;
                }
            }
        }
    }

    /// Waits until there is room. Safe to drop: nothing is taken then.
    pub(super) async fn take_async(self: &Arc<Self>, count: usize, bytes: usize) -> Room {
        loop {
            let freed = self.freed_async.notified();
            tokio::pin!(freed);
            // Registered before looking, so that room freed in between is not missed.
            freed.as_mut().enable();
            if let Ok(room) = self.try_take(count, bytes) {
                return room;
            }
            freed.await;
        }
    }

    /// Waits on this thread until nothing is in flight, at most so long.
    pub(super) fn wait_empty(&self, at_most: Duration) {
        let mut used = self.lock();
        used.waiting += 1;
        let waited = self
            .freed
            .wait_timeout_while(used, at_most, |used| used.count > 0);
        let (mut used, _) = waited.unwrap_or_else(PoisonError::into_inner);
        used.waiting -= 1;
    }

    pub(super) fn count(&self) -> usize {
        self.lock().count
    }

    fn take(self: &Arc<Self>, used: &mut Used, count: usize, bytes: usize) -> Result<Room, Error> {
        // A single publish larger than the bound still goes when nothing else is in flight.
        let fits = used.count + count <= self.count_max && used.bytes + bytes <= self.bytes_max;
        if !fits && used.count > 0 {
            return Err(Error::Backpressure {
                count: used.count,
                bytes: used.bytes,
                count_max: self.count_max,
                bytes_max: self.bytes_max,
            });
        }
        used.count += count;
        used.bytes += bytes;
        Ok(Room {
            in_flight: Arc::clone(self),
            count,
            bytes,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut used = self.in_flight.lock();
        used.count -= self.count;
        used.bytes -= self.bytes;
        let waited_for = used.waiting > 0;
        drop(used);
        if waited_for {
            self.in_flight.freed.notify_all();
        }
        self.in_flight.freed_async.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_at_the_bound_and_has_room_again_once_something_ended() {
        let in_flight = InFlight::new(2, 100);
        let first = in_flight.try_take(1, 10).expect("room");
        let _second = in_flight.try_take(1, 10).expect("room");
        assert!(matches!(
            in_flight.try_take(1, 1),
            Err(Error::Backpressure { count: 2, .. })
        ));
        drop(first);
        assert!(in_flight.try_take(1, 1).is_ok());
    }

    #[test]
    fn one_publish_above_the_bytes_bound_goes_alone() {
        let in_flight = InFlight::new(2, 100);
        let big = in_flight.try_take(1, 500).expect("alone");
        assert!(in_flight.try_take(1, 1).is_err());
        drop(big);
        assert_eq!(in_flight.count(), 0);
    }

    #[test]
    fn an_end_waits_for_what_is_in_flight_and_not_for_ever() {
        let in_flight = InFlight::new(1, 100);
        let only = in_flight.try_take(1, 1).expect("room");
        in_flight.wait_empty(Duration::from_millis(1));
        assert_eq!(in_flight.count(), 1);
        let freeing = std::thread::spawn(move || drop(only));
        in_flight.wait_empty(Duration::from_secs(60));
        assert_eq!(in_flight.count(), 0);
        freeing.join().expect("no panic");
    }

    #[tokio::test]
    async fn an_async_caller_waits_for_room() {
        let in_flight = InFlight::new(1, 100);
        let first = in_flight.try_take(1, 1).expect("room");
        let waiting = tokio::spawn({
            let in_flight = Arc::clone(&in_flight);
            async move { drop(in_flight.take_async(1, 1).await) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        tokio::time::timeout(std::time::Duration::from_secs(5), waiting)
            .await
            .expect("woken")
            .expect("no panic");
    }
}
