//! What an injection is, and what may be named beside it.

use crate::part::Run;
use crate::scene::Scene;

/// One cause and how it is brought about.
pub(crate) struct Cause {
    /// Its stable name, as findings bear it.
    pub(crate) slug: &'static str,
    /// What its child processes run, by name.
    pub(crate) parts: &'static [(&'static str, Run)],
    /// Brings it about. Answers the texts that the evidence must hold: the handler, the event, the
    /// process at fault.
    pub(crate) inject: fn(&Scene) -> Vec<String>,
    /// The same one step below the threshold: nothing may be named.
    pub(crate) below: fn(&Scene),
}

/// A cause that is rightly named beside another.
pub(crate) struct Companion {
    /// The injected cause, or the name of the trial below one.
    pub(crate) of: &'static str,
    /// The one that is named too.
    pub(crate) beside: &'static str,
    /// Why that is right.
    pub(crate) reason: &'static str,
}

/// Every companion there is.
pub(crate) const COMPANIONS: &[Companion] = &[
    Companion {
        of: "retry-not-running",
        beside: "handler-exception",
        reason: "what is due again has failed before",
    },
    Companion {
        of: "below dedup-ttl-too-short",
        beside: "deduplicated",
        reason: "a key that comes again before its window ends is passed over, as it is to be",
    },
    Companion {
        of: "below handler-consistently-failing",
        beside: "handler-exception",
        reason: "a handler that fails less often than its threshold still fails",
    },
];

/// What `doctor` does not name yet: injected all the same, and not asserted.
pub(crate) const NOT_YET: &[&str] = &[];

/// Why `beside` may be named where `of` was injected.
pub(crate) fn reason(of: &str, beside: &str) -> Option<&'static str> {
    COMPANIONS
        .iter()
        .find(|companion| companion.of == of && companion.beside == beside)
        .map(|companion| companion.reason)
}
