//! Sending what waits: on a thread of its own, so that a sink that is slow delays no rule.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::judge::AlertRules;
use super::sink::{Means, NotSent, Sink};
use crate::clock::{SharedClock, Time};
use crate::log::{EventLog, Level};
use crate::store::watching::{Message, MessageReport};
use crate::store::{Error, Store};

/// Messages of one round: they are held in memory whole, and a round is to end soon.
const ROUND_MAX: usize = 100;

/// How messages are sent.
#[derive(Clone, Debug)]
pub struct SendRules {
    /// Tries of one message before it is given up; the first counts.
    pub attempts: u32,
    /// Longest time of one try.
    pub timeout: Duration,
    /// Pause after the first failure; each further one doubles.
    pub first: Duration,
    /// Longest pause.
    pub most: Duration,
    /// The home's folder: commands run in it, and messages name it.
    pub home: PathBuf,
}

impl SendRules {
    /// When to try again after so many tries; none when they are used up.
    fn next(&self, attempts: u32, now: Time) -> Option<Time> {
        let factor = 1_u32
            .checked_shl(attempts.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let pause = self.first.saturating_mul(factor).min(self.most);
        (attempts < self.attempts).then(|| now.after(pause))
    }
}

/// Sends messages, one round at a time.
pub(super) struct Sender {
    rules: Arc<AlertRules>,
    log: EventLog,
    clock: SharedClock,
    round: Option<JoinHandle<()>>,
}

impl Sender {
    pub(super) fn new(rules: Arc<AlertRules>, log: EventLog, clock: SharedClock) -> Sender {
        Sender {
            rules,
            log,
            clock,
            round: None,
        }
    }

    /// Starts a round if something is due and none runs.
    pub(super) fn send_what_waits(
        &mut self,
        store: &Arc<dyn Store>,
        now: Time,
    ) -> Result<(), Error> {
        if self
            .round
            .as_ref()
            .is_some_and(|round| !round.is_finished())
        {
            return Ok(());
        }
        self.finish();
        let mut due = store.waiting_messages(ROUND_MAX).wait()?;
        due.retain(|message| message.due <= now);
        if due.is_empty() {
            return Ok(());
        }
        let round = Round {
            store: Arc::clone(store),
            incarnation: store.head().wait()?.incarnation,
            rules: Arc::clone(&self.rules),
            log: self.log.clone(),
            clock: Arc::clone(&self.clock),
        };
        let thread = std::thread::Builder::new().name("rr-alert-sender".to_owned());
        match thread.spawn(move || round.send(due)) {
            Ok(handle) => self.round = Some(handle),
            // The next look tries again.
            Err(error) => self.log.line(
                Level::Warn,
                &format!("no thread to send alerts from: {error}"),
            ),
        }
        Ok(())
    }

    /// Waits for the round that runs: at most the time-out of a sink's tries.
    pub(super) fn finish(&mut self) {
        if let Some(round) = self.round.take()
            && round.join().is_err()
        {
            self.log.line(Level::Error, "the sender of alerts panicked");
        }
    }
}

struct Round {
    store: Arc<dyn Store>,
    incarnation: u64,
    rules: Arc<AlertRules>,
    log: EventLog,
    clock: SharedClock,
}

impl Round {
    /// Sends each sink's messages in order, all sinks beside each other.
    fn send(&self, messages: Vec<Message>) {
        let mut by_sink: BTreeMap<String, Vec<Message>> = BTreeMap::new();
        for message in messages {
            by_sink
                .entry(message.sink.clone())
                .or_default()
                .push(message);
        }
        std::thread::scope(|scope| {
            for (name, messages) in &by_sink {
                let sink = self.rules.sinks.iter().find(|sink| sink.name == *name);
                scope.spawn(move || self.send_to(sink, messages));
            }
        });
    }

    /// One sink's messages. Once one did not get through, the others of the round share its fate
    /// untried: a sink that is away costs one time-out a round, whatever waits for it.
    fn send_to(&self, sink: Option<&Sink>, messages: &[Message]) {
        let send = &self.rules.send;
        let means = Means {
            log: &self.log,
            clock: &*self.clock,
            home: &send.home,
            timeout: send.timeout,
            incarnation: self.incarnation,
        };
        let mut away: Option<NotSent> = None;
        for message in messages {
            let sent = match (sink, &away) {
                (None, _) => Err(NotSent {
                    why: "no sink of this name is declared any more".to_owned(),
                    for_good: true,
                }),
                (Some(_), Some(away)) => Err(away.clone()),
                (Some(sink), None) => sink.send(message, &means),
            };
            if let Err(error) = &sent
                && !error.for_good
            {
                away = Some(error.clone());
            }
            self.report(message, sent);
        }
    }

    fn report(&self, message: &Message, sent: Result<(), NotSent>) {
        let tries = message.attempts + 1;
        let error = sent.err();
        let retry_at = error
            .as_ref()
            .filter(|error| !error.for_good)
            .and_then(|_| self.rules.send.next(tries, self.clock.now()));
        if let Some(error) = &error {
            let (level, what) = match retry_at {
                Some(_) => (Level::Warn, "will be tried again"),
                None => (Level::Error, "given up"),
            };
            self.log.line(
                level,
                &format!(
                    "alert not sent, {what} id={} sink={} tries={tries} {}",
                    message.alert.id.0, message.sink, error.why
                ),
            );
        }
        let report = MessageReport {
            alert: Some((message.alert.id, message.resolved)),
            sink: message.sink.clone(),
            attempts_seen: message.attempts,
            error: error.map(|error| error.why),
            retry_at,
        };
        if let Err(error) = self.store.report_message(report).wait() {
            // It waits still and goes out again: at least once.
            self.log.store_failed("noting a sent alert", &error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_end() {
        let rules = SendRules {
            attempts: 5,
            timeout: Duration::from_secs(1),
            first: Duration::from_secs(1),
            most: Duration::from_secs(3),
            home: PathBuf::new(),
        };
        let pause = |tries| rules.next(tries, Time(0)).map(|at| at.0 / 1_000_000);
        let pauses: Vec<_> = (1..=5).map(pause).collect();
        assert_eq!(pauses, [Some(1), Some(2), Some(3), Some(3), None]);
    }
}
