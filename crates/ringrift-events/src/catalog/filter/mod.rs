//! Filters: one small language over payload fields, kept as text and evaluated by one function
//! wherever a filter is asked.
//!
//! ```text
//! config_key = hex8_2p and (elo__gte = 1900 or not model.path__startswith = "models/")
//! ```
//!
//! - A comparison is `path = value` or `path__operator = value`, with the operators `eq ne lt lte
//!   gt gte in contains startswith exists`. A path names fields from the outside in, joined by
//!   dots; a number picks an array's element; names with other characters are quoted as JSON.
//! - A value is a JSON literal or a bare word, which is a string.
//! - `not` binds tighter than `and`, `and` tighter than `or`; parentheses group.
//! - A missing or mistyped field makes its comparison false, `ne` too; `not` then makes it true.
//!   `exists` alone asks for presence. Null is a value: it equals null, and `ne = null` is true
//!   for every other value.
//! - Numbers compare by value, integers of 64 bits exactly; strings compare by their bytes.
//!
//! It deliberately calls no user code, knows no clock and sees nothing but the payload: what it
//! answered for an event can be computed again at any time.

mod evaluate;
mod explain;
mod parse;
mod syntax;
#[cfg(test)]
mod tests;

pub use explain::{Compared, Explanation, Found};
pub use parse::{FILTER_BYTES_MAX, FILTER_NESTING_MAX, FilterError};
pub use syntax::{Filter, Operator};
