//! Whether a filter takes a payload.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::syntax::{Comparison, Filter, Node, Operator};
use crate::event::Payload;

impl Filter {
    /// Whether the filter takes this payload. Stops at the first part that decides.
    ///
    /// ```
    /// use ringrift_events::catalog::{filter::Filter, payload};
    /// let filter = Filter::parse("model.elo__gte = 1900")?;
    /// assert!(filter.evaluate(&payload::check(br#"{"model":{"elo":1900.5}}"#)?));
    /// assert!(!filter.evaluate(&payload::check(br#"{"model":{"elo":"high"}}"#)?));
    /// # Ok::<(), ringrift_events::catalog::Error>(())
    /// ```
    #[must_use]
    pub fn evaluate(&self, payload: &Payload) -> bool {
        self.root.evaluate(payload.fields())
    }
}

impl Node {
    fn evaluate(&self, fields: &Map<String, Value>) -> bool {
        match self {
            Node::And(parts) => parts.iter().all(|part| part.evaluate(fields)),
            Node::Or(parts) => parts.iter().any(|part| part.evaluate(fields)),
            Node::Not(part) => !part.evaluate(fields),
            Node::Compare(comparison) => comparison.judge(fields).is_true(),
        }
    }
}

/// What a comparison came to. Only [`Judged::True`] is true; the others say why not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Judged<'v> {
    True(Option<&'v Value>),
    False(Option<&'v Value>),
    /// The first `usize` names of the path led somewhere, the next one did not.
    Missing(usize),
    Mistyped(&'v Value),
}

impl Judged<'_> {
    pub(super) fn is_true(self) -> bool {
        matches!(self, Judged::True(_))
    }
}

impl Comparison {
    pub(super) fn judge<'v>(&self, fields: &'v Map<String, Value>) -> Judged<'v> {
        let found = self.find(fields);
        if self.operator == Operator::Exists {
            let holds = Value::Bool(found.is_ok()) == self.expected;
            return verdict(found.ok(), holds);
        }
        match found {
            Err(depth) => Judged::Missing(depth),
            Ok(actual) => match self.holds(actual) {
                Some(holds) => verdict(Some(actual), holds),
                None => Judged::Mistyped(actual),
            },
        }
    }

    fn find<'v>(&self, fields: &'v Map<String, Value>) -> Result<&'v Value, usize> {
        let mut found = fields.get(&self.path[0]).ok_or(0_usize)?;
        for (depth, name) in self.path.iter().enumerate().skip(1) {
            let next = match found {
                Value::Object(inner) => inner.get(name),
                Value::Array(items) => name.parse().ok().and_then(|index: usize| items.get(index)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
            };
            found = next.ok_or(depth)?;
        }
        Ok(found)
    }

    /// Whether the comparison holds; `None` when the field's type does not allow it.
    fn holds(&self, actual: &Value) -> Option<bool> {
        let expected = &self.expected;
        match self.operator {
            Operator::Eq => comparable(actual, expected).then(|| equal(actual, expected)),
            Operator::Ne => comparable(actual, expected).then(|| !equal(actual, expected)),
            Operator::Lt => order(actual, expected).map(Ordering::is_lt),
            Operator::Lte => order(actual, expected).map(Ordering::is_le),
            Operator::Gt => order(actual, expected).map(Ordering::is_gt),
            Operator::Gte => order(actual, expected).map(Ordering::is_ge),
            Operator::In => {
                let items = expected.as_array()?;
                let fits = items.is_empty() || items.iter().any(|item| comparable(actual, item));
                fits.then(|| items.iter().any(|item| equal(actual, item)))
            }
            Operator::Contains => match actual {
                Value::String(text) => expected.as_str().map(|part| text.contains(part)),
                Value::Array(items) => Some(items.iter().any(|item| equal(item, expected))),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
            },
            Operator::Startswith => match (actual, expected) {
                (Value::String(text), Value::String(start)) => Some(text.starts_with(start)),
                _ => None,
            },
            // Answered before the field is looked at.
            Operator::Exists => None,
        }
    }
}

fn verdict(found: Option<&Value>, holds: bool) -> Judged<'_> {
    if holds {
        Judged::True(found)
    } else {
        Judged::False(found)
    }
}

/// The name of a value's type in explanations.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn comparable(actual: &Value, expected: &Value) -> bool {
    expected.is_null() || type_name(actual) == type_name(expected)
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => order_numbers(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

fn order(actual: &Value, expected: &Value) -> Option<Ordering> {
    match (actual, expected) {
        (Value::Number(a), Value::Number(b)) => order_numbers(a, b),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// Compares by value. Two integers, or an integer and a float, are compared without rounding, so
/// that 2^53 + 1 is not 2^53.
fn order_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (Some(a), None) => order_mixed(a, b.as_f64()?),
        (None, Some(b)) => order_mixed(b, a.as_f64()?).map(Ordering::reverse),
        (None, None) => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number
        .as_i64()
        .map(i128::from)
        .or_else(|| number.as_u64().map(i128::from))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the float is whole and below 2^65 when it is cast"
)]
fn order_mixed(integer: i128, float: f64) -> Option<Ordering> {
    const BEYOND_64_BITS: f64 = 36_893_488_147_419_103_232.0;
    if float.abs() >= BEYOND_64_BITS {
        return 0.0_f64.partial_cmp(&float);
    }
    let whole = float.floor();
    let fraction = if float > whole {
        Ordering::Less
    } else {
        Ordering::Equal
    };
    Some(integer.cmp(&(whole as i128)).then(fraction))
}
