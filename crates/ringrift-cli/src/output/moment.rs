//! Times as people and scripts read them.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ringrift_events::clock::Time;
use serde::{Serialize, Serializer};

/// The time zone that a command speaks in: the machine's, or UTC with `--utc`.
#[derive(Clone, Debug)]
pub(crate) struct Zone(TimeZone);

impl Zone {
    /// The machine's zone (`TZ`, else the system's setting).
    pub(crate) fn local() -> Zone {
        Zone(TimeZone::system())
    }

    /// Coordinated universal time.
    pub(crate) fn utc() -> Zone {
        Zone(TimeZone::UTC)
    }

    /// The zone itself, for reading civil dates.
    pub(crate) fn rules(&self) -> &TimeZone {
        &self.0
    }

    /// `time` as this zone shows it.
    pub(crate) fn show(&self, time: Time) -> Moment {
        Moment {
            time,
            zone: self.clone(),
        }
    }

    /// A sentence of the library with its times as this zone shows them: there they are written
    /// `2026-11-23 13:30:00.123 UTC`.
    pub(crate) fn told(&self, sentence: &str) -> String {
        let mut told = String::with_capacity(sentence.len());
        let mut rest = sentence;
        while let Some(end) = rest.find(UTC) {
            let (before, after) = rest.split_at(end);
            let start = end.checked_sub(UTC_TEXT_LEN);
            let time = start.and_then(|start| Time::from_sql(before.get(start..)?));
            match (start, time) {
                (Some(start), Some(time)) => {
                    told.push_str(&before[..start]);
                    told.push_str(&self.show(time).to_string());
                }
                _ => {
                    told.push_str(before);
                    told.push_str(UTC);
                }
            }
            rest = &after[UTC.len()..];
        }
        told.push_str(rest);
        told
    }
}

/// What follows a time in a sentence of the library.
const UTC: &str = " UTC";

/// The length of [`Time::to_sql`]'s form.
const UTC_TEXT_LEN: usize = "2026-11-23 13:30:00.123".len();

/// One moment: `2026-11-23 14:30:00.123+01:00` in text, in the zone of the call and with its
/// offset; in JSON always UTC, `2026-11-23T13:30:00.123456Z`, so that answers of several machines
/// compare as text.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    time: Time,
    zone: Zone,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_microsecond(self.time.0) {
            Ok(timestamp) => {
                let zoned = timestamp.to_zoned(self.zone.0.clone());
                write!(f, "{}", zoned.strftime("%Y-%m-%d %H:%M:%S.%3f%:z"))
            }
            Err(_) => write!(f, "{} µs", self.time.0),
        }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.time.to_rfc3339())
    }
}

/// A duration in the two largest units that matter: `850 ms`, `12.3 s`, `4 min 10 s`, `3 d 2 h`.
pub(crate) fn duration_text(duration: Duration) -> String {
    let ms = duration.as_millis();
    let s = duration.as_secs();
    match s {
        0 if ms == 0 && duration.as_micros() > 0 => format!("{} µs", duration.as_micros()),
        0 => format!("{ms} ms"),
        1..60 => format!("{}.{} s", s, ms % 1_000 / 100),
        60..3_600 => format!("{} min {} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_carries_its_offset_in_text_and_is_utc_in_json() {
        let zone = Zone(TimeZone::fixed(jiff::tz::offset(1)));
        let moment = zone.show(Time(1_700_000_000_123_456));
        assert_eq!(moment.to_string(), "2023-11-14 23:13:20.123+01:00");
        assert_eq!(
            serde_json::to_string(&moment).expect("json"),
            "\"2023-11-14T22:13:20.123456Z\""
        );
        assert_eq!(
            Zone::utc().show(Time(1_700_000_000_123_456)).to_string(),
            "2023-11-14 22:13:20.123+00:00"
        );
    }

    #[test]
    fn times_in_a_sentence_are_shown_in_the_zone() {
        let zone = Zone(TimeZone::fixed(jiff::tz::offset(1)));
        let cases = [
            (
                "since 2023-11-14 22:13:20.123 UTC, until 2023-11-14 23:13:20.000 UTC.",
                "since 2023-11-14 23:13:20.123+01:00, until 2023-11-15 00:13:20.000+01:00.",
            ),
            ("no time: UTC", "no time: UTC"),
            (
                "é2023-11-14 22:13:20.123 UTC UTC",
                "é2023-11-14 23:13:20.123+01:00 UTC",
            ),
            ("ééééééééééééééé UTC", "ééééééééééééééé UTC"),
        ];
        for (said, shown) in cases {
            assert_eq!(zone.told(said), shown);
        }
    }

    #[test]
    fn a_time_outside_the_calendar_is_shown_as_a_number() {
        assert!(
            Zone::utc()
                .show(Time(i64::MAX))
                .to_string()
                .ends_with(" µs")
        );
    }

    #[test]
    fn durations_keep_two_units() {
        let texts = [0, 850, 12_345, 250_000, 7_500_000, 266_400_000]
            .map(|ms| duration_text(Duration::from_millis(ms)));
        assert_eq!(
            texts,
            [
                "0 ms",
                "850 ms",
                "12.3 s",
                "4 min 10 s",
                "2 h 5 min",
                "3 d 2 h"
            ]
        );
    }
}
