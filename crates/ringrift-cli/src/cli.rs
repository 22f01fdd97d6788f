//! The grammar: every verb and option, with its help.

use clap::{Parser, Subcommand};

use crate::call::{Call, Global};
use crate::commands::{
    alerts, check, codes, completion, config, daemons, db, dedup, demo, dlq, doctor, events,
    explain, init, lint, pipeline, processes, publish, queue, replay, route, run, service, stats,
    status, subs, subscribe, tail, tree, types, why_not,
};
use crate::exit;
use crate::failure::Done;

/// The command line of `ringrift`.
#[derive(Debug, Parser)]
#[command(
    name = "ringrift",
    version,
    about = "Events between handlers and processes of one machine; nothing lost, everything explained",
    after_long_help = exit::HELP,
    propagate_version = true,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub(crate) global: Global,

    /// The verb.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a home: a folder with its own store, log and settings
    Init(init::Args),
    /// Host the home's daemons until a signal comes
    Run(run::Args),
    /// Publish one event, or one a line
    Publish(publish::Args),
    /// Handle events: print them, or run a command for each
    Subscribe(Box<subscribe::Args>),
    /// Show the home at a glance; exits 1 when something needs attention
    Status(status::Args),
    /// Show how much comes, fails, waits and lags, as tables with small plots
    Stats(stats::Args),
    /// Say what is wrong, how that is known and what to run; exits 1 when something is
    Doctor(doctor::Args),
    /// Hold one number against limits; exits 0 to 3 as monitoring plugins do
    Check(check::Args),
    /// Follow the log as it grows
    Tail(tail::Args),
    /// Explain why an event did, or did not, arrive; exits 1 when some delivery is not done
    Explain(explain::Args),
    /// Explain why a handler is silent, when no event is known
    WhyNot(why_not::Args),
    /// Say who would get an event, and why others would not; publishes nothing
    Route(route::Args),
    /// Show what an event came from and what it led to
    Tree(tree::Args),
    /// List events, or show one and what became of it
    Events(events::Args),
    /// List, show or add types
    Types(types::Args),
    /// List, show, pause, move or remove subscriptions
    Subs(subs::Args),
    /// List processes, or show what one runs
    Processes(processes::Args),
    /// List dead letters, retry, edit, discard, purge or restore them
    Dlq(dlq::Args),
    /// List, stop, start or restart daemons
    Daemons(daemons::Args),
    /// List alerts and rules, test sinks, silence, acknowledge, resolve
    Alerts(alerts::Args),
    /// List pipelines, or verify that every step came for a key
    Pipeline(pipeline::Args),
    /// Clear what is pending, or bring it back
    Queue(queue::Args),
    /// Check, copy or query the database
    Db(db::Args),
    /// Run a pipeline of seven processes that fail on the way, and lose nothing
    Demo(demo::Args),
    /// One stage of the demo
    #[command(hide = true)]
    DemoStage(demo::stage::Args),
    /// Ends the commands of a subscriber that was killed
    #[command(hide = true)]
    ExecGuard(subscribe::guard::Args),
    /// Forget what a handler takes for the same again
    Dedup(dedup::Args),
    /// Deliver past events again, to one subscription alone
    Replay(replay::Args),
    /// Check the wiring: who publishes what, who subscribes to it, what never meets
    Lint(lint::Args),
    /// Show every setting and where it came from
    Config(config::Args),
    /// List every verdict and error code
    Codes(codes::Args),
    /// Print a shell's completion script
    Completion(completion::Args),
    /// Print a systemd unit
    Service(service::Args),
}

impl Command {
    /// Whether it is one of those that tell what is wrong, and must not be among it: they go on
    /// where the configuration is refused in part.
    fn looks_at_trouble(&self) -> bool {
        if let Command::Doctor(args) = self {
            // What is mended is mended by the rules that were set, not by defaults.
            return !args.fix;
        }
        matches!(
            self,
            Command::Config(_)
                | Command::Status(_)
                | Command::Explain(_)
                | Command::WhyNot(_)
                | Command::Tree(_)
                | Command::Events(_)
        )
    }

    /// Runs the verb.
    pub(crate) fn run(&self, call: &Call) -> Done {
        if self.looks_at_trouble() {
            call.forgive();
        }
        match self {
            Command::Init(args) => init::run(call, args),
            Command::Run(args) => run::run(call, args),
            Command::Publish(args) => publish::run(call, args),
            Command::Subscribe(args) => subscribe::run(call, args),
            Command::Config(args) => config::run(call, args),
            Command::Status(args) => status::run(call, args),
            Command::Stats(args) => stats::run(call, args),
            Command::Doctor(args) => doctor::run(call, args),
            Command::Check(args) => check::run(call, args),
            Command::Tail(args) => tail::run(call, args),
            Command::Explain(args) => explain::run(call, args),
            Command::WhyNot(args) => why_not::run(call, args),
            Command::Route(args) => route::run(call, args),
            Command::Tree(args) => tree::run(call, args),
            Command::Events(args) => events::run(call, args),
            Command::Types(args) => types::run(call, args),
            Command::Subs(args) => subs::run(call, args),
            Command::Processes(args) => processes::run(call, args),
            Command::Dlq(args) => dlq::run(call, args),
            Command::Daemons(args) => daemons::run(call, args),
            Command::Alerts(args) => alerts::run(call, args),
            Command::Pipeline(args) => pipeline::run(call, args),
            Command::Queue(args) => queue::run(call, args),
            Command::Db(args) => db::run(call, args),
            Command::Demo(args) => demo::run(call, args),
            Command::DemoStage(args) => demo::stage::run(call, args),
            Command::ExecGuard(args) => subscribe::guard::run(call, args),
            Command::Dedup(args) => dedup::run(call, args),
            Command::Replay(args) => replay::run(call, args),
            Command::Lint(args) => lint::run(call, args),
            Command::Codes(args) => codes::run(call, args),
            Command::Completion(args) => completion::run(call, args),
            Command::Service(args) => service::run(call, args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }
}
