//! `ringrift lint` on a home and on sources.

use super::home::{Home, said};

const MISSPELT: &str =
    "router.publish('training_complete', {})\nrouter.subscribe('training_completed', f)\n";
const MENDED: &str =
    "router.publish('training_completed', {})\nrouter.subscribe('training_completed', f)\n";

#[test]
fn lint_finds_a_near_miss_of_the_sources_and_its_baseline_only_shrinks() {
    let home = Home::new();
    std::fs::create_dir(home.file("src")).unwrap();
    let write = |text: &str| std::fs::write(home.file("src/trainer.py"), text).unwrap();
    write(MISSPELT);
    let found = home.run(&["lint", "--source", "src", "--sources-only"]);
    assert_eq!(found.status.code(), Some(1), "{}", said(&found));
    let text = said(&found);
    assert!(
        text.contains("did somebody mean TRAINING_COMPLETED?"),
        "{text}"
    );
    assert!(text.contains("src/trainer.py:1"), "{text}");

    let with = |more: &[&str]| {
        let line = ["lint", "--source", "src", "--baseline", "lint.txt"];
        home.run(&[&line, more].concat())
    };
    let code = |more: &[&str]| with(more).status.code();
    assert_eq!(code(&["--write-baseline"]), Some(0));
    assert_eq!(code(&[]), Some(0));
    write(MENDED);
    let stale = with(&[]);
    assert_eq!(stale.status.code(), Some(1), "{}", said(&stale));
    assert!(
        said(&stale).contains("no longer occurs"),
        "{}",
        said(&stale)
    );
    assert_eq!(code(&["--write-baseline"]), Some(0));
    let text = std::fs::read_to_string(home.file("lint.txt")).unwrap();
    assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
    write("router.publish('data_fresh', {})\n");
    assert_eq!(
        code(&["--write-baseline"]),
        Some(1),
        "nothing is ever added"
    );
    let sarif = with(&["--format", "sarif"]);
    let log: serde_json::Value = serde_json::from_slice(&sarif.stdout).unwrap();
    assert_eq!(log["runs"][0]["results"][0]["ruleId"], "orphan");
    let envelope: serde_json::Value = serde_json::from_slice(&with(&["--json"]).stdout).unwrap();
    assert_eq!(envelope["data"]["counts"]["orphan"], 1);
}

#[test]
fn lint_names_what_was_really_published_and_awaited_by_nobody() {
    let home = Home::new();
    home.ok(&["publish", "DATA_FRESH", "{}"]);
    let found = home.run(&["lint"]);
    assert_eq!(found.status.code(), Some(1), "{}", said(&found));
    assert!(
        said(&found).contains("DATA_FRESH is published once, and nobody subscribes to it"),
        "{}",
        said(&found)
    );
    let refused = home.run(&["lint", "--source", "nowhere"]);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
}
