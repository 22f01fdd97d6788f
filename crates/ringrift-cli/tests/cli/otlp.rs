//! `run --otlp`: spans as a receiver gets them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde_json::Value;

use crate::home::{Home, LONG, said};

/// A receiver on loopback that answers the first requests with these statuses, then with 200, and
/// hands on the bodies it took.
fn receiver(statuses: &'static [u16]) -> (String, Receiver<Value>) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    let (sender, bodies) = sync_channel(1_000);
    // It ends with the test's process.
    std::thread::spawn(move || {
        let mut statuses = statuses.iter();
        for stream in socket.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            // A client may keep its connection for the next request.
            while let Some(body) = request(&mut reader) {
                let status = statuses.next().copied().unwrap_or(200);
                if status == 200 && sender.send(body).is_err() {
                    return;
                }
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\n{{}}");
                if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    (format!("http://{address}"), bodies)
}

fn request(reader: &mut impl BufRead) -> Option<Value> {
    let mut first = String::new();
    if reader.read_line(&mut first).ok()? == 0 {
        return None;
    }
    assert_eq!(first, "POST /v1/traces HTTP/1.1\r\n");
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).expect("json"))
}

/// Reads spans until `enough` of them came.
fn spans(bodies: &Receiver<Value>, enough: usize) -> Vec<Value> {
    let mut all = Vec::new();
    while all.len() < enough {
        let body = bodies.recv_timeout(LONG).expect("spans in time");
        let scope = &body["resourceSpans"][0]["scopeSpans"][0];
        all.extend(scope["spans"].as_array().expect("spans").iter().cloned());
    }
    all
}

#[test]
fn publishes_and_deliveries_are_spans_of_the_events_traces() {
    let home = Home::new();
    let (url, bodies) = receiver(&[503]);
    let host = home.start(&["run", "--otlp", &url]);
    host.line();
    let subscribe = |name: &str, command: &str| {
        let line = [
            "subscribe",
            "TRAINING_COMPLETED",
            "--durable",
            name,
            "--attempts",
            "1",
        ];
        home.start(&[&line[..], &["--exec", command]].concat())
    };
    let (good, bad) = (subscribe("good", "true"), subscribe("bad", "exit 1"));
    assert!(crate::home::within(LONG, || home
        .listed("subs", "subscriptions")
        == 2));
    home.ok(&["publish", "TRAINING_COMPLETED", "{\"config_key\":\"k\"}"]);
    let spans = spans(&bodies, 3);
    let named = |name: &str| {
        let found = spans.iter().find(|span| span["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
    };
    let publish = named("publish training_completed");
    let event = home.json(&["events", "ls"])["events"][0].clone();
    let id = event["id"].as_str().expect("an id").replace('-', "");
    assert_eq!(
        publish["spanId"],
        id[16..],
        "the low half of the event's id"
    );
    assert_eq!(publish["traceId"], event["trace_id"], "{event}");
    for name in ["good training_completed", "bad training_completed"] {
        let delivery = named(name);
        assert_eq!(delivery["traceId"], publish["traceId"]);
        assert_eq!(delivery["parentSpanId"], publish["spanId"]);
        assert_eq!(delivery["links"][0]["spanId"], publish["spanId"]);
        assert_ne!(delivery["spanId"], publish["spanId"]);
    }
    assert_eq!(named("bad training_completed")["status"]["code"], 2);
    assert_eq!(
        named("good training_completed")["status"]["code"],
        Value::Null
    );
    for running in [good, bad, host] {
        assert_eq!(running.stop(), Some(0));
    }
}

#[test]
fn a_receiver_that_is_not_there_stops_nothing_and_is_said() {
    let home = Home::new();
    // A port that was free a moment ago: nobody listens there.
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let url = format!("http://{}", gone.expect("an address"));
    let host = home.start(&["run", "--otlp", &url]);
    host.line();
    home.ok(&["publish", "TRAINING_COMPLETED", "{\"config_key\":\"k\"}"]);
    let log = home.file("logs/coordination.log");
    let told = || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.contains("spans are not sent")
    };
    assert!(crate::home::within(LONG, told));
    assert!(crate::home::within(Duration::from_secs(10), || {
        home.run(&["status"]).status.code().is_some()
    }));
    assert_eq!(host.stop(), Some(0));
    let refused = home.run(&["run", "--otlp", "collector"]);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
}
