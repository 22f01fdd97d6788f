//! Doing one operation on one store, and telling what it answered.

use std::sync::Arc;
use std::time::Duration;

use super::super::bench::{grows, places, rules};
use super::draw::{Ending, Operation, Short};
use super::side::{Side, ids, told};
use crate::event::Seq;
use crate::store::deliveries::{Redelivery, Settle, Want};
use crate::store::letters::{LetterFilter, LetterState};
use crate::store::log::{Batch, Draft, Durability};
use crate::store::registry::{Counters, Running};
use crate::store::subscriptions::SubscriptionId;
use crate::store::upkeep::Swept;
use crate::verdict::{Effort, Outcome};

/// The window of every dedup key.
const TTL: Duration = Duration::from_secs(100);

impl Side<'_> {
    /// Does it; answers in words.
    pub(super) fn act(&mut self, operation: &Operation) -> String {
        match operation {
            Operation::Publish(at, drafts) => self.publish(*at, drafts),
            Operation::Claim(at, id, max) => self.claim(*at, *id, *max),
            Operation::Settle(at, count, results) => self.settle(*at, *count, results),
            Operation::HandBack(at, keep) => self.with_place(*at, *keep, false),
            Operation::GiveUp(at, which) => self.with_place(*at, *which, true),
            Operation::ClaimDue(at, of, max) => self.claim_due(*at, of, *max),
            Operation::SettleDue(at, ending) => self.settle_due(*at, *ending),
            Operation::Start(at, which) => self.start_run(*at, *which),
            Operation::Late(at, id, done) => self.late(*at, *id, *done),
            Operation::Kill(at) => {
                let old = self.replace(*at);
                self.harness.kill(&old);
                "killed".to_owned()
            }
            Operation::Leave(at) => {
                self.replace(*at).close();
                "left".to_owned()
            }
            Operation::Advance(seconds) => {
                self.harness.clock().advance(Duration::from_secs(*seconds));
                for process in &self.processes {
                    process.beat(Counters::default(), Seq(0));
                }
                "advanced".to_owned()
            }
            Operation::TakeOver(at) => {
                let swept = self.processes[*at].take_over(rules()).wait();
                told(swept, |swept| self.swept(&swept))
            }
            Operation::Letter(..) | Operation::Edit(..) => self.act_on_letter(operation),
            Operation::Subscribe(..)
            | Operation::Unsubscribe(..)
            | Operation::Pause(..)
            | Operation::Seek(..)
            | Operation::Remove(..) => self.ask_of_subscription(operation),
            Operation::NextDue(..)
            | Operation::Reserve(..)
            | Operation::Park(..)
            | Operation::Replay(..)
            | Operation::Clear(..)
            | Operation::Restore(..) => self.ask(operation),
        }
    }

    /// Operations on subscriptions.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller sorted the operations"
    )]
    fn ask_of_subscription(&mut self, operation: &Operation) -> String {
        let by = || "ann".to_owned();
        match operation {
            Operation::Subscribe(at, definition, replace) => {
                let definition = (**definition).clone();
                let answer = self.processes[*at].subscribe(definition, *replace).wait();
                if answer.as_ref().is_ok_and(|s| !s.existed) {
                    self.subscriptions += 1;
                }
                told(answer, |s| format!("{s:?}"))
            }
            Operation::Unsubscribe(at, id) => {
                let answer = self.processes[*at]
                    .unsubscribe(SubscriptionId(*id), None)
                    .wait();
                told(answer, |()| "ended".to_owned())
            }
            Operation::Pause(at, id, paused) => {
                let answer = self.processes[*at]
                    .pause(SubscriptionId(*id), *paused, by())
                    .wait();
                told(answer, |changed| format!("{changed}"))
            }
            Operation::Seek(at, id, to, dry) => {
                let answer = self.processes[*at]
                    .seek(SubscriptionId(*id), *to, by(), *dry)
                    .wait();
                told(answer, |s| {
                    format!(
                        "to {} {:?} skipped {} again {}",
                        s.to, s.generation, s.skipped, s.again
                    )
                })
            }
            Operation::Remove(at, id, dry) => {
                // A store may learn of a death only when it is swept.
                drop(self.processes[*at].take_over(rules()).wait());
                let answer = self.processes[*at]
                    .remove(SubscriptionId(*id), by(), *dry)
                    .wait();
                told(answer, |owed| format!("owed {owed}"))
            }
            _ => "no subscription's operation".to_owned(),
        }
    }

    /// Operations whose answers need no memory.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller sorted the operations"
    )]
    fn ask(&mut self, operation: &Operation) -> String {
        let by = || "ann".to_owned();
        match operation {
            Operation::NextDue(at, of) => {
                let answer = self.processes[*at].next_due(ids(of)).wait();
                told(answer, |due| format!("{due:?}"))
            }
            Operation::Reserve(at, id, keys) => {
                let id = SubscriptionId(*id);
                let answer = self.processes[*at].reserve(id, keys.clone(), TTL).wait();
                told(answer, |reserved| format!("{reserved:?}"))
            }
            Operation::Park(at, id, event, held) => self.park(*at, *id, event, *held),
            Operation::Replay(at, id, seq) => {
                let answer = self.processes[*at]
                    .replay(SubscriptionId(*id), *seq, by())
                    .wait();
                told(answer, |_| "replayed".to_owned())
            }
            Operation::Clear(at) => {
                let answer = self.processes[*at].clear_queue(by(), false).wait();
                told(answer, |events| format!("cleared {events}"))
            }
            Operation::Restore(at) => {
                let answer = self.processes[*at].restore_queue(by(), false).wait();
                told(answer, |events| format!("restored {events}"))
            }
            _ => "not asked here".to_owned(),
        }
    }

    fn publish(&self, at: usize, drafts: &[(Short, Option<String>)]) -> String {
        let batch = Batch {
            drafts: drafts
                .iter()
                .map(|(event, key)| Draft {
                    event: Arc::clone(&event.0),
                    idempotency_key: key.clone(),
                    call_site: None,
                })
                .collect(),
            durability: Durability::Process,
        };
        told(self.processes[at].append(batch, None).wait(), |appended| {
            let places = appended.iter().map(|a| (a.seq.0, a.duplicate_of));
            format!("{:?}", places.collect::<Vec<_>>())
        })
    }

    fn claim(&mut self, at: usize, id: i64, max: usize) -> String {
        let store = Arc::clone(&self.processes[at]);
        let mut held = self.claims.iter().rev();
        let newest = held.find(|(by, claim)| {
            Arc::ptr_eq(by, &store) && claim.subscription == SubscriptionId(id)
        });
        let want = Want {
            subscription: SubscriptionId(id),
            max,
            likely: max.is_multiple_of(2),
            grows: newest.filter(|_| max > 2).map(|(_, claim)| grows(claim)),
        };
        let answer = store.claim(want).wait();
        let mut kept = None;
        let words = told(answer, |claim| match claim {
            None => "nothing".to_owned(),
            Some(claim) => {
                let words = format!(
                    "{:?} of {:?} taken over {}",
                    places(&claim),
                    claim.generation,
                    claim.taken_over
                );
                kept = Some(claim);
                words
            }
        });
        self.claims.extend(kept.map(|claim| (store, claim)));
        words
    }

    fn settle(&mut self, at: usize, count: usize, results: &[(usize, Ending)]) -> String {
        let Some((store, claim)) = self.claims.get(at) else {
            return "no claim".to_owned();
        };
        let seqs = places(claim);
        // Zero settles nothing: everything reported lies beyond the gap.
        let settled_to = match count.min(seqs.len()) {
            0 => Seq(seqs[0].0 - 1),
            count => seqs[count - 1],
        };
        let results: Vec<_> = results
            .iter()
            .filter_map(|(which, ending)| Some((*seqs.get(*which)?, *ending)))
            .collect();
        let held = results.iter().filter(|(_, ending)| *ending == Ending::Held);
        let held: Vec<_> = held
            .map(|(seq, _)| claim.events[seqs.binary_search(seq).unwrap_or(0)].id)
            .collect();
        let settle = Settle {
            token: claim.token,
            settled_to,
            results: results
                .iter()
                .map(|(seq, ending)| self.result(*seq, *ending))
                .collect(),
            done: 0,
        };
        let words = told(store.settle(settle).wait(), |changed| format!("{changed}"));
        let store = Arc::clone(store);
        self.held
            .extend(held.into_iter().map(|event| (Arc::clone(&store), event)));
        words
    }

    fn with_place(&self, at: usize, which: usize, give_up: bool) -> String {
        let Some((store, claim)) = self.claims.get(at) else {
            return "no claim".to_owned();
        };
        let seqs = places(claim);
        let seq = seqs[which.min(seqs.len() - 1)];
        let answer = if give_up {
            store.give_up(claim.token, seq, which < 2).wait()
        } else {
            let keep_to = if which == 3 { Seq::START } else { seq };
            store.hand_back(claim.token, keep_to).wait()
        };
        told(answer, |()| format!("at {seq}"))
    }

    fn claim_due(&mut self, at: usize, of: &[i64], max: usize) -> String {
        let store = Arc::clone(&self.processes[at]);
        let answer = store.claim_due(ids(of), max).wait();
        let mut kept = Vec::new();
        let words = told(answer, |due| {
            let words: Vec<String> = due.iter().map(again).collect();
            kept = due;
            format!("{words:?}")
        });
        let kept = kept.into_iter().map(|again| (Arc::clone(&store), again));
        self.again.extend(kept);
        words
    }

    fn settle_due(&mut self, at: usize, ending: Ending) -> String {
        let Some((store, again)) = self.again.get(at) else {
            return "no redelivery".to_owned();
        };
        let result = self.result(again.event.seq.unwrap_or_default(), ending);
        let answer = store.settle_due(again.id, again.fence, result).wait();
        told(answer, |changed| format!("{changed}"))
    }

    fn start_run(&self, at: usize, which: usize) -> String {
        let Some((store, claim)) = self.claims.get(at) else {
            return "no claim".to_owned();
        };
        let event = &claim.events[which.min(claim.events.len() - 1)];
        let slot = store.started(Running {
            subscription: claim.subscription,
            event: event.id,
            seq: event.seq,
            since: self.now(),
            step: None,
            step_since: None,
            abandoned: false,
            effort: Effort::default(),
        });
        format!("runs {:?} {}", event.seq, slot.is_some())
    }

    fn late(&self, at: usize, id: i64, done: bool) -> String {
        let Some((store, event)) = self.held.get(at) else {
            return "nothing held".to_owned();
        };
        let outcome = if done {
            Outcome::Done
        } else {
            super::super::bench::Bench::failed("late")
        };
        let answer = store.late(SubscriptionId(id), *event, outcome).wait();
        told(answer, |changed| format!("{changed}"))
    }

    fn park(&mut self, at: usize, id: i64, event: &Short, held: bool) -> String {
        let store = Arc::clone(&self.processes[at]);
        let id = SubscriptionId(id);
        // Only a live handler's deliveries are parked.
        let live = store.subscriptions().wait().unwrap_or_default();
        let live = live.iter().any(|state| {
            state.id == id && state.process == Some(store.process()) && state.ended_at.is_none()
        });
        if !live {
            return "not live".to_owned();
        }
        let failure = super::super::bench::Bench::failure("parked");
        let retry_at = Some(self.now());
        let answer = store
            .park(id, Arc::clone(&event.0), failure, retry_at, held)
            .wait();
        if held {
            self.held.push((store, event.0.id));
        }
        told(answer, |_| "parked".to_owned())
    }

    /// Acts on a letter by its place among all of them, oldest first.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller sorted the operations"
    )]
    fn act_on_letter(&self, operation: &Operation) -> String {
        let (at, which) = match operation {
            Operation::Letter(at, _, which) | Operation::Edit(at, which, _) => (*at, *which),
            _ => return "no letter's operation".to_owned(),
        };
        let store = &self.processes[at];
        let filter = LetterFilter {
            states: super::look::STATES.to_vec(),
            limit: 1_000,
            ..LetterFilter::default()
        };
        let letters = store.letters(filter).wait().unwrap_or_default();
        let Some(letter) = letters.get(which) else {
            return "no such letter".to_owned();
        };
        let by = "ann".to_owned();
        if let Operation::Edit(_, _, event) = operation {
            let edited = (*event.0).clone();
            let answer = store.edit(letter.seen(), edited, by).wait();
            return told(answer, |_| "edited".to_owned());
        }
        let Operation::Letter(_, act, _) = operation else {
            return "no letter's operation".to_owned();
        };
        let acted = store.act(*act, vec![letter.seen()], by).wait();
        let was = letter.state == LetterState::Running;
        told(acted, |acted| format!("changed {} {was}", acted.changed))
    }

    fn swept(&self, swept: &Swept) -> String {
        let mut dead: Vec<usize> = swept.dead.iter().map(|id| self.number(*id)).collect();
        dead.sort_unstable();
        let mut poisoned = swept.poisoned.clone();
        poisoned.sort_unstable();
        format!(
            "dead {dead:?} claims {} interrupted {} poisoned {poisoned:?}",
            swept.claims_returned, swept.interrupted
        )
    }
}

fn again(again: &Redelivery) -> String {
    format!(
        "{:?} {} of {:?}: {:?} attempts {} deaths {}",
        again.event.seq,
        again.event.id,
        again.subscription,
        again.why,
        again.attempts,
        again.deaths
    )
}
