//! `ringrift stats`: how much comes, fails, waits and lags.

mod chart;
mod depth;
mod lag;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use ringrift_events::metrics::{Ask, By};

use crate::call::Call;
use crate::failure::{Done, Stop};
use crate::open;
use crate::output::{Csv, Report};

/// The arguments of `stats`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift stats throughput --since 1h --by type\n  ringrift stats failures --by subscription --csv\n  ringrift stats depth\n  ringrift stats depth --since 24h\n  ringrift --json stats lag | jq '.data.lines[] | select(.seconds > 60)'"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// How many events came, over time
    Throughput(Over),
    /// How many runs failed, over time
    Failures(Over),
    /// How much waits, is held or comes again; with --since, when what is owed now came
    Depth(NowOrOver),
    /// How far behind the log's end everything is; with --since, from when on
    Lag(NowOrOver),
}

/// Options of a measure over time.
#[derive(ClapArgs, Debug)]
pub(crate) struct Over {
    /// From when on: a duration back from now, or a date.
    #[arg(long, default_value = "1h", value_name = "TIME")]
    since: String,
    /// How many slots the time is cut into, 1 to 400.
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=400))]
    slots: u32,
    #[command(flatten)]
    how: Now,
}

/// Options of a measure of now that also has a past.
#[derive(ClapArgs, Debug)]
pub(crate) struct NowOrOver {
    /// Over time, from then on: a duration back from now, or a date.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// With --since: how many slots the time is cut into, 1 to 400.
    #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=400))]
    slots: u32,
    #[command(flatten)]
    how: Now,
}

/// Options of every measure.
#[derive(ClapArgs, Debug)]
pub(crate) struct Now {
    /// What a line stands for.
    #[arg(long, value_enum)]
    by: Option<Lines>,
    /// Most lines; the rest is one line, or left out.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print comma-separated values.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Lines {
    /// A line for each event type.
    Type,
    /// A line for each subscription.
    Subscription,
    /// A line for each process.
    Process,
}

impl Lines {
    fn by(self) -> By {
        match self {
            Lines::Type => By::Type,
            Lines::Subscription => By::Subscription,
            Lines::Process => By::Process,
        }
    }
}

/// Runs the verb.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    match &args.verb {
        Verb::Throughput(over) => chart::throughput(call, over),
        Verb::Failures(over) => chart::failures(call, over),
        Verb::Depth(args) => match args.over(call)? {
            None => depth::run(call, &args.how),
            Some(ask) => chart::depth(call, &args.how, &ask),
        },
        Verb::Lag(args) => match args.over(call)? {
            None => lag::run(call, &args.how),
            Some(ask) => chart::lag(call, &args.how, &ask),
        },
    }
}

impl Over {
    fn ask(&self, call: &Call, usual: By) -> Result<Ask, Stop> {
        let since = call.since(&self.since, "ringrift stats throughput --since 1h")?;
        let until = call.now();
        let by = self.how.by.map_or(usual, Lines::by);
        let mut ask = Ask::new(since, until, self.slots, by);
        self.how.bound(call, &mut ask)?;
        Ok(ask)
    }
}

impl NowOrOver {
    /// The question about a stretch of time, if it is one.
    fn over(&self, call: &Call) -> Result<Option<Ask>, Stop> {
        let Some(since) = &self.since else {
            return Ok(None);
        };
        let since = call.since(since, "ringrift stats depth --since 24h")?;
        let by = self.how.by.map_or(By::Subscription, Lines::by);
        let mut ask = Ask::new(since, call.now(), self.slots, by);
        self.how.bound(call, &mut ask)?;
        Ok(Some(ask))
    }
}

impl Now {
    fn ask(&self, call: &Call) -> Result<Ask, Stop> {
        let now = call.now();
        let by = self.by.map_or(By::Subscription, Lines::by);
        let mut ask = Ask::new(now, now, 1, by);
        self.bound(call, &mut ask)?;
        Ok(ask)
    }

    fn bound(&self, call: &Call, ask: &mut Ask) -> Result<(), Stop> {
        ask.lines_max = usize::try_from(self.limit).unwrap_or(usize::MAX);
        ask.time_limit = open::config(call)?.settings.metrics.time_limit;
        Ok(())
    }
}

/// Answers with the report, or with its rows as comma-separated values.
fn answer<R: Report>(call: &Call, command: &str, report: &R, csv: Option<Csv>) -> Done {
    match csv {
        None => call.answer(command, report),
        Some(csv) => {
            call.line(csv.finish().trim_end_matches('\n'))?;
            Ok(crate::exit::Exit::Ok)
        }
    }
}

/// What stands above a cut answer.
fn warn_cut(call: &Call, cut: Option<&String>) {
    if let Some(cut) = cut {
        call.warn(cut.clone());
    }
}
