//! The seams for time, waiting and randomness: everything else asks here, so that tests own them.

mod birth;
mod random;
mod virtual_clock;
mod waits;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use birth::Birth;
pub use virtual_clock::{Sleeper, Timers, VirtualClock};
pub use waits::{Signal, pause, within};

/// A moment, in microseconds since 1970-01-01 UTC by the wall clock of one host.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// The moment `by` later, saturating at the ends of the range.
    #[must_use]
    pub fn after(self, by: Duration) -> Time {
        Time(self.0.saturating_add(micros(by)))
    }

    /// The moment `by` earlier, saturating at the ends of the range.
    #[must_use]
    pub fn before(self, by: Duration) -> Time {
        Time(self.0.saturating_sub(micros(by)))
    }

    /// How long after `earlier` this is; zero when the clock went back.
    #[must_use]
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `YYYY-MM-DD HH:MM:SS.SSS` in UTC: the form of every public SQL column.
    #[must_use]
    pub fn to_sql(self) -> String {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(moment) => moment.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
            Err(_) => "9999-12-31 23:59:59.999".to_owned(),
        }
    }

    /// `YYYY-MM-DDTHH:MM:SS.SSSSSSZ`: the form of every time in an answer that is serialised.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(moment) => moment.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
            Err(_) => "9999-12-31T23:59:59.999999Z".to_owned(),
        }
    }

    /// Reads [`Time::to_sql`]'s form back, to the millisecond; `None` for anything else.
    #[must_use]
    pub fn from_sql(text: &str) -> Option<Time> {
        let civil = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", text).ok()?;
        let moment = jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?;
        Some(Time(moment.as_microsecond()))
    }
}

/// For `#[serde(serialize_with = "rfc3339")]`: a moment as [`Time::to_rfc3339`], or null.
///
/// # Errors
/// The serializer's.
pub fn rfc3339<S, T>(time: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    S: serde::Serializer,
    T: Copy + Into<Option<Time>>,
{
    (*time).into().map(Time::to_rfc3339).serialize(serializer)
}

fn micros(by: Duration) -> i64 {
    i64::try_from(by.as_micros()).unwrap_or(i64::MAX)
}

/// Where time and random numbers come from.
///
/// [`SystemClock`] and, for tests, two that stand until they are moved: [`ManualClock`], beside which
/// waits take real time, and [`VirtualClock`], which they wait for.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock. It may jump in both directions: never measure a lease with it.
    fn now(&self) -> Time;

    /// Time since an arbitrary start that never goes back and goes on while the machine sleeps
    /// (`CLOCK_BOOTTIME`): leases and durations.
    fn monotonic(&self) -> Duration;

    /// Sixty-four random bits.
    fn random(&self) -> u64;

    /// Two of [`Clock::random`], as an id needs them.
    fn random_two(&self) -> (u64, u64) {
        (self.random(), self.random())
    }

    /// Who waits for this clock; `None` where waiting takes real time.
    fn timers(&self) -> Option<&Arc<Timers>> {
        None
    }
}

/// The processor time that the calling thread has used so far. One system call.
#[must_use]
pub fn thread_cpu() -> Duration {
    let spec = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(spec.tv_sec).unwrap_or(0),
        u32::try_from(spec.tv_nsec).unwrap_or(0),
    )
}

/// A clock that components share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock and the operating system's randomness.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let spec = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Time(spec.tv_sec * 1_000_000 + spec.tv_nsec / 1_000)
    }

    fn monotonic(&self) -> Duration {
        let spec = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(
            u64::try_from(spec.tv_sec).unwrap_or(0),
            u32::try_from(spec.tv_nsec).unwrap_or(0),
        )
    }

    fn random(&self) -> u64 {
        random::random()
    }

    fn random_two(&self) -> (u64, u64) {
        random::two()
    }
}

/// A clock that stands until it is moved, with a seeded random sequence.
#[derive(Debug)]
pub struct ManualClock {
    wall_us: AtomicI64,
    monotonic_us: AtomicU64,
    state: AtomicU64,
}

impl ManualClock {
    /// A clock standing at `start`, whose random numbers follow from `seed`.
    #[must_use]
    pub fn new(start: Time, seed: u64) -> ManualClock {
        ManualClock {
            wall_us: AtomicI64::new(start.0),
            monotonic_us: AtomicU64::new(1_000_000),
            state: AtomicU64::new(seed),
        }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        self.wall_us.fetch_add(micros(by), Ordering::SeqCst);
        self.monotonic_us.fetch_add(
            u64::try_from(by.as_micros()).unwrap_or(u64::MAX),
            Ordering::SeqCst,
        );
    }

    /// Sets the wall clock alone, forwards or back, as an administrator would.
    pub fn set_wall(&self, to: Time) {
        self.wall_us.store(to.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(self.wall_us.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.monotonic_us.load(Ordering::SeqCst))
    }

    fn random(&self) -> u64 {
        // SplitMix64: one addition and three mixes, enough for jitter and ids in tests.
        let mut z = self
            .state
            .fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst)
            .wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_time_compares_as_text_with_sqlite_datetime() {
        let time = Time(1_700_000_000_123_456);
        assert_eq!(time.to_sql(), "2023-11-14 22:13:20.123");
        assert!(time.to_sql().as_str() > "2023-11-14 22:13:20");
    }

    #[test]
    fn sql_time_is_read_back_to_the_millisecond() {
        let time = Time(1_700_000_000_123_456);
        assert_eq!(
            Time::from_sql(&time.to_sql()),
            Some(Time(1_700_000_000_123_000))
        );
        assert_eq!(Time::from_sql("yesterday"), None);
    }

    #[test]
    fn a_clock_that_went_back_gives_no_negative_duration() {
        assert_eq!(Time(5).since(Time(9)), Duration::ZERO);
    }
}
