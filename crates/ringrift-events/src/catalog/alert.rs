//! When a type is worth an alert.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When events of a type raise an alert: `any`, or `>3/1h` for more than three within an hour.
///
/// ```
/// use ringrift_events::catalog::AlertRule;
/// let rule: AlertRule = ">3/1h".parse()?;
/// assert_eq!((rule.more_than, rule.within.map(|within| within.as_secs())), (3, Some(3600)));
/// assert_eq!(rule.to_string(), ">3/1h");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AlertRule {
    /// The alert is raised by one event more than this many.
    pub more_than: u32,
    /// Within this time; `None` counts every event by itself.
    pub within: Option<Duration>,
}

impl AlertRule {
    /// Every single event raises an alert.
    pub const ANY: AlertRule = AlertRule {
        more_than: 0,
        within: None,
    };
}

/// The units a window is written in, largest first.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

impl FromStr for AlertRule {
    type Err = String;

    fn from_str(text: &str) -> Result<AlertRule, String> {
        if text == "any" {
            return Ok(AlertRule::ANY);
        }
        let parsed = text.strip_prefix('>').and_then(|rest| {
            let (count, window) = rest.split_once('/')?;
            let (unit, seconds) = UNITS.iter().find(|(unit, _)| window.ends_with(unit))?;
            let amount: u64 = window.strip_suffix(unit)?.parse().ok()?;
            let within = Duration::from_secs(amount.checked_mul(*seconds)?);
            Some(AlertRule {
                more_than: count.parse().ok()?,
                within: (!within.is_zero()).then_some(within)?.into(),
            })
        });
        parsed
            .ok_or_else(|| format!("alert rule `{text}` is neither `any` nor of the form `>3/1h`"))
    }
}

impl fmt::Display for AlertRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(within) = self.within else {
            return f.write_str("any");
        };
        let seconds = within.as_secs();
        let (unit, size) = UNITS
            .into_iter()
            .find(|(_, size)| seconds.is_multiple_of(*size))
            .unwrap_or(("s", 1));
        write!(f, ">{}/{}{unit}", self.more_than, seconds / size)
    }
}

impl TryFrom<String> for AlertRule {
    type Error = String;

    fn try_from(text: String) -> Result<AlertRule, String> {
        text.parse()
    }
}

impl From<AlertRule> for String {
    fn from(rule: AlertRule) -> String {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_back_as_it_was_written() {
        for text in ["any", ">3/1h", ">0/90s", ">10/2d", ">1/5m"] {
            assert_eq!(text.parse::<AlertRule>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "some",
            ">3",
            ">/1h",
            ">3/h",
            ">3/0h",
            ">-1/1h",
            ">3/1y",
            ">1/99999999999999999999d",
        ] {
            assert!(text.parse::<AlertRule>().is_err(), "{text}");
        }
    }
}
