//! Random numbers from the operating system, drawn some at a time: each publish wants four, and a
//! system call for each costs a third of what the publish costs its caller.

use std::cell::RefCell;

use super::birth::Birth;

/// Numbers drawn at once.
const DRAWN: usize = 64;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { process: Birth::NONE, left: 0, numbers: [0; DRAWN] }) };
}

struct Pool {
    /// A forked child must not use what its parent has drawn: ids would be the same.
    process: Birth,
    left: usize,
    numbers: [u64; DRAWN],
}

/// Sixty-four random bits, each number once in all processes.
pub(super) fn random() -> u64 {
    drawn().map_or_else(single, |[number]| number)
}

/// Two such numbers for the price of one: whether the process was forked is asked once.
pub(super) fn two() -> (u64, u64) {
    drawn().map_or_else(|| (single(), single()), |[one, other]| (one, other))
}

/// `None` on a thread that ends, and on a system without the call.
fn drawn<const COUNT: usize>() -> Option<[u64; COUNT]> {
    let drawn = POOL.try_with(|pool| pool.try_borrow_mut().ok()?.take());
    drawn.ok().flatten()
}

impl Pool {
    fn take<const COUNT: usize>(&mut self) -> Option<[u64; COUNT]> {
        let process = Birth::here();
        if self.left < COUNT || self.process != process {
            self.fill()?;
            self.process = process;
        }
        // None is seen twice, not even by who reads this memory later.
        Some(std::array::from_fn(|_| {
            self.left -= 1;
            std::mem::take(&mut self.numbers[self.left])
        }))
    }

    fn fill(&mut self) -> Option<()> {
        let mut bytes = [0_u8; DRAWN * 8];
        let flags = rustix::rand::GetRandomFlags::empty();
        // At most 256 bytes come whole.
        for part in bytes.chunks_mut(256) {
            let length = part.len();
            if rustix::rand::getrandom(&mut *part, flags) != Ok(length) {
                return None;
            }
        }
        for (number, eight) in self.numbers.iter_mut().zip(bytes.chunks_exact(8)) {
            *number = u64::from_ne_bytes(eight.try_into().ok()?);
        }
        self.left = DRAWN;
        Some(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks for randomness"
)]
fn single() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1.rotate_left(32) ^ uuid::Uuid::new_v4().as_u64_pair().0
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_number_comes_twice_whoever_draws() {
        let draw = || {
            let pairs = (0..DRAWN).map(|_| (random(), two()));
            pairs.flat_map(|(a, (b, c))| [a, b, c]).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let mut all = draw();
        for thread in threads {
            all.extend(thread.join().unwrap());
        }
        let distinct: HashSet<u64> = all.iter().copied().collect();
        assert_eq!(distinct.len(), DRAWN * 3 * 5);
        assert!(!distinct.contains(&0));
    }

    #[test]
    fn what_another_process_drew_is_not_used() {
        let mut pool = Pool {
            process: Birth::NONE,
            left: DRAWN,
            numbers: [7; DRAWN],
        };
        assert!((0..DRAWN).all(|_| pool.take().unwrap() != [7]));
        assert_eq!(pool.numbers, [0; DRAWN]);
    }
}
