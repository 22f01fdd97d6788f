//! `--json`: every verb answers one JSON document, or JSON lines where it is a stream, whether it
//! succeeds or fails.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use super::home::{Home, Running, said, within};

/// How a verb is called so that it succeeds, and so that it fails after the grammar took it.
struct Tried {
    verb: &'static str,
    good: &'static [&'static str],
    bad: &'static [&'static str],
}

const fn tried(
    verb: &'static str,
    good: &'static [&'static str],
    bad: &'static [&'static str],
) -> Tried {
    Tried { verb, good, bad }
}

/// In this order: later ones find what earlier ones left.
const VERBS: &[Tried] = &[
    tried("init", &[], &["--group", "no-such-group"]),
    tried("publish", &["NEW_GAMES_AVAILABLE"], &["NO_SUCH_TYPE"]),
    tried(
        "subscribe",
        &[
            "NEW_GAMES_AVAILABLE",
            "--durable",
            "strict",
            "--beginning",
            "-n",
            "1",
        ],
        &["NEW_GAMES_AVAILABLE", "-n", "1", "--for", "1ms"],
    ),
    tried("status", &[], NO_HOME),
    tried(
        "tail",
        &["-n", "1", "--count", "1"],
        &["--type", "NO_SUCH_TYPE"],
    ),
    tried("events ls", &[], &["--since", "soonish"]),
    tried("events show", &["1"], &["99"]),
    tried("types ls", &[], NO_HOME),
    tried("types show", &["NEW_GAMES_AVAILABLE"], &["NO_SUCH_TYPE"]),
    tried("types add", &["audit_done"], &["Not A Name"]),
    tried("subs ls", &[], NO_HOME),
    tried("subs show", &["strict"], &["nobody"]),
    tried("subs pause", &["strict"], &["nobody"]),
    tried("subs resume", &["strict"], &["nobody"]),
    tried(
        "subs seek",
        &["strict", "--end", "--yes"],
        &["strict", "--end"],
    ),
    tried("dlq ls", &[], NO_HOME),
    tried("dlq show", &["1"], &["99"]),
    tried("dlq discard", &["1", "--yes"], &["99", "--yes"]),
    tried("dlq restore", &["1", "--yes"], &["99", "--yes"]),
    tried("dlq retry", &["1", "--yes"], &["99", "--yes"]),
    tried(
        "dlq edit",
        &["1", "--payload", "{}", "--yes"],
        &["1", "--payload", "[]", "--yes"],
    ),
    tried("dlq purge", &["--all", "--yes"], &["99", "--yes"]),
    tried("subs rm", &["strict", "--yes"], &["strict", "--yes"]),
    tried("explain", &["1"], &["99"]),
    tried("why-not", &["failing"], &["nobody"]),
    tried("route", &["NEW_GAMES_AVAILABLE"], &["NO_SUCH_TYPE"]),
    tried("tree", &["1"], &["99"]),
    tried("doctor", &[], &["--since", "soonish"]),
    tried("check", &["backlog"], &["backlog", "--since", "soonish"]),
    tried("lint", &[], &["--since", "soonish"]),
    tried("stats throughput", &[], &["--since", "soonish"]),
    tried("stats failures", &[], &["--since", "soonish"]),
    tried("stats depth", &[], NO_HOME),
    tried("stats lag", &[], NO_HOME),
    tried("alerts ls", &[], NO_HOME),
    tried("alerts rules", &[], NO_HOME),
    tried("alerts test", &["log"], &["no-such-sink"]),
    tried("alerts silence", &["--every"], &["no such rule"]),
    tried("alerts ack", &["1"], &["99"]),
    tried("alerts resolve", &["1"], &["99"]),
    tried("pipeline ls", &[], NO_HOME),
    tried("pipeline show", &[], &["no-such-pipeline"]),
    tried(
        "pipeline verify",
        &["--all"],
        &["--pipeline", "nothing", "k"],
    ),
    tried(
        "replay",
        &["--to", "failing", "--yes"],
        &["--to", "nobody", "--yes"],
    ),
    tried("dedup reset", &["failing", "--yes"], &["nobody", "--yes"]),
    tried(
        "processes restart-router",
        &["RUNNING", "--yes"],
        &["nobody", "--yes"],
    ),
    tried(
        "processes log-level",
        &["RUNNING", "info"],
        &["nobody", "info"],
    ),
    tried("processes audit", &["RUNNING", "on"], &["nobody", "on"]),
    tried(
        "subs resubscribe",
        &["--yes"],
        &["--process", "nobody", "--yes"],
    ),
    tried("processes ls", &[], NO_HOME),
    tried("processes show", &["RUNNING"], &["nobody"]),
    tried("daemons ls", &[], NO_HOME),
    tried("daemons stop", &["SWEEPER"], &["NO_SUCH_DAEMON"]),
    tried("daemons start", &["SWEEPER"], &["NO_SUCH_DAEMON"]),
    tried("daemons restart", &["SWEEPER"], &["NO_SUCH_DAEMON"]),
    tried("queue clear", &["--yes"], NO_HOME),
    tried("queue restore", &["--yes"], NO_HOME),
    tried("db check", &[], NO_HOME),
    tried("db backup", &["copy.db"], &["no/such/folder/copy.db"]),
    tried("db sql", &["SELECT 1"], &["SELECT nothing FROM nowhere"]),
    tried("config show", &[], NO_HOME),
    tried("codes", &[], &["NO_SUCH_CODE"]),
    tried("completion", &["bash"], &["no-such-shell"]),
    tried("service", &[], &["--user", "a b"]),
    tried(
        "demo",
        &["--configs", "1", "--iterations", "1"],
        &["--home", "ringrift.toml"],
    ),
    tried("run", &[], NO_HOME),
    // Only once nobody runs.
    tried("db restore", &["copy.db", "--dry-run"], &["ringrift.toml"]),
];

/// Verbs whose answer may be that something is wrong, which is no failure: they exit 1 then.
const QUESTIONS: &[&str] = &[
    "status",
    "explain",
    "why-not",
    "doctor",
    "check",
    "lint",
    "pipeline verify",
];

const NO_HOME: &[&str] = &["--home", "/no/such/home"];

/// The verbs as the command's own help lists them.
fn listed(home: &Home, path: &[&str]) -> BTreeSet<String> {
    let help = home.ok(&[path, &["--help"]].concat());
    let Some((_, commands)) = help.split_once("Commands:\n") else {
        return BTreeSet::from([path.join(" ")]);
    };
    commands
        .lines()
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .flat_map(|verb| listed(home, &[path, &[verb]].concat()))
        .collect()
}

#[test]
fn every_verb_of_the_help_is_tried() {
    let home = Home::unmade();
    let tried: BTreeSet<String> = VERBS.iter().map(|tried| tried.verb.to_owned()).collect();
    assert_eq!(listed(&home, &[]), tried);
}

fn documents(output: &Output, what: &str) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let documents: Vec<Value> = text
        .lines()
        .map(|line| {
            serde_json::from_str(line).unwrap_or_else(|_| panic!("{what}: {}", said(output)))
        })
        .collect();
    assert!(!documents.is_empty(), "{what}: {}", said(output));
    documents
}

fn refused(home: &Home, args: &[&str], exits: &[i32]) {
    let what = args.join(" ");
    let output = home.run(args);
    let documents = documents(&output, &what);
    let [document] = documents.as_slice() else {
        panic!("{what}: {}", said(&output))
    };
    assert_eq!(document["ok"], false, "{what}");
    let error = &document["error"];
    assert!(error["message"].is_string(), "{what}: {error}");
    assert!(
        error["next"].as_str().is_some_and(|next| !next.is_empty()),
        "{what} names no next command: {error}"
    );
    let code = output.status.code().expect("an exit code");
    assert!(exits.contains(&code), "{what}: {}", said(&output));
    let known = home.json(&["codes", error["code"].as_str().expect("a code")]);
    assert_eq!(known["errors"][0]["code"], error["code"], "{what}");
}

#[test]
fn every_verb_fails_with_one_document_that_names_the_next_command() {
    let home = Home::new();
    home.ok(&["db", "backup", "copy.db"]);
    for tried in VERBS {
        let words: Vec<&str> = tried.verb.split(' ').collect();
        let verb = [&["--json"], words.as_slice()].concat();
        // As monitoring plugins do, `check` exits 3 when it cannot tell; 2 is critical.
        let usage = if tried.verb == "check" { 3 } else { 2 };
        refused(
            &home,
            &[&verb, ["--no-such-option"].as_slice()].concat(),
            &[usage],
        );
        refused(&home, &[&verb, tried.bad].concat(), &[2, 3, 4, 5, 6]);
    }
}

#[test]
fn every_verb_succeeds_with_one_document_or_is_a_stream_of_them() {
    let home = Home::new();
    home.ok(&["publish", "NEW_GAMES_AVAILABLE"]);
    let failing = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "failing",
        "--beginning",
        "--attempts",
        "1",
        "--exec",
        "echo ran; exit 65",
    ]);
    failing.line();
    let _ended = failing.stop();
    let mut host = Some(home.start(&["--json", "run"]));
    let running: Value = {
        let line = host.as_ref().map(Running::line).unwrap_or_default();
        serde_json::from_str(&line).expect("json")
    };
    let process = running["process"].as_str().expect("an id").to_owned();
    // Event 2: the first alert.
    home.ok(&["publish", "TRAINING_FAILED", "{\"config_key\":\"k\"}"]);
    assert!(within(Duration::from_secs(60), || {
        home.listed("alerts", "alerts") == 1
    }));
    for tried in VERBS {
        if tried.verb == "run" {
            assert_eq!(host.take().and_then(Running::stop), Some(0));
            continue;
        }
        let mut args = vec!["--json"];
        args.extend(tried.verb.split(' '));
        args.extend(tried.good.iter().map(|word| match *word {
            "RUNNING" => process.as_str(),
            word => word,
        }));
        let what = args.join(" ");
        let output = home.run(&args);
        let documents = documents(&output, &what);
        let code = output.status.code();
        assert!(
            code == Some(0) || code == Some(1) && QUESTIONS.contains(&tried.verb),
            "{what}: {}",
            said(&output)
        );
        if !["subscribe", "tail"].contains(&tried.verb) {
            let [document] = documents.as_slice() else {
                panic!("{what}: {}", said(&output))
            };
            assert_eq!(document["ok"], true, "{what}");
            assert_eq!(document["command"], tried.verb, "{what}");
            assert!(!document["data"].is_null(), "{what}");
        }
    }
}
