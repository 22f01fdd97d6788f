//! Takes over from one process that died or hung: one transaction reads its page's running slots,
//! counts a start for each, and returns what it held.

use std::sync::Arc;

use rusqlite::params;

use super::lost::{Lost, lost};
use crate::clock::Time;
use crate::event::{Event, ProcessId, Seq};
use crate::store::Error;
use crate::store::deliveries::{LetterId, Why};
use crate::store::registry::Running;
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::registry::keep_end;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::deliveries::{
    OpenClaim, open_claims, release_held, release_keys_of,
};
use crate::store::sqlite::verbs::letters::{
    NewRow, REDELIVERY_COLUMNS, event_at, insert_row, redelivery_event,
};
use crate::store::sqlite::verbs::positions::{refresh_settled, standing};
use crate::store::sqlite::verbs::record::{About, verdict};
use crate::store::sqlite::verbs::subscriptions::{end_live_of, unhost};
use crate::store::subscriptions::SubscriptionId;
use crate::store::upkeep::{Swept, is_poison};
use crate::verdict::{Code, Failure, FailureKind, RetryWish};

/// Takes over from one process, if it still is to be.
pub(crate) struct TakeOver {
    pub(crate) presence: Arc<Presence>,
    pub(crate) row: i64,
    pub(crate) poison_deaths: u32,
}

impl Plain for TakeOver {}
impl Plain for Swept {}

/// What is known of the process at its end.
struct Gone {
    row: i64,
    process: ProcessId,
    why: Why,
    died: bool,
    /// None: the page is of another boot or layout, or there is none.
    running: Option<Vec<Running>>,
    poison_deaths: u32,
    /// How often the kernel killed in its control group for want of memory since it opened the
    /// store. None: unknown.
    oom_kills: Option<u64>,
}

impl Verb for TakeOver {
    type Answer = Swept;

    fn run(self, tx: &Tx<'_>) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        // Asked again inside the transaction: the race was lost, or the process came back.
        let lost = lost(tx, &self.presence)?;
        let Some(lost) = lost.into_iter().find(|one| one.row == self.row) else {
            return Ok(swept);
        };
        let gone = Gone {
            row: lost.row,
            process: lost.process,
            why: Why::LeaseLost,
            died: lost.is_over(),
            running: lost.running().map(<[Running]>::to_vec),
            poison_deaths: self.poison_deaths.max(1),
            oom_kills: oom_kills(&lost),
        };
        gone.give_back(tx, &mut swept)?;
        if gone.died {
            let polled_to = lost.seen.as_ref().map_or(Seq::START, |seen| seen.polled_to);
            gone.end(tx, polled_to)?;
            keep_end(tx, lost.row, "dead", lost.seen.as_ref())?;
            swept.dead.push(gone.process);
        }
        Ok(swept)
    }
}

/// This process leaves: what it holds goes back, its live subscriptions end, its row says
/// that it left.
pub(crate) struct Depart {
    pub(crate) presence: Arc<Presence>,
}

impl Plain for Depart {}

impl Verb for Depart {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let seen = self.presence.look(tx.process)?;
        let gone = Gone {
            row: tx.process_row,
            process: tx.process,
            why: Why::HandedBack,
            // Nobody died of what it still ran.
            died: false,
            running: seen.as_ref().and_then(|seen| seen.running.clone()),
            poison_deaths: u32::MAX,
            oom_kills: None,
        };
        gone.give_back(tx, &mut Swept::default())?;
        for (id, held_us) in held(tx, gone.row)? {
            release_held(tx, id, held_us)?;
        }
        let polled_to = seen.as_ref().map_or(Seq::START, |seen| seen.polled_to);
        gone.end(tx, polled_to)?;
        keep_end(tx, gone.row, "left", seen.as_ref())
    }
}

impl Gone {
    fn give_back(&self, tx: &Tx<'_>, swept: &mut Swept) -> Result<(), Error> {
        self.return_redeliveries(tx, swept)?;
        self.return_claims(tx, swept)?;
        release_keys_of(tx, self.row)
    }

    /// Ends its part in every subscription.
    fn end(&self, tx: &Tx<'_>, polled_to: Seq) -> Result<(), Error> {
        end_live_of(tx, self.row, polled_to.0 + 1)?;
        unhost(tx, self.row, None)
    }

    fn slot(&self, subscription: SubscriptionId, event: &Event) -> Option<&Running> {
        self.running
            .iter()
            .flatten()
            .find(|slot| slot.subscription == subscription && slot.event == event.id)
    }

    /// Only deaths count against an event, and only while it ran alone make it poison.
    fn deaths(&self) -> (u32, u32) {
        let alone = self
            .running
            .as_ref()
            .is_some_and(|running| running.len() == 1);
        (u32::from(self.died), u32::from(self.died && alone))
    }

    fn return_claims(&self, tx: &Tx<'_>, swept: &mut Swept) -> Result<(), Error> {
        for claim in open_claims(tx, self.row)? {
            for slot in self.running.iter().flatten() {
                let Some(seq) = slot.seq else { continue };
                if slot.subscription == claim.subscription && claim.holds(seq) {
                    self.interrupt(tx, &claim, slot, seq, swept)?;
                }
            }
            claim.release(tx)?;
            refresh_settled(tx, claim.subscription)?;
            swept.claims_returned += 1;
        }
        Ok(())
    }

    /// One event that ran when its process ended: it leaves the claim, due at once elsewhere.
    fn interrupt(
        &self,
        tx: &Tx<'_>,
        claim: &OpenClaim,
        slot: &Running,
        seq: Seq,
        swept: &mut Swept,
    ) -> Result<(), Error> {
        let Some(event) = event_at(tx, seq)?.filter(|event| event.id == slot.event) else {
            return Ok(());
        };
        let standing = standing(tx, claim.subscription)?;
        let (deaths, alone) = self.deaths();
        let poison = is_poison(self.poison_deaths, deaths, alone);
        let failure = poison_failure(deaths, alone, slot);
        let row = NewRow {
            attempts: 1,
            deaths,
            deaths_alone: alone,
            failure: poison.then_some(&failure),
            due: (!poison).then_some(tx.now),
            ..NewRow::waiting(&standing, &event, self.why)
        };
        let (_, new) = insert_row(tx, &row)?;
        if !new {
            // It failed already, beyond the gap: its letter stands.
            return Ok(());
        }
        swept.interrupted += 1;
        self.record(tx, standing.id, &event, slot, deaths)?;
        if poison {
            self.record_poison(tx, standing.id, &event, &failure)?;
            swept.poisoned.push((standing.id, event.id));
        }
        Ok(())
    }

    fn return_redeliveries(&self, tx: &Tx<'_>, swept: &mut Swept) -> Result<(), Error> {
        for (id, held_us) in held(tx, self.row)? {
            if self.died {
                release_held(tx, id, held_us)?;
            }
        }
        let sql = format!(
            "SELECT {REDELIVERY_COLUMNS}, r.id, r.subscription, r.deaths_alone, r.failed, r.deaths \
             FROM redeliveries AS r LEFT JOIN events AS e ON e.seq = r.event_seq \
             WHERE r.owner = ?1 AND r.state = 'running'"
        );
        let mut statement = tx.conn.prepare_cached(&sql)?;
        let rows = statement.query_map([self.row], |row| {
            Ok((
                redelivery_event(row)?,
                LetterId(row.get(12)?),
                SubscriptionId(row.get(13)?),
                row.get::<_, u32>(14)?,
                row.get::<_, bool>(15)?,
                row.get::<_, u32>(16)?,
            ))
        })?;
        for row in rows.collect::<Result<Vec<_>, _>>()? {
            let (event, id, subscription, alone_before, failed, deaths_before) = row;
            let slot = self.slot_of_row(tx, subscription, &event)?;
            let Some(slot) = slot else {
                // Taken and not started, or nobody knows: the count of starts goes back only when
                // it is known.
                give_back(tx, id, failed, self.running.is_some())?;
                continue;
            };
            swept.interrupted += 1;
            let (deaths, alone) = self.deaths();
            self.record(tx, subscription, &event, &slot, deaths)?;
            let (all, all_alone) = (deaths_before + deaths, alone_before + alone);
            if deaths > 0 && is_poison(self.poison_deaths, all, all_alone) {
                let failure = poison_failure(all, all_alone, &slot);
                bury(tx, id, deaths, all_alone, &failure)?;
                self.record_poison(tx, subscription, &event, &failure)?;
                swept.poisoned.push((subscription, event.id));
            } else {
                count_death(tx, id, failed, deaths, alone)?;
            }
        }
        Ok(())
    }

    /// The slot that ran a redelivery. A live handler's letter runs under the subscription that
    /// took it, which has the name and another number.
    fn slot_of_row(
        &self,
        tx: &Tx<'_>,
        subscription: SubscriptionId,
        event: &Event,
    ) -> Result<Option<Running>, Error> {
        if let Some(slot) = self.slot(subscription, event) {
            return Ok(Some(slot.clone()));
        }
        let name = standing(tx, subscription)?.name;
        for slot in self.running.iter().flatten() {
            if slot.event == event.id && standing(tx, slot.subscription)?.name == name {
                return Ok(Some(slot.clone()));
            }
        }
        Ok(None)
    }

    fn record(
        &self,
        tx: &Tx<'_>,
        subscription: SubscriptionId,
        event: &Event,
        slot: &Running,
        deaths: u32,
    ) -> Result<(), Error> {
        if self.why != Why::LeaseLost {
            return Ok(());
        }
        let evidence = serde_json::json!({
            "process": self.process,
            "reason": if self.died { "died" } else { "hung" },
            "deaths": deaths,
            "running": self.running.as_ref().map(Vec::len),
            "since": slot.since.to_sql(),
            "step": slot.step,
            "oom_kills": self.oom_kills,
        });
        verdict(tx, Code::HnLeaseLost, about(subscription, event), &evidence)
    }

    fn record_poison(
        &self,
        tx: &Tx<'_>,
        subscription: SubscriptionId,
        event: &Event,
        failure: &Failure,
    ) -> Result<(), Error> {
        let evidence = serde_json::json!({
            "process": self.process, "kind": failure.kind.as_str(), "error": failure.message,
            "oom_kills": self.oom_kills,
        });
        verdict(tx, Code::StDead, about(subscription, event), &evidence)
    }
}

/// Two small files, read while the transaction holds: only of a process that died.
fn oom_kills(lost: &Lost) -> Option<u64> {
    let group = lost.seen.as_ref()?.group.as_ref();
    group.filter(|_| lost.is_over())?.kills_since()
}

fn about(subscription: SubscriptionId, event: &Event) -> About {
    About {
        event: Some(event.id),
        seq: event.seq,
        seq_to: None,
        event_type: Some(event.event_type.clone()),
        subscription: Some(subscription),
    }
}

fn poison_failure(deaths: u32, deaths_alone: u32, slot: &Running) -> Failure {
    Failure {
        kind: FailureKind::Poison,
        message: format!(
            "its process died {deaths} times handling this, {deaths_alone} of them with nothing beside it"
        ),
        took: std::time::Duration::ZERO,
        step: slot.step.clone(),
        wish: RetryWish::Never,
        circumstances: None,
    }
}

fn give_back(tx: &Tx<'_>, id: LetterId, failed: bool, unstarted: bool) -> Result<(), Error> {
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET state = ?2, owner = NULL, fence = fence + 1, due_us = ?3, \
               next_retry_at = CASE failed WHEN 1 THEN ?4 END, attempts = MAX(attempts - ?5, 0), \
               attempts_total = MAX(attempts_total - ?5, 0) WHERE id = ?1",
        )?
        .execute(params![
            id.0,
            open_state(failed),
            tx.now.0,
            tx.now.to_sql(),
            unstarted
        ])?;
    Ok(())
}

fn count_death(
    tx: &Tx<'_>,
    id: LetterId,
    failed: bool,
    deaths: u32,
    alone: u32,
) -> Result<(), Error> {
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET state = ?2, owner = NULL, fence = fence + 1, due_us = ?3, \
               next_retry_at = CASE failed WHEN 1 THEN ?4 END, deaths = deaths + ?5, \
               deaths_alone = deaths_alone + ?6, \
               why = CASE WHEN why IN ('handed_back', 'key_blocked', 'restored') THEN 'lease_lost' ELSE why END \
             WHERE id = ?1",
        )?
        .execute(params![
            id.0,
            open_state(failed),
            tx.now.0,
            tx.now.to_sql(),
            deaths,
            alone
        ])?;
    Ok(())
}

fn bury(
    tx: &Tx<'_>,
    id: LetterId,
    deaths: u32,
    deaths_alone: u32,
    failure: &Failure,
) -> Result<(), Error> {
    let now: Time = tx.now;
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET state = 'dead', owner = NULL, fence = fence + 1, \
               deaths = deaths + ?2, deaths_alone = ?3, error = ?4, error_kind = ?5, step = ?6, \
               created_at = CASE failed WHEN 1 THEN created_at ELSE ?7 END, failed = 1, \
               last_attempt_at = ?7, next_retry_at = NULL, due_us = NULL WHERE id = ?1",
        )?
        .execute(params![
            id.0,
            deaths,
            deaths_alone,
            failure.message,
            failure.kind.as_str(),
            failure.step,
            now.to_sql(),
        ])?;
    Ok(())
}

/// The state of an open row nobody runs.
fn open_state(failed: bool) -> &'static str {
    if failed { "retrying" } else { "waiting" }
}

/// The letters that wait for a thread of a process.
fn held(tx: &Tx<'_>, row: i64) -> Result<Vec<(LetterId, i64)>, Error> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT id, held_us FROM redeliveries WHERE owner = ?1 AND held_us IS NOT NULL",
    )?;
    let rows = statement.query_map([row], |row| Ok((LetterId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
