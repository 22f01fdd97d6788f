//! What `ringrift doctor --json` answers.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::scene::Scene;

/// One look of the doctor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diagnosis {
    /// Each as it is printed.
    pub(crate) findings: Vec<Value>,
}

impl Diagnosis {
    /// Asks for it. Fails if the command does.
    pub(crate) fn of(scene: &Scene) -> Diagnosis {
        let answer = scene.answer(&["doctor", "--since", "1h"], &[0, 1]);
        let findings = answer["data"]["findings"]
            .as_array()
            .unwrap_or_else(|| panic!("no findings in {answer}"));
        Diagnosis {
            findings: findings.clone(),
        }
    }

    /// The causes that are named.
    pub(crate) fn causes(&self) -> BTreeSet<String> {
        self.findings
            .iter()
            .filter_map(|finding| finding["cause"].as_str())
            .map(str::to_owned)
            .collect()
    }

    /// Which of these texts this cause's findings hold neither as their subject nor in their
    /// evidence.
    pub(crate) fn missing(&self, slug: &str, at_fault: &[String]) -> Vec<String> {
        let evidence: Vec<String> = self
            .with_cause(slug)
            .map(|finding| format!("{} {}", finding["subject"], finding["evidence"]))
            .collect();
        at_fault
            .iter()
            .filter(|text| !evidence.iter().any(|evidence| evidence.contains(*text)))
            .cloned()
            .collect()
    }

    /// The findings of one cause, for those who read why a run failed.
    pub(crate) fn text_of(&self, slug: &str) -> String {
        self.with_cause(slug)
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn with_cause<'a>(&'a self, slug: &'a str) -> impl Iterator<Item = &'a Value> {
        self.findings
            .iter()
            .filter(move |finding| finding["cause"] == slug)
    }
}
