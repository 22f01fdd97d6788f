//! One stage as a process of its own: handles the type before it, works, publishes its own.

use std::sync::Arc;
use std::time::Duration;

use clap::Args as ClapArgs;
use ringrift_events::clock::SystemClock;
use ringrift_events::handler::{Context, Function, NotDone, Policy, Reply, StepKind};
use ringrift_events::router::{Publish, Router, Subscribe};
use ringrift_events::system::System;
use ringrift_events::trace;
use serde_json::{Value, json};

use super::plan::{PREFIX, Pace, Plan, STAGES, Stage};
use super::timings::Timings;
use crate::call::Call;
use crate::exit::Exit;
use crate::failure::{Done, Error, Stop};
use crate::signals::Signals;

/// Runs of one stage at once: more than one pipeline is under way.
const CONCURRENCY: u32 = 8;

/// The arguments of `demo-stage`, which only `demo` calls.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    /// Which stage.
    stage: String,
    #[arg(long)]
    configs: u32,
    #[arg(long)]
    iterations: u32,
    #[arg(long)]
    failures: u32,
    #[arg(long)]
    dead: u32,
    #[arg(long)]
    work: u64,
    /// Events a second in all, instead of rounds that follow each other.
    #[arg(long, requires = "rounds")]
    rate: Option<u32>,
    /// Rounds at that rate.
    #[arg(long)]
    rounds: Option<u64>,
    /// It was started before and killed: the first rounds are under way.
    #[arg(long)]
    again: bool,
}

impl Args {
    /// The arguments that a parent gives to a stage.
    pub(super) fn words(plan: &Plan, stage: &Stage, again: bool) -> Vec<String> {
        let mut words = vec!["demo-stage".to_owned(), stage.name.to_owned()];
        let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
        option("configs", plan.configs.to_string());
        option("iterations", plan.iterations.to_string());
        option("failures", plan.failures_percent.to_string());
        option("dead", plan.dead.to_string());
        option("work", plan.work.as_millis().to_string());
        if let Some(pace) = plan.paced {
            option("rate", pace.events_per_s.to_string());
            option("rounds", pace.rounds.to_string());
        }
        if again {
            words.push("--again".to_owned());
        }
        words
    }

    fn plan(&self) -> Plan {
        Plan {
            configs: self.configs,
            iterations: self.iterations,
            paced: self.rate.zip(self.rounds).map(Pace::of),
            failures_percent: self.failures,
            dead: self.dead,
            kill: false,
            work: Duration::from_millis(self.work),
        }
    }
}

/// Runs one stage until a signal comes or its parent is gone.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let stage = STAGES
        .iter()
        .find(|stage| stage.name == args.stage)
        .ok_or_else(|| Error::Input {
            what: args.stage.clone(),
            why: "no stage of the demo goes by this name".to_owned(),
            next: "ringrift demo",
        })?;
    let signals = Signals::listen()?;
    let root = call.global.home.clone().unwrap_or_default();
    let system = System::open(super::config(call, &root)?)?;
    let plan = Arc::new(args.plan());
    subscribe(&system, &plan, stage)?;
    if stage.name == STAGES[0].name && !args.again {
        begin(&system, &plan, &signals)?;
    }
    // A parent that is gone would leave this process behind for ever.
    let parent = rustix::process::getppid();
    while !signals.wait(Some(Duration::from_secs(1))) {
        if rustix::process::getppid() != parent {
            break;
        }
    }
    system.close();
    Ok(Exit::Ok)
}

fn subscribe(system: &System, plan: &Arc<Plan>, stage: &'static Stage) -> Result<(), Stop> {
    let (router, plan) = (system.router().clone(), Arc::clone(plan));
    let function = Function::asynchronous(move |context| {
        let (router, plan) = (router.clone(), Arc::clone(&plan));
        async move {
            let reply = handle(&router, &plan, stage, &context).await;
            if reply.is_ok() {
                Timings::tell(context.event());
            }
            reply
        }
    });
    let policy = Policy {
        concurrency: CONCURRENCY,
        ..system.config().settings.policy()
    };
    let name = format!("{PREFIX}{}", stage.name);
    let wanted = Subscribe::durable(name)
        .to([stage.handles])
        .start(ringrift_events::store::subscriptions::Start::Beginning)
        .policy(policy);
    system.router().subscribe(wanted, function)?;
    Ok(())
}

/// Begins the rounds: one a pipeline, or, paced, one after the other at the asked rate.
fn begin(system: &System, plan: &Plan, signals: &Signals) -> Result<(), Stop> {
    let Some(pace) = plan.paced else {
        let first: Vec<Publish> = (0..plan.configs)
            .map(|config| event(&STAGES[0], config, 0))
            .collect();
        for part in first.chunks(1_000) {
            system.router().publish_many(part.to_vec())?.wait()?;
        }
        return Ok(());
    };
    let begun = system.clock().monotonic();
    for round in 0..pace.rounds {
        let due = begun + pace.after(round);
        let early = due.saturating_sub(system.clock().monotonic());
        if !early.is_zero() && signals.wait(Some(early)) {
            return Ok(());
        }
        let (iteration, config) = (
            round / u64::from(plan.configs),
            round % u64::from(plan.configs),
        );
        let publish = event(&STAGES[0], number(config), number(iteration));
        system.router().publish_blocking(publish)?;
    }
    Ok(())
}

async fn handle(router: &Router, plan: &Plan, stage: &'static Stage, context: &Context) -> Reply {
    let fields = context.event().payload.fields();
    let of = |name: &str| fields.get(name).and_then(Value::as_u64).map(number);
    let (Some(config), Some(iteration)) = (of("config"), of("iteration")) else {
        return Err(NotDone::Dead(
            "the payload names no config and iteration".to_owned(),
        ));
    };
    work(plan, stage, context, config, iteration).await;
    if plan.is_dead(stage.name, config, iteration) {
        return Err(NotDone::failed("injected: this one fails each time"));
    }
    if context.attempt() == 1 && plan.fails_first(stage.name, config, iteration) {
        return Err(NotDone::failed("injected: this one fails the first time"));
    }
    // The circle's end begins the next round of the same pipeline.
    let next = if stage.name == STAGES[0].name {
        iteration + 1
    } else {
        iteration
    };
    if next >= plan.iterations || (stage.name == STAGES[0].name && plan.paced.is_some()) {
        return Ok(());
    }
    let mut publish = event(stage, config, next);
    if next > iteration {
        // A new round is a trace of its own; otherwise the pipeline would be one endless chain, and
        // chains end at the depth limit.
        publish = publish.context(trace::Context::root(&SystemClock));
    }
    match router.publish_async(publish).await {
        Ok(_) => Ok(()),
        Err(error) => Err(NotDone::failed(error)),
    }
}

/// The stage's work: it waits, as for a disk or a network, and names the step.
async fn work(plan: &Plan, stage: &Stage, context: &Context, config: u32, iteration: u32) {
    let lasts = plan.works(stage.name, config, iteration);
    if lasts.is_zero() {
        return;
    }
    context.step(StepKind::Compute, stage.name);
    // The time-out is the work.
    drop(tokio::time::timeout(lasts, std::future::pending::<()>()).await);
}

/// The event of one round at one stage. Its idempotency key makes a run that is repeated after a
/// kill publish nothing twice.
fn event(stage: &Stage, config: u32, iteration: u32) -> Publish {
    let config_key = format!("demo_{config}");
    let payload = json!({
        "config_key": config_key,
        "config": config,
        "iteration": iteration,
        "model_path": format!("models/{config_key}/{iteration:06}.pt"),
        "games": 1_000 + iteration,
    });
    Publish::new(stage.publishes, payload.to_string())
        .source(stage.name)
        .idempotency_key(format!("{}/{config}/{iteration}", stage.name))
}

fn number(wide: u64) -> u32 {
    u32::try_from(wide).unwrap_or(u32::MAX)
}
