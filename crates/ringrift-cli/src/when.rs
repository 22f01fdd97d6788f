//! Reading times and durations as people write them.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Span, Timestamp};
use ringrift_events::clock::Time;

use crate::failure::Error;
use crate::output::Zone;

/// A duration such as `500ms`, `90s`, `15m`, `1h`, `7d`, `1h30m`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, Error> {
    let refused = || Error::Duration {
        value: text.to_owned(),
    };
    let trimmed = text.trim();
    if let Ok(seconds) = trimmed.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| refused());
    }
    let span: Span = trimmed.parse().map_err(|_| refused())?;
    // A day is 24 hours here: how long a day was in some zone is not what `7d` asks.
    let signed = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|_| refused())?;
    Duration::try_from(signed).map_err(|_| refused())
}

/// For clap: a duration option.
pub(crate) fn duration_option(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|error| format!("{error}; use 500ms, 90s, 15m, 1h or 7d"))
}

/// A moment: a duration back from `now` (`1h`), a date or a date and time in `zone`
/// (`2026-11-23`, `2026-11-23 14:30`), or one with an offset (`2026-11-23T14:30:00+01:00`).
pub(crate) fn moment(text: &str, now: Time, zone: &Zone) -> Result<Time, Error> {
    let trimmed = text.trim();
    let refused = |why: String| Error::Time {
        value: text.to_owned(),
        why,
    };
    if let Ok(timestamp) = trimmed.parse::<Timestamp>() {
        return Ok(Time(timestamp.as_microsecond()));
    }
    if trimmed.contains('-') {
        let civil = civil(trimmed).map_err(|error| refused(error.to_string()))?;
        let zoned = civil
            .to_zoned(zone.rules().clone())
            .map_err(|error| refused(error.to_string()))?;
        return Ok(Time(zoned.timestamp().as_microsecond()));
    }
    match trimmed {
        "now" => return Ok(now),
        "today" => return Ok(today(now, zone, SignedDuration::ZERO)),
        "yesterday" => return Ok(today(now, zone, SignedDuration::from_hours(24))),
        _ => {}
    }
    let back = duration(trimmed)
        .map_err(|_| refused("it is neither a duration back from now nor a date".to_owned()))?;
    Ok(now.before(back))
}

fn civil(text: &str) -> Result<DateTime, jiff::Error> {
    match text.parse::<DateTime>() {
        Ok(moment) => Ok(moment),
        Err(first) => match text.parse::<Date>() {
            Ok(date) => Ok(date.at(0, 0, 0, 0)),
            Err(_) => Err(first),
        },
    }
}

/// The start of the day that was `back` before `now`.
fn today(now: Time, zone: &Zone, back: SignedDuration) -> Time {
    let start = Timestamp::from_microsecond(now.0)
        .and_then(|timestamp| timestamp.checked_sub(back))
        .map(|timestamp| timestamp.to_zoned(zone.rules().clone()))
        .and_then(|zoned| zoned.start_of_day());
    match start {
        Ok(zoned) => Time(zoned.timestamp().as_microsecond()),
        Err(_) => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_700_000_000_000_000);

    fn seconds(text: &str) -> i64 {
        moment(text, NOW, &Zone::utc()).expect(text).0 / 1_000_000
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        let read = |text| duration(text).map(|duration| duration.as_millis()).ok();
        assert_eq!(read("500ms"), Some(500));
        assert_eq!(read("90s"), Some(90_000));
        assert_eq!(read("1h30m"), Some(5_400_000));
        assert_eq!(read("7d"), Some(604_800_000));
        assert_eq!(read("2.5"), Some(2_500));
        assert_eq!(read("5 min"), Some(300_000));
        assert_eq!(read("-3s"), None);
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn moments_are_durations_back_or_dates() {
        assert_eq!(seconds("1h"), 1_700_000_000 - 3_600);
        assert_eq!(seconds("2023-11-14"), 1_699_920_000);
        assert_eq!(seconds("2023-11-14 22:13"), 1_699_999_980);
        assert_eq!(seconds("2023-11-14T23:13:20+01:00"), 1_700_000_000);
        assert_eq!(seconds("2023-11-14T22:13:20Z"), 1_700_000_000);
        assert_eq!(seconds("today"), 1_699_920_000);
        assert_eq!(seconds("yesterday"), 1_699_833_600);
    }

    #[test]
    fn nonsense_is_refused_with_its_value() {
        for text in ["", "soon", "2023-13-45", "-5s"] {
            assert!(moment(text, NOW, &Zone::utc()).is_err(), "{text:?}");
        }
    }
}
