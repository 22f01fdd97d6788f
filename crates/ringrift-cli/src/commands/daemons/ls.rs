//! `ringrift daemons ls`.

use clap::Args as ClapArgs;
use serde::Serialize;

use super::row::{DaemonRow, HEADINGS, Sweep};
use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Report, Text};
use crate::resolve::lives;

/// The arguments of `daemons ls`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift daemons ls\n  ringrift daemons ls --json | jq '.data.daemons[] | select(.state != \"running\")'"
)]
pub(crate) struct Args {
    /// Those of processes that ended too.
    #[arg(long, short = 'a')]
    all: bool,
}

#[derive(Serialize)]
struct Listed {
    daemons: Vec<DaemonRow>,
    /// Who last looked for dead processes: one process hosts that, others while it hangs.
    swept: Option<Sweep>,
}

/// Lists them.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let processes = store.processes().wait()?;
    let live = |daemon: &ringrift_events::store::registry::DaemonState| {
        processes
            .iter()
            .any(|state| state.process.id == daemon.process && lives(state))
    };
    let swept = store.figures().wait()?.swept;
    let listed = Listed {
        swept: Sweep::of(call, swept, &processes),
        daemons: store
            .daemons()
            .wait()?
            .iter()
            .filter(|daemon| args.all || live(daemon))
            .map(|daemon| DaemonRow::of(call, daemon, &processes, swept))
            .collect(),
    };
    call.answer("daemons ls", &listed)
}

impl Report for Listed {
    fn write(&self, text: &mut Text) {
        text.table(
            HEADINGS,
            self.daemons.iter().map(DaemonRow::cells).collect(),
        );
        if let Some(sweep) = &self.swept {
            let pid = sweep.pid.map(|pid| format!(" (pid {pid})"));
            text.line(format!(
                "Last sweep for dead processes: {} by {}{}",
                sweep.at,
                sweep.short,
                pid.unwrap_or_default()
            ));
        }
    }
}
