//! `ringrift why-not`: why a handler is silent, when no event is known.

use clap::Args as ClapArgs;
use ringrift_events::clock::Time;
use ringrift_events::explain::{Asked, Told, WhyNot};
use serde::Serialize;

use super::{explain, findings};
use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Paint, Report, Text, Zone, count_text, duration_text, visible};

/// The arguments of `why-not`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift why-not evaluator --type TRAINING_COMPLETED\n  ringrift why-not evaluator --type TRAINING_COMPLETED --key hex8_2p --since 3h\n\nExits 0 when it got everything, 1 when it did not or there was nothing to get, 6 when it cannot be told."
)]
pub(crate) struct Args {
    /// The subscription: its name, or # and its number.
    #[arg(value_name = "SUBSCRIPTION")]
    subscription: String,

    /// The type that should have come; all that it names without it.
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    event_type: Option<String>,

    /// Only events with this key.
    #[arg(long, short = 'k', value_name = "KEY")]
    key: Option<String>,

    /// Only events committed since then: 1h, 7d, or a date.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    since: String,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Answered {
    answer: WhyNot,
    #[serde(skip)]
    zone: Zone,
    #[serde(skip)]
    now: Time,
}

/// Says why.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let since = call.since(&args.since, "ringrift why-not SUBSCRIPTION --since 1h")?;
    let store = open::reading(call)?;
    let catalog = open::catalog_with(call, &*store)?;
    let asked = Asked {
        subscription: args.subscription.clone(),
        event_type: args.event_type.clone(),
        key: args.key.clone(),
        since,
    };
    let now = call.now();
    let answer = WhyNot::of(&*store, &catalog, &asked, now)?;
    let exit = findings::exit(answer.whole);
    let zone = call.zone();
    call.answer_as("why-not", &Answered { answer, zone, now }, exit)
}

impl Report for Answered {
    fn write(&self, text: &mut Text) {
        let answer = &self.answer;
        text.title(&format!("The subscription {}", answer.subscription));
        match answer.itself.as_slice() {
            [] => text.line("nothing is in its way"),
            found => found.iter().for_each(|one| findings::line(text, "", one)),
        }
        text.title("What was published");
        text.line(self.published());
        if answer.window.kept_since.is_some() {
            let asked = self.zone.show(answer.window.since);
            text.line(format!(
                "the log does not go back to {asked}: what was published before is not known"
            ));
        }
        if let Some(cut) = &answer.window.cut {
            text.line(cut);
        }
        if let Some(last) = &answer.last {
            text.line(self.last(last));
            text.fields(&explain::fields(last, &self.zone));
        }
        for near in &answer.near {
            let line = format!(
                "a similar type, {}, was published {} (last at {})",
                near.event_type.constant(),
                times(near.published),
                self.zone.show(near.last_at)
            );
            let painted = text.paint(Paint::Odd, &line);
            text.line(painted);
        }
        for refused in &answer.refused {
            let line = format!(
                "{} of {} was refused {} ({}, last at {}{})",
                refused.verb,
                refused.name,
                times(usize::try_from(refused.count).unwrap_or(usize::MAX)),
                refused.code,
                self.zone.show(refused.last_at),
                refused
                    .call_site
                    .as_ref()
                    .map(|site| format!(" from {site}"))
                    .unwrap_or_default()
            );
            let painted = text.paint(Paint::Odd, &visible(&line));
            text.line(painted);
        }
        for stayed in &answer.unbridged {
            let line = format!(
                "{} of {} stayed in {}: the type is volatile there (RT_NOT_BRIDGED)",
                count_text(stayed.count, "event"),
                stayed.event_type.constant(),
                stayed.process
            );
            let painted = text.paint(Paint::Odd, &visible(&line));
            text.line(painted);
        }
        if answer.groups.is_empty() {
            return;
        }
        text.title("What became of it");
        for group in &answer.groups {
            let event = format!("newest of {}", count_text(group.count as u64, "event"));
            let seq = group.seq.map(|seq| format!(": event {seq}"));
            let name = format!("{event}{}", seq.unwrap_or_default());
            findings::line(text, &name, &group.newest.verdict);
        }
    }
}

impl Answered {
    /// `the last one was published 3 h 0 min ago by pid 4711 on node-1 (trainer):`.
    fn last(&self, last: &Told) -> String {
        let ago = last.published_at.map(|at| self.now.since(at));
        let ago = ago.map(|ago| format!(" {} ago", duration_text(ago)));
        let by = last.process.as_ref().map(|by| format!(" by {by}"));
        let line = format!(
            "the last one was published{}{}:",
            ago.unwrap_or_default(),
            by.unwrap_or_default()
        );
        visible(&line)
    }

    fn published(&self) -> String {
        let answer = &self.answer;
        let key = answer.key.as_deref().map(|key| format!(" with key {key}"));
        let of = format!("of {}{}", answer.types, key.unwrap_or_default());
        let window = &answer.window;
        let since = self.zone.show(window.kept_since.unwrap_or(window.since));
        let judged = match answer.window.published > answer.window.judged {
            true => format!("; the newest {} are judged below", answer.window.judged),
            false => String::new(),
        };
        let gone = match window.deleted {
            0 => String::new(),
            many => format!(" ({many} of them deleted from the queue)"),
        };
        match (answer.window.published, answer.window.more) {
            (0, _) => format!("no event {of} since {since}"),
            (many, false) => format!(
                "{} {of} since {since}{gone}{judged}",
                count_text(many as u64, "event")
            ),
            (many, true) => format!("at least {many} events {of} since {since}{gone}{judged}"),
        }
    }
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        many => format!("{many} times"),
    }
}
