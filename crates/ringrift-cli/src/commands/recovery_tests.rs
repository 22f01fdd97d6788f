//! Verbs that bring handlers and events together again.

use crate::world::World;

#[test]
fn replay_counts_asks_and_delivers_to_one_subscription_alone() {
    let world = World::busy();
    let line = ["replay", "--to", "evaluator", "--rate", "0"];
    let asked = world.run(&line);
    assert_eq!(asked.exit, 3, "{asked:?}");
    assert!(
        asked
            .stderr
            .contains("deliver 3 past events again, to evaluator alone"),
        "{asked:?}"
    );
    assert!(
        asked.stderr.contains("3 TRAINING_COMPLETED again"),
        "{asked:?}"
    );
    let shown = world.run(&[&line[..], &["--preview"]].concat());
    assert!(
        shown.stdout.contains("3 events would be delivered again"),
        "{shown:?}"
    );
    let done = world.run(&[&line[..], &["--where", "elo__gte = 1700", "--yes"]].concat());
    assert_eq!(done.exit, 0, "{done:?}");
    assert!(
        done.stdout
            .contains("2 events delivered again to evaluator"),
        "{done:?}"
    );
    assert!(
        done.stderr
            .contains("if interrupted: ringrift replay --resume "),
        "{done:?}"
    );
    let run = done.stderr.split("--resume ").nth(1).unwrap_or_default();
    let run = run.lines().next().unwrap_or_default();
    let over = world.run(&["replay", "--resume", run, "--yes"]);
    assert!(over.stdout.contains("nothing to replay"), "{over:?}");
}

#[test]
fn letters_that_failed_alike_are_listed_and_retried_together() {
    let world = World::busy();
    let listed = world.run(&["--json", "dlq", "ls", "--by", "fingerprint"]);
    let envelope: serde_json::Value = serde_json::from_str(&listed.stdout).expect("an envelope");
    let group = &envelope["data"]["fingerprints"][0];
    assert_eq!(group["letters"], 1, "{envelope}");
    let id = group["fingerprint"].as_str().expect("an id");
    let other = world.run(&["dlq", "retry", "--fingerprint", "ffffffffffff", "--yes"]);
    assert!(other.stdout.contains("no dead letter matches"), "{other:?}");
    let retried = world.run(&["dlq", "retry", "--fingerprint", id, "--yes"]);
    assert_eq!(retried.exit, 0, "{retried:?}");
    assert!(
        retried.stdout.contains("1 of 1 letter made due"),
        "{retried:?}"
    );
}

#[test]
fn dedup_reset_says_what_it_would_forget() {
    let world = World::busy();
    let none = world.run(&["dedup", "reset", "evaluator", "--yes"]);
    assert_eq!(none.exit, 0, "{none:?}");
    assert!(
        none.stdout.contains("evaluator has no such dedup key"),
        "{none:?}"
    );
    let unknown = world.run(&["dedup", "reset", "evaluater", "--yes"]);
    assert!(
        unknown.stderr.contains("did you mean evaluator?"),
        "{unknown:?}"
    );
}
