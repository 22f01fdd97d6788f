//! How the suite meets a store.

use std::fmt;
use std::sync::Arc;

use crate::clock::ManualClock;
use crate::store::{Error, ErrorCode, Store};

/// One home of a store under test, and its processes.
pub trait Harness {
    /// The clock that every process of this home uses.
    fn clock(&self) -> &Arc<ManualClock>;

    /// Starts a process: a handle with a [`crate::event::ProcessId`] of its own.
    fn open(&self) -> Arc<dyn Store>;

    /// Lets a process die without a word. Other processes must see it dead when this returns.
    fn kill(&self, process: &Arc<dyn Store>);

    /// Lets a process's lease run out while its handle still works, as if it had been stopped and
    /// continued. Nobody else's lease may run out. The clock may move.
    fn hang(&self, process: &Arc<dyn Store>);
}

/// A promise that was not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Broken(String);

impl Broken {
    /// Says what was not kept.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Broken {
        Broken(what.into())
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

impl From<Error> for Broken {
    fn from(error: Error) -> Broken {
        Broken(format!("unexpected {}: {error}", error.code.as_str()))
    }
}

/// What a promise answers.
pub type Check = Result<(), Broken>;

/// One promise of the store's traits.
#[derive(Clone, Copy)]
pub struct Promise {
    /// What is promised, as the function's name.
    pub name: &'static str,
    /// Tries it on a fresh home.
    pub check: fn(&dyn Harness) -> Check,
}

/// Tries every promise whose name contains `only`, each on a home that `fresh` makes. Answers those
/// that were not kept.
pub fn run<H: Harness>(only: &str, fresh: impl Fn() -> H) -> Vec<(&'static str, Broken)> {
    let wanted = super::promises()
        .into_iter()
        .filter(|p| p.name.contains(only));
    wanted
        .filter_map(|promise| {
            let harness = fresh();
            let broken = (promise.check)(&harness).err()?;
            Some((promise.name, broken))
        })
        .collect()
}

/// The promises of a file, by the names of their functions.
macro_rules! promises {
    ($($name:ident),* $(,)?) => {
        pub(super) const PROMISES: &[$crate::store::conformance::Promise] = &[$(
            $crate::store::conformance::Promise {
                name: concat!(module_path!(), "::", stringify!($name)),
                check: $name,
            },
        )*];
    };
}
pub(super) use promises;

/// Equal, or the promise is broken; says both and why it matters.
macro_rules! same {
    ($left:expr, $right:expr, $($why:tt)+) => {{
        let (left, right) = (&$left, &$right);
        if left != right {
            return Err($crate::store::conformance::Broken::new(format!(
                "{}: got {left:?}, not {right:?} (line {})", format_args!($($why)+), line!()
            )));
        }
    }};
}
pub(super) use same;

/// True, or the promise is broken.
macro_rules! holds {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::store::conformance::Broken::new(format!(
                "{} (line {})", format_args!($($why)+), line!()
            )));
        }
    };
}
pub(super) use holds;

/// The code of a refusal; an answer where one was due is a broken promise.
pub(super) fn refused<T: fmt::Debug>(result: Result<T, Error>) -> Result<ErrorCode, Broken> {
    match result {
        Ok(answer) => Err(Broken::new(format!(
            "it was not refused, but answered {answer:?}"
        ))),
        Err(error) => Ok(error.code),
    }
}
