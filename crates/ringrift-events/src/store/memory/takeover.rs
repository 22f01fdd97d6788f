//! Taking over from processes that died, left or hang.

use std::time::Duration;

use serde_json::json;

use super::state::{Life, Member, World};
use crate::event::{EventId, ProcessId, Seq};
use crate::store::deliveries::{LetterId, Why};
use crate::store::letters::LetterState;
use crate::store::registry::Running;
use crate::store::subscriptions::{Kind, SubscriptionId};
use crate::store::upkeep::{SweepRules, Swept, is_poison};
use crate::verdict::{Code, Failure, FailureKind, RetryWish};

impl World {
    pub(super) fn take_over(&mut self, me: ProcessId, rules: &SweepRules) -> Swept {
        self.swept = Some((me, self.now));
        let mut swept = Swept::default();
        let lost: Vec<(ProcessId, Life)> = self
            .members
            .iter()
            .filter(|(id, member)| **id != me && self.is_lost(member))
            .map(|(id, member)| (*id, member.life))
            .collect();
        for (process, life) in lost {
            self.take_from(process, life, rules, &mut swept);
        }
        swept
    }

    /// Dead or gone and not dealt with, or silent for longer than a lease.
    fn is_lost(&self, member: &Member) -> bool {
        match member.life {
            Life::Alive => self.is_silent(member),
            Life::Left | Life::Dead => !member.swept,
        }
    }

    pub(super) fn is_silent(&self, member: &Member) -> bool {
        member.hung || self.monotonic.saturating_sub(member.lease_from) > self.lease
    }

    /// Ends a process that says so: what it holds is given back, and nobody died of it.
    pub(super) fn leave(&mut self, me: ProcessId) {
        let running = self.running_of(me);
        let ran = |subscription: SubscriptionId, event: EventId| {
            running
                .iter()
                .any(|r| r.subscription == subscription && r.event == event)
        };
        self.return_claims(me, &ran, Why::HandedBack, &mut Swept::default());
        self.free_held_of(me);
        self.return_rows(me, &ran, Why::HandedBack);
        self.release_keys_of(me);
        if let Some(member) = self.members.get_mut(&me) {
            // Leaving is the last sign of life.
            member.beat_at = self.now;
        }
        self.end(me, Life::Left);
        self.bury(me);
    }

    fn running_of(&self, process: ProcessId) -> Vec<Running> {
        let member = self.members.get(&process);
        let slots = member.map(|member| member.slots.iter().flatten().cloned().collect());
        slots.unwrap_or_default()
    }

    fn take_from(&mut self, process: ProcessId, life: Life, rules: &SweepRules, swept: &mut Swept) {
        let running = self.running_of(process);
        let alone = running.len() == 1;
        let ran = |subscription: SubscriptionId, event: EventId| {
            running
                .iter()
                .any(|r| r.subscription == subscription && r.event == event)
        };
        self.release_keys_of(process);
        let mut interrupted = self.return_claims(process, &ran, Why::LeaseLost, swept);
        if life != Life::Alive {
            self.free_held_of(process);
        }
        interrupted.extend(self.return_rows(process, &ran, Why::LeaseLost));
        swept.interrupted += interrupted.len() as u64;
        for id in interrupted {
            // Only deaths count against an event, and only while it ran alone make it poison.
            let death = (life != Life::Alive).then_some(alone);
            self.count_end(id, process, death, rules, swept);
        }
        if life != Life::Alive {
            self.bury(process);
            swept.dead.push(process);
        }
    }

    /// Leaves a process's claims to whoever comes next; what it ran goes its own way.
    fn return_claims(
        &mut self,
        process: ProcessId,
        ran: &dyn Fn(SubscriptionId, EventId) -> bool,
        why: Why,
        swept: &mut Swept,
    ) -> Vec<LetterId> {
        let owned: Vec<(i64, SubscriptionId)> = self
            .claims
            .iter()
            .filter(|(_, claim)| claim.open && claim.owner == Some(process))
            .map(|(number, claim)| (*number, claim.subscription))
            .collect();
        let mut interrupted = Vec::new();
        for (number, subscription) in owned {
            let held: Vec<(Seq, EventId)> = self
                .held_events(number)
                .into_iter()
                .filter_map(|seq| Some((seq, self.log.get(&seq)?.event.id)))
                .collect();
            for (seq, event) in held {
                if ran(subscription, event) {
                    interrupted.push(self.row_of(subscription, seq, why));
                }
            }
            self.release_claim(number);
            swept.claims_returned += 1;
        }
        interrupted
    }

    /// No thread of the process runs any more: what it held is due as it had been told.
    fn free_held_of(&mut self, process: ProcessId) {
        let held = self
            .rows
            .values()
            .filter(|row| row.held && row.owner == Some(process));
        let held: Vec<LetterId> = held.map(|row| row.id).collect();
        for id in held {
            self.free_held(id);
        }
    }

    /// Makes a process's redeliveries due again; answers those it ran.
    fn return_rows(
        &mut self,
        process: ProcessId,
        ran: &dyn Fn(SubscriptionId, EventId) -> bool,
        why: Why,
    ) -> Vec<LetterId> {
        let now = self.now;
        let mut interrupted = Vec::new();
        for row in self.rows.values_mut() {
            if row.owner != Some(process) || row.held {
                continue;
            }
            row.owner = None;
            row.fence += 1;
            row.state = LetterState::Retrying;
            row.due = Some(now);
            if ran(row.subscription, row.event.id) {
                interrupted.push(row.id);
                if matches!(row.why, Why::HandedBack | Why::Restored | Why::KeyBlocked) {
                    row.why = why;
                }
            } else {
                // Taken and not started.
                row.attempts = row.attempts.saturating_sub(1);
                row.attempts_total = row.attempts_total.saturating_sub(1);
            }
        }
        interrupted
    }

    /// Records one interrupted run, and its death if it was one; too many while alone make the event
    /// poison.
    fn count_end(
        &mut self,
        id: LetterId,
        process: ProcessId,
        death: Option<bool>,
        rules: &SweepRules,
        swept: &mut Swept,
    ) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        row.deaths += u32::from(death.is_some());
        row.deaths_alone += u32::from(death == Some(true));
        let (deaths, deaths_alone) = (row.deaths, row.deaths_alone);
        let (subscription, event) = (row.subscription, row.event.clone());
        let evidence = json!({ "letter": id, "deaths": deaths, "alone": deaths_alone });
        self.verdict(
            Code::HnLeaseLost,
            subscription,
            &event,
            Some(process),
            evidence,
        );
        if death.is_some() && is_poison(rules.poison_deaths, deaths, deaths_alone) {
            let failure = Failure {
                kind: FailureKind::Poison,
                message: format!(
                    "its process died {deaths} times handling this, {deaths_alone} of them with nothing beside it"
                ),
                took: Duration::ZERO,
                step: None,
                wish: RetryWish::Never,
                circumstances: None,
            };
            self.fail_row(id, process, &failure, None, false);
            self.release_keys(subscription, Some(event.id));
            swept.poisoned.push((subscription, event.id));
        }
    }

    /// Ends what a dead process had of its own.
    fn bury(&mut self, process: ProcessId) {
        let live: Vec<SubscriptionId> = self
            .subscriptions
            .values()
            .filter(|s| s.kind == Kind::Live && s.process == Some(process))
            .map(|s| s.id)
            .collect();
        let polled = self
            .members
            .get(&process)
            .map(|member| member.polled_to.next());
        for id in live {
            self.end_live(id, polled);
        }
        let hosted: Vec<SubscriptionId> = self
            .members
            .get(&process)
            .map(|member| member.hosts.keys().copied().collect())
            .unwrap_or_default();
        for id in hosted {
            self.unhost(process, id);
        }
        self.end_host_records(process);
        if let Some(member) = self.members.get_mut(&process) {
            member.swept = true;
            member.slots.clear();
        }
    }
}
