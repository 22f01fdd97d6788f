//! The child's side: this test program again, in one part of an injection.
//!
//! It tells its parent what happened in lines that begin with [`MARK`], and hears two things on its
//! standard input: a line, which lets go whatever waits for [`Orders::went`], and its end, which
//! ends the process in order.

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::handler::{Context, Function, Policy, Reply, RetryPolicy};
use ringrift_events::router::{Publish, Receipt, Subscribe};
use ringrift_events::system::System;
use tokio::sync::watch;

use crate::injections;

/// The part, as `slug/part`.
pub(crate) const ROLE: &str = "CAUSES_PART";

/// The home.
pub(crate) const HOME: &str = "CAUSES_HOME";

/// What begins a line that is for the parent.
pub(crate) const MARK: &str = "@@ ";

/// The type that most injections publish.
pub(crate) const TRAINED: &str = "TRAINING_COMPLETED";

/// Whether this process is a child.
pub(crate) fn is_child() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// Runs the part that this process was started for.
pub(crate) fn run_if_child() {
    let (Ok(role), Some(home)) = (std::env::var(ROLE), std::env::var_os(HOME)) else {
        return;
    };
    let (slug, name) = role.split_once('/').expect("slug/part");
    let run = injections::part(slug, name);
    let part = Part::open(PathBuf::from(home));
    run(&part);
    part.system.close();
}

/// What a part does in its process; the system is closed when it returns.
pub(crate) type Run = fn(&Part);

/// One process of an injection.
pub(crate) struct Part {
    pub(crate) system: System,
    pub(crate) orders: Orders,
    home: PathBuf,
}

/// What the parent has asked for so far. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Orders(watch::Receiver<Asked>);

#[derive(Clone, Copy, Default)]
struct Asked {
    go: bool,
    over: bool,
}

impl Part {
    fn open(home: PathBuf) -> Part {
        let (ask, asked) = watch::channel(Asked::default());
        std::thread::spawn(move || {
            for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
                ask.send_modify(|asked| asked.go = true);
            }
            ask.send_modify(|asked| {
                asked.go = true;
                asked.over = true;
            });
            // The sender lives as long as the process: handlers wait for what it says.
            std::thread::park();
            drop(ask);
        });
        let sources = ConfigSources::of_process(Home::at(&home));
        let config = Config::load(sources).expect("a configuration");
        Part {
            system: System::open(config).expect("a system"),
            orders: Orders(asked),
            home,
        }
    }

    /// A file of the home, for marks that outlive the process.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// The policy of the home with dedup by these fields.
    pub(crate) fn policy(&self) -> Policy {
        self.system.config().settings.policy()
    }

    /// Subscribes durably to [`TRAINED`] and says `ready`.
    pub(crate) fn durable(&self, name: &str, policy: Policy, function: Function) {
        let wanted = Subscribe::durable(name).to([TRAINED]).policy(policy);
        self.subscribe(wanted, function);
    }

    /// Subscribes and says `ready`.
    pub(crate) fn subscribe(&self, wanted: Subscribe, function: Function) {
        self.system
            .router()
            .subscribe(wanted, function)
            .expect("a subscription");
        say("ready");
    }

    /// Publishes one event and waits for its commit.
    pub(crate) fn publish(&self, name: &str, payload: &str) -> Receipt {
        self.system
            .router()
            .publish_blocking(Publish::new(name, payload))
            .expect("a commit")
    }

    /// Returns when the parent wants this process to end.
    pub(crate) fn until_over(&self) {
        self.orders.until(|asked| asked.over);
    }
}

impl Orders {
    /// Blocks this thread until the parent said go.
    pub(crate) fn until_go(&self) {
        self.until(|asked| asked.go);
    }

    /// Whether the parent said go, or is gone.
    pub(crate) fn went(&self) -> bool {
        self.0.borrow().go
    }

    /// The same in a task.
    pub(crate) async fn gone(&self) {
        let mut asked = self.0.clone();
        // The sender lives as long as the process.
        drop(asked.wait_for(|asked| asked.go).await);
    }

    fn until(&self, is: impl Fn(Asked) -> bool) {
        while !is(*self.0.borrow()) {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// Tells the parent.
pub(crate) fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    // One write a line: handlers say things beside each other.
    drop(out.write_all(format!("{MARK}{what}\n").as_bytes()));
    drop(out.flush());
}

/// The `number` of a handler's event.
pub(crate) fn number(context: &Context) -> u64 {
    let fields = context.payload().fields();
    fields
        .get("number")
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(0)
}

/// A handler that says `handled N` and succeeds.
pub(crate) fn noting() -> Function {
    deciding(|_| Ok(()))
}

/// An async handler that answers what `decide` does, and says `handled N` if that is good.
pub(crate) fn deciding(decide: impl Fn(&Context) -> Reply + Send + Sync + 'static) -> Function {
    let decide = std::sync::Arc::new(decide);
    Function::asynchronous(move |context| {
        let decide = std::sync::Arc::clone(&decide);
        async move {
            decide(&context)?;
            say(&format!("handled {}", number(&context)));
            Ok(())
        }
    })
}

/// Retries that come long after the run has ended: what failed stays so.
pub(crate) fn distant_retry() -> RetryPolicy {
    RetryPolicy {
        attempts: 100,
        first: Duration::from_secs(20 * 3_600),
        factor: 1,
        most: Duration::from_secs(20 * 3_600),
    }
}

/// Whether this is the first time that a mark is made, in any process.
pub(crate) fn is_first(mark: &Path) -> bool {
    std::fs::File::create_new(mark).is_ok()
}
