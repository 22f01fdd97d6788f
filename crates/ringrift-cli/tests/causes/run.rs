//! Running trials beside each other, bounded, and what came of each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock};

use crate::cause::{Cause, NOT_YET};
use crate::doctor::Diagnosis;
use crate::scene::{Scene, pause};
use crate::{healthy, injections};

/// Chooses causes by their slugs; `healthy` is one of them.
const CHOICE: &str = "RINGRIFT_CAUSES";

/// How many trials run beside each other.
const AT_ONCE: &str = "RINGRIFT_CAUSES_AT_ONCE";

/// Trials wait most of their time, so some more than there are processors; each is some processes.
const AT_ONCE_DEFAULT: usize = 6;

/// How long the doctor is asked again until a cause is named: pages are written each second.
const NAMED_WITHIN: Duration = Duration::from_secs(20);

/// The same for one that it does not name yet: what happens at once has happened then.
const AWAITED_WITHIN: Duration = Duration::from_secs(2);

/// One system to bring about.
#[derive(Clone, Copy)]
pub(crate) enum Trial {
    /// A cause.
    Injected(&'static Cause),
    /// The same one step below its threshold.
    Below(&'static Cause),
    /// Nothing is wrong.
    Healthy,
}

/// What came of one trial.
pub(crate) struct Outcome {
    pub(crate) trial: Trial,
    /// What was found while it ran.
    pub(crate) live: Diagnosis,
    /// What was found after all processes had stopped.
    pub(crate) stopped: Diagnosis,
    /// What kept it from being brought about, or its cause from being told well.
    pub(crate) problems: Vec<String>,
}

impl Trial {
    /// Its name in progress lines.
    pub(crate) fn name(&self) -> String {
        match self {
            Trial::Injected(cause) => cause.slug.to_owned(),
            Trial::Below(cause) => format!("below {}", cause.slug),
            Trial::Healthy => "healthy".to_owned(),
        }
    }

    fn slug(&self) -> &'static str {
        match self {
            Trial::Injected(cause) | Trial::Below(cause) => cause.slug,
            Trial::Healthy => healthy::SLUG,
        }
    }
}

/// The trials that were asked for; all of them without a choice.
pub(crate) fn chosen() -> Vec<Trial> {
    let choice = std::env::var(CHOICE).unwrap_or_default();
    let wanted: Vec<&str> = choice.split(',').filter(|slug| !slug.is_empty()).collect();
    let is_wanted = |slug: &str| wanted.is_empty() || wanted.contains(&slug);
    let mut trials = Vec::new();
    for &cause in injections::ALL.iter().filter(|cause| is_wanted(cause.slug)) {
        trials.push(Trial::Injected(cause));
        trials.push(Trial::Below(cause));
    }
    if is_wanted(healthy::SLUG) {
        trials.push(Trial::Healthy);
    }
    assert!(!trials.is_empty(), "{CHOICE}={choice} names no cause");
    trials
}

/// Runs all of them, some at once, with a line as each ends; answers in their order.
pub(crate) fn all(trials: &[Trial]) -> Vec<Outcome> {
    let at_once = std::env::var(AT_ONCE)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(AT_ONCE_DEFAULT);
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<(usize, Outcome)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    let Some(trial) = trials.get(at) else { return };
                    let outcome = guarded(*trial);
                    outcomes.lock().expect("no panic").push((at, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no panic");
    outcomes.sort_by_key(|(at, _)| *at);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// One trial; a panic in it is its problem, not the end of the others.
fn guarded(trial: Trial) -> Outcome {
    let began = SystemClock.monotonic();
    let outcome = catch_unwind(AssertUnwindSafe(|| one(trial))).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Outcome {
            trial,
            live: Diagnosis::default(),
            stopped: Diagnosis::default(),
            problems: vec![text.unwrap_or_else(|| "it panicked".to_owned())],
        }
    });
    let took = SystemClock.monotonic().saturating_sub(began);
    let words: Vec<String> = outcome.live.causes().into_iter().collect();
    let problems: String = outcome
        .problems
        .iter()
        .map(|problem| format!("\n          {problem}"))
        .collect();
    println!(
        "{:6.1} s  {:<40} {}{problems}",
        took.as_secs_f64(),
        trial.name(),
        words.join(" "),
    );
    outcome
}

fn one(trial: Trial) -> Outcome {
    let scene = Scene::new(trial.slug());
    let mut meanwhile = Vec::new();
    let at_fault = match trial {
        Trial::Injected(cause) => Some((cause.slug, (cause.inject)(&scene))),
        Trial::Below(cause) => {
            (cause.below)(&scene);
            None
        }
        Trial::Healthy => {
            meanwhile = healthy::run(&scene);
            None
        }
    };
    let live = match &at_fault {
        Some((slug, texts)) => {
            let is_awaited = NOT_YET.contains(slug) && std::env::var_os(CHOICE).is_none();
            let within = if is_awaited {
                AWAITED_WITHIN
            } else {
                NAMED_WITHIN
            };
            named(&scene, slug, texts, within)
        }
        None => Diagnosis::of(&scene),
    };
    scene.stop();
    // Stopped processes write nothing more: one look tells.
    let stopped = Diagnosis::of(&scene);
    let mut problems = Vec::new();
    if matches!(trial, Trial::Healthy) {
        // Not a cause alone: nothing at all is to be found, least of all while it is busy.
        let looks = meanwhile.iter().map(|found| ("busy", found));
        let looks = looks.chain([("live", &live), ("stopped", &stopped)]);
        problems.extend(looks.flat_map(|(when, found)| {
            let findings = found.findings.iter();
            findings.map(move |finding| format!("{when}: {finding}"))
        }));
    }
    if let Some((slug, texts)) = &at_fault {
        for (when, diagnosis) in [("live", &live), ("stopped", &stopped)] {
            let missing = diagnosis.missing(slug, texts);
            if diagnosis.causes().contains(*slug) && !missing.is_empty() {
                problems.push(format!(
                    "{when}: the evidence does not name {}: {}",
                    missing.join(", "),
                    diagnosis.text_of(slug)
                ));
            }
        }
    }
    Outcome {
        trial,
        live,
        stopped,
        problems,
    }
}

/// Asks until the cause is named with all that is at fault, or the time is up.
fn named(scene: &Scene, slug: &str, at_fault: &[String], within: Duration) -> Diagnosis {
    let give_up = SystemClock.monotonic() + within;
    loop {
        let diagnosis = Diagnosis::of(scene);
        let is_named =
            diagnosis.causes().contains(slug) && diagnosis.missing(slug, at_fault).is_empty();
        if is_named || SystemClock.monotonic() > give_up {
            return diagnosis;
        }
        pause(Duration::from_millis(100));
    }
}
