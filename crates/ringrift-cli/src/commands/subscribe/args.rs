//! The grammar of `subscribe`.

use std::time::Duration;

use clap::Args as ClapArgs;

use crate::when;

/// The arguments of `subscribe`.
#[derive(ClapArgs, Debug)]
#[command(after_help = "Examples:
  ringrift subscribe TRAINING_COMPLETED
  ringrift subscribe TRAINING_COMPLETED --durable evaluator --exec ./evaluate.sh --timeout 15m
  ringrift subscribe MODEL_PROMOTED --durable notify --where elo__gte=1900 --exec 'curl -fsS -d @- https://…'
  ringrift subscribe --all-types --json | jq .type

A command gets one JSON line on standard input (id, seq, type, payload, source, key, time, trace_id,
parent_id, subscription, attempt) and RINGRIFT_HOME, RINGRIFT_EVENT_ID, RINGRIFT_EVENT_TYPE,
RINGRIFT_KEY, RINGRIFT_ATTEMPT, RINGRIFT_SUBSCRIPTION and TRACEPARENT in its environment. Exit 0 is
done, 75 try again (counts as an attempt), 65 dead; anything else is a failure with the last 64 KiB
of its standard error. At --timeout its process group gets SIGTERM, 5 s later SIGKILL.

Without --exec an event is done once its line is flushed. SIGTERM or SIGINT: running events finish
within shutdown_grace, the rest is handed back; a second signal (not within
250 ms, as `timeout` and terminals repeat it) ends it at once.")]
pub(crate) struct Args {
    /// Types, by constant or canonical value.
    #[arg(value_name = "TYPE", required_unless_present = "all_types")]
    pub(crate) types: Vec<String>,

    /// Every type.
    #[arg(long, conflicts_with = "types")]
    pub(crate) all_types: bool,

    /// A durable subscription of this name: it has a position, outlives this process, and is
    /// shared by every process that uses the name. Letters, digits and ._-:/@<>, at most 200 bytes.
    #[arg(long, short = 'd', value_name = "NAME")]
    pub(crate) durable: Option<String>,

    /// What a live subscription is called.
    #[arg(long, value_name = "NAME", conflicts_with = "durable")]
    pub(crate) name: Option<String>,

    /// Run `sh -c COMMAND` for each event.
    #[arg(long, short = 'x', value_name = "COMMAND")]
    pub(crate) exec: Option<String>,

    /// Only events for which the filter is true; part of the definition.
    #[arg(long = "where", value_name = "FILTER")]
    pub(crate) filter: Option<String>,

    /// How long one event may take; handler.time_limit otherwise.
    #[arg(long, value_name = "DURATION", value_parser = when::duration_option)]
    pub(crate) timeout: Option<Duration>,

    /// How many events are handled at once.
    #[arg(long, short = 'c', value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) concurrency: Option<u32>,

    /// How often a failing event is run in all.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) attempts: Option<u32>,

    /// A payload field of the dedup key; may be repeated; part of the definition.
    #[arg(long, value_name = "FIELD")]
    pub(crate) dedup: Vec<String>,

    /// How long a dedup key is remembered.
    #[arg(long, value_name = "DURATION", requires = "dedup", value_parser = when::duration_option)]
    pub(crate) dedup_ttl: Option<Duration>,

    /// Events with the same key keep their order, retries included; part of the definition.
    #[arg(long, requires = "durable")]
    pub(crate) ordered_by_key: bool,

    /// A new durable subscription begins with the oldest event kept; one that stands goes on where
    /// it was.
    #[arg(long, requires = "durable", conflicts_with = "after")]
    pub(crate) beginning: bool,

    /// A new durable subscription begins after this number of the log; one that stands goes on
    /// where it was.
    #[arg(long, requires = "durable", value_name = "SEQ", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) after: Option<i64>,

    /// If the name has another definition, start a new version of it from here on.
    #[arg(long, requires = "durable")]
    pub(crate) replace: bool,

    /// End after so many events were handled.
    #[arg(long, short = 'n', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// End after so long, with exit code 6 if --count was not reached.
    #[arg(long = "for", value_name = "DURATION", value_parser = when::duration_option)]
    pub(crate) stop_after: Option<Duration>,
}
