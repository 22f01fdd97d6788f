//! What watchers keep: places, marks, alerts, messages, silences.

use std::collections::BTreeMap;

use super::state::World;
use crate::clock::Time;
use crate::event::Seq;
use crate::store::log::IDEMPOTENCY_WINDOW;
use crate::store::registry::Fact;
use crate::store::watching::{
    ALERTS_KEPT_MAX, ALERTS_READ_MAX, Alert, AlertAct, AlertChange, AlertFilter, AlertId,
    AlertState, Fold, Message, MessageReport, Raise, SendState, Silence, SinkState, WatchStep,
    Watched,
};

/// The watchers' part of a home.
#[derive(Default)]
pub(super) struct Watches {
    watchers: BTreeMap<String, (Seq, u64)>,
    marks: BTreeMap<(String, String), String>,
    alerts: BTreeMap<AlertId, Alert>,
    last_alert: i64,
    /// When each message is due next, by alert, sink and kind; its state stands in the alert.
    due: BTreeMap<(AlertId, String, bool), Time>,
    silences: BTreeMap<i64, Silence>,
    last_silence: i64,
    sinks: BTreeMap<String, SinkState>,
}

impl World {
    pub(super) fn watched(&self, watcher: &str) -> Watched {
        let (place, steps) = self
            .watches
            .watchers
            .get(watcher)
            .copied()
            .unwrap_or_default();
        let marks = self.watches.marks.iter();
        Watched {
            place,
            steps,
            marks: marks
                .filter(|((own, _), _)| own == watcher)
                .map(|((_, name), text)| (name.clone(), text.clone()))
                .collect(),
        }
    }

    pub(super) fn keep_watch(&mut self, step: WatchStep) -> Option<Vec<AlertId>> {
        let now = self.now;
        let watches = &mut self.watches;
        let kept = watches.watchers.entry(step.watcher.clone()).or_default();
        if kept.1 != step.seen {
            return None;
        }
        *kept = (step.place, step.seen + 1);
        for (name, text) in step.marks {
            let at = (step.watcher.clone(), name);
            match text {
                Some(text) => drop(watches.marks.insert(at, text)),
                None => drop(watches.marks.remove(&at)),
            }
        }
        let mut new = Vec::new();
        for change in step.changes {
            match change {
                AlertChange::Raise(raise) => new.extend(watches.raise(raise, now)),
                AlertChange::Resolve {
                    rule,
                    group,
                    why,
                    sinks,
                } => watches.resolve(&rule, &group, &why, &sinks, now),
                AlertChange::Forget { rules, before } => watches.forget(&rules, before, now),
            }
        }
        Some(new)
    }

    pub(super) fn alerts(&self, filter: &AlertFilter) -> Vec<Alert> {
        let wanted = |alert: &&Alert| {
            (filter.ids.is_empty() || filter.ids.contains(&alert.id))
                && filter.rule.as_ref().is_none_or(|rule| *rule == alert.rule)
                && (!filter.unresolved || alert.state != AlertState::Resolved)
                && filter.since.is_none_or(|since| alert.last_at >= since)
        };
        let newest_first = self.watches.alerts.values().rev();
        let limit = filter.limit.min(ALERTS_READ_MAX);
        newest_first.filter(wanted).take(limit).cloned().collect()
    }

    pub(super) fn act_on_alerts(
        &mut self,
        ids: Vec<AlertId>,
        act: AlertAct,
        by: &str,
    ) -> Vec<AlertId> {
        let now = self.now;
        let mut changed = Vec::new();
        for id in ids {
            let watches = &mut self.watches;
            let Some(alert) = watches.alerts.get_mut(&id) else {
                continue;
            };
            let changes = match act {
                AlertAct::Ack => alert.state == AlertState::Open,
                AlertAct::Resolve => alert.state != AlertState::Resolved,
            };
            if !changes {
                continue;
            }
            match act {
                AlertAct::Ack => {
                    alert.state = AlertState::Acked;
                    alert.acked = Some((now, by.to_owned()));
                }
                AlertAct::Resolve => {
                    watches.end(id, by, now);
                    watches.due.retain(|(of, _, _), _| *of != id);
                    watches
                        .alerts
                        .get_mut(&id)
                        .into_iter()
                        .for_each(|alert| take_back(alert, "resolved"));
                }
            }
            changed.push(id);
        }
        for id in &changed {
            self.note_alert_act(act.as_str(), by, serde_json::json!({ "alert": id }));
        }
        changed
    }

    pub(super) fn silence(&mut self, mut silence: Silence) -> i64 {
        let now = self.now;
        let watches = &mut self.watches;
        let gone = now.before(IDEMPOTENCY_WINDOW);
        watches.silences.retain(|_, old| old.until > gone);
        watches.last_silence += 1;
        silence.id = watches.last_silence;
        silence.made_at = now;
        for alert in watches.alerts.values_mut() {
            if silence.covers(&alert.rule, &alert.group, now) {
                watches.due.retain(|(id, _, _), _| *id != alert.id);
                take_back(alert, "silenced");
            }
        }
        let evidence = serde_json::json!({
            "silence": silence.id, "rule": silence.rule, "group": silence.group,
            "until_us": silence.until.0, "why": silence.why,
        });
        let by = silence.by.clone();
        watches.silences.insert(silence.id, silence);
        self.note_alert_act("alerts.silence", &by, evidence);
        self.watches.last_silence
    }

    pub(super) fn unsilence(&mut self, id: i64, by: &str) -> bool {
        let now = self.now;
        let Some(silence) = self.watches.silences.get_mut(&id) else {
            return false;
        };
        if silence.until <= now {
            return false;
        }
        silence.until = now;
        self.note_alert_act("alerts.unsilence", by, serde_json::json!({ "silence": id }));
        true
    }

    pub(super) fn silences(&self) -> Vec<Silence> {
        let all = self.watches.silences.values();
        all.filter(|one| one.until > self.now).cloned().collect()
    }

    pub(super) fn waiting_messages(&self, limit: usize) -> Vec<Message> {
        let mut waiting: Vec<_> = self.watches.due.iter().collect();
        waiting.sort_by_key(|((id, sink, resolved), due)| (**due, *id, sink.clone(), *resolved));
        let message = |((id, sink, resolved), due): (&(AlertId, String, bool), &Time)| {
            let alert = self.watches.alerts.get(id)?.clone();
            let sends = alert.sends.iter();
            let attempts = sends
                .filter(|send| send.sink == *sink && send.resolved == *resolved)
                .map(|send| send.attempts)
                .next()?;
            Some(Message {
                attempts,
                alert,
                sink: sink.clone(),
                resolved: *resolved,
                due: *due,
            })
        };
        let messages = waiting.into_iter().filter_map(message);
        messages.take(limit.min(ALERTS_READ_MAX)).collect()
    }

    pub(super) fn report_message(&mut self, report: &MessageReport) -> bool {
        let now = self.now;
        let watches = &mut self.watches;
        let mut kept = report.alert.is_none();
        let mut given_up = 0;
        if let Some((id, resolved)) = report.alert {
            let at = (id, report.sink.clone(), resolved);
            let send = watches.alerts.get_mut(&id).and_then(|alert| {
                let mut sends = alert.sends.iter_mut();
                sends.find(|send| send.sink == report.sink && send.resolved == resolved)
            });
            if let Some(send) = send
                && send.state == "due"
                && send.attempts == report.attempts_seen
            {
                kept = true;
                send.attempts += 1;
                send.error.clone_from(&report.error);
                match (&report.error, report.retry_at) {
                    (None, _) => "sent".clone_into(&mut send.state),
                    (Some(_), Some(retry_at)) => drop(watches.due.insert(at.clone(), retry_at)),
                    (Some(_), None) => {
                        "failed".clone_into(&mut send.state);
                        given_up = 1;
                    }
                }
                if send.state != "due" {
                    watches.due.remove(&at);
                }
            }
        }
        let sink = watches.sinks.entry(report.sink.clone());
        let sink = sink.or_insert_with(|| SinkState {
            sink: report.sink.clone(),
            ok_at: None,
            failed_at: None,
            failures: 0,
            error: None,
            given_up: 0,
        });
        match &report.error {
            None => {
                sink.ok_at = Some(now);
                sink.failures = 0;
                sink.error = None;
            }
            Some(error) => {
                sink.failed_at = Some(now);
                sink.failures += 1;
                sink.error = Some(error.clone());
                sink.given_up += given_up;
            }
        }
        kept
    }

    pub(super) fn sinks(&self) -> Vec<SinkState> {
        self.watches.sinks.values().cloned().collect()
    }

    fn note_alert_act(&mut self, act: &str, by: &str, evidence: serde_json::Value) {
        let fact = Fact {
            act: Some((by.to_owned(), act.to_owned())),
            evidence: evidence.to_string(),
            ..self.fact(None)
        };
        self.note(fact);
    }
}

impl Watches {
    fn raise(&mut self, raise: Raise, now: Time) -> Option<AlertId> {
        let standing = self.alerts.values_mut().rev().find(|alert| {
            alert.state != AlertState::Resolved
                && alert.rule == raise.rule
                && match raise.fold {
                    Fold::Never => false,
                    Fold::Within(time) => {
                        alert.group == raise.group && alert.last_at >= raise.at.before(time)
                    }
                    Fold::Open => alert.group == raise.group,
                    Fold::OpenOfRule => true,
                }
        });
        if let Some(alert) = standing {
            alert.count += 1;
            alert.last_at = alert.last_at.max(raise.at);
            if let Some((event, _)) = raise.event {
                alert.last_event = Some(event);
            }
            return None;
        }
        self.last_alert += 1;
        let id = AlertId(self.last_alert);
        let mut silences = self.silences.values();
        let silenced = silences
            .find(|silence| silence.covers(&raise.rule, &raise.group, now))
            .map(|silence| silence.id);
        let alert = Alert {
            id,
            rule: raise.rule,
            group: raise.group,
            severity: raise.severity,
            state: AlertState::Open,
            summary: raise.summary,
            evidence: raise.evidence,
            event: raise.event.map(|(event, _)| event),
            seq: raise.event.map(|(_, seq)| seq),
            last_event: raise.event.map(|(event, _)| event),
            count: 1,
            opened_at: raise.at,
            last_at: raise.at,
            acked: None,
            resolved: None,
            silenced,
            sends: Vec::new(),
        };
        self.alerts.insert(id, alert);
        if silenced.is_none() {
            self.tell(id, &raise.sinks, false, now);
        }
        let (oldest_kept, alerts) = (self.last_alert - ALERTS_KEPT_MAX, &mut self.alerts);
        alerts.retain(|id, alert| id.0 > oldest_kept || alert.state != AlertState::Resolved);
        Some(id)
    }

    fn tell(&mut self, id: AlertId, sinks: &[String], resolved: bool, now: Time) {
        let Some(alert) = self.alerts.get_mut(&id) else {
            return;
        };
        for sink in sinks {
            self.due.insert((id, sink.clone(), resolved), now);
            alert.sends.push(SendState {
                sink: sink.clone(),
                resolved,
                state: "due".to_owned(),
                attempts: 0,
                error: None,
            });
        }
        let order = |send: &SendState| (send.sink.clone(), send.resolved);
        alert.sends.sort_by_key(order);
    }

    fn resolve(&mut self, rule: &str, group: &str, why: &str, sinks: &[String], now: Time) {
        let standing = self.standing(|alert| alert.rule == rule && alert.group == group);
        for id in standing {
            if self.end(id, why, now) {
                self.tell(id, sinks, true, now);
            }
        }
    }

    fn forget(&mut self, rules: &[String], before: Time, now: Time) {
        let standing = self.standing(|alert| rules.contains(&alert.rule) && alert.last_at < before);
        for id in standing {
            self.end(id, "nothing more happened", now);
        }
    }

    fn standing(&self, wanted: impl Fn(&Alert) -> bool) -> Vec<AlertId> {
        let all = self.alerts.values();
        let standing = all.filter(|alert| alert.state != AlertState::Resolved && wanted(alert));
        standing.map(|alert| alert.id).collect()
    }

    /// Ends an alert; whether somebody was told of it, or will be.
    fn end(&mut self, id: AlertId, by: &str, now: Time) -> bool {
        let Some(alert) = self.alerts.get_mut(&id) else {
            return false;
        };
        alert.state = AlertState::Resolved;
        alert.resolved = Some((now, by.to_owned()));
        !alert.sends.is_empty()
    }
}

/// What was not sent yet will not be.
fn take_back(alert: &mut Alert, state: &str) {
    for send in &mut alert.sends {
        if send.state == "due" {
            state.clone_into(&mut send.state);
        }
    }
}
