//! Letters, newest first.

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::row::{REDELIVERY_COLUMNS, redelivery_event};
use crate::clock::Time;
use crate::store::Error;
use crate::store::deliveries::LetterId;
use crate::store::letters::{Letter, LetterFilter, LetterState};
use crate::store::sqlite::rows::SqlTime;
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::FailureKind;

/// Most letters answered at once.
const LETTERS_MAX: usize = 100_000;

/// See [`crate::store::Letters::letters`].
pub(crate) struct ListLetters {
    pub(crate) filter: LetterFilter,
}

impl Plain for ListLetters {}
impl Plain for Letter {}

impl Question for ListLetters {
    type Answer = Vec<Letter>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Letter>, Error> {
        let (wheres, values) = conditions(&self.filter);
        let limit = self.filter.limit.min(LETTERS_MAX);
        let sql = format!(
            "SELECT {REDELIVERY_COLUMNS}, r.id, r.subscription, r.handler, r.state, r.error, \
               r.error_kind, r.step, r.attempts, r.attempts_total, r.deaths, r.created_at, \
               r.last_attempt_at, r.next_retry_at, r.linked \
             FROM redeliveries AS r LEFT JOIN events AS e ON e.seq = r.event_seq \
             WHERE r.failed = 1 AND {wheres} ORDER BY r.id DESC LIMIT {limit}"
        );
        let mut statement = tx.conn.prepare(&sql)?;
        let rows = statement.query_map(params_from_iter(values), letter)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn letter(row: &Row<'_>) -> rusqlite::Result<Letter> {
    let created_at = row.get::<_, SqlTime>(22)?.0;
    let state = row.get_ref(15)?.as_str()?;
    let kind = row.get_ref(17)?.as_str_or_null()?.unwrap_or("error");
    Ok(Letter {
        event: redelivery_event(row)?,
        id: LetterId(row.get(12)?),
        subscription: SubscriptionId(row.get(13)?),
        handler: row.get(14)?,
        state: LetterState::parse(state).unwrap_or(LetterState::Dead),
        error: row.get::<_, Option<String>>(16)?.unwrap_or_default(),
        error_kind: FailureKind::parse(kind).unwrap_or(FailureKind::Error),
        step: row.get(18)?,
        attempts: row.get(19)?,
        attempts_total: row.get(20)?,
        deaths: row.get(21)?,
        created_at,
        last_attempt_at: row
            .get::<_, Option<SqlTime>>(23)?
            .map_or(created_at, |at| at.0),
        // One that was ended keeps its time, for a restore; it is due at no time.
        next_retry_at: row
            .get::<_, Option<SqlTime>>(24)?
            .map(|at| at.0)
            .filter(|_| state == "retrying"),
        linked: row.get(25)?,
    })
}

fn conditions(filter: &LetterFilter) -> (String, Vec<Value>) {
    let mut wheres: Vec<String> = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let text = |text: &str| Value::Text(text.to_owned());
    if !filter.ids.is_empty() {
        // Numbers written into the statement: a snapshot may hold more ids than a statement may
        // have parameters.
        let ids: Vec<String> = filter.ids.iter().map(|id| id.0.to_string()).collect();
        wheres.push(format!("r.id IN ({})", ids.join(",")));
    }
    if let Some(event) = filter.event {
        wheres.push("r.event_id = ?".to_owned());
        values.push(Value::Text(event.to_string()));
    }
    if let Some(handler) = &filter.handler {
        wheres.push("r.handler = ?".to_owned());
        values.push(text(handler));
    }
    if let Some(event_type) = &filter.event_type {
        wheres.push("r.event_type = ?".to_owned());
        values.push(text(event_type.as_str()));
    }
    if filter.states.is_empty() && filter.ids.is_empty() {
        wheres.push("r.shown = 1".to_owned());
    } else if !filter.states.is_empty() {
        let marks = vec!["?"; filter.states.len()].join(", ");
        wheres.push(format!("r.state IN ({marks})"));
        values.extend(filter.states.iter().map(|state| text(state.as_str())));
    }
    let mut time = |column: &str, sign: &str, at: Option<Time>| {
        if let Some(at) = at {
            wheres.push(format!("{column} {sign} ?"));
            values.push(Value::Text(at.to_sql()));
        }
    };
    time("r.created_at", ">=", filter.since);
    time("r.created_at", "<", filter.before);
    if let Some(below) = filter.below {
        wheres.push("r.id < ?".to_owned());
        values.push(Value::Integer(below.0));
    }
    if wheres.is_empty() {
        wheres.push("1".to_owned());
    }
    (wheres.join(" AND "), values)
}
