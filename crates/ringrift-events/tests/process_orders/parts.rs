//! The parts that start: what each does, and how it tells.

use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::ChildStdout;
use std::str::FromStr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use ringrift_events::clock::{Clock, SystemClock};
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::event::EventId;
use ringrift_events::handler::Function;
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::store::subscriptions::Start;
use ringrift_events::system::System;

use super::FACTS_MAX;
use crate::support::child;

/// The subscriptions: two durable from the beginning, one durable from now on, one live.
pub(crate) const SUBSCRIBERS: [&str; 4] = ["all", "all_too", "from_now", "live"];

pub(crate) fn is_from_the_beginning(name: &str) -> bool {
    name.starts_with("all")
}

/// Time between two events of the publisher, so that its publishes span the others' starts.
const BETWEEN: Duration = Duration::from_millis(3);

/// Events of a publisher that does not wait for anybody.
const HASTY_EVENTS: usize = 5;

/// What is printed before a fact: the test harness prints, too.
const MARK: &str = "@ ";

/// Something that a part did.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    Published {
        id: EventId,
        began: Duration,
    },
    Ended,
    Ready {
        name: String,
        at: Duration,
    },
    Handled {
        name: String,
        id: EventId,
    },
    /// The process is gone: killed at the end, or something went wrong.
    Gone,
}

/// Who starts.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// Publishes until everybody has begun, or, hasty, a few events at once and no more.
    Publisher {
        hasty: bool,
    },
    Subscriber(&'static str),
}

impl Part {
    /// Every part once.
    pub(crate) fn all(hasty: bool) -> Vec<Part> {
        let subscribers = SUBSCRIBERS.iter().map(|name| Part::Subscriber(name));
        let publisher = std::iter::once(Part::Publisher { hasty });
        publisher.chain(subscribers).collect()
    }
}

fn publish(system: &System, hasty: bool, tell: &SyncSender<Fact>, closed: &Receiver<()>) {
    let mut over = false;
    for number in 0.. {
        let payload = format!("{{\"config_key\":\"hex8\",\"number\":{number}}}");
        let began = SystemClock.monotonic();
        let published = system
            .router()
            .publish_blocking(Publish::new("TRAINING_COMPLETED", payload));
        let id = published.unwrap().id;
        tell.send(Fact::Published { id, began }).unwrap();
        // One more after everybody has begun: it is owed to all.
        if over || (hasty && number + 1 >= HASTY_EVENTS) {
            break;
        }
        over = !hasty && closed.recv_timeout(BETWEEN) == Err(RecvTimeoutError::Disconnected);
    }
    tell.send(Fact::Ended).unwrap();
}

fn subscribe(system: &System, name: &'static str, tell: &SyncSender<Fact>) {
    let told = tell.clone();
    let function = Function::immediate(move |context| {
        let id = context.event().id;
        let name = name.to_owned();
        // Whoever looked has gone when the round is over.
        told.send(Fact::Handled { name, id }).ok();
        Ok(())
    });
    let wanted = match name {
        "live" => Subscribe::live(name),
        "from_now" => Subscribe::durable(name),
        _ => Subscribe::durable(name).start(Start::Beginning),
    };
    let wanted = wanted.to(["TRAINING_COMPLETED"]);
    system.router().subscribe(wanted, function).unwrap();
    let (name, at) = (name.to_owned(), SystemClock.monotonic());
    tell.send(Fact::Ready { name, at }).unwrap();
}

/// Plays the part this process was started for, and prints what happens.
pub(crate) fn run_if_child() {
    let Some((role, home)) = child::role() else {
        return;
    };
    let part: Part = role.parse().unwrap();
    let (tell, told) = sync_channel(FACTS_MAX);
    std::thread::spawn(move || print(&told));
    let (open, closed) = sync_channel(1);
    std::thread::spawn(move || {
        // Ends when the parent closes it, or is gone.
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        drop::<SyncSender<()>>(open);
    });
    let system = self::open(&home);
    match part {
        Part::Publisher { hasty } => publish(&system, hasty, &tell, &closed),
        Part::Subscriber(name) => subscribe(&system, name, &tell),
    }
    child::until_parent_is_gone();
}

fn open(home: &Path) -> System {
    let mut sources = ConfigSources::of_process(Home::at(home));
    sources.flags = vec!["store.disk_free_min_percent=0".to_owned()];
    System::open(Config::load(sources).unwrap()).unwrap()
}

fn print(told: &Receiver<Fact>) {
    let mut out = std::io::stdout().lock();
    for fact in told {
        let line = match fact {
            Fact::Published { id, began } => format!("published {id} {}", began.as_nanos()),
            Fact::Ended => "ended".to_owned(),
            Fact::Ready { name, at } => format!("ready {name} {}", at.as_nanos()),
            Fact::Handled { name, id } => format!("handled {name} {id}"),
            Fact::Gone => continue,
        };
        writeln!(out, "{MARK}{line}").unwrap();
        out.flush().unwrap();
    }
}

/// Reads what a child prints until it ends.
pub(crate) fn read(output: ChildStdout, tell: &SyncSender<Fact>) {
    for line in BufReader::new(output).lines() {
        let Some(fact) = line.ok().as_deref().and_then(fact_of) else {
            continue;
        };
        if tell.send(fact).is_err() {
            return;
        }
    }
    // Nobody listens any more when the round has failed.
    tell.send(Fact::Gone).ok();
}

fn fact_of(line: &str) -> Option<Fact> {
    let words: Vec<&str> = line.split_once(MARK)?.1.split(' ').collect();
    let id = |text: &str| Some(EventId(text.parse().ok()?));
    let since = |text: &str| Some(Duration::from_nanos(text.parse().ok()?));
    match *words.as_slice() {
        ["published", event, began] => Some(Fact::Published {
            id: id(event)?,
            began: since(began)?,
        }),
        ["ended"] => Some(Fact::Ended),
        ["ready", name, at] => Some(Fact::Ready {
            name: name.to_owned(),
            at: since(at)?,
        }),
        ["handled", name, event] => Some(Fact::Handled {
            name: name.to_owned(),
            id: id(event)?,
        }),
        _ => None,
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Publisher { hasty: false } => f.write_str("publisher"),
            Part::Publisher { hasty: true } => f.write_str("hasty publisher"),
            Part::Subscriber(name) => f.write_str(name),
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Part, String> {
        let all = Part::all(true).into_iter().chain(Part::all(false));
        let mut named = all.filter(|part| part.to_string() == text);
        named.next().ok_or_else(|| format!("no part {text}"))
    }
}
