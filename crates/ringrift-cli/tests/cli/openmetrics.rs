//! A strict reader of the OpenMetrics text form: whatever its grammar does not allow is an error.

use std::collections::{BTreeMap, BTreeSet};

/// The numbers of a text, by name with suffix and labels as they stand: `x_total{a="b"}`.
pub(crate) type Samples = BTreeMap<String, f64>;

/// Reads a whole text, or says what is wrong with it.
pub(crate) fn read(text: &str) -> Result<Samples, String> {
    let body = text
        .strip_suffix("# EOF\n")
        .ok_or("the text does not end with `# EOF` and a line feed")?;
    if body.contains('\r') || body.contains("# EOF") {
        return Err("a carriage return, or an end before the end".to_owned());
    }
    let mut reader = Reader::default();
    for line in body.lines() {
        reader.line(line).map_err(|why| format!("{why}: {line}"))?;
    }
    reader.finish_family()?;
    Ok(reader.samples)
}

#[derive(Default)]
struct Reader {
    family: Option<Family>,
    done: BTreeSet<String>,
    samples: Samples,
}

struct Family {
    name: String,
    kind: String,
    samples: usize,
    help: bool,
    /// Of histograms: labels without `le`, and the bounds and counts met.
    buckets: BTreeMap<String, Vec<(f64, f64)>>,
    counts: BTreeMap<String, f64>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() {
            return Err("an empty line".to_owned());
        }
        match line.strip_prefix("# ") {
            Some(described) => self.describe(described),
            None if line.starts_with('#') => Err("a comment is not allowed".to_owned()),
            None => self.sample(line),
        }
    }

    fn describe(&mut self, described: &str) -> Result<(), String> {
        let mut parts = described.splitn(3, ' ');
        let (what, name) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let rest = parts.next().ok_or("no text")?;
        if what == "TYPE" {
            self.finish_family()?;
            if !is_name(name) || !self.done.insert(name.to_owned()) {
                return Err(format!("{name} is no name, or comes twice"));
            }
            if !["gauge", "counter", "histogram"].contains(&rest) {
                return Err(format!("{rest} is no type of ours"));
            }
            self.family = Some(Family {
                name: name.to_owned(),
                kind: rest.to_owned(),
                samples: 0,
                help: false,
                buckets: BTreeMap::new(),
                counts: BTreeMap::new(),
            });
            return Ok(());
        }
        let family = self.family.as_mut().ok_or("before its TYPE")?;
        if family.name != name || family.samples > 0 {
            return Err("not between its TYPE and its samples".to_owned());
        }
        match what {
            "UNIT" if name.ends_with(&format!("_{rest}")) => Ok(()),
            "HELP" if !family.help => {
                family.help = true;
                unescaped(rest).map(drop)
            }
            other => Err(format!("{other} is not allowed here")),
        }
    }

    fn sample(&mut self, line: &str) -> Result<(), String> {
        let family = self.family.as_mut().ok_or("a sample without a TYPE")?;
        let end = line.find(['{', ' ']).ok_or("no value")?;
        let suffix = line[..end]
            .strip_prefix(family.name.as_str())
            .ok_or("a sample of another family")?
            .to_owned();
        let allowed: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        if !allowed.contains(&suffix.as_str()) {
            return Err(format!("suffix {suffix:?} of a {}", family.kind));
        }
        let (labels, value) = split_labels(&line[end..])?;
        let number = number(value)?;
        if family.kind != "gauge" && (number < 0.0 || number.is_nan()) {
            return Err("a count below zero".to_owned());
        }
        family.samples += 1;
        let bound = labels.iter().find(|(name, _)| name == "le");
        let others: Vec<String> = labels
            .iter()
            .filter(|(name, _)| name != "le")
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        let others = others.join(",");
        match (suffix.as_str(), bound) {
            ("_bucket", Some((_, bound))) => {
                let bound = self::number(bound)?;
                family
                    .buckets
                    .entry(others)
                    .or_default()
                    .push((bound, number));
            }
            ("_bucket", None) | (_, Some(_)) => return Err("`le` is for buckets".to_owned()),
            ("_count", None) => {
                family.counts.insert(others, number);
            }
            _ => {}
        }
        let shown = line[..line.len() - value.len() - 1].to_owned();
        match self.samples.insert(shown, number) {
            None => Ok(()),
            Some(_) => Err("the same series twice".to_owned()),
        }
    }

    fn finish_family(&mut self) -> Result<(), String> {
        let Some(family) = self.family.take() else {
            return Ok(());
        };
        if family.samples == 0 || !family.help {
            return Err(format!("{} has no samples or no help", family.name));
        }
        for (labels, buckets) in &family.buckets {
            let ordered = buckets
                .windows(2)
                .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
            let last = buckets.last().copied().unwrap_or_default();
            if !ordered || !last.0.is_infinite() {
                return Err(format!("{}{{{labels}}}: buckets out of order", family.name));
            }
            if family.counts.get(labels) != Some(&last.1) {
                return Err(format!(
                    "{}{{{labels}}}: _count is not its last bucket",
                    family.name
                ));
            }
        }
        Ok(())
    }
}

type Labels = Vec<(String, String)>;

/// `{a="b",c="d"} value` or ` value`.
fn split_labels(rest: &str) -> Result<(Labels, &str), String> {
    if let Some(value) = rest.strip_prefix(' ') {
        return Ok((Vec::new(), value));
    }
    let mut rest = rest.strip_prefix('{').ok_or("no labels")?;
    let mut labels: Labels = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        if !is_name(name) || labels.iter().any(|(known, _)| known == name) {
            return Err(format!("{name} is no label, or comes twice"));
        }
        let end = end_of_value(after).ok_or("a value without an end")?;
        labels.push((name.to_owned(), unescaped(&after[..end])?));
        rest = &after[end + 1..];
        if let Some(value) = rest.strip_prefix("} ") {
            return Ok((labels, value));
        }
        rest = rest.strip_prefix(',').ok_or("no comma between labels")?;
    }
}

fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at),
            _ => {}
        }
    }
    None
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                Some(c @ ('\\' | '"')) => plain.push(c),
                other => return Err(format!("\\{other:?} is no escape")),
            },
            c => plain.push(c),
        }
    }
    Ok(plain)
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A number as the form allows it; no time may follow.
fn number(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        text if text.bytes().all(|b| b"0123456789+-.eE".contains(&b)) => {
            text.parse().map_err(|_| format!("{text:?} is no number"))
        }
        text => Err(format!("{text:?} is no number")),
    }
}

#[test]
fn what_is_not_the_form_is_refused() {
    let good = "# TYPE a counter\n# HELP a Of b.\na_total{b=\"c\\\"\"} 1.0\n# EOF\n";
    assert_eq!(read(good).expect("good").len(), 1);
    for bad in [
        "",
        "# EOF",
        "# TYPE a gauge\n# HELP a x\n# EOF\n",
        "a 1.0\n# EOF\n",
        &good.replace("a_total", "a"),
        &good.replace("# HELP a Of b.\n", ""),
        &good.replace("1.0", "one"),
        &good.replace("1.0", "-1.0"),
        &good.replace("1.0", "1.0 1700000000"),
        &good.replace("\\\"", "\\x"),
        &good.replace("b=", "9b="),
        &good.replace("\n# EOF", "\n\n# EOF"),
        &good.replace("# EOF", "a_total{b=\"c\\\"\"} 2.0\n# EOF"),
        &good.replace("# EOF", "# TYPE a gauge\n# HELP a x\na 1.0\n# EOF"),
        "# TYPE h histogram\n# HELP h x\nh_bucket{le=\"1.0\"} 2.0\nh_bucket{le=\"+Inf\"} 1.0\nh_sum 1.0\nh_count 1.0\n# EOF\n",
        "# TYPE h histogram\n# HELP h x\nh_bucket{le=\"1.0\"} 2.0\nh_sum 1.0\nh_count 2.0\n# EOF\n",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}
