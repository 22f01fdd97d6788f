//! How long events took from publish to handled. Each stage says it of every event that it has
//! handled, in microseconds, a line an event on its standard output; the parent reads along. It is
//! the stage that knows: the last one of a round publishes nothing from which others could tell.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::ChildStdout;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use ringrift_events::clock::{Clock as _, SystemClock};
use ringrift_events::event::Event;

use super::plan::{STAGES, Stage};

/// The timings of every stage. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Timings(Arc<[Mutex<Spread>; STAGES.len()]>);

impl Timings {
    /// Says, in a stage's process, that this event has been handled now.
    pub(super) fn tell(event: &Event) {
        let took = SystemClock.now().since(event.published_at);
        // A parent that is gone needs no timings, and this process soon ends as well.
        drop(writeln!(std::io::stdout().lock(), "{}", took.as_micros()));
    }

    /// Reads what one process says, on a thread of its own, until that process has ended.
    pub(super) fn listen(
        &self,
        stage: &Stage,
        said: ChildStdout,
    ) -> std::io::Result<JoinHandle<()>> {
        let timings = self.clone();
        let place = STAGES.iter().position(|other| other == stage).unwrap_or(0);
        std::thread::Builder::new()
            .name(format!("demo-{}", stage.name))
            .spawn(move || {
                for line in BufReader::new(said).lines().map_while(Result::ok) {
                    // A process that was killed may leave half a line.
                    if let Ok(took_us) = line.parse() {
                        timings.of(place, |spread| spread.add(took_us));
                    }
                }
            })
    }

    /// The time within which `percent` of this stage's events were handled, in milliseconds; none
    /// if it handled none.
    pub(super) fn quantile_ms(&self, place: usize, percent: u64) -> Option<f64> {
        let us = self.of(place, |spread| spread.quantile(percent))?;
        Some(us as f64 / 1_000.0)
    }

    fn of<T>(&self, place: usize, look: impl FnOnce(&mut Spread) -> T) -> T {
        look(&mut self.0[place].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Bits of a number that are kept: what is read back is at most 1/64 above what was measured.
const BITS: u32 = 7;

/// Places within each doubling.
const STEPS: usize = 1 << (BITS - 1);

/// How many numbers there were of each size, in the same space however many there are.
struct Spread {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Spread {
    fn default() -> Spread {
        Spread {
            counts: vec![0; Spread::place(u64::MAX) + 1],
            total: 0,
        }
    }
}

impl Spread {
    fn add(&mut self, number: u64) {
        self.counts[Spread::place(number)] += 1;
        self.total += 1;
    }

    fn quantile(&self, percent: u64) -> Option<u64> {
        let wanted = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        place.map(Spread::largest_of)
    }

    fn place(number: u64) -> usize {
        let shift = (u64::BITS - number.leading_zeros()).saturating_sub(BITS);
        // At most twice the steps: no machine's `usize` is too small for it.
        STEPS * shift as usize + usize::try_from(number >> shift).unwrap_or(usize::MAX)
    }

    fn largest_of(place: usize) -> u64 {
        let shift = (place / STEPS).saturating_sub(1);
        let next = (place - STEPS * shift + 1) as u128;
        u64::try_from((next << shift) - 1).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(numbers: impl IntoIterator<Item = u64>) -> Spread {
        let mut spread = Spread::default();
        for number in numbers {
            spread.add(number);
        }
        spread
    }

    #[test]
    fn quantiles_are_at_most_a_64th_above_what_was_measured() {
        let thousands = spread((1..=200).map(|value| value * 1_000));
        for (percent, measured) in [(1, 2_000), (50, 100_000), (99, 198_000), (100, 200_000)] {
            let read = thousands.quantile(percent).expect("a number");
            assert!((measured..=measured + measured / 64).contains(&read));
        }
        assert_eq!(spread(1..=100).quantile(99), Some(99));
        assert_eq!(spread([7]).quantile(50), Some(7));
        assert_eq!(spread([]).quantile(50), None);
    }

    #[test]
    fn every_number_has_a_place_and_is_not_above_its_largest() {
        let powers = (0..64).map(|power| 1_u64 << power);
        for number in powers.flat_map(|n| [n - 1, n, n + n / 3]).chain([u64::MAX]) {
            let largest = Spread::largest_of(Spread::place(number));
            assert!(largest >= number && largest - number <= number / 64);
            assert_eq!(Spread::place(largest), Spread::place(number));
        }
    }
}
