//! `ringrift run`: a process that hosts the home's daemons and nothing else.

use clap::Args as ClapArgs;
use serde::Serialize;

use crate::call::Call;
use crate::exit::Exit;
use crate::failure::Done;
use crate::open;
use crate::signals::Signals;

/// The arguments of `run`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift run\n  ringrift --home /srv/ringrift run\n\nIt takes over from dead processes and applies retention even when no other process runs.\nSIGTERM or SIGINT ends it within shutdown_grace; a second signal ends it at once."
)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Running {
    state: &'static str,
    home: String,
    pid: u32,
    process: String,
}

/// Runs until a signal comes.
pub(crate) fn run(call: &Call, _: &Args) -> Done {
    let signals = Signals::listen()?;
    let system = open::system(call)?;
    system.host_daemons()?;
    let running = |state| Running {
        state,
        home: system.config().home.root().display().to_string(),
        pid: std::process::id(),
        process: system.store().process().to_string(),
    };
    let said = call.stream(&running("running"), |_| {
        let running = running("running");
        format!("running in {} as pid {}", running.home, running.pid)
    });
    // Nobody needs to read that line for the daemons to run.
    if said.is_ok() {
        call.note("SIGTERM or SIGINT ends it");
    }
    signals.wait(None);
    system.close();
    Ok(Exit::Ok)
}
