//! Bounded, harmless excerpts: one row with a huge payload must not kill a page, and a payload
//! must not command the terminal that shows it.

use serde_json::value::RawValue;

/// Characters of a payload or an error that a table shows.
pub(crate) const PREVIEW_CHARS: usize = 60;

/// The text on one line, at most `chars` characters, control characters replaced; what was left
/// out is counted.
pub(crate) fn one_line(text: &str, chars: usize) -> String {
    let mut shown = String::new();
    for (place, c) in text.chars().enumerate() {
        if place == chars {
            let rest = text.len() - text.char_indices().nth(chars).map_or(0, |(at, _)| at);
            shown.push_str(&format!("… (+{})", bytes_text(rest as u64)));
            break;
        }
        shown.push(if c.is_control() { ' ' } else { c });
    }
    shown
}

/// The text with every control character but newline and tab made visible.
pub(crate) fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// `1 event`, `2 events`.
pub(crate) fn count_text(count: u64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// `1023 B`, `4.0 KiB`, `1.2 GiB`.
pub(crate) fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes * 10 / 1_024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1_024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A payload for JSON output: its own text, so that no number loses digits, on one line.
///
/// A line break in valid JSON can only be white space between tokens, so a blank takes its place.
/// Text that is no JSON (a foreign writer's) becomes a string.
pub(crate) fn raw_json(text: &str) -> Box<RawValue> {
    let line = text.replace(['\n', '\r'], " ");
    RawValue::from_string(line)
        .or_else(|_| serde_json::value::to_raw_value(text))
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_bounded_and_says_how_much_is_missing() {
        assert_eq!(one_line("short", 10), "short");
        assert_eq!(one_line(&"é".repeat(3_000), 3), "ééé… (+5.8 KiB)");
    }

    #[test]
    fn a_preview_commands_no_terminal() {
        assert_eq!(one_line("a\u{1b}[2Jb\nc", 20), "a [2Jb c");
        assert_eq!(visible("a\u{1b}[2J\nb"), "a\u{fffd}[2J\nb");
    }

    #[test]
    fn payload_digits_survive_json_output() {
        let raw = raw_json("{\"n\": 12345678901234567890123,\n \"x\": 1.10}");
        assert_eq!(raw.get(), "{\"n\": 12345678901234567890123,  \"x\": 1.10}");
    }

    #[test]
    fn text_that_is_no_json_becomes_a_string() {
        assert_eq!(raw_json("not json").get(), "\"not json\"");
    }

    #[test]
    fn sizes_have_one_decimal() {
        assert_eq!(bytes_text(1_023), "1023 B");
        assert_eq!(bytes_text(1_048_576), "1.0 MiB");
        assert_eq!(bytes_text(10 << 30), "10.0 GiB");
    }
}
