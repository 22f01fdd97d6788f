//! Tests that fail by chance: a machine that others use stalls for seconds, and a test with real
//! processes and real time sees it. Few that fail run once more, alone; what passes then is named at
//! the end as unsteady, so that it is mended and not forgotten.

use anyhow::{Error, Result, ensure};

use crate::test::Count;

/// Most failures that may be chance. More than these are a defect.
const CHANCE_MAX: usize = 3;

/// What one run of tests came to.
#[derive(Default, Debug)]
pub(crate) struct Ran {
    pub(crate) count: Count,
    /// The names of those that failed.
    pub(crate) failed: Vec<String>,
    /// Whether the runner itself was content.
    pub(crate) good: bool,
    /// Whether every test program that began came to its closing line.
    pub(crate) whole: bool,
    /// Why the runner did not come to its end, if it did not.
    broke: Option<Error>,
    /// The names of those that took long and have not ended.
    pub(crate) slow: Vec<String>,
}

impl Ran {
    /// Notes how the runner ended: content or not, or not at all.
    pub(crate) fn end(&mut self, content: Result<bool>) {
        match content {
            Ok(good) => self.good = good,
            Err(error) => self.broke = Some(error),
        }
    }
}

/// Counts what a run came to. Its failures are run by `again` once more where they may be chance;
/// at full size none is.
pub(crate) fn settle(
    mut ran: Ran,
    long: bool,
    count: &mut Count,
    again: impl FnOnce(&[String]) -> Ran,
) -> Result<()> {
    if let Some(error) = ran.broke {
        ran.count.failed += 1;
        count.add(ran.count);
        let names = [ran.failed, ran.slow].concat().join(", ");
        return Err(match names.is_empty() {
            true => error,
            false => error.context(format!("failed or did not end: {names}")),
        });
    }
    if !ran.good && !long && may_be_chance(&ran) {
        println!("\n==> once more, alone: {}", ran.failed.join(", "));
        let second = again(&ran.failed);
        if second.good && second.count.passed >= ran.count.failed {
            ran.count.passed += std::mem::take(&mut ran.count.failed);
            ran.count.unsteady.append(&mut ran.failed);
            ran.good = true;
        } else if let Some(error) = second.broke {
            println!("{error:#}");
        }
    }
    if !ran.good && ran.count.failed == 0 {
        // A build that fails, or a test program that dies, prints no result of its own.
        ran.count.failed = 1;
    }
    let (passed, failed) = (ran.count.passed, ran.count.failed);
    count.add(ran.count);
    ensure!(
        ran.good,
        "{failed} failed, or a test program died {:?}",
        ran.failed
    );
    ensure!(passed > 0, "no test ran");
    Ok(())
}

/// Whether a run failed by nothing but a few tests, all of them known.
fn may_be_chance(ran: &Ran) -> bool {
    let known = ran.failed.len() as u64 == ran.count.failed;
    ran.whole && known && (1..=CHANCE_MAX).contains(&ran.failed.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(names: &[&str]) -> Ran {
        Ran {
            count: Count {
                passed: 10,
                failed: names.len() as u64,
                ..Count::default()
            },
            failed: names.iter().map(ToString::to_string).collect(),
            good: names.is_empty(),
            whole: true,
            ..Ran::default()
        }
    }

    fn passed() -> Ran {
        let mut ran = failed(&[]);
        ran.count.passed = 1;
        ran
    }

    #[test]
    fn what_passes_alone_is_unsteady_and_named() {
        let mut count = Count::default();
        settle(failed(&["a::b"]), false, &mut count, |names| {
            assert_eq!(names, ["a::b"]);
            passed()
        })
        .unwrap();
        assert_eq!((count.passed, count.failed), (11, 0));
        assert_eq!(count.unsteady, ["a::b"]);
    }

    #[test]
    fn what_fails_alone_too_has_failed() {
        let mut count = Count::default();
        let error = settle(failed(&["a::b"]), false, &mut count, |_| failed(&["a::b"]));
        assert!(error.unwrap_err().to_string().contains("a::b"));
        assert_eq!((count.passed, count.failed), (10, 1));
        assert!(count.unsteady.is_empty());
    }

    #[test]
    fn many_failures_a_dead_program_and_a_run_at_full_size_are_no_chance() {
        let four = failed(&["a", "b", "c", "d"]);
        let mut dead = failed(&["a"]);
        dead.whole = false;
        let mut built = failed(&[]);
        (built.good, built.whole) = (false, true);
        for (ran, long) in [
            (four, false),
            (dead, false),
            (built, false),
            (failed(&["a"]), true),
        ] {
            let mut count = Count::default();
            let never = |_: &[String]| panic!("it ran again");
            assert!(settle(ran, long, &mut count, never).is_err());
            assert!(count.failed > 0);
        }
    }

    #[test]
    fn a_second_run_that_ran_nothing_proves_nothing() {
        let mut count = Count::default();
        let nothing = |_: &[String]| {
            let mut ran = passed();
            ran.count.passed = 0;
            ran
        };
        assert!(settle(failed(&["a"]), false, &mut count, nothing).is_err());
    }
}
