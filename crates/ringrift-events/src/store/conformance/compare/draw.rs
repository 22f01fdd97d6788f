//! Drawing operations from a seed.

use std::sync::Arc;
use std::time::Duration;

use super::side::Side;
use crate::clock::{Clock as _, ManualClock};
use crate::event::{Event, EventId, EventType, Payload, ProcessId, Seq, TraceId};
use crate::store::letters::LetterAct;
use crate::store::log::TypeSet;
use crate::store::subscriptions::{Definition, Kind, SeekTo, Start};

/// One operation; indexes are into what the sides hold, which is the same on both.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Publish(usize, Vec<(Short, Option<String>)>),
    Subscribe(usize, Box<Definition>, bool),
    Unsubscribe(usize, i64),
    Claim(usize, i64, usize),
    /// Claim, how many of its events are settled, which fail, and how.
    Settle(usize, usize, Vec<(usize, Ending)>),
    HandBack(usize, usize),
    GiveUp(usize, usize),
    ClaimDue(usize, Vec<i64>, usize),
    NextDue(usize, Vec<i64>),
    SettleDue(usize, Ending),
    Reserve(usize, i64, Vec<(String, EventId)>),
    Park(usize, i64, Short, bool),
    Late(usize, i64, bool),
    Replay(usize, i64, Seq),
    Pause(usize, i64, bool),
    Seek(usize, i64, SeekTo, bool),
    Remove(usize, i64, bool),
    Letter(usize, LetterAct, usize),
    Edit(usize, usize, Short),
    Clear(usize),
    Restore(usize),
    Start(usize, usize),
    Kill(usize),
    Leave(usize),
    TakeOver(usize),
    Advance(u64),
}

/// An event in few words.
#[derive(Clone, PartialEq)]
pub(super) struct Short(pub(super) Arc<Event>);

impl std::fmt::Debug for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.0.key.as_deref().unwrap_or("-");
        write!(f, "{} {key} {}", self.0.event_type, self.0.payload.as_str())
    }
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    DoneWithKey,
    Skipped,
    Failed,
    FailedWithKey,
    Later,
    Held,
    Dead,
}

/// Draws operations.
pub(super) struct Dice {
    clock: ManualClock,
    published: Vec<Arc<Event>>,
}

impl Dice {
    pub(super) fn new(seed: u64, clock: &ManualClock) -> Dice {
        Dice {
            clock: ManualClock::new(clock.now(), seed),
            published: Vec::new(),
        }
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.clock.random() % bound.max(1) as u64).unwrap_or(0)
    }

    fn one_in(&self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(super) fn operation(&mut self, side: &Side<'_>) -> Operation {
        let at = self.below(side.processes.len());
        // Now and then one that nobody has made yet.
        let id = 1 + i64::try_from(self.below(side.subscriptions + 1)).unwrap_or(0);
        let recent = |many: usize| many.saturating_sub(1 + self.below(4));
        match self.below(100) {
            0..=15 => self.publish(at),
            16..=24 => Operation::Subscribe(at, Box::new(self.definition()), self.one_in(5)),
            25 => Operation::Unsubscribe(at, id),
            26..=42 => Operation::Claim(at, id, 1 + self.below(5)),
            43..=56 => self.settle(side),
            57..=58 => Operation::HandBack(recent(side.claims.len()), self.below(4)),
            59..=60 => Operation::GiveUp(recent(side.claims.len()), self.below(4)),
            61..=67 => Operation::ClaimDue(at, vec![id, 1], 1 + self.below(4)),
            68 => Operation::NextDue(at, vec![id, 1]),
            69..=75 => Operation::SettleDue(recent(side.again.len()), self.ending()),
            76..=77 => Operation::Reserve(at, id, self.keys()),
            78 => Operation::Park(at, id, Short(Arc::new(self.event())), self.one_in(4)),
            79 => Operation::Late(recent(side.held.len()), id, self.one_in(2)),
            80 => Operation::Replay(at, id, self.place()),
            81 => Operation::Pause(at, id, self.one_in(2)),
            82..=83 => Operation::Seek(at, id, self.seek_to(), self.one_in(3)),
            84 => Operation::Remove(at, id, self.one_in(2)),
            85..=88 => self.letter(at),
            89 => Operation::Edit(at, self.below(5), Short(Arc::new(self.event()))),
            90 => Operation::Clear(at),
            91 => Operation::Restore(at),
            92 => Operation::Start(recent(side.claims.len()), self.below(4)),
            93 => Operation::Kill(at),
            94 => Operation::Leave(at),
            95..=96 => Operation::TakeOver(at),
            _ => self.advance(),
        }
    }

    fn advance(&self) -> Operation {
        let seconds = self.pick(&[1, 5, 60, 400]);
        self.clock.advance(Duration::from_secs(seconds));
        Operation::Advance(seconds)
    }

    fn publish(&mut self, at: usize) -> Operation {
        let mut drafts = Vec::new();
        for _ in 0..=self.below(3) {
            let event = if self.one_in(10) && !self.published.is_empty() {
                Arc::clone(&self.published[self.below(self.published.len())])
            } else {
                Arc::new(self.event())
            };
            let key = self.one_in(8).then(|| self.pick(&["i1", "i2"]).to_owned());
            self.published.push(Arc::clone(&event));
            drafts.push((Short(event), key));
        }
        Operation::Publish(at, drafts)
    }

    fn event(&self) -> Event {
        let n = self.below(4);
        Event {
            id: EventId::new(&self.clock),
            event_type: EventType::from_canonical(self.pick(&["a", "a", "b"])),
            payload: Payload::from_checked(format!(r#"{{"n":{n}}}"#)),
            source: "compare".to_owned(),
            key: (!self.one_in(4)).then(|| self.pick(&["x", "y"]).to_owned()),
            published_at: self.clock.now(),
            trace_id: TraceId(EventId::new(&self.clock).0),
            parent_id: None,
            depth: 0,
            origin: ProcessId(uuid::Uuid::nil()),
            stage: None,
            seq: None,
        }
    }

    fn definition(&self) -> Definition {
        let kind = if self.one_in(4) {
            Kind::Live
        } else {
            Kind::Durable
        };
        let name = self.pick(&["one", "two", "three"]);
        let types = match self.below(12) {
            0 => TypeSet::All,
            1 => TypeSet::only([EventType::from_canonical("b")]),
            _ => TypeSet::only([EventType::from_canonical("a")]),
        };
        let start = match name {
            "one" => Start::Now,
            "two" => Start::Beginning,
            _ => Start::After(Seq(2)),
        };
        Definition {
            name: name.to_owned(),
            kind,
            types,
            filter: self.one_in(10).then(|| "n__gte = 1".to_owned()),
            start,
            dedup: Vec::new(),
            ordered_by_key: name == "two",
        }
    }

    fn ending(&self) -> Ending {
        self.pick(&[
            Ending::Done,
            Ending::Done,
            Ending::DoneWithKey,
            Ending::Skipped,
            Ending::Failed,
            Ending::Failed,
            Ending::FailedWithKey,
            Ending::Later,
            Ending::Held,
            Ending::Dead,
        ])
    }

    fn settle(&self, side: &Side<'_>) -> Operation {
        let mut results = Vec::new();
        let mut at = 0;
        for _ in 0..self.below(3) {
            at += self.below(3);
            results.push((at, self.ending()));
            at += 1;
        }
        let claim = side.claims.len().saturating_sub(1 + self.below(4));
        Operation::Settle(claim, self.below(6), results)
    }

    fn keys(&self) -> Vec<(String, EventId)> {
        let event = |dice: &Dice| match dice.published.len() {
            0 => EventId::new(&dice.clock),
            many => dice.published[many - 1 - dice.below(many.min(6))].id,
        };
        let keys = (0..=self.below(2)).map(|_| (self.pick(&["k1", "k2"]).to_owned(), event(self)));
        keys.collect()
    }

    fn place(&self) -> Seq {
        Seq(i64::try_from(self.below(self.published.len() + 2)).unwrap_or(0))
    }

    fn seek_to(&self) -> SeekTo {
        match self.below(5) {
            0 => SeekTo::Beginning,
            1 => SeekTo::End,
            2 => SeekTo::Time(self.clock.now().before(Duration::from_secs(30))),
            _ => SeekTo::After(self.place()),
        }
    }

    fn letter(&self, at: usize) -> Operation {
        let act = self.pick(&[
            LetterAct::Retry,
            LetterAct::Discard,
            LetterAct::Purge,
            LetterAct::Restore,
        ]);
        Operation::Letter(at, act, self.below(5))
    }
}
