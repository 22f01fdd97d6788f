//! A verb on its way: what the database thread runs, and the answer that it may fill but never
//! drop.

use std::time::Duration;

use super::verb::{Question, Tx, Verb};
use crate::store::Error;
use crate::store::pages::Bells;
use crate::store::pending::Answer;

/// A request of any type, as queues hold it.
///
/// A database thread calls [`Request::run`], [`Request::refuse`] and [`Request::fill`], then hands
/// the box to the courier, which calls [`Request::wake`] and drops it: the answer inside may own
/// an async waker or a caller's closure, and those may own descriptors.
pub(super) trait Request: Send {
    /// Runs it once and keeps the result. Answers the error's copy if it failed.
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Error>;

    /// Makes `error` the result, unless it has failed by itself: what happened to the others of its
    /// transaction changes nothing for it.
    fn refuse(&mut self, error: Error);

    /// Gives the kept result to a blocking caller.
    fn fill(&mut self);

    /// Runs the follow-up and wakes an async caller. On the courier only.
    fn wake(&mut self);

    /// About how many bytes wait with it.
    fn bytes(&self) -> usize;

    /// Its answer waits for a sync.
    fn power(&self) -> bool;

    /// The bells that are rung once it is committed.
    fn rings(&self) -> Bells;

    /// How long it may take, for reads.
    fn time_limit(&self) -> Duration;
}

/// A [`Verb`] and its answer.
pub(super) struct Writing<V: Verb> {
    verb: Option<V>,
    bytes: usize,
    power: bool,
    rings: Bells,
    result: Option<Result<V::Answer, Error>>,
    answer: Answer<V::Answer>,
}

impl<V: Verb> Writing<V> {
    pub(super) fn new(verb: V, answer: Answer<V::Answer>) -> Writing<V> {
        Writing {
            bytes: verb.bytes(),
            power: verb.power(),
            rings: verb.rings(),
            verb: Some(verb),
            result: None,
            answer,
        }
    }
}

impl<V: Verb> Request for Writing<V> {
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        let Some(verb) = self.verb.take() else {
            return Ok(());
        };
        let result = verb.run(tx);
        let told = result.as_ref().map(|_| ()).map_err(Clone::clone);
        self.result = Some(result);
        told
    }

    fn refuse(&mut self, error: Error) {
        self.verb = None;
        if !matches!(self.result, Some(Err(_))) {
            self.result = Some(Err(error));
        }
    }

    fn fill(&mut self) {
        if let Some(result) = self.result.take() {
            self.answer.fill(result);
        }
    }

    fn wake(&mut self) {
        self.answer.wake();
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn power(&self) -> bool {
        self.power
    }

    fn rings(&self) -> Bells {
        self.rings
    }

    fn time_limit(&self) -> Duration {
        Duration::MAX
    }
}

/// A [`Question`] and its answer.
pub(super) struct Reading<Q: Question> {
    question: Option<Q>,
    time_limit: Duration,
    result: Option<Result<Q::Answer, Error>>,
    answer: Answer<Q::Answer>,
}

impl<Q: Question> Reading<Q> {
    pub(super) fn new(question: Q, answer: Answer<Q::Answer>) -> Reading<Q> {
        Reading {
            time_limit: question.time_limit(),
            question: Some(question),
            result: None,
            answer,
        }
    }
}

impl<Q: Question> Request for Reading<Q> {
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        let Some(question) = self.question.take() else {
            return Ok(());
        };
        let result = question.run(tx);
        let told = result.as_ref().map(|_| ()).map_err(Clone::clone);
        self.result = Some(result);
        told
    }

    fn refuse(&mut self, error: Error) {
        self.question = None;
        self.result = Some(Err(error));
    }

    fn fill(&mut self) {
        if let Some(result) = self.result.take() {
            self.answer.fill(result);
        }
    }

    fn wake(&mut self) {
        self.answer.wake();
    }

    fn bytes(&self) -> usize {
        0
    }

    fn power(&self) -> bool {
        false
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }

    fn time_limit(&self) -> Duration {
        self.time_limit
    }
}

/// An answer that a thread of its own worked out: a backup, a check.
pub(super) struct Worked<T: Clone> {
    result: Option<Result<T, Error>>,
    answer: Answer<T>,
}

impl<T: Clone> Worked<T> {
    pub(super) fn new(result: Result<T, Error>, answer: Answer<T>) -> Worked<T> {
        Worked {
            result: Some(result),
            answer,
        }
    }
}

impl<T: Clone + Send> Request for Worked<T> {
    fn run(&mut self, _tx: &Tx<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn refuse(&mut self, error: Error) {
        self.result = Some(Err(error));
    }

    fn fill(&mut self) {
        if let Some(result) = self.result.take() {
            self.answer.fill(result);
        }
    }

    fn wake(&mut self) {
        self.answer.wake();
    }

    fn bytes(&self) -> usize {
        0
    }

    fn power(&self) -> bool {
        false
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }

    fn time_limit(&self) -> Duration {
        Duration::MAX
    }
}
