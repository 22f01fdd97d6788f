//! `cargo xtask lint`: form, lints, the dependencies' licences and sources, and tidy.

use crate::run::{cargo, run};
use crate::steps::Steps;
use crate::{deny, needs};

/// Adds the lint's steps.
pub(crate) fn run_in(steps: &mut Steps) {
    steps.step("lint: rustfmt and clippy are there", needs::components);
    steps.step("lint: rustfmt", || {
        run(&mut cargo(&["fmt", "--all", "--check"]))
    });
    steps.step("lint: clippy", || {
        run(&mut cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--keep-going",
            "--",
            "--deny",
            "warnings",
        ]))
    });
    let tool = steps.step("lint: cargo-deny is there", deny::tool);
    if let Some(tool) = tool {
        steps.step("lint: cargo-deny", || deny::check(&tool));
    }
    // The whole workspace's features, so that nothing is built a second time for the tests.
    steps.step("lint: tidy", || {
        run(&mut cargo(&[
            "test",
            "--workspace",
            "--locked",
            "--test",
            "tidy",
            "--quiet",
        ]))
    });
}
