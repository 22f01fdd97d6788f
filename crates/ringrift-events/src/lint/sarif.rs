//! Findings as SARIF 2.1.0, for tools that show them beside the code.

use serde_json::{Value, json};

use super::finding::{Class, Finding};
use super::look::Linted;
use super::sources::Place;

/// The format's schema, by which a reader may check the file.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The findings as one SARIF log of one run. What a baseline accepts is `unchanged`, what it holds
/// and no longer occurs is `absent`; without a baseline no state is said.
#[must_use]
pub fn sarif(linted: &Linted, with_baseline: bool) -> Value {
    let mut results: Vec<Value> = linted
        .findings
        .iter()
        .map(|finding| result(finding, with_baseline))
        .collect();
    results.extend(linted.stale.iter().filter_map(|entry| absent(entry)));
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "ringrift lint",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": Class::ALL.map(rule),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(class: Class) -> Value {
    json!({
        "id": class.as_str(),
        "shortDescription": { "text": class.meaning() },
        "defaultConfiguration": { "level": class.severity().as_str() },
    })
}

fn index(class: Class) -> usize {
    let found = Class::ALL.iter().position(|one| *one == class);
    found.unwrap_or_default()
}

fn result(finding: &Finding, with_baseline: bool) -> Value {
    let mut result = json!({
        "ruleId": finding.class.as_str(),
        "ruleIndex": index(finding.class),
        "level": finding.severity.as_str(),
        "message": { "text": format!("{}. Next: {}", finding.message, finding.next) },
        "locations": locations(&finding.name, &finding.places),
        "partialFingerprints": { "entry/v1": finding.entry() },
        "properties": { "partner": finding.partner, "evidence": finding.evidence },
    });
    if with_baseline {
        let state = if finding.accepted { "unchanged" } else { "new" };
        result["baselineState"] = json!(state);
    }
    result
}

/// What the baseline holds and nobody found any more.
fn absent(entry: &str) -> Option<Value> {
    let (class, names) = entry.split_once(' ')?;
    let class = Class::parse(class)?;
    Some(json!({
        "ruleId": class.as_str(),
        "ruleIndex": index(class),
        "level": "warning",
        "message": { "text": format!("The baseline still accepts `{entry}`, which no longer occurs: remove it.") },
        "locations": locations(names, &[]),
        "partialFingerprints": { "entry/v1": entry },
        "baselineState": "absent",
    }))
}

/// The places in sources; of what was only seen at run time, the name alone.
fn locations(name: &str, places: &[Place]) -> Vec<Value> {
    let logical = json!([{ "name": name, "kind": "type" }]);
    if places.is_empty() {
        return vec![json!({ "logicalLocations": logical })];
    }
    let physical = |place: &Place| {
        json!({
            "physicalLocation": {
                "artifactLocation": { "uri": uri(&place.file) },
                "region": { "startLine": place.line },
            },
            "logicalLocations": logical,
        })
    };
    places.iter().map(physical).collect()
}

/// A relative path as a URI reference: with `/`, and with what a URI cannot hold escaped.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.replace('\\', "/").bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_uri() {
        assert_eq!(uri("src/a b/ü.py"), "src/a%20b/%C3%BC.py");
    }
}
