//! `ringrift publish`: one event, or one a line.

mod jsonl;
mod line;
mod rest;

use clap::Args as ClapArgs;
use ringrift_events::event::EventId;
use ringrift_events::router::{Publish, Receipt};
use ringrift_events::system::System;
use ringrift_events::trace::{Context, Traceparent};
use ringrift_events::verdict::Code;
use serde::Serialize;

use crate::call::Call;
use crate::exit::Exit;
use crate::failure::{Done, Error, Stop};
use crate::output::{Report, Text};
use crate::{input, open, resolve};

/// The arguments of `publish`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift publish TRAINING_COMPLETED '{\"config_key\":\"hex8_2p\",\"elo\":1650}'\n  ringrift publish MODEL_PROMOTED @promoted.json --source promoter --idempotency-key run-7\n  ringrift publish --jsonl < events.jsonl\n  ringrift publish NEW_GAMES_AVAILABLE --jsonl < payloads.jsonl\n\nWith --jsonl and without TYPE each line is {\"type\":…,\"payload\":{…}} and may carry id, source, key\nand idempotency_key, so that what `subscribe` prints can be published again; with TYPE each line\nis a payload. Inside `subscribe --exec` the event at hand is the parent."
)]
pub(crate) struct Args {
    /// The type, by constant or canonical value.
    #[arg(value_name = "TYPE", required_unless_present = "jsonl")]
    event_type: Option<String>,

    /// The payload: a JSON object, @FILE, or - for standard input. Without it: {}.
    #[arg(value_name = "PAYLOAD", conflicts_with = "jsonl")]
    payload: Option<String>,

    /// Who publishes, in your words.
    #[arg(long, short = 's', value_name = "NAME", default_value = "cli")]
    source: String,

    /// What orders and groups it; otherwise the payload's config_key on types that require it.
    #[arg(long, short = 'k', value_name = "KEY")]
    key: Option<String>,

    /// Publishing again with this key within 24 h changes nothing and names the original.
    #[arg(long, value_name = "KEY", conflicts_with = "jsonl")]
    idempotency_key: Option<String>,

    /// The event's id, to publish again what an earlier error left unknown.
    #[arg(long, value_name = "UUID", conflicts_with = "jsonl")]
    id: Option<uuid::Uuid>,

    /// Read events from standard input, one a line.
    #[arg(long)]
    jsonl: bool,

    /// With --jsonl: report a bad line on standard error and go on.
    #[arg(long, requires = "jsonl")]
    keep_going: bool,
}

/// What became of one event.
#[derive(Serialize)]
struct Published {
    /// Of the event in the log: the original's, if this is a duplicate.
    id: String,
    seq: Option<i64>,
    bridged: bool,
    duplicate_of: Option<String>,
    /// The id that a duplicate would have had, unless it is the original's.
    unused_id: Option<String>,
    matched: Vec<String>,
    skipped: Vec<Skipped>,
    /// Required fields that the payload lacks.
    missing: Vec<String>,
    running: Vec<String>,
}

#[derive(Serialize)]
struct Skipped {
    subscription: String,
    code: Code,
}

/// Publishes.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    if args.jsonl {
        return jsonl::run(call, args);
    }
    let payload = match &args.payload {
        Some(payload) => input::argument(payload)?,
        None => b"{}".to_vec(),
    };
    let system = open::system(call)?;
    let done = one(call, args, &system, payload);
    system.close();
    done
}

fn one(call: &Call, args: &Args, system: &System, payload: Vec<u8>) -> Done {
    let name = args.event_type.as_deref().unwrap_or_default();
    let mut publish = Publish::new(name, payload)
        .source(&args.source)
        .without_call_site();
    if let Some(key) = &args.key {
        publish = publish.key(key);
    }
    if let Some(key) = &args.idempotency_key {
        publish = publish.idempotency_key(key);
    }
    if let Some(id) = args.id {
        publish = publish.id(EventId(id));
    }
    if let Some(context) = parent(system)? {
        publish = publish.context(context);
    }
    let receipt = system.router().publish_blocking(publish)?;
    if !receipt.missing.is_empty() {
        call.warn(format!(
            "the payload lacks required fields of {name}: {}",
            receipt.missing.join(", ")
        ));
    }
    if !receipt.bridged {
        call.warn(format!(
            "{name} is volatile: it stayed in this process, where nobody subscribes ({})",
            Code::PubVolatile
        ));
        return call.answer_as("publish", &Published::of(&receipt), Exit::No);
    }
    let published = Published::of(&receipt);
    told(call.answer("publish", &published), &published.id)
}

/// An answer that could not be written comes after the commit: whoever tries again must know the
/// id.
fn told(answer: Done, id: &str) -> Done {
    answer.map_err(|stop| match stop {
        Stop::Failed(mut failure) => {
            failure.value = Some(id.to_owned());
            failure.message = format!(
                "event {id} is committed, and its id could not be printed: {}",
                failure.message
            );
            failure.may_have_applied = true;
            Stop::Failed(failure)
        }
        Stop::ReaderGone => Stop::ReaderGone,
    })
}

/// The context that the environment gives: the event whose `--exec` runs this, else a trace.
fn parent(system: &System) -> Result<Option<Context>, Stop> {
    let traceparent = std::env::var("TRACEPARENT").ok();
    let context = traceparent
        .as_deref()
        .map(Traceparent::parse)
        .transpose()?
        .map(|traceparent| traceparent.context());
    let Ok(id) = std::env::var("RINGRIFT_EVENT_ID") else {
        return Ok(context);
    };
    let id = uuid::Uuid::parse_str(&id).map_err(|error| Error::Input {
        what: "RINGRIFT_EVENT_ID".to_owned(),
        why: error.to_string(),
        next: "unset RINGRIFT_EVENT_ID",
    })?;
    // A volatile parent is in no log: then the environment says all that is known of it.
    if let Ok(logged) = resolve::event(&**system.store(), &id.to_string()) {
        return Ok(Some(Context::of(&logged.event)));
    }
    let depth = std::env::var("RINGRIFT_DEPTH")
        .ok()
        .and_then(|depth| depth.parse().ok());
    Ok(context.map(|context| Context {
        parent: Some(EventId(id)),
        depth: depth.unwrap_or(1),
        ..context
    }))
}

impl Published {
    fn of(receipt: &Receipt) -> Published {
        Published {
            id: receipt.duplicate_of.unwrap_or(receipt.id).to_string(),
            seq: receipt.seq.map(|seq| seq.0),
            bridged: receipt.bridged,
            duplicate_of: receipt.duplicate_of.map(|id| id.to_string()),
            unused_id: receipt
                .duplicate_of
                .filter(|original| *original != receipt.id)
                .map(|_| receipt.id.to_string()),
            matched: receipt.matched.iter().map(ToString::to_string).collect(),
            skipped: receipt
                .skipped
                .iter()
                .map(|(subscription, code)| Skipped {
                    subscription: subscription.to_string(),
                    code: *code,
                })
                .collect(),
            missing: receipt.missing.clone(),
            running: receipt.running.iter().map(ToString::to_string).collect(),
        }
    }

    /// One line, the id first.
    fn line(&self) -> String {
        let place = self.seq.map(|seq| format!(" {seq}")).unwrap_or_default();
        let duplicate = match (&self.duplicate_of, &self.unused_id) {
            (None, _) => String::new(),
            (Some(_), None) => " duplicate".to_owned(),
            (Some(_), Some(unused)) => format!(" duplicate, {unused} is not used"),
        };
        let volatile = if self.bridged { "" } else { " volatile" };
        format!("{}{place}{duplicate}{volatile}", self.id)
    }
}

impl Report for Published {
    fn write(&self, text: &mut Text) {
        text.line(self.line());
    }
}
