//! Which process opened something: a child of `fork()` has a copy of it, and must not use it.

use super::{Error, ErrorCode};
use crate::clock::Birth;

/// The process that opened something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opener {
    birth: Birth,
    pid: u32,
}

impl Opener {
    /// This process.
    pub(crate) fn here() -> Opener {
        Opener {
            birth: Birth::here(),
            pid: std::process::id(),
        }
    }

    /// Refuses in a child of `fork()`: it has none of its parent's threads, neither those that would
    /// answer nor those that held a lock when it came to be. So ask before any lock is taken.
    ///
    /// # Errors
    /// [`ErrorCode::Forked`].
    pub(crate) fn check(self) -> Result<(), Error> {
        if self.birth.is_here() {
            return Ok(());
        }
        let (here, pid) = (std::process::id(), self.pid);
        Err(Error::new(
            ErrorCode::Forked,
            format!(
                "process {here} was forked from process {pid} after that had opened a store; a \
                 forked child cannot use one: start it with exec (Python: the spawn start method)"
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_is_refused_as_forked() {
        let elsewhere = Opener {
            birth: Birth::NONE,
            pid: std::process::id() + 1,
        };
        let error = elsewhere.check().unwrap_err();
        assert_eq!(error.code, ErrorCode::Forked);
        assert!(Opener::here().check().is_ok());
    }
}
