//! Facts: verdicts that cannot be recomputed, and operators' acts.

use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};

use crate::clock::Time;
use crate::event::{EventType, Seq};
use crate::store::Error;
use crate::store::pages::Bells;
use crate::store::registry::{Fact, FactFilter};
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};
use crate::store::subscriptions::{Generation, SubscriptionId};
use crate::verdict::Code;

/// Most facts answered at once.
const FACTS_MAX: usize = 10_000;

/// Facts about one event, and about ranges of the log that cover it: two short index reads.
const ABOUT_EVENT: &str = "id IN (
    SELECT id FROM facts WHERE event = ?
    UNION ALL
    SELECT r.id FROM events AS e JOIN facts AS r ON r.seq_to >= e.seq AND r.seq <= e.seq
    WHERE e.id = ?)";

/// Keeps facts.
pub(crate) struct Record {
    /// Which.
    pub(crate) facts: Vec<Fact>,
}

impl Plain for Record {}
impl Plain for Fact {}

impl Verb for Record {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        self.facts.iter().try_for_each(|fact| keep_fact(tx, fact))
    }

    fn bytes(&self) -> usize {
        self.facts.iter().map(|fact| fact.evidence.len()).sum()
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

/// Keeps one fact in the transaction that makes it true.
pub(crate) fn keep_fact(tx: &Tx<'_>, fact: &Fact) -> Result<(), Error> {
    let (by, act) = match &fact.act {
        Some((by, act)) => (Some(by), Some(act)),
        None => (None, None),
    };
    tx.conn
        .prepare_cached(
            "INSERT INTO facts (at_us, code, event, seq, seq_to, event_type, subscription,
                 process, act_by, act, evidence, generation)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
                 coalesce(?12, (SELECT generation FROM subscription_rows WHERE id = ?7)))",
        )?
        .execute(params![
            fact.at.0,
            fact.code.map(Code::as_str),
            fact.event,
            fact.seq.map(|seq| seq.0),
            fact.seq_to.map(|seq| seq.0),
            fact.event_type.as_ref().map(EventType::as_str),
            fact.subscription.map(|id| id.0),
            fact.process,
            by,
            act,
            fact.evidence,
            fact.generation.map(|generation| generation.0),
        ])?;
    Ok(())
}

/// Asks for facts, newest first.
pub(crate) struct Facts {
    /// Which.
    pub(crate) filter: FactFilter,
}

impl Plain for Facts {}

impl Question for Facts {
    type Answer = Vec<Fact>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Fact>, Error> {
        let (wheres, values) = conditions(&self.filter);
        let sql = format!(
            "SELECT at_us, code, event, seq, seq_to, event_type, subscription, process, act_by,
                 act, evidence, generation
             FROM facts {wheres} ORDER BY id DESC LIMIT {}",
            self.filter.limit.min(FACTS_MAX)
        );
        let mut statement = tx.conn.prepare_cached(&sql)?;
        let facts = statement
            .query_map(params_from_iter(values), from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(facts)
    }
}

fn conditions(filter: &FactFilter) -> (String, Vec<Value>) {
    let mut wheres: Vec<String> = Vec::new();
    let mut values = Vec::new();
    if let Some(event) = filter.event {
        wheres.push(ABOUT_EVENT.to_owned());
        let id = Value::Text(event.to_string());
        values.extend([id.clone(), id]);
    }
    if let Some(subscription) = filter.subscription {
        wheres.push("subscription = ?".to_owned());
        values.push(Value::Integer(subscription.0));
    }
    if !filter.codes.is_empty() {
        let marks = vec!["?"; filter.codes.len()].join(", ");
        wheres.push(format!("code IN ({marks})"));
        let codes = filter.codes.iter();
        values.extend(codes.map(|code| Value::Text(code.as_str().to_owned())));
    }
    if filter.acts_only {
        wheres.push("act IS NOT NULL".to_owned());
    }
    if let Some(since) = filter.since {
        wheres.push("at_us >= ?".to_owned());
        values.push(Value::Integer(since.0));
    }
    if wheres.is_empty() {
        return (String::new(), values);
    }
    (format!("WHERE {}", wheres.join(" AND ")), values)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Fact> {
    let code: Option<String> = row.get(1)?;
    let by: Option<String> = row.get(8)?;
    let act: Option<String> = row.get(9)?;
    let event_type: Option<String> = row.get(5)?;
    Ok(Fact {
        at: Time(row.get(0)?),
        // A newer version's code reads as none: its evidence still tells.
        code: code.as_deref().and_then(Code::parse),
        event: row.get(2)?,
        seq: row.get::<_, Option<i64>>(3)?.map(Seq),
        seq_to: row.get::<_, Option<i64>>(4)?.map(Seq),
        event_type: event_type.as_deref().map(EventType::from_canonical),
        subscription: row.get::<_, Option<i64>>(6)?.map(SubscriptionId),
        process: row.get(7)?,
        act: act.map(|act| (by.unwrap_or_default(), act)),
        evidence: row.get(10)?,
        generation: row.get::<_, Option<i64>>(11)?.map(Generation),
    })
}
