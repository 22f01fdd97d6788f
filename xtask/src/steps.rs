//! Steps with their durations: what a cold machine pays is printed, not guessed.

use std::time::{Duration, Instant};

use anyhow::Result;

/// The steps of one run, in order.
#[derive(Default)]
pub(crate) struct Steps(Vec<Step>);

struct Step {
    name: String,
    took: Duration,
    failure: Option<String>,
}

impl Steps {
    /// Runs one step. A failure is printed and kept; later steps run all the same, so that one run
    /// shows everything that is wrong. Returns what the step gave, if it succeeded.
    pub(crate) fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        println!("\n==> {name}");
        let start = now();
        let result = work();
        let took = now() - start;
        let (given, failure) = match result {
            Ok(given) => (Some(given), None),
            Err(error) => {
                println!("==> {name} failed: {error:#}");
                (None, Some(format!("{error:#}")))
            }
        };
        self.0.push(Step {
            name: name.to_owned(),
            took,
            failure,
        });
        given
    }

    /// Prints seconds a step and what failed. Returns whether all succeeded.
    pub(crate) fn report(&self) -> bool {
        println!("\nseconds  step");
        for step in &self.0 {
            let mark = if step.failure.is_some() {
                "  FAILED"
            } else {
                ""
            };
            println!("{:7.1}  {}{mark}", step.took.as_secs_f64(), step.name);
        }
        let total: Duration = self.0.iter().map(|step| step.took).sum();
        println!("{:7.1}  total", total.as_secs_f64());
        let failed: Vec<String> = self.failures().collect();
        for failure in &failed {
            println!("{failure}");
        }
        failed.is_empty()
    }

    fn failures(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().filter_map(|step| {
            let failure = step.failure.as_ref()?;
            Some(format!("{} failed: {failure}", step.name))
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the stopwatch of a build tool; nothing decides by it"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_failed_step_does_not_hide_the_later_ones_and_is_named_at_the_end() {
        let mut steps = Steps::default();
        assert_eq!(steps.step("first", || -> Result<u8> { bail!("no") }), None);
        assert_eq!(steps.step("second", || Ok(2)), Some(2));
        let failures: Vec<String> = steps.failures().collect();
        assert_eq!(failures, ["first failed: no"]);
        assert!(!steps.report());
    }
}
