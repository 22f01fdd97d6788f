//! `ringrift alerts silence`: quiet for a time; what happens meanwhile is raised and not sent.

use clap::Args as ClapArgs;
use ringrift_events::store::watching::Silence;
use serde::Serialize;

use crate::call::Call;
use crate::failure::Done;
use crate::output::{Moment, Report, Text};
use crate::{open, when};

/// The arguments of `alerts silence`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift alerts silence TRAINING_FAILED --for 2h --why 'new driver'\n  ringrift alerts silence --every --for 10m\n  ringrift alerts silence --end 3\n  ringrift alerts silence"
)]
pub(crate) struct Args {
    /// The rule; without it and without --every the silences are listed.
    #[arg(value_name = "RULE")]
    rule: Option<String>,

    /// Of every rule.
    #[arg(long, conflicts_with = "rule")]
    every: bool,

    /// Only this part of it: a key, a subscription, PIPELINE/KEY/STEP.
    #[arg(long, value_name = "PART")]
    part: Option<String>,

    /// For how long.
    #[arg(long = "for", default_value = "1h", value_name = "TIME")]
    time: String,

    /// Why, for those who find it.
    #[arg(long, default_value = "", value_name = "TEXT")]
    why: String,

    /// End the silence of this number.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["rule", "every", "part"])]
    end: Option<i64>,
}

#[derive(Serialize)]
struct Answer {
    begun: Option<i64>,
    ended: Option<i64>,
    silences: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    id: i64,
    rule: Option<String>,
    part: Option<String>,
    until: Moment,
    by: String,
    why: String,
}

/// Begins, ends or lists.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let begins = args.rule.is_some() || args.every || args.part.is_some();
    let store = if begins || args.end.is_some() {
        open::writing(call)?
    } else {
        open::reading(call)?
    };
    let alerts = open::alerts(call, &store)?;
    let mut begun = None;
    if begins {
        let until = call.now().after(when::duration(&args.time)?);
        let rule = args.rule.as_deref();
        begun = Some(alerts.silence(rule, args.part.as_deref(), until, &call.by(), &args.why)?);
    }
    if let Some(id) = args.end {
        alerts.unsilence(id, &call.by())?;
    }
    let row = |silence: Silence| Row {
        id: silence.id,
        rule: silence.rule,
        part: silence.group,
        until: call.show(silence.until),
        by: silence.by,
        why: silence.why,
    };
    let answer = Answer {
        begun,
        ended: args.end,
        silences: alerts.silences()?.into_iter().map(row).collect(),
    };
    call.answer("alerts silence", &answer)
}

impl Report for Answer {
    fn write(&self, text: &mut Text) {
        if let Some(id) = self.begun {
            text.line(format!(
                "silence {id} holds: what happens is raised and not sent. End it: ringrift alerts silence --end {id}"
            ));
        }
        if let Some(id) = self.ended {
            text.line(format!("silence {id} has ended"));
        }
        let rows = self.silences.iter().map(|row| {
            vec![
                row.id.into(),
                row.rule.as_deref().unwrap_or("every rule").into(),
                row.part.as_deref().unwrap_or("every part").into(),
                row.until.to_string().into(),
                row.by.as_str().into(),
                row.why.as_str().into(),
            ]
        });
        text.table(
            &["id", "rule", "part", "until", "by", "why"],
            rows.collect(),
        );
    }
}
