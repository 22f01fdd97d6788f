//! Finds the events that a person's name for one could mean, and an event's children.

use rusqlite::{Params, params};
use uuid::Uuid;

use crate::event::EventId;
use crate::store::log::{EventRef, Logged};
use crate::store::sqlite::rows::{LOGGED_COLUMNS, logged};
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::{Error, ErrorCode};

/// Events shown for one name; more than one already means that it is ambiguous.
const FOUND_MAX: usize = 10;

/// Children shown of one event.
const CHILDREN_MAX: usize = 1_000;

/// Shortest prefix that is looked for: shorter ones mean nothing and match everything.
const PREFIX_MIN: usize = 4;

/// Asks which events a name means.
pub(in crate::store::sqlite) struct Find(pub(in crate::store::sqlite) EventRef);

impl Plain for Find {}
impl Plain for Logged {}

impl Question for Find {
    type Answer = Vec<Logged>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Logged>, Error> {
        match self.0 {
            EventRef::Id(id) => select(tx, "WHERE e.id = ?1", params![id]),
            EventRef::Seq(seq) => select(tx, "WHERE e.seq = ?1", params![seq.0]),
            EventRef::Prefix(text) => match bounds(&text) {
                Some((low, high)) => select(
                    tx,
                    &format!("WHERE e.id BETWEEN ?1 AND ?2 ORDER BY e.id LIMIT {FOUND_MAX}"),
                    params![low, high],
                ),
                None => Err(Error::new(
                    ErrorCode::WrongState,
                    format!(
                        "{text:?} is no start of an event id: at least four hexadecimal digits"
                    ),
                )
                .with_next("ringrift events ls")),
            },
            EventRef::IdempotencyKey(key) => select(
                tx,
                "WHERE e.seq = (SELECT k.seq FROM idempotency_keys AS k \
                 WHERE k.key = ?1 AND k.expires_at > ?2)",
                params![key, tx.now.0],
            ),
        }
    }
}

/// Asks for an event's children.
pub(in crate::store::sqlite) struct Children(pub(in crate::store::sqlite) EventId);

impl Plain for Children {}

impl Question for Children {
    type Answer = Vec<Logged>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Logged>, Error> {
        select(
            tx,
            &format!("WHERE e.parent_id = ?1 ORDER BY e.seq LIMIT {CHILDREN_MAX}"),
            params![self.0],
        )
    }
}

fn select(tx: &Tx<'_>, condition: &str, values: impl Params) -> Result<Vec<Logged>, Error> {
    let mut statement = tx.conn.prepare_cached(&format!(
        "SELECT {LOGGED_COLUMNS} FROM events AS e {condition}"
    ))?;
    let found = statement.query_map(values, logged)?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// The lowest and highest id with these first hexadecimal digits (hyphens are passed over).
fn bounds(prefix: &str) -> Option<(EventId, EventId)> {
    let mut low = [0_u8; 16];
    let mut high = [0xFF_u8; 16];
    let mut digits = 0;
    for digit in prefix.chars().filter(|digit| *digit != '-') {
        let value = u8::try_from(digit.to_digit(16)?).ok()?;
        let byte = digits / 2;
        if byte >= 16 {
            return None;
        }
        let (shift, keep) = if digits % 2 == 0 {
            (4, 0x0F)
        } else {
            (0, 0xF0)
        };
        low[byte] = (low[byte] & keep) | (value << shift);
        high[byte] = (high[byte] & keep) | (value << shift);
        digits += 1;
    }
    (digits >= PREFIX_MIN).then(|| {
        (
            EventId(Uuid::from_bytes(low)),
            EventId(Uuid::from_bytes(high)),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_bounds_exactly_the_ids_that_begin_with_it() {
        let (low, high) = bounds("0198-a").unwrap();
        assert_eq!(low.to_string(), "0198a000-0000-0000-0000-000000000000");
        assert_eq!(high.to_string(), "0198afff-ffff-ffff-ffff-ffffffffffff");
        assert_eq!(bounds("019"), None);
        assert_eq!(bounds("zzzz"), None);
        assert_eq!(bounds(&"0".repeat(33)), None);
    }
}
