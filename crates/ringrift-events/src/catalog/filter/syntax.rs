//! What a filter is, and its canonical text.

use std::fmt;

use serde_json::Value;

/// A filter. Two filters are equal when their canonical texts are.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    pub(super) root: Node,
}

/// A filter's tree. `And` and `Or` hold at least two parts and none of their own kind; `Not`
/// holds no `Not`: so each meaning that differs only in parentheses has one tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Compare(Comparison),
}

/// One comparison of one field with one value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comparison {
    pub(super) path: Vec<String>,
    pub(super) operator: Operator,
    pub(super) expected: Value,
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operator {
    /// Equal, of the same type.
    Eq,
    /// Of the same type and not equal.
    Ne,
    /// Less; numbers with numbers, strings with strings.
    Lt,
    /// Less or equal.
    Lte,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Equal to one of a list's values.
    In,
    /// A string with this part, or an array with this element.
    Contains,
    /// A string with this beginning.
    Startswith,
    /// Present (`true`) or absent (`false`); a null field is present.
    Exists,
}

impl Operator {
    /// Every operator.
    pub const ALL: &'static [Operator] = &[
        Operator::Eq,
        Operator::Ne,
        Operator::Lt,
        Operator::Lte,
        Operator::Gt,
        Operator::Gte,
        Operator::In,
        Operator::Contains,
        Operator::Startswith,
        Operator::Exists,
    ];

    /// Its name in the language.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Operator::Eq => "eq",
            Operator::Ne => "ne",
            Operator::Lt => "lt",
            Operator::Lte => "lte",
            Operator::Gt => "gt",
            Operator::Gte => "gte",
            Operator::In => "in",
            Operator::Contains => "contains",
            Operator::Startswith => "startswith",
            Operator::Exists => "exists",
        }
    }

    /// The operator of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Operator> {
        Operator::ALL
            .iter()
            .copied()
            .find(|operator| operator.as_str() == name)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Or(parts) => join(f, parts, " or "),
            Node::And(parts) => join(f, parts, " and "),
            Node::Not(part) => {
                f.write_str("not ")?;
                part.fmt_inside(f, true)
            }
            Node::Compare(comparison) => comparison.fmt(f),
        }
    }
}

fn join(f: &mut fmt::Formatter<'_>, parts: &[Node], word: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        part.fmt_inside(f, word == " and ")?;
    }
    Ok(())
}

impl Node {
    /// Parentheses stand only where the text would mean something else without them: around `or`
    /// under `and`, and around both under `not`, whose part is never written bare.
    fn fmt_inside(&self, f: &mut fmt::Formatter<'_>, tight: bool) -> fmt::Result {
        match self {
            Node::Or(_) | Node::And(_) if tight => write!(f, "({self})"),
            Node::Or(_) | Node::And(_) | Node::Not(_) | Node::Compare(_) => write!(f, "{self}"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&path_text(&self.path))?;
        if self.operator != Operator::Eq {
            write!(f, "__{}", self.operator.as_str())?;
        }
        write!(f, " = {}", self.expected)
    }
}

/// A path as the language writes it.
pub(super) fn path_text(path: &[String]) -> String {
    let segments: Vec<String> = path.iter().map(|name| segment_text(name)).collect();
    segments.join(".")
}

fn segment_text(name: &str) -> String {
    let bare = !name.is_empty()
        && name.chars().all(is_bare_in_path)
        && !name.contains("__")
        && !name.ends_with('_')
        && !is_keyword(name);
    if bare {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

/// Whether a character may stand in an unquoted name of a path.
pub(super) fn is_bare_in_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// Whether a word belongs to the language's own grammar.
pub(super) fn is_keyword(word: &str) -> bool {
    matches!(word, "and" | "or" | "not")
}
