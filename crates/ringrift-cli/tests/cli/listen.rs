//! `run --listen`: what monitoring reads, and what strangers get.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::home::{Home, LONG, Running, said, within};
use crate::openmetrics::{self, Samples};

/// A running listener and where it is.
struct Listening {
    running: Running,
    address: String,
}

fn listen(home: &Home, more: &[&str]) -> Listening {
    let line = [&["--json", "run", "--listen", "127.0.0.1:0"], more].concat();
    let running = home.start(&line);
    let said: Value = serde_json::from_str(&running.line()).expect("json");
    let address = said["listen"].as_str().expect("where").to_owned();
    Listening { running, address }
}

/// An answer: its status, its head in lower case, its body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Listening {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(LONG)).expect("a limit");
        stream
    }

    /// Sends these bytes and reads to the end.
    fn send(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        // It may refuse before all was sent.
        stream.write_all(request.as_bytes()).ok();
        answer(stream)
    }

    fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
    }

    fn metrics(&self) -> Samples {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.body);
        openmetrics::read(&answer.body).unwrap_or_else(|why| panic!("{why}\n{}", answer.body))
    }
}

fn answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A reset after the answer ends it as well.
    stream.read_to_end(&mut bytes).ok();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Answer {
        status: status.unwrap_or(0),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn value(samples: &Samples, name: &str) -> f64 {
    *samples
        .get(name)
        .unwrap_or_else(|| panic!("no {name} in {samples:#?}"))
}

#[test]
fn metrics_are_openmetrics_and_count_what_came() {
    let home = Home::new();
    home.ok(&[
        "publish",
        "TRAINING_COMPLETED",
        "{\"config_key\":\"before\"}",
    ]);
    let listening = listen(&home, &[]);
    // It counts from its first look on.
    let looked = || listening.metrics().get("ringrift_scrape_complete") == Some(&1.0);
    assert!(within(LONG, looked));
    for at in 0..3 {
        let payload = format!("{{\"config_key\":\"k{at}\"}}");
        home.ok(&["publish", "TRAINING_COMPLETED", &payload]);
    }
    let answer = listening.get("/metrics");
    assert_eq!(answer.status, 200);
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(answer.head.contains(kind), "{}", answer.head);
    // Numbers are at most a second old.
    let counted = "ringrift_events_total{type=\"training_completed\"}";
    // A publisher's own counts are summed up once it is known to have ended.
    let committed = "ringrift_publishes_total{outcome=\"committed\"}";
    assert!(within(LONG, || {
        let samples = listening.metrics();
        [counted, committed]
            .iter()
            .all(|name| samples.get(*name).copied().unwrap_or(0.0) >= 3.0)
    }));
    let samples = listening.metrics();
    assert_eq!(
        value(&samples, counted),
        3.0,
        "what was before is not counted"
    );
    assert_eq!(value(&samples, "ringrift_processes{state=\"alive\"}"), 1.0);
    assert_eq!(value(&samples, "ringrift_dead_letters"), 0.0);
    assert_eq!(value(&samples, "ringrift_scrape_complete"), 1.0);
    assert_eq!(value(&samples, committed), 3.0);
    assert_eq!(listening.running.stop(), Some(0));
}

#[test]
fn series_are_bounded_and_the_rest_is_other() {
    let home = Home::new();
    let bounds = [
        "--set",
        "metrics.types_max=2",
        "--set",
        "metrics.subscriptions_max=1",
    ];
    for (at, name) in ["a", "b", "c"].iter().enumerate() {
        let line = [
            "subscribe",
            "DATA_SYNC_COMPLETED",
            "--durable",
            name,
            "--exec",
            "true",
        ];
        let running = home.start(&line);
        assert!(within(LONG, || home.listed("subs", "subscriptions") > at));
        drop(running);
    }
    let listening = listen(&home, &bounds);
    for name in [
        "TRAINING_COMPLETED",
        "DATA_SYNC_COMPLETED",
        "EVALUATION_COMPLETED",
        "MODEL_PROMOTED",
    ] {
        home.ok(&["publish", name, "{\"config_key\":\"k\"}"]);
    }
    let total = |samples: &Samples| -> (usize, f64) {
        let of = samples
            .iter()
            .filter(|(name, _)| name.starts_with("ringrift_events_total"));
        (of.clone().count(), of.map(|(_, count)| count).sum())
    };
    assert!(within(LONG, || total(&listening.metrics()).1 >= 4.0));
    let samples = listening.metrics();
    assert_eq!(total(&samples), (3, 4.0));
    assert!(samples.contains_key("ringrift_events_total{type=\"other\"}"));
    let lags = samples
        .keys()
        .filter(|name| name.starts_with("ringrift_lag_seconds{"));
    assert_eq!(lags.count(), 2, "{samples:#?}");
}

#[test]
fn health_follows_the_store() {
    let home = Home::new();
    let listening = listen(&home, &[]);
    for page in ["/healthz", "/readyz"] {
        assert!(within(LONG, || listening.get(page).status == 200), "{page}");
    }
    let health: Value = serde_json::from_str(&listening.get("/healthz").body).expect("json");
    assert_eq!(health["healthy"], true);
    std::fs::remove_file(home.file("data/coordination/coordination.db")).expect("it is there");
    assert!(within(LONG, || listening.get("/healthz").status == 503));
    assert_eq!(listening.get("/readyz").status, 503);
    let told = listening.get("/metrics");
    assert_eq!(told.status, 503, "{}", told.body);
    assert!(told.body.starts_with("STORE_"), "{}", told.body);
}

#[test]
fn what_is_no_proper_request_gets_a_proper_answer() {
    let home = Home::new();
    let listening = listen(&home, &[]);
    assert_eq!(listening.get("/").status, 404);
    assert_eq!(listening.get("/metrics/../healthz").status, 404);
    let post = listening.send("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd");
    assert_eq!(post.status, 405);
    assert!(post.head.contains("allow: get, head"), "{}", post.head);
    let head = listening.send("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(listening.send("not http at all\r\n\r\n").status, 400);
    let large = format!(
        "GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n",
        "x".repeat(64 << 10)
    );
    assert_eq!(listening.send(&large).status, 431);
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(200));
    assert_eq!(listening.send(&many).status, 431);
    // A connection serves one request.
    let twice = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
    assert!(listening.send(&twice).head.contains("connection: close"));
    assert_eq!(listening.get("/healthz").status, 200, "and it serves on");
}

#[test]
fn connections_are_bounded_in_number_and_in_time() {
    let home = Home::new();
    let bounds = [
        "--set",
        "metrics.connections_max=2",
        "--set",
        "metrics.connection_limit=2s",
    ];
    let listening = listen(&home, &bounds);
    let idle = [listening.connect(), listening.connect()];
    assert!(within(LONG, || listening.get("/healthz").status == 503));
    // Whoever says nothing is cut off, and others are served again.
    assert!(within(LONG, || listening.get("/healthz").status == 200));
    for stream in idle {
        assert_eq!(answer(stream).status, 0, "cut off without an answer");
    }
}

#[test]
fn an_address_that_cannot_be_had_is_refused_with_its_code() {
    let home = Home::new();
    let listening = listen(&home, &[]);
    let taken = home.run(&["run", "--listen", &listening.address]);
    assert_eq!(taken.status.code(), Some(4), "{}", said(&taken));
    assert!(said(&taken).contains("LISTEN_FAILED"), "{}", said(&taken));
    let nonsense = home.run(&["run", "--listen", "everywhere"]);
    assert_eq!(nonsense.status.code(), Some(3), "{}", said(&nonsense));
    drop(listening);
    let open = home.start(&["run", "--listen", "0.0.0.0:0"]);
    open.note("no loopback address");
    assert_eq!(open.stop(), Some(0));
}

#[test]
fn an_open_connection_does_not_hold_the_process() {
    let home = Home::new();
    let listening = listen(&home, &[]);
    let _held = listening.connect();
    assert_eq!(listening.running.stop(), Some(0));
}

#[test]
fn durations_of_deliveries_are_a_histogram() {
    let home = Home::new();
    let listening = listen(&home, &[]);
    let line = [
        "subscribe",
        "TRAINING_COMPLETED",
        "--durable",
        "trainer",
        "--exec",
        "true",
    ];
    let subscriber = home.start(&line);
    subscriber.note("subscribed to");
    for at in 0..3 {
        let payload = format!("{{\"config_key\":\"k{at}\"}}");
        home.ok(&["publish", "TRAINING_COMPLETED", &payload]);
    }
    let count = "ringrift_handler_duration_seconds_count{subscription=\"trainer\"}";
    assert!(within(LONG, || {
        listening.metrics().get(count).copied().unwrap_or(0.0) >= 3.0
    }));
    let samples = listening.metrics();
    assert_eq!(value(&samples, count), 3.0);
    assert!(value(&samples, &count.replace("_count", "_sum")) > 0.0);
    assert_eq!(
        value(&samples, "ringrift_deliveries_total{outcome=\"failed\"}"),
        0.0
    );
    assert!(samples.contains_key("ringrift_loop_lag_seconds{stat=\"p99\"}"));
    assert_eq!(subscriber.stop(), Some(0));
}
