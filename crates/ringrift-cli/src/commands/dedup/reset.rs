//! `ringrift dedup reset`: in the store for a durable subscription, in its processes for a live one.

use clap::Args as ClapArgs;
use ringrift_events::store::Store;
use ringrift_events::store::registry::ProcessState;
use ringrift_events::store::subscriptions::{Kind, SubscriptionState};
use serde::Serialize;

use crate::ask::{Asked, Target, ask};
use crate::call::Call;
use crate::confirm::{Confirm, Go, Plan};
use crate::failure::{Done, Error, Stop};
use crate::output::{Report, Text, count_text};
use crate::resolve::lives;
use crate::{open, resolve};

/// The arguments of `dedup reset`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift dedup reset evaluator --preview\n  ringrift dedup reset evaluator --key hex8_2p --yes\n\nA key is the event's type and the values of the handler's dedup fields; --key takes the whole key,\nas `explain` shows it, or the value of one field. A key that a run holds now stays."
)]
pub(crate) struct Args {
    /// The handler: its subscription's name, or # and its number.
    #[arg(value_name = "HANDLER")]
    handler: String,

    /// Only this key, or the keys with this value in one of their fields.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    #[command(flatten)]
    confirm: Confirm,
}

#[derive(Serialize)]
struct Reset {
    handler: String,
    /// Keys forgotten in the store; none for a live handler, whose processes answer for themselves.
    forgotten: Option<u64>,
    answers: Vec<Asked>,
    dry_run: bool,
}

/// Forgets them.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let within = open::config(call)?.settings.process.command_wait;
    let store = open::writing(call)?;
    let state = resolve::subscription(&*store, &args.handler)?;
    let name = state.current().name.clone();
    let durable = state.current().kind == Kind::Durable;
    let count = if durable {
        let would = store.forget_keys(state.id, args.key.clone(), call.by(), true);
        Some(would.wait()?)
    } else {
        None
    };
    let hosts = if durable {
        Vec::new()
    } else {
        hosts(&*store, &state)?
    };
    let go = match count {
        Some(0) => Go::DryRun,
        Some(_) | None => args.confirm.ask(call, &plan(&name, count, hosts.len()))?,
    };
    let mut reset = Reset {
        handler: name.clone(),
        forgotten: count,
        answers: Vec::new(),
        dry_run: go == Go::DryRun,
    };
    if go == Go::Ahead && durable {
        let forgotten = store.forget_keys(state.id, args.key.clone(), call.by(), false);
        reset.forgotten = Some(forgotten.wait()?);
    } else if go == Go::Ahead {
        let arguments = serde_json::json!({ "handler": name, "key": args.key });
        let whole = |process| Target::whole(process, &arguments);
        let targets: Vec<Target<'_>> = hosts.iter().map(whole).collect();
        reset.answers = ask(call, &*store, "dedup.reset", &targets, within)?;
    }
    call.answer("dedup reset", &reset)
}

/// The live processes whose live handlers go by this name.
fn hosts(store: &dyn Store, state: &SubscriptionState) -> Result<Vec<ProcessState>, Stop> {
    let name = &state.current().name;
    let all = store.subscriptions().wait()?;
    let same = all
        .iter()
        .filter(|one| one.ended_at.is_none() && one.current().name == *name);
    let owners: Vec<_> = same.filter_map(|one| one.process).collect();
    let mut processes = store.processes().wait()?;
    processes.retain(|one| lives(one) && owners.contains(&one.process.id));
    if processes.is_empty() {
        return Err(Error::NobodyThere {
            what: format!("hosts {name}"),
        }
        .into());
    }
    Ok(processes)
}

fn plan(name: &str, keys: Option<u64>, processes: usize) -> Plan {
    let (what, count) = match keys {
        Some(keys) => (count_text(keys, "dedup key"), keys),
        None => {
            let count = processes as u64;
            (format!("the dedup keys in {count} of its processes"), count)
        }
    };
    Plan {
        what: format!("forget {what} of {name}: an equal event runs again"),
        count,
        lines: Vec::new(),
        undo: "none: the next equal event makes its key anew".to_owned(),
    }
}

impl Report for Reset {
    fn write(&self, text: &mut Text) {
        match (self.forgotten, self.dry_run) {
            (Some(0), _) => text.line(format!("{} has no such dedup key", self.handler)),
            (Some(keys), true) => text.line(format!(
                "{} of {} would be forgotten",
                count_text(keys, "dedup key"),
                self.handler
            )),
            (Some(keys), false) => text.line(format!(
                "{} of {} forgotten",
                count_text(keys, "dedup key"),
                self.handler
            )),
            (None, true) => text.line(format!("the keys of {} would be forgotten", self.handler)),
            (None, false) => {
                for one in &self.answers {
                    text.line(format!("pid {}: {}", one.pid, one.answer));
                }
            }
        }
    }
}
