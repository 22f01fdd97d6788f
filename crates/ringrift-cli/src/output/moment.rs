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
}

/// One moment in one zone: `2026-11-23 14:30:00.123+01:00` in text, RFC 3339 with microseconds in
/// JSON. Both always carry the offset.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    time: Time,
    zone: Zone,
}

impl Moment {
    fn format(&self, pattern: &str) -> String {
        match Timestamp::from_microsecond(self.time.0) {
            Ok(timestamp) => timestamp
                .to_zoned(self.zone.0.clone())
                .strftime(pattern)
                .to_string(),
            Err(_) => format!("{} µs", self.time.0),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("%Y-%m-%d %H:%M:%S.%3f%:z"))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.format("%Y-%m-%dT%H:%M:%S.%6f%:z"))
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
    fn a_moment_carries_its_offset_in_text_and_in_json() {
        let zone = Zone(TimeZone::fixed(jiff::tz::offset(1)));
        let moment = zone.show(Time(1_700_000_000_123_456));
        assert_eq!(moment.to_string(), "2023-11-14 23:13:20.123+01:00");
        assert_eq!(
            serde_json::to_string(&moment).expect("json"),
            "\"2023-11-14T23:13:20.123456+01:00\""
        );
        assert_eq!(
            Zone::utc().show(Time(1_700_000_000_123_456)).to_string(),
            "2023-11-14 22:13:20.123+00:00"
        );
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
