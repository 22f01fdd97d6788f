//! What all verbs of the router share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;
use tokio::sync::RwLock;

use super::Error;
use super::hosted::{Hosted, Hosts, Way};
use super::in_flight::InFlight;
use super::polled::Polled;
use super::refusals::Unsaved;
use super::settings::Settings;
use super::waits::Waits;
use crate::audit::Audit;
use crate::bus::EventBus;
use crate::catalog::Catalog;
use crate::clock::SharedClock;
use crate::event::{Event, ProcessId};
use crate::handler;
use crate::log::EventLog;
use crate::queue::CrossProcessEventQueue;
use crate::stages::StageEventBus;
use crate::store::deliveries::is_key;
use crate::store::registry::Counters;
use crate::store::subscriptions::Kind;
use crate::store::{Opener, Store};

/// The one door. Cheap to clone; all clones are the same router.
#[derive(Clone)]
pub struct Router {
    pub(super) shared: Arc<Shared>,
}

/// What a router is made of; `system` brings it.
pub struct Parts {
    /// The store, joined as this process.
    pub store: Arc<dyn Store>,
    /// Every known type.
    pub catalog: Catalog,
    /// Time and randomness.
    pub clock: SharedClock,
    /// The log file.
    pub log: EventLog,
    /// The ring of hops.
    pub audit: Audit,
    /// Where handlers run, and what they share.
    pub handler_host: Arc<handler::Host>,
    /// What can be set.
    pub settings: Settings,
}

pub(super) struct Shared {
    opener: Opener,
    pub(super) store: Arc<dyn Store>,
    pub(super) catalog: Catalog,
    pub(super) clock: SharedClock,
    pub(super) log: EventLog,
    pub(super) audit: Audit,
    pub(super) runtime: Handle,
    pub(super) settings: Settings,
    pub(super) process: ProcessId,
    pub(super) queue: CrossProcessEventQueue,
    pub(super) stages: StageEventBus,
    pub(super) bus: EventBus,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) waits: Waits,
    pub(super) hosts: Hosts,
    pub(super) counters: LiveCounters,
    pub(super) unsaved: Unsaved,
    /// Handlers of this process hold it shared; a suspect event takes it alone.
    pub(super) alone: Arc<RwLock<()>>,
    /// What handlers share: runtime, the process's slots, its page, the watch.
    pub(super) handler_host: Arc<handler::Host>,
    pub(super) polled: Polled,
    pub(super) polling: AtomicBool,
    pub(super) stopping: AtomicBool,
    /// The hash of the catalog that the store knows this process to publish by.
    pub(super) kept_catalog: AtomicU64,
    /// Deliveries that waited long for the process's limit.
    pub(super) waited: AtomicU64,
    /// Loops of live subscriptions that do not wait for events.
    pub(super) live_awake: AtomicUsize,
    on_first_subscription: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// The counters of this process, as it counts them.
#[derive(Debug, Default)]
pub(super) struct LiveCounters {
    pub(super) published: AtomicU64,
    pub(super) published_volatile: AtomicU64,
    pub(super) publish_failed: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) done: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) deduplicated: AtomicU64,
    pub(super) failed: AtomicU64,
}

/// How this process stands, for health and stats.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LocalStats {
    /// The counters.
    pub counters: Counters,
    /// Subscriptions hosted here.
    pub subscriptions: usize,
    /// Publishes in flight.
    pub in_flight: usize,
    /// Handlers that run now.
    pub running: usize,
    /// Handlers all of whose slots are held by runs that were given up.
    pub stuck: Vec<String>,
}

impl Router {
    /// A router over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Router {
        let process = parts.store.process();
        let settings = parts.settings;
        let kept_catalog = parts.catalog.hash();
        Router {
            shared: Arc::new(Shared {
                opener: Opener::here(),
                queue: CrossProcessEventQueue::new(Arc::clone(&parts.store), settings.durability),
                store: parts.store,
                catalog: parts.catalog,
                clock: parts.clock,
                log: parts.log,
                audit: parts.audit,
                runtime: parts.handler_host.runtime.clone(),
                process,
                stages: StageEventBus::default(),
                bus: EventBus::new(process),
                in_flight: InFlight::new(settings.in_flight_count, settings.in_flight_bytes),
                waits: Waits::default(),
                hosts: Hosts::default(),
                counters: LiveCounters::default(),
                unsaved: Unsaved::default(),
                alone: Arc::new(RwLock::new(())),
                handler_host: parts.handler_host,
                polled: Polled::default(),
                polling: AtomicBool::new(false),
                stopping: AtomicBool::new(false),
                kept_catalog: AtomicU64::new(kept_catalog),
                waited: AtomicU64::new(0),
                live_awake: AtomicUsize::new(0),
                on_first_subscription: OnceLock::new(),
                settings,
            }),
        }
    }

    /// Says what is to happen when this process subscribes: `system` starts the daemons then, so
    /// that a process that only publishes runs none. The first call counts.
    pub fn on_subscription(&self, start: impl Fn() + Send + Sync + 'static) {
        // A second call changes nothing, as promised.
        drop(self.shared.on_first_subscription.set(Box::new(start)));
    }

    /// The pipeline stages as this process has seen them complete.
    #[must_use]
    pub fn stages(&self) -> &StageEventBus {
        &self.shared.stages
    }

    /// The queue between processes.
    #[must_use]
    pub fn queue(&self) -> &CrossProcessEventQueue {
        &self.shared.queue
    }

    /// Where handlers run.
    #[must_use]
    pub fn runtime(&self) -> Handle {
        self.shared.runtime.clone()
    }

    /// The ring of hops of this process.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.shared.audit
    }

    /// Every known type.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.shared.catalog
    }

    /// Whether [`Router::shutdown`] was called.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.is_stopping()
    }

    /// Whether this is a child of `fork()`, which has none of the router's threads.
    pub(crate) fn is_forked(&self) -> bool {
        self.shared.opener.check().is_err()
    }

    /// How this process stands. Cheap.
    #[must_use]
    pub fn local_stats(&self) -> LocalStats {
        let shared = &self.shared;
        let hosts = shared.hosts.all();
        let stuck = hosts.iter().filter(|hosted| hosted.handler.is_stuck());
        LocalStats {
            counters: shared.counters.read(),
            subscriptions: hosts.len(),
            in_flight: shared.in_flight.count(),
            running: shared
                .settings
                .handlers_in_flight
                .saturating_sub(shared.handler_host.in_flight.available_permits()),
            stuck: stuck.map(|hosted| hosted.name.to_string()).collect(),
        }
    }

    /// Forgets the dedup keys that a live handler of this process keeps in memory, or only those
    /// that `key` means ([`crate::store::deliveries::is_key`]); how many, or `None` if there is no
    /// such handler.
    #[must_use]
    pub fn reset_dedup(&self, name: &str, key: Option<&str>) -> Option<usize> {
        let hosted = self.shared.hosts.named(name)?;
        let keys = hosted.handler.keys()?;
        Some(keys.clear(|known| key.is_none_or(|key| is_key(known, key))))
    }
}

impl Shared {
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Lets in what is attempted, unless this is a forked child or the router stops: asked before
    /// any lock is taken. Whoever is refused here is told so; nothing is to be found out about it.
    pub(super) fn check_open(&self, attempted: &'static str) -> Result<(), Error> {
        self.opener.check()?;
        if self.is_stopping() {
            return Err(Error::Stopped { attempted });
        }
        Ok(())
    }

    pub(super) fn first_subscription(&self) {
        if let Some(start) = self.on_first_subscription.get() {
            start();
        }
    }

    /// The loop of a subscription, whichever way its events come.
    pub(super) async fn host(self: Arc<Self>, hosted: Arc<Hosted>) {
        match &hosted.way {
            Way::Live { mailbox, .. } => {
                let mailbox = Arc::clone(mailbox);
                self.live_loop(hosted, mailbox).await;
            }
            Way::Durable => super::durable::Durable::new(self, hosted).run().await,
        }
    }

    pub(super) fn log_subscribed(&self, hosted: &Hosted) {
        let kind = match hosted.definition.kind {
            Kind::Live => "live",
            Kind::Durable => "durable",
        };
        match &hosted.definition.types {
            crate::store::log::TypeSet::All => self.log.subscribed(None, &hosted.name, kind),
            crate::store::log::TypeSet::Only(types) => {
                for event_type in types {
                    self.log.subscribed(Some(event_type), &hosted.name, kind);
                }
            }
        }
    }

    /// A volatile event found a full mailbox: the verdict must outlast the process.
    pub(super) fn refused_by_mailbox(&self, hosted: &Hosted, event: &Event) {
        self.log.mailbox_refused(&hosted.name, event);
        let fact = crate::store::registry::Fact {
            at: self.clock.now(),
            code: Some(crate::verdict::Code::RtRefused),
            event: Some(event.id),
            seq: event.seq,
            seq_to: None,
            event_type: Some(event.event_type.clone()),
            subscription: Some(hosted.id),
            process: Some(self.process),
            act: None,
            generation: None,
            evidence: serde_json::json!({"mailbox": self.settings.mailbox}).to_string(),
        };
        self.store.record(vec![fact]).forget();
    }
}

impl LiveCounters {
    fn read(&self) -> Counters {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            published: of(&self.published),
            published_volatile: of(&self.published_volatile),
            publish_failed: of(&self.publish_failed),
            received: of(&self.received),
            delivered: of(&self.delivered),
            done: of(&self.done),
            skipped: of(&self.skipped),
            deduplicated: of(&self.deduplicated),
            failed: of(&self.failed),
        }
    }
}
