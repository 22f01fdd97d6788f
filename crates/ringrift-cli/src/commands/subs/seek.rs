//! `ringrift subs seek`: moves a durable subscription, forwards or back.

use clap::Args as ClapArgs;
use ringrift_events::coded::quoted;
use ringrift_events::event::{EventType, Seq};
use ringrift_events::recovery::{self, Selection};
use ringrift_events::store::Store;
use ringrift_events::store::subscriptions::SeekTo;
use serde::Serialize;

use crate::call::Call;
use crate::commands::replay::by_type;
use crate::confirm::{Confirm, Go, Plan};
use crate::exit::Exit;
use crate::failure::{Done, Stop};
use crate::output::{Report, Text, count_text};
use crate::{open, resolve};

/// The arguments of `subs seek`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift subs seek evaluator --to 120441 --preview\n  ringrift subs seek evaluator --time 2h --yes\n  ringrift subs seek evaluator --end --yes\n\nOpen claims are fenced: what runs now may run again. Unfinished dead letters of the old\ngeneration become discarded."
)]
pub(crate) struct Args {
    /// The durable subscription's name, or # and its number.
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    confirm: Confirm,
}

#[derive(ClapArgs, Debug)]
#[group(required = true, multiple = false)]
struct Target {
    /// The next event to handle is this one.
    #[arg(long, value_name = "EVENT")]
    to: Option<String>,

    /// The next event to handle is the first after this one, or after this number.
    #[arg(long, value_name = "EVENT")]
    after: Option<String>,

    /// The next event to handle is the first committed since then: 1h, or a date.
    #[arg(long, value_name = "TIME")]
    time: Option<String>,

    /// The oldest event kept.
    #[arg(long)]
    beginning: bool,

    /// Nothing that is in the log now.
    #[arg(long)]
    end: bool,
}

#[derive(Serialize)]
struct Moved {
    subscription: String,
    from: i64,
    to: i64,
    generation: i64,
    skipped: u64,
    again: u64,
    /// What is skipped, by type.
    skipped_types: Vec<(EventType, u64)>,
    /// What comes again, by type.
    again_types: Vec<(EventType, u64)>,
    dry_run: bool,
    undo: String,
}

/// Moves it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::writing(call)?;
    let state = resolve::subscription(&*store, &args.name)?;
    let name = state.current().name.clone();
    let target = target(call, &*store, &args.target)?;
    let would = store.seek(state.id, target, call.by(), true).wait()?;
    let undo = format!(
        "ringrift subs seek {} --after {}",
        quoted(&name),
        // What was handed back lies before the place where the log is settled.
        would.from.min(state.owed_after)
    );
    let selection = Selection::new(&state, Vec::new(), None)?;
    let counted = |after, to| recovery::count(&*store, &selection, (after, to));
    let (skipped, again) = (
        counted(would.from, would.to)?,
        counted(would.to, would.from)?,
    );
    let plan = Plan {
        what: format!(
            "move {name} from {} to {} (skipping {}, handling {} again)",
            would.from,
            would.to,
            count_text(would.skipped, "event"),
            would.again
        ),
        count: would.skipped + would.again,
        lines: [by_type(&skipped, "skipped"), by_type(&again, "again")].concat(),
        undo: undo.clone(),
    };
    let go = args.confirm.ask(call, &plan)?;
    let sought = match go {
        Go::DryRun => would,
        // To the place that was shown: the log may have grown since.
        Go::Ahead => store
            .seek(state.id, SeekTo::After(would.to), call.by(), false)
            .wait()?,
    };
    call.answer_as(
        "subs seek",
        &Moved {
            subscription: name,
            from: sought.from.0,
            to: sought.to.0,
            generation: sought.generation.0,
            skipped: sought.skipped,
            again: sought.again,
            skipped_types: skipped.by_type,
            again_types: again.by_type,
            dry_run: go == Go::DryRun,
            undo,
        },
        Exit::Ok,
    )
}

fn target(call: &Call, store: &dyn Store, target: &Target) -> Result<SeekTo, Stop> {
    if target.beginning {
        return Ok(SeekTo::Beginning);
    }
    if target.end {
        return Ok(SeekTo::End);
    }
    if let Some(time) = &target.time {
        return Ok(SeekTo::Time(call.moment(time)?));
    }
    if let Some(event) = &target.to {
        let seq = place(store, event)?;
        return Ok(SeekTo::After(Seq(seq.0 - 1)));
    }
    let after = target.after.as_deref().unwrap_or("0");
    // Any number is a place, also one whose event is gone: an undo names the place it left.
    match after.parse::<i64>() {
        Ok(seq) if seq >= 0 => Ok(SeekTo::After(Seq(seq))),
        Ok(_) | Err(_) => Ok(SeekTo::After(place(store, after)?)),
    }
}

fn place(store: &dyn Store, event: &str) -> Result<Seq, Stop> {
    let logged = resolve::event(store, event)?;
    Ok(logged.event.seq.unwrap_or(Seq::START))
}

impl Report for Moved {
    fn write(&self, text: &mut Text) {
        let did = if self.dry_run { "would go" } else { "went" };
        text.line(format!(
            "{} {did} from {} to {} (generation {}): {} skipped, {} again",
            self.subscription, self.from, self.to, self.generation, self.skipped, self.again
        ));
        if !self.dry_run {
            text.line(format!("Undo: {}", self.undo));
        }
    }
}
