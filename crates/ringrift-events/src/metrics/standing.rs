//! What is wrong with a home as a whole, as anybody can see it who reads its store.

use serde::Serialize;

use super::owed::Owed;
use crate::daemons::{CROSS_PROCESS_POLLER, DLQ_RETRY};
use crate::store::registry::{DaemonState, Liveness, ProcessState};
use crate::store::subscriptions::SubscriptionState;
use crate::store::watching::AlertFilter;
use crate::store::{Error, Store};

/// Most alerts told.
const ALERTS_MAX: usize = 100;

/// What stands out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Live processes.
    pub alive: u64,
    /// Live processes whose heartbeat stopped.
    pub hung: Vec<String>,
    /// Daemons that do not run although they should, in live processes that have subscriptions.
    pub daemons: Vec<String>,
    /// Of those, the ones that were given up.
    pub daemons_failed: Vec<String>,
    /// Durable subscriptions that stand, are not paused, and owe events that no live process takes:
    /// none hosts them, or all that do subscribe by an older definition.
    pub unhosted: Vec<String>,
    /// Pipelines that stand still, as their alerts say.
    pub stalled: Vec<String>,
    /// What is unusual about the store.
    pub notes: Vec<String>,
    /// Dead letters.
    pub letters: u64,
    /// Bytes of the WAL.
    pub wal_bytes: u64,
}

impl Standing {
    /// Looks at it now: five short reads, and two for each subscription without a process.
    ///
    /// # Errors
    /// The store's.
    pub fn look(store: &dyn Store) -> Result<Standing, Error> {
        let (figures, processes, subscriptions, daemons) = (
            store.figures(),
            store.processes(),
            store.subscriptions(),
            store.daemons(),
        );
        let (figures, processes) = (figures.wait()?, processes.wait()?);
        let (subscriptions, daemons) = (subscriptions.wait()?, daemons.wait()?);
        let living = |liveness: Liveness| {
            processes
                .iter()
                .filter(move |state| state.liveness == liveness)
        };
        let idle = |state: &str| idle(&daemons, &processes, &subscriptions, state);
        let mut unhosted = Vec::new();
        for one in subscriptions.iter().filter(|one| one.paused.is_none()) {
            if Owed::is_unattended(store, one, &processes, figures.head)? {
                unhosted.push(one.current().name.clone());
            }
        }
        let stalled = store.alerts(AlertFilter::stalled(ALERTS_MAX)).wait()?;
        let stalled = stalled.into_iter().map(|alert| alert.summary);
        let mut not_running = idle("stopped");
        not_running.extend(idle("backoff"));
        let failed = idle("failed");
        not_running.extend(failed.iter().cloned());
        Ok(Standing {
            alive: living(Liveness::Alive).count() as u64,
            hung: living(Liveness::Hung)
                .map(|state| format!("process {} (pid {})", state.process.id, state.process.pid))
                .collect(),
            daemons: not_running,
            daemons_failed: failed,
            unhosted,
            stalled: stalled.collect(),
            notes: figures.notes,
            letters: figures.letters,
            wal_bytes: figures.wal_bytes,
        })
    }
}

fn is_alive(id: crate::event::ProcessId, processes: &[ProcessState]) -> bool {
    processes
        .iter()
        .any(|state| state.process.id == id && state.liveness == Liveness::Alive)
}

/// The daemons in this state that a live process needs. One that only publishes never starts them:
/// that is as it should be, so a stop needs somebody who asked for it.
fn idle(
    daemons: &[DaemonState],
    processes: &[ProcessState],
    subscriptions: &[SubscriptionState],
    state: &str,
) -> Vec<String> {
    let needs = |daemon: &DaemonState| {
        let polls = [CROSS_PROCESS_POLLER, DLQ_RETRY].contains(&daemon.name.as_str());
        let hosts = subscriptions.iter().any(|one| {
            one.hosts.contains_key(&daemon.process) || one.process == Some(daemon.process)
        });
        !polls || hosts
    };
    let asked = |daemon: &DaemonState| daemon.state != "stopped" || daemon.stopped_by.is_some();
    let of = |daemon: &DaemonState| {
        let pid = processes
            .iter()
            .find(|one| one.process.id == daemon.process)
            .map_or(0, |one| one.process.pid);
        format!("{} is {} in pid {pid}", daemon.name, daemon.state)
    };
    daemons
        .iter()
        .filter(|daemon| daemon.state == state && asked(daemon) && needs(daemon))
        .filter(|daemon| is_alive(daemon.process, processes))
        .map(of)
        .collect()
}
