//! 2.3: a handler asks a server that accepts and never answers, beyond its time limit: once inside
//! a step, once without one.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use ringrift_events::handler::{Context, Function, Policy, Reply, StepKind};

use crate::cause::Cause;
use crate::part::{Part, TRAINED, distant_retry, say};
use crate::scene::{Scene, pause};

pub(crate) const CAUSE: Cause = Cause {
    slug: "network-call",
    parts: &[("slow", slow), ("patient", patient)],
    inject,
    below,
};

/// A limit, and when the answer comes, a fifth below it.
const PATIENT_LIMIT: Duration = Duration::from_secs(5);
const ANSWERED_AFTER: Duration = Duration::from_secs(4);

fn inject(scene: &Scene) -> Vec<String> {
    let server = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = server.local_addr().expect("an address").port();
    let host = scene.start("slow");
    host.hears_times("ready", 2);
    let event = scene.publish(TRAINED, &format!("{{\"port\":{port}}}"));
    host.hears_times("asks", 2);
    // Both connections wait in the line of the listener, which nobody serves.
    scene.hold(server);
    vec![
        "uploader".to_owned(),
        "downloader".to_owned(),
        event,
        "network:model registry".to_owned(),
        format!("127.0.0.1:{port}"),
    ]
}

fn below(scene: &Scene) {
    let server = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = server.local_addr().expect("an address").port();
    let host = scene.start("patient");
    host.hears_times("ready", 2);
    scene.publish(TRAINED, &format!("{{\"port\":{port}}}"));
    let asked = [(); 2].map(|()| server.accept().expect("a caller").0);
    pause(ANSWERED_AFTER);
    for mut asked in asked {
        asked.write_all(b"y").expect("it listens");
    }
    host.hears_times("answered", 2);
}

fn slow(part: &Part) {
    host(part, Duration::from_millis(300));
}

fn patient(part: &Part) {
    host(part, PATIENT_LIMIT);
}

fn host(part: &Part, time_limit: Duration) {
    let policy = Policy {
        time_limit,
        retry: distant_retry(),
        ..part.policy()
    };
    let uploads = Function::blocking(|context| {
        context.step(StepKind::Network, "model registry");
        ask(context)
    });
    part.durable("uploader", policy.clone(), uploads);
    part.durable("downloader", policy, Function::blocking(ask));
    part.until_over();
}

fn ask(context: &Context) -> Reply {
    let port = context.payload().fields()["port"].as_u64().unwrap_or(0);
    let port = u16::try_from(port)?;
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    say("asks");
    server.read_exact(&mut [0])?;
    say("answered");
    Ok(())
}
