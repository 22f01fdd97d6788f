//! Whom a ring concerns.

use std::num::NonZeroU32;

/// How many bells there are.
pub(crate) const BELLS: usize = 32;

/// A set of bells: one for each group of event types, and one for everything that is no append.
/// Who waits names the bells it listens to, who rings those it rings; so an append wakes the
/// processes that want its type, and a few whose types share its bell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bells(u32);

impl Bells {
    /// Nobody.
    pub(crate) const NONE: Bells = Bells(0);
    /// Every bell.
    pub(crate) const ALL: Bells = Bells(u32::MAX);
    /// Work that no append brings: retries, takeovers, commands.
    pub(crate) const WORK: Bells = Bells(1 << 31);
    /// The bells of all types.
    pub(crate) const APPENDS: Bells = Bells(u32::MAX >> 1);

    /// The bell of one type, by its canonical value: the same in every process. FNV-1a.
    pub(crate) fn of_type(canonical: &str) -> Bells {
        let hash = canonical.bytes().fold(0x811C_9DC5, |hash: u32, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        Bells(1 << (hash % 31))
    }

    /// The bells of either.
    #[must_use]
    pub(crate) fn and(self, other: Bells) -> Bells {
        Bells(self.0 | other.0)
    }

    /// The set as the kernel takes it; none for the empty set.
    pub(super) fn mask(self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.0)
    }

    /// The places of its bells.
    pub(super) fn places(self) -> impl Iterator<Item = usize> {
        (0..BELLS).filter(move |place| self.0 & (1 << place) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_ring_bells_of_their_own_and_never_that_of_work() {
        let catalog = crate::catalog::Catalog::ringrift();
        let mut used = Bells::NONE;
        for step in catalog.pipeline().steps() {
            let bell = Bells::of_type(step.as_str());
            assert_eq!(bell.places().count(), 1);
            assert_eq!(bell.and(Bells::APPENDS), Bells::APPENDS);
            used = used.and(bell);
        }
        assert!(
            used.places().count() >= 5,
            "the pipeline's types are spread"
        );
        assert_eq!(Bells::APPENDS.and(Bells::WORK), Bells::ALL);
        assert_eq!(Bells::NONE.mask(), None);
    }
}
