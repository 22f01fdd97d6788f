//! `ringrift alerts ack` and `resolve`.

use clap::Args as ClapArgs;
use ringrift_events::store::watching::{AlertAct, AlertId};
use serde::Serialize;

use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Report, Text};

/// The arguments of `alerts ack` and `alerts resolve`.
#[derive(ClapArgs, Debug)]
#[command(after_help = "Examples:\n  ringrift alerts ack 12\n  ringrift alerts resolve 12 13")]
pub(crate) struct Args {
    /// The alerts' numbers.
    #[arg(value_name = "NUMBER", required = true)]
    ids: Vec<i64>,
}

#[derive(Serialize)]
struct Answer {
    act: &'static str,
    changed: Vec<i64>,
    unchanged: Vec<i64>,
}

/// Does it.
pub(crate) fn run(call: &Call, args: &Args, act: AlertAct) -> Done {
    let store = open::writing(call)?;
    let alerts = open::alerts(call, &store)?;
    let ids: Vec<AlertId> = args.ids.iter().map(|id| AlertId(*id)).collect();
    let (name, changed) = match act {
        AlertAct::Ack => ("alerts ack", alerts.ack(&ids, &call.by())?),
        AlertAct::Resolve => ("alerts resolve", alerts.resolve(&ids, &call.by())?),
    };
    let unchanged = ids.iter().filter(|id| !changed.contains(id));
    let answer = Answer {
        act: match act {
            AlertAct::Ack => "acked",
            AlertAct::Resolve => "resolved",
        },
        unchanged: unchanged.map(|id| id.0).collect(),
        changed: changed.iter().map(|id| id.0).collect(),
    };
    call.answer(name, &answer)
}

impl Report for Answer {
    fn write(&self, text: &mut Text) {
        for id in &self.changed {
            text.line(format!("alert {id} is {} now", self.act));
        }
        for id in &self.unchanged {
            text.line(format!("alert {id} was {} or over already", self.act));
        }
    }
}
