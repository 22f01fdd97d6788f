//! When a rule raises an alert, as people write it.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::catalog::AlertRule;

/// Most occurrences that a rule counts: their times are remembered one by one.
pub(super) const COUNT_MAX: u32 = 1_000;

/// When a rule raises an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Each event: `any`.
    Any,
    /// More than so many events within a time: `>3/1h`.
    MoreThan(u32, Duration),
    /// No event for a time: `none/6h`.
    Absent(Duration),
    /// A durable subscription that owes work and settles none for a time: `stalled/1h`.
    Stalled(Duration),
}

/// The forms, for messages.
const FORMS: &str = "`any`, `>3/1h`, `none/6h` or `stalled/1h`";

impl When {
    /// Reads one of the four forms.
    ///
    /// # Errors
    /// What was expected, and the nearest valid text.
    ///
    /// ```
    /// use ringrift_events::alerts::When;
    /// assert_eq!(When::parse(">3/1h").unwrap().to_string(), ">3/1h");
    /// assert!(When::parse("> 3 in 1 hour").unwrap_err().contains("the nearest is `>3/1h`"));
    /// ```
    pub fn parse(text: &str) -> Result<When, String> {
        When::read(text).ok_or_else(|| match nearest(text) {
            Some(nearest) => format!("{FORMS}; the nearest is `{nearest}`"),
            None => FORMS.to_owned(),
        })
    }

    fn read(text: &str) -> Option<When> {
        match text.split_once('/') {
            Some(("none", time)) => window(time).map(When::Absent),
            Some(("stalled", time)) => window(time).map(When::Stalled),
            _ => text.parse().ok().and_then(When::of),
        }
    }

    /// The rule of a type in the catalog; none if it counts more than [`COUNT_MAX`].
    #[must_use]
    pub fn of(rule: AlertRule) -> Option<When> {
        match rule.within {
            None => Some(When::Any),
            Some(within) => {
                (rule.more_than <= COUNT_MAX).then_some(When::MoreThan(rule.more_than, within))
            }
        }
    }

    /// Whether it reads events; `stalled` looks at subscriptions.
    #[must_use]
    pub fn reads_events(self) -> bool {
        !matches!(self, When::Stalled(_))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |within: Duration| {
            let rule = AlertRule {
                more_than: 0,
                within: Some(within),
            };
            rule.to_string().trim_start_matches(">0").to_owned()
        };
        match *self {
            When::Any => f.write_str("any"),
            When::MoreThan(count, within) => write!(f, ">{count}{}", time(within)),
            When::Absent(within) => write!(f, "none{}", time(within)),
            When::Stalled(within) => write!(f, "stalled{}", time(within)),
        }
    }
}

impl Serialize for When {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A time such as `1h`: a whole number and one unit.
pub(super) fn window(text: &str) -> Option<Duration> {
    let rule: AlertRule = format!(">0/{text}").parse().ok()?;
    rule.within
}

/// The valid text that was most probably meant.
fn nearest(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let numbers: Vec<(u64, char)> = numbers(&text);
    let time = |at: usize| {
        let (amount, unit) = numbers.get(at)?;
        let unit = if "dhms".contains(*unit) { *unit } else { 'h' };
        Some(format!("{}{unit}", (*amount).max(1)))
    };
    let form = if has(&["stall", "progress", "stuck"]) {
        format!("stalled/{}", time(0).unwrap_or("1h".to_owned()))
    } else if has(&["none", "no ", "absen", "missing"]) {
        format!("none/{}", time(0).unwrap_or("6h".to_owned()))
    } else if let [(count, _), ..] = numbers[..] {
        let count = count.min(u64::from(COUNT_MAX));
        format!(">{count}/{}", time(1).unwrap_or("1h".to_owned()))
    } else if has(&["any", "every", "each", "all", "always"]) {
        "any".to_owned()
    } else {
        return None;
    };
    // Only what would be taken is proposed.
    When::read(&form).map(|_| form)
}

/// The numbers in a text, each with the first letter behind it.
fn numbers(text: &str) -> Vec<(u64, char)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        rest = &rest[start..];
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (digits, behind) = rest.split_at(end);
        let unit = behind.trim_start().chars().next().unwrap_or(' ');
        if let Ok(number) = digits.parse() {
            found.push((number, unit));
        }
        rest = behind;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back_as_it_was_written() {
        for text in ["any", ">3/1h", ">0/90s", "none/6h", "stalled/15m"] {
            assert_eq!(When::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_malformed_rule_names_the_nearest_valid_one() {
        for (given, nearest) in [
            ("Any occurrence", "any"),
            ("> 3 in 1 hour", ">3/1h"),
            (">3/1hour", ">3/1h"),
            ("more than 10 in 5 minutes", ">10/5m"),
            ("none for 6h", "none/6h"),
            ("no progress for 30 min", "stalled/30m"),
            (">5000/1h", ">1000/1h"),
            (">3", ">3/1h"),
        ] {
            let refused = When::parse(given).unwrap_err();
            let tail = format!("the nearest is `{nearest}`");
            assert!(refused.ends_with(&tail), "{given}: {refused}");
        }
        assert_eq!(When::parse("").unwrap_err(), FORMS);
        assert_eq!(When::parse("soon").unwrap_err(), FORMS);
    }
}
