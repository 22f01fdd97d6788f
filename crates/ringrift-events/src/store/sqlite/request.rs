//! A verb on its way: what the database thread runs, and the answer that it may fill but never
//! drop.

use std::time::Duration;

use super::recent::NEAR;
use super::verb::{Question, Tx, Undo, Verb};
use super::verbs::append::Append;
use crate::event::Seq;
use crate::store::Error;
use crate::store::log::Appended;
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

    /// Gives the kept result to a blocking caller. Says whether one waited, who then does what
    /// follows in the courier's place.
    fn fill(&mut self) -> bool;

    /// Runs the follow-up and wakes an async caller. Never on a database thread.
    fn wake(&mut self);

    /// About how many bytes wait with it.
    fn bytes(&self) -> usize {
        0
    }

    /// Its answer waits for a sync.
    fn power(&self) -> bool {
        false
    }

    /// The bells that are rung once it is committed.
    fn rings(&self) -> Bells {
        Bells::NONE
    }

    /// See [`Verb::undo`].
    fn undo(&self) -> Undo {
        Undo::Savepoint
    }

    /// The append that it is: see [`Verb::as_append`].
    fn as_append(&mut self) -> Option<&mut Append> {
        None
    }

    /// Another process has made it: keeps that as its result.
    fn appended(&mut self, _appended: Appended) {}

    /// Another process's: nobody here waits for it, and any thread may drop it.
    fn is_neighbours(&self) -> bool {
        false
    }

    /// See [`Question::place`].
    fn place(&self) -> Option<Seq> {
        None
    }

    /// Whether `other`, which was asked later, is to be answered first.
    fn gives_way(&mut self, _other: &dyn Request) -> bool {
        false
    }

    /// How long it may take, for reads.
    fn time_limit(&self) -> Duration {
        Duration::MAX
    }
}

/// How often a question gives way: it waits for so many short reads at most.
const GIVES_WAY_MAX: u32 = 32;

/// A result that is kept until its caller may have it.
struct Kept<T: Clone> {
    result: Option<Result<T, Error>>,
    answer: Answer<T>,
}

impl<T: Clone> Kept<T> {
    fn new(answer: Answer<T>) -> Kept<T> {
        Kept {
            result: None,
            answer,
        }
    }

    /// Keeps it. Answers the error's copy if it is one.
    fn keep(&mut self, result: Result<T, Error>) -> Result<(), Error> {
        let told = result.as_ref().map(|_| ()).map_err(Clone::clone);
        self.result = Some(result);
        told
    }

    fn fill(&mut self) -> bool {
        let result = self.result.take();
        result.is_some_and(|result| self.answer.fill(result))
    }
}

/// A [`Verb`] and its answer.
pub(super) struct Writing<V: Verb> {
    verb: Option<V>,
    bytes: usize,
    power: bool,
    rings: Bells,
    undo: Undo,
    may_have_applied: bool,
    kept: Kept<V::Answer>,
}

impl<V: Verb> Writing<V> {
    pub(super) fn new(verb: V, answer: Answer<V::Answer>) -> Writing<V> {
        Writing {
            bytes: verb.bytes(),
            power: verb.power(),
            rings: verb.rings(),
            undo: verb.undo(),
            may_have_applied: verb.may_have_applied(),
            verb: Some(verb),
            kept: Kept::new(answer),
        }
    }
}

impl<V: Verb> Writing<V> {
    /// An error as its caller is to be told.
    fn told(&self, error: Error) -> Error {
        match self.may_have_applied {
            true => error.unknown_outcome(),
            false => error,
        }
    }
}

impl<V: Verb> Request for Writing<V> {
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        let Some(verb) = self.verb.take() else {
            return Ok(());
        };
        self.may_have_applied = verb.may_have_applied();
        let ran = verb.run(tx).map_err(|error| self.told(error));
        self.kept.keep(ran)
    }

    fn refuse(&mut self, error: Error) {
        if let Some(verb) = self.verb.take() {
            self.may_have_applied = verb.may_have_applied();
        }
        if !matches!(self.kept.result, Some(Err(_))) {
            self.kept.result = Some(Err(self.told(error)));
        }
    }

    fn fill(&mut self) -> bool {
        self.kept.fill()
    }

    fn wake(&mut self) {
        self.kept.answer.wake();
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

    fn as_append(&mut self) -> Option<&mut Append> {
        self.verb.as_mut()?.as_append()
    }

    fn appended(&mut self, appended: Appended) {
        if let Some(answer) = V::appended(appended) {
            self.verb = None;
            self.kept.result = Some(Ok(answer));
        }
    }

    fn undo(&self) -> Undo {
        self.undo
    }
}

/// A [`Question`] and its answer.
pub(super) struct Reading<Q: Question> {
    question: Option<Q>,
    gave_way: u32,
    time_limit: Duration,
    kept: Kept<Q::Answer>,
}

impl<Q: Question> Reading<Q> {
    pub(super) fn new(question: Q, answer: Answer<Q::Answer>) -> Reading<Q> {
        Reading {
            time_limit: question.time_limit(),
            question: Some(question),
            gave_way: 0,
            kept: Kept::new(answer),
        }
    }
}

impl<Q: Question> Request for Reading<Q> {
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        let Some(question) = self.question.take() else {
            return Ok(());
        };
        self.kept.keep(question.run(tx))
    }

    fn refuse(&mut self, error: Error) {
        self.question = None;
        self.kept.result = Some(Err(error));
    }

    fn fill(&mut self) -> bool {
        self.kept.fill()
    }

    fn wake(&mut self) {
        self.kept.answer.wake();
    }

    fn place(&self) -> Option<Seq> {
        self.question.as_ref().and_then(Question::place)
    }

    /// Who is a little behind reads first: then both read the same soon, and what is read once serves
    /// both.
    fn gives_way(&mut self, other: &dyn Request) -> bool {
        let (Some(mine), Some(its)) = (self.place(), other.place()) else {
            return false;
        };
        let is_near = (1..=NEAR).contains(&(mine.0 - its.0));
        let gives_way = is_near && self.gave_way < GIVES_WAY_MAX;
        self.gave_way += u32::from(gives_way);
        gives_way
    }

    fn time_limit(&self) -> Duration {
        self.time_limit
    }
}

/// An answer that a thread of its own worked out: a backup, a check.
pub(super) struct Worked<T: Clone>(Kept<T>);

impl<T: Clone> Worked<T> {
    pub(super) fn new(result: Result<T, Error>, answer: Answer<T>) -> Worked<T> {
        Worked(Kept {
            result: Some(result),
            answer,
        })
    }
}

impl<T: Clone + Send> Request for Worked<T> {
    fn run(&mut self, _tx: &Tx<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn refuse(&mut self, error: Error) {
        self.0.result = Some(Err(error));
    }

    fn fill(&mut self) -> bool {
        self.0.fill()
    }

    fn wake(&mut self) {
        self.0.answer.wake();
    }
}
