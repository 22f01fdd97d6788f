//! `ringrift run`: a process that hosts the home's daemons and nothing else.

use std::sync::Arc;

use clap::Args as ClapArgs;
use ringrift_events::system::System;
use serde::Serialize;

use crate::call::Call;
use crate::exit::Exit;
use crate::failure::{Done, Stop};
use crate::listen::{self, Bounds, Listener, Pages};
use crate::open;
use crate::sampling::{Receiver, Sampler};
use crate::signals::Signals;

/// The arguments of `run`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift run\n  ringrift --home /srv/ringrift run\n  ringrift run --listen 127.0.0.1:9187 --otlp http://127.0.0.1:4318\n\nIt takes over from dead processes and applies retention even when no other process runs.\nSIGTERM or SIGINT ends it within shutdown_grace; a second signal\n(not within 250 ms, as `timeout` and terminals repeat it) ends it at once."
)]
pub(crate) struct Args {
    /// Answer /metrics, /healthz and /readyz over HTTP there.
    ///
    /// A port alone is on loopback. Nobody is asked for a password: on another address everybody
    /// who reaches it can read the numbers.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Send events and deliveries as spans to this OTLP receiver, over HTTP in JSON.
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
}

#[derive(Serialize)]
struct Running {
    state: &'static str,
    home: String,
    pid: u32,
    process: String,
    /// Where it answers over HTTP.
    listen: Option<String>,
}

/// Runs until a signal comes.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let address = args.listen.as_deref().map(listen::address).transpose()?;
    let receiver = args.otlp.as_deref().map(Receiver::at).transpose()?;
    let signals = Signals::listen()?;
    let system = open::system(call)?;
    system.host_daemons()?;
    let sampler = match (&address, &receiver) {
        (None, None) => None,
        _ => Some(Sampler::start(&system, receiver)?),
    };
    let listener = match (address, &sampler) {
        (Some(address), Some(sampler)) => Some(answering(call, &system, address, sampler)?),
        _ => None,
    };
    let listening = listener.as_ref().map(|one| one.address().to_string());
    let running = |state| Running {
        state,
        home: system.config().home.root().display().to_string(),
        pid: std::process::id(),
        process: system.store().process().to_string(),
        listen: listening.clone(),
    };
    let said = call.stream(&running("running"), |_| {
        let running = running("running");
        let at = running.listen.map(|at| format!(", http://{at}/metrics"));
        let at = at.unwrap_or_default();
        format!("running in {} as pid {}{at}", running.home, running.pid)
    });
    // Nobody needs to read that line for the daemons to run.
    if said.is_ok() {
        call.note("SIGTERM or SIGINT ends it");
    }
    signals.wait(None);
    drop(listener);
    drop(sampler);
    system.close();
    Ok(Exit::Ok)
}

/// Answers monitoring at `address`.
fn answering(
    call: &Call,
    system: &System,
    address: std::net::SocketAddr,
    sampler: &Sampler,
) -> Result<Listener, Stop> {
    let metrics = &system.config().settings.metrics;
    let bounds = Bounds {
        connections: metrics.connections_max,
        connection_limit: metrics.connection_limit,
    };
    let pages = Pages::of(system.clone(), sampler.families())?;
    let listener = Listener::start(address, bounds, Arc::new(pages))?;
    if !address.ip().is_loopback() {
        call.note(&format!(
            "warning: {} is no loopback address: everybody who reaches it can read /metrics",
            listener.address()
        ));
    }
    Ok(listener)
}
