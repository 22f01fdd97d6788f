//! `ringrift tail`: the log as it grows. It reads only; nothing is claimed and nobody is kept
//! from anything.

use std::sync::Arc;
use std::time::Duration;

use clap::Args as ClapArgs;
use ringrift_events::catalog::filter::Filter;
use ringrift_events::event::{EventType, Seq};
use ringrift_events::store::Store;
use ringrift_events::store::log::{Page, TypeSet};

use super::events::row::EventRow;
use crate::call::Call;
use crate::exit::Exit;
use crate::failure::{Done, Error, Stop};
use crate::signals::Signals;
use crate::{open, resolve, when};

/// Events read at once.
const READ_EVENTS: usize = 500;

/// Longest wait for the doorbell before the log is looked at anyway, and signals are.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The arguments of `tail`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift tail\n  ringrift tail TRAINING_COMPLETED MODEL_PROMOTED --where 'elo__gte=1900'\n  ringrift tail --since 1h --no-follow --json | jq .key\n  ringrift tail TRAINING_FAILED -n 0 --count 1 --timeout 10m"
)]
pub(crate) struct Args {
    /// Types, by constant or value; all without any.
    #[arg(value_name = "TYPE")]
    types: Vec<String>,

    /// Only events for which the filter is true.
    #[arg(long = "where", value_name = "FILTER")]
    filter: Option<String>,

    /// Begin with what was committed since then: 1h, 7d, or a date.
    #[arg(long, value_name = "TIME", conflicts_with = "lines")]
    since: Option<String>,

    /// Begin with so many of the last events.
    #[arg(long = "lines", short = 'n', value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=1_000))]
    lines: u16,

    /// End at the log's end instead of waiting for more.
    #[arg(long)]
    no_follow: bool,

    /// End after so many events.
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,

    /// End after so long, with exit code 6 if --count was not reached.
    #[arg(long, value_name = "DURATION", value_parser = when::duration_option)]
    timeout: Option<Duration>,
}

struct Tail<'a> {
    call: &'a Call,
    store: Arc<dyn Store>,
    types: Vec<EventType>,
    filter: Option<Filter>,
    left: Option<u64>,
}

/// Prints them.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let signals = Signals::listen()?;
    let filter = resolve::filter(args.filter.as_deref())?;
    let since = call.moment_option(args.since.as_deref())?;
    let store = open::reading(call)?;
    let mut tail = Tail {
        call,
        types: resolve::event_types(call, &*store, &args.types)?,
        store: store.shared(),
        filter,
        left: args.count,
    };
    let until = args.timeout.map(|limit| call.clock.monotonic() + limit);
    let head = tail.store.head().wait()?.seq;
    let mut after = tail.begin(since, args.lines, head)?;
    let mut seen = 0;
    loop {
        after = tail.read(after, &signals)?;
        if tail.left == Some(0) || args.no_follow || signals.stopped() {
            return Ok(Exit::Ok);
        }
        if until.is_some_and(|until| call.clock.monotonic() >= until) {
            return timed_out(args, tail.left);
        }
        seen = tail.store.wait_for_news(seen, LOOK_EVERY);
    }
}

fn timed_out(args: &Args, left: Option<u64>) -> Done {
    match (left, args.timeout) {
        (Some(left), Some(limit)) => Err(Error::TimedOut {
            what: format!("{left} of the awaited events did not come"),
            limit: crate::output::duration_text(limit),
            next: "ringrift events ls".to_owned(),
        }
        .into()),
        (Some(_) | None, _) => Ok(Exit::Ok),
    }
}

impl Tail<'_> {
    /// The place after which to read: before the last `lines` events, or at a time.
    fn begin(
        &self,
        since: Option<ringrift_events::clock::Time>,
        lines: u16,
        head: Seq,
    ) -> Result<Seq, Stop> {
        if since.is_none() && lines == 0 {
            return Ok(head);
        }
        let page = Page {
            types: self.types.clone(),
            since,
            newest_first: since.is_none(),
            limit: if since.is_some() {
                1
            } else {
                usize::from(lines)
            },
            ..Page::default()
        };
        let events = self.store.list(page).wait()?;
        let first = events.iter().filter_map(|logged| logged.event.seq).min();
        Ok(first.map_or(head, |first| Seq(first.0 - 1)))
    }

    /// Prints everything up to the log's end; answers up to where it read.
    fn read(&mut self, mut after: Seq, signals: &Signals) -> Result<Seq, Stop> {
        let types = if self.types.is_empty() {
            TypeSet::All
        } else {
            TypeSet::only(self.types.iter().cloned())
        };
        while self.left != Some(0) && !signals.stopped() {
            let (events, read_to) = self.store.read(after, types.clone(), READ_EVENTS).wait()?;
            for event in &events {
                let wanted = self
                    .filter
                    .as_ref()
                    .is_none_or(|filter| filter.evaluate(&event.payload));
                if wanted && self.left != Some(0) {
                    let row = EventRow::of(self.call, event);
                    self.call.stream(&row, |style| row.line(style))?;
                    self.left = self.left.map(|left| left - 1);
                }
            }
            if read_to <= after {
                return Ok(after);
            }
            after = read_to;
        }
        Ok(after)
    }
}
