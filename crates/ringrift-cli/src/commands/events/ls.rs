//! `ringrift events ls`: a page of the log.

use clap::Args as ClapArgs;
use ringrift_events::catalog::filter::Filter;
use ringrift_events::event::Seq;
use ringrift_events::store::Store;
use ringrift_events::store::log::{Logged, Page};
use serde::Serialize;

use super::row::{EventRow, HEADINGS};
use crate::call::Call;
use crate::failure::{Done, Stop};
use crate::output::{Paint, Report, Text};
use crate::{open, resolve};

/// Most events one call lists; the store's own bound of a page.
const LIMIT_MAX: i64 = 1_000;

/// Most pages that are looked through for a filter, so that a filter that matches nothing ends.
const PAGES_EXAMINED_MAX: usize = 100;

/// The arguments of `events ls`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift events ls --type TRAINING_COMPLETED --since 1h\n  ringrift events ls --key hex8_2p --where 'elo__gte=1900'\n  ringrift events ls --oldest --from 120000 -n 500 --json"
)]
pub(crate) struct Args {
    /// Only this type, by constant or value; may be repeated.
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    types: Vec<String>,

    /// Only events with this key.
    #[arg(long, short = 'k', value_name = "KEY")]
    key: Option<String>,

    /// Only events committed since then: 1h, 7d, or a date.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Only events for which the filter is true.
    #[arg(long = "where", value_name = "FILTER")]
    filter: Option<String>,

    /// Go on from this number of the log, as the last page says.
    #[arg(long, value_name = "SEQ")]
    from: Option<i64>,

    /// Oldest first.
    #[arg(long)]
    oldest: bool,

    /// How many.
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=LIMIT_MAX))]
    limit: i64,
}

#[derive(Serialize)]
struct Listed {
    events: Vec<EventRow>,
    /// Where the next page begins, if there is more.
    next_from: Option<i64>,
}

/// Lists them.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let filter = resolve::filter(args.filter.as_deref())?;
    let since = call.moment_option(args.since.as_deref())?;
    let store = open::reading(call)?;
    let page = Page {
        types: resolve::event_types(call, &*store, &args.types)?,
        key: args.key.clone(),
        since,
        from: args.from.map(Seq),
        newest_first: !args.oldest,
        limit: usize::try_from(args.limit).unwrap_or(1),
    };
    let (events, next_from) = matching(&*store, page, filter.as_ref())?;
    let listed = Listed {
        events: events
            .iter()
            .map(|logged| EventRow::logged(call, logged))
            .collect(),
        next_from: next_from.map(|seq| seq.0),
    };
    call.answer("events ls", &listed)
}

/// Pages through the log until `page.limit` events match.
fn matching(
    store: &dyn Store,
    mut page: Page,
    filter: Option<&Filter>,
) -> Result<(Vec<Logged>, Option<Seq>), Stop> {
    let wanted = page.limit;
    let mut found = Vec::new();
    for _ in 0..PAGES_EXAMINED_MAX {
        let events = store.list(page.clone()).wait()?;
        let full = events.len() == page.limit;
        for logged in events {
            page.from = logged.event.seq;
            if filter.is_none_or(|filter| filter.evaluate(&logged.event.payload)) {
                found.push(logged);
                if found.len() == wanted {
                    return Ok((found, page.from));
                }
            }
        }
        if !full {
            return Ok((found, None));
        }
    }
    Ok((found, page.from))
}

impl Report for Listed {
    fn write(&self, text: &mut Text) {
        text.table(HEADINGS, self.events.iter().map(EventRow::cells).collect());
        if let Some(from) = self.next_from {
            let more = text.paint(Paint::Faint, &format!("more: --from {from}"));
            text.line(more);
        }
    }
}
