//! What the user gives us to call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::context::Context;
use super::reply::Reply;

pub(super) type Running = Pin<Box<dyn Future<Output = Reply> + Send>>;
pub(super) type AsyncFunction = Arc<dyn Fn(Context) -> Running + Send + Sync>;
pub(super) type PlainFunction = Arc<dyn Fn(&Context) -> Reply + Send + Sync>;

/// The user's function and the way it is to be run. Cheap to clone.
#[derive(Clone)]
pub struct Function(pub(super) Call);

#[derive(Clone)]
pub(super) enum Call {
    Asynchronous(AsyncFunction),
    Blocking(PlainFunction),
    Immediate(PlainFunction),
}

/// How a function is run, and so what its time limit can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On the runtime; cancelled at its limit.
    Asynchronous,
    /// On a thread of its own; given up at its limit, while its thread keeps the slot.
    Blocking,
    /// Where the events are taken out; its limit is only watched.
    Immediate,
}

impl Function {
    /// An async function: it waits with `.await` and never blocks its thread. It is cancelled at
    /// its time limit, so what it awaits must bear being dropped.
    pub fn asynchronous<F, T>(function: F) -> Function
    where
        F: Fn(Context) -> T + Send + Sync + 'static,
        T: Future<Output = Reply> + Send + 'static,
    {
        Function(Call::Asynchronous(Arc::new(move |context| {
            Box::pin(function(context))
        })))
    }

    /// A function that may block: files, databases, long computations. It runs on a thread of its
    /// own. It cannot be cancelled: at its time limit it is given up, and keeps its slot until it
    /// really ends.
    pub fn blocking<F>(function: F) -> Function
    where
        F: Fn(&Context) -> Reply + Send + Sync + 'static,
    {
        Function(Call::Blocking(Arc::new(function)))
    }

    /// A function that returns within microseconds and never waits: counters, in-memory state,
    /// handing on. It runs right where the events are taken out, without a task or a thread, which
    /// makes it the cheapest kind by far. There is no limiting its time: one that blocks holds a
    /// runtime thread, and the watch names it.
    pub fn immediate<F>(function: F) -> Function
    where
        F: Fn(&Context) -> Reply + Send + Sync + 'static,
    {
        Function(Call::Immediate(Arc::new(function)))
    }

    /// How it is run.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &self.0 {
            Call::Asynchronous(_) => Kind::Asynchronous,
            Call::Blocking(_) => Kind::Blocking,
            Call::Immediate(_) => Kind::Immediate,
        }
    }

    /// Whether both are the same callable: clones of one `Function` are.
    #[must_use]
    pub fn same(&self, other: &Function) -> bool {
        match (&self.0, &other.0) {
            (Call::Asynchronous(a), Call::Asynchronous(b)) => Arc::ptr_eq(a, b),
            (Call::Blocking(a), Call::Blocking(b)) | (Call::Immediate(a), Call::Immediate(b)) => {
                Arc::ptr_eq(a, b)
            }
            (Call::Asynchronous(_) | Call::Blocking(_) | Call::Immediate(_), _) => false,
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Function({:?})", self.kind())
    }
}
