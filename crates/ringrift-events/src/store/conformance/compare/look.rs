//! What a store says of itself.

use super::side::{Side, told};
use crate::event::{ProcessId, Seq};
use crate::store::letters::{Letter, LetterFilter, LetterState};
use crate::store::log::TypeSet;
use crate::store::subscriptions::SubscriptionState;

/// Every state a letter may be in.
pub(super) const STATES: [LetterState; 7] = [
    LetterState::Retrying,
    LetterState::Running,
    LetterState::Dead,
    LetterState::Recovered,
    LetterState::Discarded,
    LetterState::Expired,
    LetterState::Purged,
];

impl Side<'_> {
    /// Sums, subscriptions, letters, the log: whatever must be equal.
    pub(super) fn look(&self) -> String {
        let store = &self.processes[0];
        let filter = LetterFilter {
            states: STATES.to_vec(),
            limit: 1_000,
            ..LetterFilter::default()
        };
        let parts = [
            told(store.head().wait(), |head| format!("head {}", head.seq)),
            told(
                store.read(Seq::START, TypeSet::All, 1_000).wait(),
                |(events, to)| {
                    let seqs: Vec<_> = events.iter().filter_map(|event| event.seq).collect();
                    format!("log {seqs:?} to {to}")
                },
            ),
            told(store.tallies().wait(), |mut tallies| {
                tallies.sort_by_key(|tally| tally.subscription);
                {
                    let tallies = tallies.iter().map(|tally| format!("{tally:?}"));
                    tallies.collect::<Vec<_>>().join("\n")
                }
            }),
            told(store.subscriptions().wait(), |states| {
                let states: Vec<_> = states
                    .iter()
                    .map(|state| self.subscription(state))
                    .collect();
                states.join("\n")
            }),
            told(store.letters(filter).wait(), |letters| {
                let letters: Vec<_> = letters.iter().map(letter).collect();
                letters.join("\n")
            }),
            told(store.count_letters().wait(), |count| {
                format!("letters {count}")
            }),
        ];
        parts.join("\n")
    }

    fn subscription(&self, state: &SubscriptionState) -> String {
        let number = |id: &ProcessId| self.number(*id);
        let hosts = state.hosts.iter();
        let mut hosts: Vec<_> = hosts.map(|(id, version)| (number(id), version)).collect();
        hosts.sort_unstable();
        let versions = state.versions.iter();
        let versions: Vec<_> = versions
            .map(|v| (v.number, v.valid_from, v.valid_to))
            .collect();
        format!(
            "{:?} {} {:?} of {:?} hosts {hosts:?} versions {versions:?} paused {} ended {} claimed \
             {} retrying {} dead {} again {}",
            state.id,
            state.current().name,
            state.generation,
            state.process.as_ref().map(number),
            state.paused.is_some(),
            state.ended_at.is_some(),
            state.claimed,
            state.retrying,
            state.dead,
            state.again
        )
    }
}

fn letter(letter: &Letter) -> String {
    format!(
        "{:?} {} of {:?} {} {:?} {:?} attempts {}/{} deaths {} due {} linked {:?}",
        letter.event.seq,
        letter.event.id,
        letter.subscription,
        letter.handler,
        letter.state,
        letter.error,
        letter.attempts,
        letter.attempts_total,
        letter.deaths,
        letter.next_retry_at.is_some(),
        letter.linked
    )
}
