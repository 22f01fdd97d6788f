//! Webhooks: each alert comes through at least once under one key, over TLS too; whatever keeps it
//! from that is bounded in time and is a finding.

#![cfg(test)]

#[macro_use]
mod support;

#[path = "webhooks/server.rs"]
mod server;
#[path = "alerts/stage.rs"]
mod stage;

use std::time::Duration;

use ringrift_events::system::System;
use server::{Says, Server, beside};
use stage::{home, hosting, open, patient_home, sends};
use support::child::{Guarded, again, role, until_parent_is_gone};
use support::{publish, until};

const RULE: &str = "REGRESSION_CRITICAL";

fn sink(name: &str, url: &str, more: &str) -> String {
    format!("[[sink]]\nname = \"{name}\"\nwebhook = \"{url}\"\n{more}\n\n")
}

/// Waits until every message of the rule's alert is where it stays: (sink, state, tries).
fn ended(system: &System) -> Vec<(String, String, u32)> {
    until("every message was sent or given up", || {
        let sends = sends(system, RULE);
        !sends.is_empty() && sends.iter().all(|(_, state, _)| state != "due")
    });
    let mut ended = sends(system, RULE);
    ended.retain(|(sink, _, _)| sink != "log");
    ended
}

fn is(name: &str, state: &str, tries: u32) -> (String, String, u32) {
    (name.to_owned(), state.to_owned(), tries)
}

/// What doctor says of a sink: the finding's words.
fn finding(system: &System, sink: &str) -> Option<String> {
    let report = system.doctor(Duration::from_secs(3_600)).unwrap();
    let named = format!("{sink} failed");
    let mut findings = report.findings.into_iter();
    let found =
        findings.find(|one| one.code.as_str() == "DR_SINK_FAILING" && one.says.starts_with(&named));
    found.map(|one| one.says)
}

/// A process of a home that hosts daemons until it is killed.
#[test]
fn child() {
    let Some((role, home)) = role() else { return };
    assert_eq!(role, "host");
    let system = hosting(&home);
    until_parent_is_gone();
    system.close();
}

#[test]
fn both_forms_come_through() {
    let server = Server::plain(|_| Says::Yes);
    let url = |path: &str| format!("http://{}/{path}", server.address);
    let sinks = sink("json", &url("a"), "") + &sink("slack", &url("b"), "form = \"slack\"");
    let folder = home(&sinks);
    let system = hosting(folder.path());
    publish(&system, RULE, "{}");
    assert_eq!(
        ended(&system),
        [is("json", "sent", 1), is("slack", "sent", 1)]
    );
    let mut came = server.came();
    came.sort_by_key(|one| one.path.clone());
    assert_eq!(came.len(), 2, "{came:?}");
    assert_eq!(
        (&came[0].body["rule"], &came[0].body["state"]),
        (&RULE.into(), &"firing".into())
    );
    assert_eq!(came[0].body["message"], came[0].key.as_str());
    let text = came[1].body["text"].as_str().unwrap();
    assert!(
        text.starts_with("*CRITICAL firing* · REGRESSION_CRITICAL"),
        "{text}"
    );
    system.close();
}

/// The promise is at least once: between the server's yes and the sender's note lies a death that
/// nobody can tell from one before the yes. So the second try bears the first one's key.
#[test]
fn a_sender_that_is_killed_before_its_note_sends_again_under_the_same_key() {
    let server = Server::plain(|number| match number {
        0 => Says::Nothing,
        _ => Says::Yes,
    });
    let folder = patient_home(&sink("ops", &format!("http://{}/", server.address), ""));
    let system = open(folder.path());
    let mut host = Guarded(again("host", folder.path()).spawn().unwrap());
    publish(&system, RULE, "{}");
    until("the first try came", || server.came().len() == 1);
    host.kill();
    system.host_daemons().unwrap();
    assert_eq!(ended(&system), [is("ops", "sent", 1)]);
    let came = server.came();
    assert_eq!(came.len(), 2, "{came:?}");
    assert_eq!(came[0].key, came[1].key);
    assert_eq!(came[0].body["alert"], came[1].body["alert"]);
    // Another alert has another key, and what was sent is not sent again.
    publish(&system, "SPLIT_BRAIN_DETECTED", "{}");
    until("the next one came", || server.came().len() > 2);
    until("it is noted", || {
        sends(&system, "SPLIT_BRAIN_DETECTED")
            .iter()
            .all(|(_, state, _)| state == "sent")
    });
    let came = server.came();
    assert_eq!(came.len(), 3, "{came:?}");
    assert_ne!(came[2].key, came[1].key);
    system.close();
}

#[test]
fn over_tls_the_authority_decides_and_a_refused_certificate_is_a_finding() {
    let server = Server::tls(|_| Says::Yes);
    let url = format!("https://{}/", server.address);
    let ca = |file: &str| format!("ca = \"{file}\"");
    let trusted = beside("authority.pem").display().to_string();
    let sinks = sink("trusted", &url, &ca(&trusted))
        + &sink("stranger", &url, "")
        + &sink(
            "misnamed",
            &url.replace("127.0.0.1", "127.0.0.2"),
            &ca(&trusted),
        )
        + &sink("unread", &url, &ca("missing.pem"));
    let folder = patient_home(&sinks);
    let system = hosting(folder.path());
    publish(&system, RULE, "{}");
    assert_eq!(
        ended(&system),
        [
            is("misnamed", "failed", 3),
            is("stranger", "failed", 3),
            is("trusted", "sent", 1),
            is("unread", "failed", 3)
        ]
    );
    assert_eq!(server.came().len(), 1, "only the trusted one spoke");
    assert_eq!(finding(&system, "trusted"), None);
    let said = finding(&system, "stranger").unwrap();
    assert!(said.contains("certificate"), "{said}");
    let said = finding(&system, "unread").unwrap();
    assert!(said.contains("missing.pem"), "{said}");
    system.close();
}

#[test]
fn who_is_away_or_mute_or_slow_is_given_up_in_time_and_the_others_are_told() {
    let (mute, slow) = (
        Server::plain(|_| Says::Nothing),
        Server::plain(|_| Says::Drops),
    );
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = free.local_addr().unwrap();
    drop(free);
    let sinks = sink("closed", &format!("http://{closed}/secret"), "")
        + &sink(
            "mute",
            &format!("http://{}/", mute.address),
            "form = \"slack\"",
        )
        + &sink("slow", &format!("http://{}/", slow.address), "")
        + "[[sink]]\nname = \"out\"\nfile = \"alerts.jsonl\"\n";
    let folder = home(&sinks);
    let system = hosting(folder.path());
    publish(&system, RULE, "{}");
    assert_eq!(
        ended(&system),
        [
            is("closed", "failed", 3),
            is("mute", "failed", 3),
            is("out", "sent", 1),
            is("slow", "failed", 3)
        ]
    );
    let sinks = system.alerts().sink_states().unwrap();
    let closed = sinks.iter().find(|sink| sink.sink == "closed").unwrap();
    assert_eq!((closed.failures, closed.given_up), (3, 1));
    let said = finding(&system, "closed").unwrap();
    assert!(
        said.contains("127.0.0.1") && !said.contains("secret"),
        "{said}"
    );
    let said = finding(&system, "slow").unwrap();
    assert!(said.contains("timeout"), "{said}");
    system.close();
    let log = std::fs::read_to_string(folder.path().join("logs/coordination.log")).unwrap();
    assert!(log.contains("alert not sent, given up"), "{log}");
    assert!(log.contains("alert firing"), "{log}");
}

#[test]
fn a_redirect_or_a_refusal_ends_it_and_an_overload_does_not() {
    let answering = |lines: &'static str| Server::plain(move |_| Says::Status(lines));
    let moved = answering("302 Found\r\nlocation: http://127.0.0.1:1/elsewhere");
    let gone = answering("410 Gone");
    let busy = Server::plain(|number| match number {
        0 => Says::Status("503 Service Unavailable"),
        _ => Says::Yes,
    });
    let sinks = sink("busy", &format!("http://{}/", busy.address), "")
        + &sink("gone", &format!("http://{}/", gone.address), "")
        + &sink("moved", &format!("http://{}/", moved.address), "");
    let folder = home(&sinks);
    let system = hosting(folder.path());
    publish(&system, RULE, "{}");
    assert_eq!(
        ended(&system),
        [
            is("busy", "sent", 2),
            is("gone", "failed", 1),
            is("moved", "failed", 1)
        ]
    );
    assert_eq!(moved.came().len(), 1, "a redirect is not followed");
    let said = finding(&system, "moved").unwrap();
    assert!(said.contains("302"), "{said}");
    let came = busy.came();
    assert_eq!(came[0].key, came[1].key, "the same message, tried again");
    system.close();
}

#[test]
fn commands_get_the_alert() {
    let command = "cat > got.json; echo $RINGRIFT_ALERT_RULE > rule";
    let folder = home(&format!(
        "[[sink]]\nname = \"sh\"\ncommand = \"{command}\"\n"
    ));
    let system = hosting(folder.path());
    publish(&system, RULE, "{}");
    assert_eq!(ended(&system), [is("sh", "sent", 1)]);
    let got = std::fs::read_to_string(folder.path().join("got.json")).unwrap();
    let got: serde_json::Value = serde_json::from_str(&got).unwrap();
    assert_eq!(got["summary"], "REGRESSION_CRITICAL occurred");
    let rule = std::fs::read_to_string(folder.path().join("rule")).unwrap();
    assert_eq!(rule.trim(), RULE);
    system.close();
}
