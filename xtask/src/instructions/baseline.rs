//! The baseline: instructions per operation, and what a new count is to it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

/// Instructions of each operation, by its name.
pub(super) type Counts = BTreeMap<String, u64>;

/// Where it lies, seen from the workspace.
const FILE: &str = "crates/ringrift-bench/instructions.tsv";

/// How far a count may lie from the baseline, in percent.
const MARGIN_PERCENT: u64 = 8;

/// The same for operations whose own noise asks for more, each with its reason.
const WIDER_PERCENT: &[(&str, u64)] = &[
    // It takes locks that database threads take too, and spins a little where one is held.
    ("hand_over", 20),
];

/// What stands above the counts.
const HEADER: &str = "\
# Instructions per operation, in the tests' profile, under valgrind: written by
# `cargo xtask instructions --write`, never by hand. Renew them with a change that is meant to cost
# or to save, and after a new compiler.
# `publish` is a publish up to its return, `hand_over` its part after the door; `append`, `claim`
# (of 16 events, the look included) and `settle` are the store's verbs without begin and commit;
# `deliver` goes from the committed event to the end of a live handler, without the wake-up between;
# `immediate` is one event of a durable subscription's immediate function.
# Noise, largest less smallest of six runs on a busy machine: hand_over 2.6 %, publish 0.5 %, the
# others at most 0.3 %. Without the fixed choice of the C library's functions (another processor):
# at most 2.5 %. A count fails above +8 %, hand_over above +20 %.
";

/// The counts that are committed.
#[derive(Debug)]
pub(super) struct Baseline(Counts);

/// What came of a comparison.
#[derive(Debug)]
pub(super) struct Compared {
    /// The table, a line each operation.
    pub(super) lines: Vec<String>,
    /// What is wrong; nothing if all is well.
    pub(super) failures: Vec<String>,
}

/// Replaces the baseline.
pub(super) fn write(counts: &Counts) -> Result<()> {
    let lines = counts
        .iter()
        .map(|(name, count)| format!("{name}\t{count}\n"));
    let text: String = std::iter::once(HEADER.to_owned()).chain(lines).collect();
    std::fs::write(FILE, text).with_context(|| format!("writing {FILE}"))?;
    println!("    wrote {FILE}; read the difference before you commit it");
    Ok(())
}

impl Baseline {
    pub(super) fn read() -> Result<Baseline> {
        let text = std::fs::read_to_string(FILE).with_context(|| format!("reading {FILE}"))?;
        Baseline::parse(&text)
    }

    fn parse(text: &str) -> Result<Baseline> {
        let mut counts = Counts::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let pair = line.split_once('\t');
            let (name, count) = pair.with_context(|| format!("{FILE}: {line:?} is no pair"))?;
            let count: u64 = count
                .parse()
                .with_context(|| format!("{FILE}: {line:?} has no count"))?;
            ensure!(count > 0, "{FILE}: {name} has no instructions");
            let before = counts.insert(name.to_owned(), count);
            ensure!(before.is_none(), "{FILE}: {name} stands twice");
        }
        Ok(Baseline(counts))
    }

    /// Holds new counts against it. An operation that only one side knows is a failure.
    pub(super) fn compare(&self, counts: &Counts) -> Compared {
        let mut compared = Compared {
            lines: vec![format!(
                "{:>12} {:>12} {:>8}  operation",
                "instructions", "baseline", "change"
            )],
            failures: Vec::new(),
        };
        for (name, now) in counts {
            match self.0.get(name) {
                Some(before) => compared.add(name, *now, *before),
                None => compared
                    .failures
                    .push(format!("{name} ({now}) is not in the baseline")),
            }
        }
        let gone = self.0.keys().filter(|name| !counts.contains_key(*name));
        compared
            .failures
            .extend(gone.map(|name| format!("{name} was not counted")));
        compared
    }
}

impl Compared {
    fn add(&mut self, name: &str, now: u64, before: u64) {
        let percent = (now as f64 / before as f64 - 1.0) * 100.0;
        let change = format!("{percent:+.1} %");
        let mut line = format!("{now:12} {before:12} {change:>8}  {name}");
        let margin = margin_percent(name);
        if now * 100 > before * (100 + margin) {
            line += ": LOST";
            self.failures.push(format!(
                "{name} takes {now} instructions, {change} of the baseline's {before} (at most \
                 +{margin} %)"
            ));
        } else if now * 100 < before * (100 - margin) {
            line += ": won; renew the baseline with: cargo xtask instructions --write";
        }
        self.lines.push(line);
    }
}

fn margin_percent(name: &str) -> u64 {
    let wider = WIDER_PERCENT.iter().find(|(wider, _)| *wider == name);
    wider.map_or(MARGIN_PERCENT, |(_, percent)| *percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(baseline: &str, counts: &[(&str, u64)]) -> Compared {
        let counts = counts.iter().map(|(name, now)| ((*name).to_owned(), *now));
        Baseline::parse(baseline)
            .unwrap()
            .compare(&counts.collect())
    }

    #[test]
    fn what_lies_above_the_margin_fails_and_what_lies_below_asks_for_renewal() {
        let compared = compare(
            "# of a machine\na\t1000\nb\t1000\nc\t1000\nd\t1000\n",
            &[("a", 1_081), ("b", 1_080), ("c", 920), ("d", 919)],
        );
        assert_eq!(
            compared.failures,
            ["a takes 1081 instructions, +8.1 % of the baseline's 1000 (at most +8 %)"]
        );
        let ends = |end: &str| {
            let lines = compared.lines.iter();
            lines.filter(|line| line.ends_with(end)).count()
        };
        assert_eq!((ends("a: LOST"), ends("  b"), ends("  c")), (1, 1, 1));
        assert!(compared.lines[4].contains("d: won; renew"));
    }

    #[test]
    fn an_operation_that_is_noisy_has_a_margin_of_its_own() {
        let compared = compare("hand_over\t1000\n", &[("hand_over", 1_200)]);
        assert_eq!(compared.failures, [""; 0]);
        let compared = compare("hand_over\t1000\n", &[("hand_over", 1_201)]);
        assert_eq!(compared.failures.len(), 1);
    }

    #[test]
    fn an_operation_that_one_side_alone_knows_fails() {
        let compared = compare("old\t7\nboth\t5\n", &[("both", 5), ("new", 3)]);
        assert_eq!(
            compared.failures,
            ["new (3) is not in the baseline", "old was not counted"]
        );
    }

    #[test]
    fn a_broken_baseline_is_refused() {
        for text in ["a 5\n", "a\tfive\n", "a\t0\n", "a\t5\na\t6\n", "\n"] {
            assert!(Baseline::parse(text).is_err(), "{text:?}");
        }
    }
}
