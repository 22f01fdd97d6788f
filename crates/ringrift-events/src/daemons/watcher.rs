//! What watches the log for the whole home: one process hosts it, whoever that is, and what it kept
//! goes on where the last one stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::daemon::{Daemon, DaemonContext};
use crate::clock::Time;
use crate::event::Seq;
use crate::log::EventLog;
use crate::store::log::{Logged, Page, TypeSet, is_to_the_end};
use crate::store::watching::{AlertChange, WatchStep};
use crate::store::{Error, Store};

/// Events read at once: as the poller.
const READ_MAX: usize = 1_000;

/// Places read that changed nothing before the place is saved all the same: a restart reads them
/// again, which costs less than a commit for each.
const UNSAVED_MAX: i64 = 20_000;

/// Shortest time between two looks at the log, however often it rings.
const PACE: Duration = Duration::from_millis(50);

/// Longest wait for news: a daemon is to be seen going on, and to end when it is told to.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// How often a process that waits for the role tries to take it.
const ELECT_EVERY: Duration = Duration::from_millis(500);

/// What follows from a look: what to remember and what to raise, kept in one transaction.
#[derive(Debug, Default)]
pub struct Findings {
    marks: BTreeMap<String, Option<String>>,
    changes: Vec<AlertChange>,
}

impl Findings {
    /// Remembers a text under a name, or forgets it.
    pub fn mark(&mut self, name: impl Into<String>, text: Option<String>) {
        self.marks.insert(name.into(), text);
    }

    /// Changes an alert.
    pub fn change(&mut self, change: AlertChange) {
        self.changes.push(change);
    }

    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.changes.is_empty()
    }

    /// What is to be done to the alerts, in order.
    #[must_use]
    pub fn changes(&self) -> &[AlertChange] {
        &self.changes
    }
}

/// A watch over the log and the home. Its state is what it marked: it may be thrown away and
/// restored from its marks at any time.
pub trait Watch: Send {
    /// Its name: of the role, of what it keeps, and in the log.
    fn name(&self) -> &'static str;

    /// The types it reads; none reads nothing.
    fn types(&self) -> Option<TypeSet>;

    /// Begins anew from what it marked.
    fn restore(&mut self, marks: Vec<(String, String)>);

    /// Takes one event of the log, in its order.
    fn event(&mut self, logged: &Logged, now: Time, findings: &mut Findings);

    /// Looks at what no event brings.
    ///
    /// # Errors
    /// The store's.
    fn look(&mut self, store: &dyn Store, now: Time, findings: &mut Findings) -> Result<(), Error>;

    /// Called when the events that were there are read and what follows is kept; not for long.
    ///
    /// # Errors
    /// The store's.
    fn settled(&mut self, store: &Arc<dyn Store>, now: Time) -> Result<(), Error> {
        let _nothing = (store, now);
        Ok(())
    }

    /// Called when this process hosts it no more.
    fn leave(&mut self) {}
}

/// Where a watch stands.
struct Standing {
    /// Up to where it has read.
    place: Seq,
    /// Up to where that is saved.
    saved: Seq,
    steps: u64,
}

/// A watch as a daemon: hosted by one process of the home.
pub struct Watcher<W> {
    store: Arc<dyn Store>,
    log: EventLog,
    watch: W,
    look_every: Duration,
    standing: Option<Standing>,
}

impl<W: Watch> Watcher<W> {
    /// Lets `watch` look at `store`, at what no event brings every `look_every`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, log: EventLog, watch: W, look_every: Duration) -> Watcher<W> {
        Watcher {
            store,
            log,
            watch,
            look_every,
            standing: None,
        }
    }

    /// Reads what is new if there may be something, looks if it is time, keeps what follows.
    fn cycle(&mut self, look: bool, news: bool, context: &DaemonContext) -> Result<(), Error> {
        let mut look = look;
        let reads = news || self.standing.is_none();
        loop {
            let mut standing = self.stand()?;
            let mut findings = Findings::default();
            let mut more = false;
            if reads {
                (more, standing.place) = self.read(standing.place, context.now(), &mut findings)?;
            }
            if look && !more {
                self.watch
                    .look(&*self.store, context.now(), &mut findings)?;
                look = false;
            }
            let unsaved = standing.place.0 - standing.saved.0;
            if findings.is_empty() && unsaved < UNSAVED_MAX {
                self.standing = Some(standing);
            } else {
                self.keep(standing, findings)?;
            }
            context.cycle();
            if !more || context.is_stopping() {
                return Ok(());
            }
        }
    }

    /// Where the watch stands; taken, so that an error begins anew from what is saved.
    fn stand(&mut self) -> Result<Standing, Error> {
        if let Some(standing) = self.standing.take() {
            return Ok(standing);
        }
        let kept = self.store.watched(self.watch.name().to_owned()).wait()?;
        self.watch.restore(kept.marks);
        // A restored store may end before the place: what follows there is new.
        let place = kept.place.min(self.store.head().wait()?.seq);
        Ok(Standing {
            place,
            saved: place,
            steps: kept.steps,
        })
    }

    /// Reads one batch; whether there is more, and up to where it read.
    fn read(
        &mut self,
        after: Seq,
        now: Time,
        findings: &mut Findings,
    ) -> Result<(bool, Seq), Error> {
        let Some(types) = self.watch.types() else {
            return Ok((false, self.store.head().wait()?.seq.max(after)));
        };
        let (events, read_to) = self.store.read(after, types.clone(), READ_MAX).wait()?;
        if !events.is_empty() {
            // The same events with the time of their commit: the clock of the publisher may be
            // any, the place in the log is one.
            let page = Page {
                types: match types {
                    TypeSet::All => Vec::new(),
                    TypeSet::Only(types) => types,
                },
                from: Some(after),
                limit: events.len(),
                ..Page::default()
            };
            let logged = self.store.list(page).wait()?;
            for one in logged
                .iter()
                .filter(|one| one.event.seq.is_some_and(|seq| seq <= read_to))
            {
                self.watch.event(one, now, findings);
            }
        }
        let more = !is_to_the_end(after, READ_MAX, &events, read_to);
        Ok((more, read_to))
    }

    fn keep(&mut self, standing: Standing, findings: Findings) -> Result<(), Error> {
        let step = WatchStep {
            watcher: self.watch.name().to_owned(),
            seen: standing.steps,
            place: standing.place,
            marks: findings.marks.into_iter().collect(),
            changes: findings.changes,
        };
        // Another process made a step: this one begins anew from there.
        if self.store.keep_watch(step).wait()?.is_none() {
            return Ok(());
        }
        self.standing = Some(Standing {
            saved: standing.place,
            steps: standing.steps + 1,
            ..standing
        });
        Ok(())
    }
}

impl<W: Watch> Daemon for Watcher<W> {
    fn run(&mut self, context: &DaemonContext) -> Result<(), String> {
        let mut seen = 0;
        // What it listened to, and whether that may have brought something since the last read.
        let (mut listened, mut news) = (None, true);
        let mut failed = 0_u32;
        let mut looked_at: Option<Duration> = None;
        let mut hosted = false;
        while !context.is_stopping() {
            let now = context.clock.monotonic();
            let hosts = match self.store.elect(self.watch.name()).wait() {
                // The lock of one that is stopped or stuck stays: somebody else watches meanwhile.
                Ok(false) => self.store.host_hangs(self.watch.name()).wait(),
                other => other,
            };
            context.standby(matches!(hosts, Ok(false)));
            let done = match hosts {
                Ok(true) => {
                    hosted = true;
                    let look = looked_at.is_none_or(|at| now.saturating_sub(at) >= self.look_every);
                    if look {
                        looked_at = Some(now);
                    }
                    self.cycle(look, news, context)
                        .and_then(|()| self.watch.settled(&self.store, context.now()))
                }
                Ok(false) => {
                    self.standing = None;
                    if std::mem::take(&mut hosted) {
                        self.watch.leave();
                    }
                    Ok(())
                }
                Err(error) => Err(error),
            };
            match done {
                Ok(()) => failed = 0,
                Err(error) => {
                    failed += 1;
                    self.log.store_failed("watching", &error);
                    if !error.is_retryable() && failed > FAILURES_MAX {
                        return Err(error.to_string());
                    }
                }
            }
            context.cycle();
            if !hosted || failed > 0 {
                news = true;
                if !context.wait(ELECT_EVERY) {
                    break;
                }
                continue;
            }
            let wait = self.look_every.min(WAIT_MAX);
            let types = self.watch.types();
            let now_seen = self.store.wait_for_news_of(types.as_ref(), seen, wait);
            news = now_seen != seen || types != listened;
            (seen, listened) = (now_seen, types);
            if news && !context.wait(PACE) {
                break;
            }
        }
        Ok(())
    }

    fn stopped(&mut self) {
        self.watch.leave();
        // A lock that is not given back goes with the process.
        self.store.resign(self.watch.name()).forget();
    }
}

/// Errors in a row, of a kind that trying again does not cure, before the supervisor takes over.
const FAILURES_MAX: u32 = 3;
