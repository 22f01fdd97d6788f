//! One recorded fact or operator's act, as a row.

use ringrift_events::explain::readable;
use ringrift_events::store::registry::Fact;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::call::Call;
use crate::output::{Cell, Moment, PREVIEW_CHARS, one_line, raw_json};
use crate::resolve::{Names, short};

/// One fact.
#[derive(Debug, Serialize)]
pub(crate) struct FactRow {
    pub(crate) time: Moment,
    pub(crate) code: Option<&'static str>,
    pub(crate) subscription: Option<String>,
    pub(crate) process: Option<String>,
    pub(crate) by: Option<String>,
    pub(crate) act: Option<String>,
    pub(crate) seq: Option<i64>,
    pub(crate) seq_to: Option<i64>,
    pub(crate) evidence: Box<RawValue>,
}

/// The headings of [`FactRow::cells`].
pub(crate) const HEADINGS: &[&str] = &["time", "what", "subscription", "process", "by", "evidence"];

impl FactRow {
    /// The row of a fact.
    pub(crate) fn of(call: &Call, names: &Names, fact: &Fact) -> FactRow {
        let (by, act) = fact.act.clone().unzip();
        FactRow {
            time: call.show(fact.at),
            code: fact.code.map(|code| code.as_str()),
            subscription: fact.subscription.map(|id| names.of_id(id)),
            process: fact.process.map(short),
            by,
            act,
            seq: fact.seq.map(|seq| seq.0),
            seq_to: fact.seq_to.map(|seq| seq.0),
            evidence: raw_json(&fact.evidence),
        }
    }

    /// One row of a table.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let what = self.code.map(str::to_owned).or_else(|| self.act.clone());
        vec![
            self.time.to_string().into(),
            what.unwrap_or_default().into(),
            self.subscription.clone().unwrap_or_default().into(),
            self.process.clone().unwrap_or_default().into(),
            self.by.clone().unwrap_or_default().into(),
            one_line(&readable(self.evidence.get()), PREVIEW_CHARS).into(),
        ]
    }
}
