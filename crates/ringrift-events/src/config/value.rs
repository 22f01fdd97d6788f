//! How a setting's value is read and shown: one text form in the file, the environment and the
//! command line.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::log::Level;
use crate::store::log::Durability;

/// A size in bytes, written `64 MiB`, `1 GiB`, `500 B` or as a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// The log's level, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLevel(pub Level);

/// A value that can stand in a setting.
pub(super) trait Value: Clone + PartialEq {
    /// The unit as `config show` names it; empty for plain numbers and words.
    const UNIT: &'static str;

    /// What a text must look like.
    const FORM: &'static str;

    /// The value of this text.
    fn read(text: &str) -> Option<Self>;

    /// The text that reads back as this value.
    fn text(&self) -> String;

    /// What limits compare; 0 where there can be none.
    fn amount(&self) -> u64 {
        0
    }
}

const TIMES: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

const SIZES: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// A whole number, grouped by `_` if one likes, and the unit behind it.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let number = text[..end].replace('_', "").parse().ok()?;
    Some((number, text[end..].trim_start()))
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = split(text)?;
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*size)
}

fn in_units(amount: u64, units: &[(&'static str, u64)], space: &str, zero: &str) -> String {
    let whole = units
        .iter()
        .find(|(_, size)| amount >= *size && amount.is_multiple_of(*size));
    match whole {
        Some((unit, size)) => format!("{}{space}{unit}", amount / size),
        None => format!("0{space}{zero}"),
    }
}

impl Value for Duration {
    const UNIT: &'static str = "time";
    const FORM: &'static str = "a time such as `500ms`, `30s`, `5m`, `24h` or `7d`";

    fn read(text: &str) -> Option<Duration> {
        scaled(text, &TIMES).map(Duration::from_millis)
    }

    fn text(&self) -> String {
        in_units(self.amount(), &TIMES, "", "s")
    }

    fn amount(&self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Value for Bytes {
    const UNIT: &'static str = "bytes";
    const FORM: &'static str = "a size such as `64 MiB`, `1 GiB` or a number of bytes";

    fn read(text: &str) -> Option<Bytes> {
        let plain = split(text).filter(|(_, unit)| unit.is_empty());
        plain
            .map(|(number, _)| number)
            .or_else(|| scaled(text, &SIZES))
            .map(Bytes)
    }

    fn text(&self) -> String {
        in_units(self.0, &SIZES, " ", "B")
    }

    fn amount(&self) -> u64 {
        self.0
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl Value for u64 {
    const UNIT: &'static str = "";
    const FORM: &'static str = "a whole number";

    fn read(text: &str) -> Option<u64> {
        split(text)
            .filter(|(_, unit)| unit.is_empty())
            .map(|(number, _)| number)
    }

    fn text(&self) -> String {
        self.to_string()
    }

    fn amount(&self) -> u64 {
        *self
    }
}

impl Value for u32 {
    const UNIT: &'static str = "";
    const FORM: &'static str = <u64 as Value>::FORM;

    fn read(text: &str) -> Option<u32> {
        <u64 as Value>::read(text)?.try_into().ok()
    }

    fn text(&self) -> String {
        self.to_string()
    }

    fn amount(&self) -> u64 {
        u64::from(*self)
    }
}

impl Value for usize {
    const UNIT: &'static str = "";
    const FORM: &'static str = <u64 as Value>::FORM;

    fn read(text: &str) -> Option<usize> {
        <u64 as Value>::read(text)?.try_into().ok()
    }

    fn text(&self) -> String {
        self.to_string()
    }

    fn amount(&self) -> u64 {
        u64::try_from(*self).unwrap_or(u64::MAX)
    }
}

impl Value for Durability {
    const UNIT: &'static str = "";
    const FORM: &'static str = "`process` or `power`";

    fn read(text: &str) -> Option<Durability> {
        match text {
            "process" => Some(Durability::Process),
            "power" => Some(Durability::Power),
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Durability::Process => "process".to_owned(),
            Durability::Power => "power".to_owned(),
        }
    }
}

impl Value for LogLevel {
    const UNIT: &'static str = "";
    const FORM: &'static str = "`debug`, `info`, `warn` or `error`";

    fn read(text: &str) -> Option<LogLevel> {
        Level::parse(text).map(LogLevel)
    }

    fn text(&self) -> String {
        self.0.as_str().to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads<V: Value + fmt::Debug>(text: &str, value: &V, shown: &str) {
        assert_eq!(V::read(text).as_ref(), Some(value), "{text}");
        assert_eq!(value.text(), shown);
        assert_eq!(V::read(shown).as_ref(), Some(value), "{shown}");
    }

    #[test]
    fn values_are_shown_as_they_are_read() {
        reads("60s", &Duration::from_secs(60), "1m");
        reads("1500 ms", &Duration::from_millis(1_500), "1500ms");
        reads("0s", &Duration::ZERO, "0s");
        reads("7d", &Duration::from_secs(7 * 86_400), "7d");
        reads("65_536", &Bytes(65_536), "64 KiB");
        reads("10 GiB", &Bytes(10 << 30), "10 GiB");
        reads("0", &Bytes(0), "0 B");
        reads("50_000_000", &50_000_000_u64, "50000000");
        reads("power", &Durability::Power, "power");
        reads("WARN", &LogLevel(Level::Warn), "warn");
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        for text in [
            "30",
            "",
            "s",
            "-1s",
            "1.5s",
            "1 fortnight",
            "5 M",
            "99999999999999999999s",
        ] {
            assert_eq!(<Duration as Value>::read(text), None, "{text}");
        }
        for text in ["64 MB", "64M", "-1", "1e3"] {
            assert_eq!(<Bytes as Value>::read(text), None, "{text}");
        }
        assert_eq!(<u32 as Value>::read("4294967296"), None);
    }
}
