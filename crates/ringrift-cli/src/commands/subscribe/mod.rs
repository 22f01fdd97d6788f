//! `ringrift subscribe`: a handler without code. It prints each event, or runs a command for it.

mod args;
pub(crate) mod exec;
pub(crate) mod guard;
mod members;
mod print;
mod row;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use ringrift_events::coded::quoted;
use ringrift_events::event::Seq;
use ringrift_events::handler::{Function, NotDone, Policy, StepKind};
use ringrift_events::router::Subscribe;
use ringrift_events::store::subscriptions::Start;
use ringrift_events::system::System;

pub(crate) use args::Args;

use crate::call::Call;
use crate::exit::Exit;
use crate::failure::{Done, Error, Stop};
use crate::open;
use crate::signals::Signals;

/// How long after the handler's time limit its command gets SIGTERM: the time-out is recorded first,
/// as what it is, and not as the failure of a command that was ended.
const TERM_LAG: Duration = Duration::from_millis(250);

/// How the handlers tell that the whole command has come to its end.
#[derive(Clone)]
struct Ending {
    signals: Signals,
    /// How many events are still to be handled, if that was limited.
    left: Arc<std::sync::atomic::AtomicU64>,
    /// Whoever read standard output is gone.
    reader_gone: Arc<std::sync::atomic::AtomicBool>,
}

/// Subscribes, and handles events until a signal comes.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let signals = Signals::listen()?;
    let system = open::system(call)?;
    let done = handle(call, args, &system, &signals);
    if done.is_err() {
        system.shutdown(Duration::ZERO);
    }
    done
}

fn handle(call: &Call, args: &Args, system: &System, signals: &Signals) -> Done {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    let ending = Ending {
        signals: signals.clone(),
        left: Arc::new(AtomicU64::new(args.count.unwrap_or(u64::MAX))),
        reader_gone: Arc::new(AtomicBool::new(false)),
    };
    let policy = policy(args, system);
    let limit = policy.time_limit;
    let function = match &args.exec {
        Some(command) => exec_function(call, system, command, limit, ending.clone())?,
        None => print::function(call, ending.clone()),
    };
    let subscription = system
        .router()
        .subscribe(definition(args).policy(policy), function)?;
    call.note(&format!(
        "subscribed to {} as {} ({})",
        types_text(args),
        subscription.name(),
        match (&args.durable, subscription.existed(), args.replace) {
            (None, _, _) => "live",
            (Some(_), false, _) => "durable",
            (Some(_), true, false) => "durable, goes on where it was",
            // What lies before it is still judged by the definition that stood then.
            (Some(_), true, true) =>
                "durable, stood already; by this definition from its replacement on",
        }
    ));
    if subscription.existed() && (args.beginning || args.after.is_some()) {
        call.note(&format!(
            "{} stood already: --beginning and --after count when it is made; to move it: \
             ringrift subs seek {} --to SEQ",
            subscription.name(),
            quoted(subscription.name())
        ));
    }
    let asked = signals.wait(args.stop_after);
    let finished = ending.left.load(Ordering::Acquire) == 0;
    if ending.reader_gone.load(Ordering::Acquire) {
        // The event whose line nobody read is handed back; waiting for it would be in vain.
        system.shutdown(Duration::ZERO);
        return Ok(Exit::Ok);
    }
    system.close();
    match (args.count, args.stop_after) {
        (Some(count), Some(limit)) if !asked && !finished => Err(Error::TimedOut {
            what: format!(
                "{} of {count} events were not handled",
                ending.left.load(Ordering::Acquire)
            ),
            limit: crate::output::duration_text(limit),
            next: match &args.durable {
                Some(name) => format!("ringrift subs show {}", quoted(name)),
                None => "ringrift events ls".to_owned(),
            },
        }
        .into()),
        (Some(_) | None, _) => Ok(Exit::Ok),
    }
}

fn types_text(args: &Args) -> String {
    if args.all_types {
        return "every type".to_owned();
    }
    args.types
        .iter()
        .map(|name| name.to_ascii_uppercase())
        .collect::<Vec<_>>()
        .join(" ")
}

fn definition(args: &Args) -> Subscribe {
    let mut subscribe = match &args.durable {
        Some(name) => Subscribe::durable(name),
        None => Subscribe::live(live_name(args)),
    };
    subscribe = if args.all_types {
        subscribe.to(["*"])
    } else {
        subscribe.to(args.types.iter().cloned())
    };
    if let Some(filter) = &args.filter {
        subscribe = subscribe.filter(filter);
    }
    if args.ordered_by_key {
        subscribe = subscribe.ordered_by_key();
    }
    if args.replace {
        subscribe = subscribe.replace();
    }
    if args.beginning {
        subscribe = subscribe.start(Start::Beginning);
    }
    if let Some(after) = args.after {
        subscribe = subscribe.start(Start::After(Seq(after)));
    }
    subscribe
}

/// A live subscription's name: what it runs, or that it prints.
fn live_name(args: &Args) -> String {
    match (&args.name, &args.exec) {
        (Some(name), _) => name.clone(),
        (None, Some(command)) => exec_name(command),
        (None, None) => "ringrift-subscribe".to_owned(),
    }
}

/// The start of the command, whatever may not stand in a name left out.
fn exec_name(command: &str) -> String {
    let program: String = command
        .chars()
        .take(60)
        .map(|c| {
            if c.is_alphanumeric() || "._-/".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    format!("ringrift-exec:{program}")
}

fn policy(args: &Args, system: &System) -> Policy {
    let settings = &system.config().settings;
    let mut policy = settings.policy();
    if let Some(limit) = args.timeout {
        policy.time_limit = limit;
    }
    if let Some(concurrency) = args.concurrency {
        policy.concurrency = concurrency;
    }
    if let Some(attempts) = args.attempts {
        policy.retry.attempts = attempts;
    }
    if !args.dedup.is_empty() {
        let mut dedup = settings.dedup(args.dedup.clone());
        if let Some(ttl) = args.dedup_ttl {
            dedup.ttl = ttl;
        }
        policy.dedup = Some(dedup);
    }
    policy
}

/// A blocking function: at its time limit the handler is given up but keeps its slot until the
/// command has really ended, so that no retry runs beside a command that is still being killed.
fn exec_function(
    call: &Call,
    system: &System,
    command: &str,
    limit: Duration,
    ending: Ending,
) -> Result<Function, Stop> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("exec")
        .enable_all()
        .build()
        .map_err(|source| Error::Io {
            what: "cannot start a thread for commands".to_owned(),
            source,
        })?;
    // Kept by the function itself: commands may outlast everything else of a shutdown.
    let runtime = Arc::new(runtime);
    let home = system.config().home.root().display().to_string();
    let guard = guard::Guard::start(call.itself()).map_err(|source| Error::Io {
        what: "cannot start the guard of the commands".to_owned(),
        source,
    })?;
    let again_after = system.config().settings.policy().retry.first;
    let command = command.to_owned();
    let zone = call.zone();
    Ok(Function::blocking(move |context| {
        let row = row::Line::of(&zone, context);
        let line = serde_json::to_string(&row)?;
        context.step(StepKind::Command, &command);
        let came = runtime.handle().block_on(exec::run(exec::Run {
            command: &command,
            line,
            environment: row::environment(&home, context),
            limit,
            lag: TERM_LAG,
            guard: &guard,
            passes_stderr: true,
        }))?;
        let reply = match came {
            exec::Came::Done => Ok(()),
            exec::Came::Again(reason) => Err(NotDone::Retry {
                after: again_after,
                reason,
            }),
            exec::Came::Dead(reason) => Err(NotDone::Dead(reason)),
            exec::Came::Failed(reason) | exec::Came::TimedOut(reason) => {
                Err(NotDone::failed(reason))
            }
        };
        if reply.is_ok() {
            ending.one_done();
        }
        reply
    }))
}

impl Ending {
    /// One more event was handled.
    fn one_done(&self) {
        use std::sync::atomic::Ordering;
        let before = self
            .left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
                Some(left.saturating_sub(1))
            });
        if before.is_ok_and(|left| left <= 1) {
            self.signals.ask();
        }
    }

    /// Nobody reads any more.
    fn reader_gone(&self) {
        self.reader_gone
            .store(true, std::sync::atomic::Ordering::Release);
        self.signals.ask();
    }
}
