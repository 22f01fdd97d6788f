//! Series as data, and their text in the OpenMetrics form.

use std::fmt::Write as _;

use serde::Serialize;

/// The content type of [`text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a family's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only grows while its exporter lives; its samples end with `_total`.
    Counter,
    /// Counts of values by upper bound, cumulative.
    Histogram,
}

/// The numbers of one name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Family {
    /// Its name, without the suffixes of its samples; it ends with the unit if there is one.
    pub name: String,
    /// What its numbers are.
    pub kind: Kind,
    /// The unit: `seconds`, `bytes`, or empty.
    pub unit: &'static str,
    /// One sentence.
    pub help: String,
    /// Its numbers.
    pub samples: Vec<Sample>,
}

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// `_total`, `_bucket`, `_sum`, `_count` or nothing.
    pub suffix: &'static str,
    /// Names and values; the names are ours, the values anything.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: f64,
}

impl Family {
    /// A family without numbers yet.
    #[must_use]
    pub fn new(name: &str, kind: Kind, unit: &'static str, help: &str) -> Family {
        Family {
            name: name.to_owned(),
            kind,
            unit,
            help: help.to_owned(),
            samples: Vec::new(),
        }
    }

    /// One number more, with these labels.
    pub fn add(&mut self, labels: &[(&'static str, &str)], value: f64) {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.push(suffix, labels, value);
    }

    /// One histogram more: `counts` by the upper bounds of `bounds`, the last without one.
    pub fn add_histogram(
        &mut self,
        labels: &[(&'static str, &str)],
        bounds: &[f64],
        counts: &[u64],
        sum: f64,
    ) {
        let mut below = 0;
        for (at, count) in counts.iter().enumerate() {
            below += count;
            let bound = bounds
                .get(at)
                .map_or("+Inf".to_owned(), |bound| number(*bound));
            let mut with = labels.to_vec();
            with.push(("le", &bound));
            self.push("_bucket", &with, float(below));
        }
        self.push("_sum", labels, sum);
        self.push("_count", labels, float(below));
    }

    fn push(&mut self, suffix: &'static str, labels: &[(&'static str, &str)], value: f64) {
        let labels = labels
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        self.samples.push(Sample {
            suffix,
            labels: labels.collect(),
            value,
        });
    }
}

/// A count as a number of a series.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "series are doubles; counts beyond 2^53 are rounded by every reader"
)]
pub fn float(count: u64) -> f64 {
    count as f64
}

/// The families in the OpenMetrics text form, ended by `# EOF`. Families without numbers are left
/// out.
#[must_use]
pub fn text(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|one| !one.samples.is_empty()) {
        let name = &family.name;
        let kind = match family.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        line(&mut text, format_args!("# TYPE {name} {kind}"));
        if !family.unit.is_empty() {
            line(&mut text, format_args!("# UNIT {name} {}", family.unit));
        }
        line(
            &mut text,
            format_args!("# HELP {name} {}", escaped(&family.help)),
        );
        for sample in &family.samples {
            let labels = labels(&sample.labels);
            let value = number(sample.value);
            line(
                &mut text,
                format_args!("{name}{}{labels} {value}", sample.suffix),
            );
        }
    }
    text.push_str("# EOF\n");
    text
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _written = text.write_fmt(what);
    text.push('\n');
}

fn labels(labels: &[(&'static str, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

/// Backslash, quote and line feed are what would end a value early.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    // Bounds of histograms are to be floats in text: `1.0`, never `1`.
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_every_kind_and_ends() {
        let mut gauge = Family::new(
            "ringrift_lag_seconds",
            Kind::Gauge,
            "seconds",
            "How far behind.",
        );
        gauge.add(&[("subscription", "a\\b \"c\"\nd")], 1.5);
        let mut counter = Family::new("ringrift_events", Kind::Counter, "", "Events.");
        counter.add(&[], 7.0);
        let mut histogram =
            Family::new("ringrift_took_seconds", Kind::Histogram, "seconds", "Runs.");
        histogram.add_histogram(&[], &[0.1, 1.0], &[2, 0, 1], 4.25);
        let empty = Family::new("ringrift_none", Kind::Gauge, "", "Nothing.");
        assert_eq!(
            text(&[gauge, counter, histogram, empty]),
            "# TYPE ringrift_lag_seconds gauge\n\
             # UNIT ringrift_lag_seconds seconds\n\
             # HELP ringrift_lag_seconds How far behind.\n\
             ringrift_lag_seconds{subscription=\"a\\\\b \\\"c\\\"\\nd\"} 1.5\n\
             # TYPE ringrift_events counter\n\
             # HELP ringrift_events Events.\n\
             ringrift_events_total 7.0\n\
             # TYPE ringrift_took_seconds histogram\n\
             # UNIT ringrift_took_seconds seconds\n\
             # HELP ringrift_took_seconds Runs.\n\
             ringrift_took_seconds_bucket{le=\"0.1\"} 2.0\n\
             ringrift_took_seconds_bucket{le=\"1.0\"} 2.0\n\
             ringrift_took_seconds_bucket{le=\"+Inf\"} 3.0\n\
             ringrift_took_seconds_sum 4.25\n\
             ringrift_took_seconds_count 3.0\n\
             # EOF\n"
        );
    }
}
