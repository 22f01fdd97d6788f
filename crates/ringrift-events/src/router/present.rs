//! What this process shows of itself: how its subscriptions stand, how busy it is.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::hosted::Hosted;
use super::{Error, Router, Shared};
use crate::clock::Time;
use crate::handler::Handler;
use crate::store::records::{
    DeclaredHandler, Ends, HostRecord, HostState, Load, PolicyInForce, Present,
};
use crate::verdict::Code;

/// A window of counts is begun anew after so long: what is told is of one to two of them.
const WINDOW: Duration = Duration::from_secs(300);

/// What the looks at a subscription remember of each other.
#[derive(Debug, Default)]
pub(super) struct Looks(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Since when every look found it at its limit with events waiting.
    full_since: Option<(Code, Time)>,
    lagging_since: Option<Time>,
    /// The counts when the last window began, and the one before it.
    windows: Option<[(Time, Ends); 2]>,
}

impl Router {
    /// What this process shows of itself, its daemons aside. Cheap: no transaction, no wait.
    #[must_use]
    pub fn present(&self) -> Present {
        let shared = &self.shared;
        let hosts = shared.hosts.all();
        let waits = hosts.iter().map(|hosted| hosted.handler.waiting().1);
        let free = shared.handler_host.in_flight.available_permits();
        let in_flight_max = shared.settings.handlers_in_flight;
        let lag = shared.handler_host.watch.lag();
        let load = Load {
            in_flight: count(in_flight_max.saturating_sub(free)),
            in_flight_max: count(in_flight_max),
            waiting: waits.sum(),
            waited: shared.waited.load(Ordering::Relaxed),
            lag_p99_us: micros(lag.p99),
            lag_max_us: micros(lag.max),
            publishing: count(shared.in_flight.count()),
        };
        let mut hosts: Vec<HostState> = hosts.iter().map(|one| shared.state_of(one)).collect();
        // The busiest first: a page shows a bounded number of them.
        hosts.sort_by_key(|host| {
            let busy = (host.waiting > 0, host.window.failed, host.in_flight);
            std::cmp::Reverse(busy)
        });
        Present {
            hosts,
            load,
            cycles: Vec::new(),
        }
    }

    /// Says that this program has a handler of that name for these types, before it subscribes it:
    /// one that is never started can then be told. Blocks for one transaction.
    ///
    /// # Errors
    /// The name's and the store's.
    pub fn declare_handler(&self, name: &str, types: &[&str]) -> Result<(), Error> {
        super::check_name(name)?;
        let shared = &self.shared;
        let declared = DeclaredHandler {
            process: shared.process,
            name: name.to_owned(),
            types: types.iter().map(|one| (*one).to_owned()).collect(),
            declared_at: shared.clock.now(),
            started_at: None,
        };
        Ok(shared.store.declare_handlers(vec![declared]).wait()?)
    }
}

impl Shared {
    fn state_of(&self, hosted: &Hosted) -> HostState {
        let now = self.clock.now();
        let handler = &hosted.handler;
        let policy = in_force(handler);
        let free = u32::try_from(handler.free_slots()).unwrap_or(u32::MAX);
        let mailbox = hosted.mailbox();
        let queued = mailbox.map_or(0, |mailbox| count(mailbox.len()));
        let waiting = queued + hosted.unstarted.load(Ordering::Relaxed) + handler.waiting().0;
        let lag = mailbox.and_then(|mailbox| mailbox.lags_after());
        let ends = handler.ends();
        let mut looks = hosted
            .looks
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let full = handler.waits_for().filter(|_| waiting > 0);
        looks.full_since = full.map(|code| match looks.full_since {
            Some(before) if before.0 == code => before,
            _ => (code, now),
        });
        looks.lagging_since = lag.as_ref().map(|_| looks.lagging_since.unwrap_or(now));
        let (window_since, before) = looks.window(now, ends, handler.started_at());
        HostState {
            subscription: hosted.id,
            in_flight: policy.concurrency.saturating_sub(free),
            waiting,
            abandoned: u32::try_from(handler.stats().abandoned).unwrap_or(u32::MAX),
            waits_for: handler.waits_at().or(looks.full_since),
            lagging_after: lag,
            lagging_since: looks.lagging_since,
            ends,
            window: Ends {
                done: ends.done.saturating_sub(before.done),
                failed: ends.failed.saturating_sub(before.failed),
                skipped: ends.skipped.saturating_sub(before.skipped),
                duplicates: ends.duplicates.saturating_sub(before.duplicates),
            },
            window_since,
            policy,
        }
    }

    /// Keeps under which policy this process begins to host a subscription.
    pub(super) fn keep_hosting(&self, hosted: &Arc<Hosted>) {
        let now = self.clock.now();
        let declared = DeclaredHandler {
            process: self.process,
            name: hosted.name.to_string(),
            types: types_of(hosted),
            declared_at: now,
            started_at: Some(now),
        };
        self.store.declare_handlers(vec![declared]).forget();
        self.keep_host(hosted, None);
    }

    /// Keeps a policy in force that its function has told of since.
    pub(super) fn keep_policy(&self, hosted: &Hosted) {
        self.keep_host(hosted, None);
    }

    /// Keeps how a subscription's runs in this process ended.
    pub(super) fn keep_hosted(&self, hosted: &Hosted) {
        self.keep_host(hosted, Some(self.clock.now()));
    }

    fn keep_host(&self, hosted: &Hosted, until: Option<Time>) {
        let record = HostRecord {
            process: self.process,
            subscription: hosted.id,
            policy: in_force(&hosted.handler),
            since: hosted.handler.started_at(),
            until,
            ends: hosted.handler.ends(),
        };
        self.store.keep_hosts(vec![record]).forget();
    }
}

impl Seen {
    /// When the window began, and the counts of then.
    fn window(&mut self, now: Time, ends: Ends, started_at: Time) -> (Time, Ends) {
        let first = [(started_at, Ends::default()); 2];
        let [last, before] = *self.windows.get_or_insert(first);
        if now.since(last.0) >= WINDOW {
            self.windows = Some([(now, ends), last]);
            return last;
        }
        before
    }
}

fn types_of(hosted: &Hosted) -> Vec<String> {
    match &hosted.definition.types {
        crate::store::log::TypeSet::All => vec!["*".to_owned()],
        crate::store::log::TypeSet::Only(types) => types.iter().map(ToString::to_string).collect(),
    }
}

fn in_force(handler: &Handler) -> PolicyInForce {
    let (policy, dedup) = (handler.policy(), handler.dedup());
    PolicyInForce {
        concurrency: policy.concurrency,
        time_limit_ms: millis(policy.time_limit),
        rate: policy.rate.map(|rate| (rate.events, millis(rate.per))),
        attempts_max: policy.retry.attempts,
        dedup_ttl_ms: dedup.as_ref().map_or(0, |dedup| millis(dedup.ttl)),
        dedup_fields: dedup.map_or_else(Vec::new, |dedup| dedup.fields),
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
