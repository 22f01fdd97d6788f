//! One message in the forms in which sinks take it.

use serde_json::{Value, json};

use super::Means;
use crate::clock::Time;
use crate::store::watching::Message;

/// A message, ready to go.
pub(in crate::alerts) struct Letter {
    /// The same for every try of the same message: who gets it twice can tell.
    pub(super) id: String,
    /// The whole.
    pub(super) body: Value,
    rule: String,
    severity: &'static str,
    state: &'static str,
    summary: String,
    next: String,
    number: i64,
}

impl Letter {
    pub(in crate::alerts) fn of(message: &Message, means: &Means<'_>) -> Letter {
        let alert = &message.alert;
        let state = if message.resolved {
            "resolved"
        } else {
            "firing"
        };
        let id = format!("{:016x}-{}-{state}", means.incarnation, alert.id.0);
        let evidence: Value = serde_json::from_str(&alert.evidence).unwrap_or(Value::Null);
        let next = evidence["next"].as_str().map(str::to_owned);
        let next = next.unwrap_or_else(|| format!("ringrift alerts ls --id {}", alert.id.0));
        let body = json!({
            "message": id,
            "alert": alert.id.0,
            "state": state,
            "rule": alert.rule,
            "part": alert.group,
            "severity": alert.severity.as_str(),
            "summary": alert.summary,
            "count": alert.count,
            "opened_at": moment(alert.opened_at),
            "last_at": moment(alert.last_at),
            "resolved_at": alert.resolved.as_ref().map(|(at, _)| moment(*at)),
            "event": alert.event,
            "seq": alert.seq.map(|seq| seq.0),
            "evidence": evidence,
            "home": means.home.display().to_string(),
            "next": next,
        });
        Letter {
            id,
            body,
            rule: alert.rule.clone(),
            severity: alert.severity.as_str(),
            state,
            summary: alert.summary.clone(),
            next,
            number: alert.id.0,
        }
    }

    /// The log's line.
    pub(super) fn line(&self) -> String {
        format!(
            "alert {} id={} rule={} severity={} {}",
            self.state, self.number, self.rule, self.severity, self.summary
        )
    }

    /// As Slack's incoming webhooks take it.
    pub(super) fn slack(&self) -> Value {
        let text = format!(
            "*{} {}* · {}\n{}\n`{}`",
            self.severity.to_uppercase(),
            self.state,
            escaped(&self.rule),
            escaped(&self.summary),
            escaped(&self.next)
        );
        json!({ "text": text })
    }

    /// What a command finds in its environment.
    pub(super) fn variables(&self) -> [(&'static str, String); 6] {
        [
            ("RINGRIFT_ALERT_ID", self.number.to_string()),
            ("RINGRIFT_ALERT_MESSAGE", self.id.clone()),
            ("RINGRIFT_ALERT_RULE", self.rule.clone()),
            ("RINGRIFT_ALERT_SEVERITY", self.severity.to_owned()),
            ("RINGRIFT_ALERT_STATE", self.state.to_owned()),
            ("RINGRIFT_ALERT_SUMMARY", self.summary.clone()),
        ]
    }
}

/// RFC 3339 in UTC.
fn moment(time: Time) -> String {
    match jiff::Timestamp::from_microsecond(time.0) {
        Ok(moment) => moment.to_string(),
        Err(_) => format!("{} µs", time.0),
    }
}

/// Slack's three characters of control.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
