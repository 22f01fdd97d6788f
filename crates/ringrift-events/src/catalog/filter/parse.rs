//! From text to filter.

use serde_json::Value;

use super::syntax::{Comparison, Filter, Node, Operator, is_bare_in_path, is_keyword};

/// Longest filter, as given and in canonical text, in bytes: it is stored with each version of
/// its subscription and read by every process.
pub const FILTER_BYTES_MAX: usize = 4096;

/// Deepest nesting of parentheses, `not` and lists: what keeps parsing off the stack's end.
pub const FILTER_NESTING_MAX: usize = 32;

/// A text that is no filter. `FILTER_INVALID`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter is invalid at byte {at}: {reason}, in `{text}`")]
pub struct FilterError {
    /// The text, at most its first 200 bytes.
    pub text: String,
    /// Where it went wrong, in bytes from its start.
    pub at: usize,
    /// What was expected there.
    pub reason: String,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`FilterError`] with the place and what was expected there; a text longer than
    /// [`FILTER_BYTES_MAX`] or nested deeper than [`FILTER_NESTING_MAX`] is refused too.
    ///
    /// ```
    /// use ringrift_events::catalog::filter::Filter;
    /// let filter = Filter::parse("(elo__gte=1900) and board = hex8")?;
    /// assert_eq!(filter.to_string(), r#"elo__gte = 1900 and board = "hex8""#);
    /// # Ok::<(), ringrift_events::catalog::filter::FilterError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        let mut parser = Parser {
            text,
            at: 0,
            depth: 0,
        };
        if text.len() > FILTER_BYTES_MAX {
            let bytes = text.len();
            return Err(parser.error(format!("{bytes} bytes are more than {FILTER_BYTES_MAX}")));
        }
        let root = parser.any()?;
        parser.space();
        if parser.at < text.len() {
            return Err(parser.error("`and`, `or` or the end was expected".to_owned()));
        }
        let filter = Filter { root };
        // The canonical text is what is stored, so it must pass the same door again.
        let bytes = filter.to_string().len();
        if bytes > FILTER_BYTES_MAX {
            return Err(parser.error(format!(
                "its canonical text of {bytes} bytes is more than {FILTER_BYTES_MAX}"
            )));
        }
        Ok(filter)
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Node, FilterError> {
        let mut parts = Vec::new();
        loop {
            match self.all()? {
                Node::Or(inner) => parts.extend(inner),
                other @ (Node::And(_) | Node::Not(_) | Node::Compare(_)) => parts.push(other),
            }
            if !self.keyword("or") {
                return Ok(one_or(parts, Node::Or));
            }
        }
    }

    fn all(&mut self) -> Result<Node, FilterError> {
        let mut parts = Vec::new();
        loop {
            match self.part()? {
                Node::And(inner) => parts.extend(inner),
                other @ (Node::Or(_) | Node::Not(_) | Node::Compare(_)) => parts.push(other),
            }
            if !self.keyword("and") {
                return Ok(one_or(parts, Node::And));
            }
        }
    }

    fn part(&mut self) -> Result<Node, FilterError> {
        if self.keyword("not") {
            return self.nested(|parser| {
                Ok(match parser.part()? {
                    Node::Not(inner) => *inner,
                    other @ (Node::And(_) | Node::Or(_) | Node::Compare(_)) => {
                        Node::Not(Box::new(other))
                    }
                })
            });
        }
        if self.symbol('(') {
            return self.nested(|parser| {
                let inner = parser.any()?;
                if !parser.symbol(')') {
                    return Err(parser.error("`)` was expected".to_owned()));
                }
                Ok(inner)
            });
        }
        self.comparison().map(Node::Compare)
    }

    fn comparison(&mut self) -> Result<Comparison, FilterError> {
        let (path, operator) = self.path()?;
        if !self.symbol('=') {
            return Err(
                self.error("`= value` was expected; write `field__gte = 3` for ≥".to_owned())
            );
        }
        self.space();
        let value_at = self.at;
        let expected = self.value()?;
        let fits = match operator {
            Operator::In => expected.is_array(),
            Operator::Exists => expected.is_boolean(),
            Operator::Startswith => expected.is_string(),
            Operator::Lt | Operator::Lte | Operator::Gt | Operator::Gte => {
                expected.is_number() || expected.is_string()
            }
            Operator::Eq | Operator::Ne | Operator::Contains => true,
        };
        if !fits {
            self.at = value_at;
            let wanted = match operator {
                Operator::In => "a list `[…]`",
                Operator::Exists => "true or false",
                Operator::Startswith => "a string",
                Operator::Lt | Operator::Lte | Operator::Gt | Operator::Gte => {
                    "a number or a string"
                }
                Operator::Eq | Operator::Ne | Operator::Contains => "a value",
            };
            return Err(self.error(format!("`{}` takes {wanted}", operator.as_str())));
        }
        Ok(Comparison {
            path,
            operator,
            expected,
        })
    }

    fn path(&mut self) -> Result<(Vec<String>, Operator), FilterError> {
        let mut path = Vec::new();
        loop {
            self.space();
            let start = self.at;
            if self.rest().starts_with('"') {
                path.push(self.quoted()?);
                if self.rest().starts_with("__") {
                    self.at += 2;
                    let name = self.word(is_bare_in_path);
                    return Ok((path, self.operator(start, name)?));
                }
            } else {
                let word = self.word(is_bare_in_path);
                if word.is_empty() || is_keyword(word) {
                    self.at = start;
                    return Err(self.error("a field was expected".to_owned()));
                }
                match word.rsplit_once("__") {
                    None => path.push(word.to_owned()),
                    Some((name, operator)) => {
                        let operator = self.operator(start, operator)?;
                        if name.is_empty() || name.contains("__") {
                            self.at = start;
                            return Err(self.error(
                                "a field was expected before `__`; quote names that contain `__`"
                                    .to_owned(),
                            ));
                        }
                        path.push(name.to_owned());
                        return Ok((path, operator));
                    }
                }
            }
            if !self.rest().starts_with('.') {
                return Ok((path, Operator::Eq));
            }
            self.at += 1;
        }
    }

    fn operator(&mut self, start: usize, name: &str) -> Result<Operator, FilterError> {
        Operator::parse(name).ok_or_else(|| {
            self.at = start;
            let known: Vec<&str> = Operator::ALL.iter().map(|known| known.as_str()).collect();
            self.error(format!(
                "`{name}` is no operator ({}); quote a name that contains `__`",
                known.join(" ")
            ))
        })
    }

    fn value(&mut self) -> Result<Value, FilterError> {
        self.space();
        match self.rest().chars().next() {
            Some('"') => self.quoted().map(Value::String),
            Some('[') => {
                self.at += 1;
                self.nested(Parser::list)
            }
            Some('{') => self.json("an object"),
            _ => self.bare_value(),
        }
    }

    fn list(&mut self) -> Result<Value, FilterError> {
        let mut items = Vec::new();
        if self.symbol(']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            if self.symbol(']') {
                return Ok(Value::Array(items));
            }
            if !self.symbol(',') {
                return Err(self.error("`,` or `]` was expected".to_owned()));
            }
        }
    }

    fn bare_value(&mut self) -> Result<Value, FilterError> {
        let start = self.at;
        let word = self.word(|c| !c.is_whitespace() && !"()[]{},\"=".contains(c));
        let first_digit = word
            .trim_start_matches('-')
            .starts_with(|c: char| c.is_ascii_digit());
        let reason = if word.is_empty() {
            "a value was expected"
        } else if is_keyword(word) {
            "a value was expected; quote this word if it is one"
        } else if first_digit && word.parse::<f64>().is_ok_and(f64::is_infinite) {
            "the number is out of range"
        } else {
            return Ok(serde_json::from_str(word).unwrap_or_else(|_| Value::from(word)));
        };
        self.at = start;
        Err(self.error(reason.to_owned()))
    }

    fn quoted(&mut self) -> Result<String, FilterError> {
        match self.json("a string")? {
            Value::String(text) => Ok(text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => Err(self.error("a string was expected".to_owned())),
        }
    }

    /// One JSON value from here; `serde_json` bounds its nesting itself.
    fn json(&mut self, wanted: &str) -> Result<Value, FilterError> {
        let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                self.at += values.byte_offset();
                Ok(value)
            }
            Some(Err(_)) | None => Err(self.error(format!("{wanted} in JSON was expected"))),
        }
    }

    fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, FilterError>,
    ) -> Result<T, FilterError> {
        self.depth += 1;
        if self.depth > FILTER_NESTING_MAX {
            return Err(self.error(format!("nested deeper than {FILTER_NESTING_MAX} levels")));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn keyword(&mut self, word: &str) -> bool {
        self.space();
        let rest = self.rest();
        let found = rest.strip_prefix(word).is_some_and(|after| {
            // `order = 1` begins with `or`, `not__eq = 1` with `not`: only a whole word counts.
            after.is_empty() || after.starts_with(|c: char| c.is_whitespace() || c == '(')
        });
        if found {
            self.at += word.len();
        }
        found
    }

    fn symbol(&mut self, symbol: char) -> bool {
        self.space();
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len_utf8();
        }
        found
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn error(&self, reason: String) -> FilterError {
        let end = self.text.floor_char_boundary(200);
        FilterError {
            text: self.text[..end].to_owned(),
            at: self.at,
            reason,
        }
    }
}

impl<'t> Parser<'t> {
    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let rest = &self.text[self.at..];
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }
}

fn one_or(mut parts: Vec<Node>, many: impl Fn(Vec<Node>) -> Node) -> Node {
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        return only;
    }
    many(parts)
}
