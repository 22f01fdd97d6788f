//! `ringrift replay`: past events once more, for one subscription alone.

use std::io::IsTerminal as _;

use clap::Args as ClapArgs;
use indicatif::{ProgressBar, ProgressStyle};
use ringrift_events::coded::quoted;
use ringrift_events::recovery::{Counted, Progress, Replay, Request};
use ringrift_events::store::subscriptions::SubscriptionState;
use serde::Serialize;

use crate::call::Call;
use crate::confirm::{Confirm, Go, Plan};
use crate::failure::{Done, Stop};
use crate::output::{Report, Text, count_text};
use crate::{open, resolve};

/// The arguments of `replay`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift replay --to evaluator --since 2h --dry-run\n  ringrift replay --to evaluator --where 'config_key = \"hex8_2p\"' --type TRAINING_COMPLETED --yes\n  ringrift replay --to evaluator --since 1d --rate 20 --yes=4120\n  ringrift replay --resume 4be1f07a --yes\n\nOnly what the subscription takes is replayed, and only to it. Interrupted, it goes on with --resume\nand repeats nothing. What the subscription's dedup knows within its window is a duplicate still:\n`ringrift dedup reset` forgets it."
)]
pub(crate) struct Args {
    /// The subscription: its name, or # and its number.
    #[arg(long, value_name = "NAME", required_unless_present = "resume")]
    to: Option<String>,

    /// Only events whose payload meets this filter.
    #[arg(long = "where", value_name = "FILTER", conflicts_with = "resume")]
    filter: Option<String>,

    /// Only events of this type, by constant or value; may be repeated.
    #[arg(
        long = "type",
        short = 't',
        value_name = "TYPE",
        conflicts_with = "resume"
    )]
    types: Vec<String>,

    /// Only events committed since then: 1h, or a date.
    #[arg(long, value_name = "TIME", conflicts_with = "resume")]
    since: Option<String>,

    /// Events a second, as 50 or 50/s; 0 is as fast as the store takes them. Default
    /// `recovery.replay_per_second`.
    #[arg(long, value_name = "COUNT", value_parser = rate, conflicts_with = "resume")]
    rate: Option<u32>,

    /// Go on with an interrupted run.
    #[arg(long, value_name = "RUN", conflicts_with = "to")]
    resume: Option<String>,

    #[command(flatten)]
    confirm: Confirm,
}

fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    number
        .parse()
        .map_err(|_| "events a second are a whole number, such as 50 or 50/s".to_owned())
}

#[derive(Serialize)]
struct Replayed {
    run: String,
    subscription: String,
    selected: Counted,
    #[serde(flatten)]
    progress: Progress,
    dry_run: bool,
}

/// Counts, asks and replays.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let settings = open::config(call)?.settings;
    let store = open::writing(call)?;
    let (replay, state) = match &args.resume {
        Some(run) => {
            let replay = Replay::resume(&*store, run)?;
            let state = resolve::subscription(&*store, &format!("#{}", replay.subscription.0))?;
            (replay, state)
        }
        None => {
            let state = resolve::subscription(&*store, args.to.as_deref().unwrap_or_default())?;
            resolve::filter(args.filter.as_deref())?;
            let request = Request {
                types: resolve::event_types(call, &*store, &args.types)?,
                filter: args.filter.clone(),
                since: call.moment_option(args.since.as_deref())?,
                per_second: Some(args.rate.unwrap_or(settings.recovery.replay_per_second)),
            };
            (Replay::new(&*store, &*call.clock, &state, request)?, state)
        }
    };
    let selected = replay.preview(&*store, &state)?;
    let go = if selected.events == 0 {
        Go::DryRun
    } else {
        args.confirm.ask(call, &plan(&replay, &selected))?
    };
    let progress = match go {
        Go::DryRun => Progress::default(),
        Go::Ahead => {
            if args.resume.is_none() {
                replay.begin(&*store, &*call.clock, &call.by())?;
            }
            call.note(&format!(
                "if interrupted: ringrift replay --resume {}",
                replay.run
            ));
            follow(call, &*store, &replay, &state, &selected)?
        }
    };
    let report = Replayed {
        run: replay.run.clone(),
        subscription: replay.name.clone(),
        selected,
        progress,
        dry_run: go == Go::DryRun,
    };
    call.answer("replay", &report)
}

fn plan(replay: &Replay, selected: &Counted) -> Plan {
    Plan {
        what: format!(
            "deliver {} again, to {} alone",
            count_text(selected.events, "past event"),
            replay.name
        ),
        count: selected.events,
        lines: by_type(selected, "again"),
        undo: format!(
            "none once a handler has run; hold the rest with: ringrift subs pause {}",
            quoted(&replay.name)
        ),
    }
}

/// One line a type: `12 TRAINING_COMPLETED again`.
pub(crate) fn by_type(counted: &Counted, what: &str) -> Vec<String> {
    let line = |(event_type, count): &(ringrift_events::event::EventType, u64)| {
        format!("{count} {} {what}", event_type.constant())
    };
    let mut lines: Vec<String> = counted.by_type.iter().map(line).collect();
    if counted.cut {
        lines.push(format!(
            "and more: only the first {} were counted by type",
            counted.events
        ));
    }
    lines
}

/// Replays behind a bar, where somebody looks.
fn follow(
    call: &Call,
    store: &dyn ringrift_events::store::Store,
    replay: &Replay,
    state: &SubscriptionState,
    selected: &Counted,
) -> Result<Progress, Stop> {
    let bar = if call.global.json || !std::io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(selected.events)
    };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} events  {per_sec}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let progress = replay.run(store, &*call.clock, state, &call.by(), |progress| {
        bar.set_position(progress.replayed);
        true
    });
    bar.finish_and_clear();
    Ok(progress?)
}

impl Report for Replayed {
    fn write(&self, text: &mut Text) {
        if self.selected.events == 0 {
            text.line("no event matches: nothing to replay");
            return;
        }
        if self.dry_run {
            text.line(format!(
                "{} would be delivered again to {}",
                count_text(self.selected.events, "event"),
                self.subscription
            ));
            return;
        }
        text.line(format!(
            "{} delivered again to {} (run {})",
            count_text(self.progress.replayed, "event"),
            self.subscription,
            self.run
        ));
    }
}
