//! Moves a durable subscription, in a new generation.

use rusqlite::{OptionalExtension as _, params};

use crate::event::Seq;
use crate::store::Error;
use crate::store::ErrorCode;
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};
use crate::store::sqlite::verbs::ending::{UNFINISHED, end_open_work, record_ended_redeliveries};
use crate::store::sqlite::verbs::head::log_end;
use crate::store::sqlite::verbs::positions::{
    Standing, before_oldest, count_matching, durable, segments,
};
use crate::store::sqlite::verbs::record::{About, act, verdict_by};
use crate::store::subscriptions::{Generation, SeekTo, Sought, SubscriptionId};
use crate::verdict::Code;

/// See [`crate::store::Subscriptions::seek`]. As a question it says what it would do.
pub(crate) struct Seek {
    pub(crate) id: SubscriptionId,
    pub(crate) to: SeekTo,
    pub(crate) by: String,
}

impl Plain for Seek {}
impl Plain for Sought {}

impl Question for Seek {
    type Answer = Sought;

    fn run(self, tx: &Tx<'_>) -> Result<Sought, Error> {
        Ok(self.measure(tx)?.1)
    }
}

impl Verb for Seek {
    type Answer = Sought;

    fn run(self, tx: &Tx<'_>) -> Result<Sought, Error> {
        let (standing, mut sought) = self.measure(tx)?;
        sought.generation = Generation(standing.generation + 1);
        let states = format!("{UNFINISHED}, 'dead'");
        let by = (self.by.as_str(), "subs.seek");
        let code = Code::StSkippedBySeek;
        // What lies behind the target comes again with the log.
        record_ended_redeliveries(tx, &standing, sought.to.0, code, Some(by))?;
        let discarded = end_open_work(tx, &standing, &states, "discarded")?;
        begin_generation(tx, &standing, sought.to.0)?;
        let about = About {
            seq: Some(sought.from.min(sought.to).next()),
            seq_to: Some(sought.from.max(sought.to)),
            subscription: Some(standing.id),
            ..About::default()
        };
        let evidence = serde_json::json!({
            "name": standing.name, "from": sought.from, "to": sought.to,
            "generation": sought.generation, "skipped": sought.skipped, "again": sought.again,
            "letters_discarded": discarded,
        });
        if sought.skipped > 0 {
            verdict_by(tx, code, by, about, &evidence)?;
        } else {
            act(tx, "subs.seek", &self.by, about, &evidence)?;
        }
        Ok(sought)
    }
}

impl Seek {
    fn measure(&self, tx: &Tx<'_>) -> Result<(Standing, Sought), Error> {
        let standing = durable(tx, self.id, "seek")?;
        if standing.ended {
            return Err(Error::new(
                ErrorCode::WrongState,
                format!("cannot seek {}: it was removed", standing.name),
            )
            .with_next("ringrift subs ls"));
        }
        let to = self.target(tx)?;
        let mut versions = segments(tx, self.id)?;
        if let Some(first) = versions.first_mut() {
            first.valid_from = first.valid_from.min(to + 1);
        }
        let from = standing.settled;
        let skipped = count_matching(tx, &versions, (from, to), None)?;
        let again = count_matching(tx, &versions, (to, from), None)?;
        let sought = Sought {
            from: Seq(from),
            to: Seq(to),
            generation: Generation(standing.generation),
            skipped,
            again,
        };
        Ok((standing, sought))
    }

    fn target(&self, tx: &Tx<'_>) -> Result<i64, Error> {
        let head = log_end(tx.conn)?;
        match self.to {
            SeekTo::After(seq) => Ok(seq.0.clamp(0, head)),
            SeekTo::Beginning => before_oldest(tx),
            SeekTo::End => Ok(head),
            SeekTo::Time(time) => {
                let sql = "SELECT MIN(seq) FROM events WHERE created_at >= ?1";
                let first: Option<i64> = tx
                    .conn
                    .prepare_cached(sql)?
                    .query_row([time.to_sql()], |row| row.get(0))
                    .optional()?
                    .flatten();
                Ok(first.map_or(head, |seq| seq - 1))
            }
        }
    }
}

fn begin_generation(tx: &Tx<'_>, standing: &Standing, after: i64) -> Result<(), Error> {
    // Sought before its beginning: the first version is for what lies there, too.
    for sql in [
        "UPDATE subscription_versions SET valid_from = ?2 WHERE subscription = ?1 \
         AND number = 1 AND valid_from > ?2",
        "UPDATE subscription_types SET valid_from = ?2 WHERE subscription = ?1 \
         AND version = 1 AND valid_from > ?2",
    ] {
        tx.conn
            .prepare_cached(sql)?
            .execute([standing.id.0, after + 1])?;
    }
    let now = tx.now.to_sql();
    tx.conn
        .prepare_cached(
            "UPDATE generations SET settled = ?3, ended_at = ?4 \
             WHERE subscription = ?1 AND generation = ?2",
        )?
        .execute(params![
            standing.id.0,
            standing.generation,
            standing.settled,
            now
        ])?;
    tx.conn
        .prepare_cached(
            "INSERT INTO generations (subscription, generation, after, began_at) \
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![standing.id.0, standing.generation + 1, after, now])?;
    tx.conn
        .prepare_cached(
            "UPDATE subscription_rows SET generation = generation + 1, cursor = ?2, \
             settled = ?2 WHERE id = ?1",
        )?
        .execute([standing.id.0, after])?;
    Ok(())
}
