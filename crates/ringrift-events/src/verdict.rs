//! Verdict codes, outcomes and failures: coded facts about one event and one subscription.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::event::EventId;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal : $meaning:literal, $next:literal;)*) => {
        /// A coded fact about one event and one subscription, or about its publication.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "`meaning` is the documentation, and `ringrift codes` prints it")]
        pub enum Code { $($name,)* }

        impl Code {
            /// Every code, in the order in which an event meets them.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as people and scripts see it.
            #[must_use]
            pub fn as_str(self) -> &'static str { match self { $(Code::$name => $text,)* } }

            /// What it means, one sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str { match self { $(Code::$name => $meaning,)* } }

            /// What to run next.
            #[must_use]
            pub fn next(self) -> &'static str { match self { $(Code::$name => $next,)* } }

            /// The code with this text.
            #[must_use]
            pub fn parse(text: &str) -> Option<Code> { match text { $($text => Some(Code::$name),)* _ => None } }
        }
    };
}

codes! {
    PubAccepted = "PUB_ACCEPTED": "The event was committed to the log.", "ringrift explain ID";
    PubDuplicateOf = "PUB_DUPLICATE_OF": "The same id or idempotency key was published before; the original stands.", "ringrift explain ID";
    PubRejected = "PUB_REJECTED": "The event was refused at the door.", "ringrift types show TYPE";
    PubBackpressure = "PUB_BACKPRESSURE": "A bound on publishes in flight, the log or the disk was reached.", "ringrift status";
    PubStoreFailed = "PUB_STORE_FAILED": "The store could not commit the event.", "ringrift db check";
    PubVolatile = "PUB_VOLATILE": "The type is not bridged: the event stayed in the publishing process.", "ringrift types show TYPE";
    RtMatched = "RT_MATCHED": "The subscription takes this event.", "ringrift explain ID";
    RtNoSubscribers = "RT_NO_SUBSCRIBERS": "No subscription names this type.", "ringrift subs ls";
    RtTypeMismatch = "RT_TYPE_MISMATCH": "The subscription names another, similar type.", "ringrift subs show NAME";
    RtRefused = "RT_REFUSED": "The subscription's mailbox was full and the event is in no log.", "ringrift subs show NAME";
    RtFilterFalse = "RT_FILTER_FALSE": "The subscription's filter is false for this payload.", "ringrift subs show NAME";
    RtNotBridged = "RT_NOT_BRIDGED": "The type does not leave the publishing process.", "ringrift types show TYPE";
    RtSubscribedLater = "RT_SUBSCRIBED_LATER": "The subscription began after the event.", "ringrift subs seek NAME --to ID --preview";
    RtUnsubscribed = "RT_UNSUBSCRIBED": "The subscription had ended before the event.", "ringrift subs ls --all";
    RtPaused = "RT_PAUSED": "The subscription is paused.", "ringrift subs resume NAME";
    WtPending = "WT_PENDING": "The event waits its turn.", "ringrift subs show NAME";
    WtNoProcess = "WT_NO_PROCESS": "No live process hosts this handler.", "ringrift processes ls";
    WtPollerStopped = "WT_POLLER_STOPPED": "The process's CROSS_PROCESS_POLLER is stopped.", "ringrift daemons start CROSS_PROCESS_POLLER";
    WtStoreBusy = "WT_STORE_BUSY": "Another process holds the store's write lock.", "ringrift status";
    WtLoopBlocked = "WT_LOOP_BLOCKED": "A handler holds a runtime thread without yielding.", "ringrift processes show ID";
    WtConcurrency = "WT_CONCURRENCY": "The handler runs as many events at once as it may.", "ringrift subs show NAME";
    WtProcessLimit = "WT_PROCESS_LIMIT": "The process runs as many handlers at once as it may.", "ringrift processes show ID";
    WtRate = "WT_RATE": "The handler's rate limit is reached.", "ringrift subs show NAME";
    WtKeyBlocked = "WT_KEY_BLOCKED": "An earlier event of the same key is not finished.", "ringrift dlq ls";
    WtLagging = "WT_LAGGING": "The live subscription reads from the log because its mailbox was full.", "ringrift subs show NAME";
    HnRunning = "HN_RUNNING": "The handler is running.", "ringrift processes ls";
    HnOk = "HN_OK": "The handler succeeded.", "ringrift explain ID";
    HnSkipped = "HN_SKIPPED": "The handler answered that it skips this event.", "ringrift explain ID";
    HnDuplicate = "HN_DUPLICATE": "The handler's dedup key was seen within its window.", "ringrift explain ID";
    HnDedupExpired = "HN_DEDUP_EXPIRED": "The same key ran before, but its window had ended.", "ringrift subs show NAME";
    HnRetrying = "HN_RETRYING": "The handler failed and will be tried again.", "ringrift dlq show ID";
    HnTimeout = "HN_TIMEOUT": "The handler exceeded its time limit.", "ringrift dlq show ID";
    HnAbandoned = "HN_ABANDONED": "A run ended after it had been given up.", "ringrift processes ls";
    HnPanic = "HN_PANIC": "The handler panicked.", "ringrift dlq show ID";
    HnError = "HN_ERROR": "The handler returned an error.", "ringrift dlq show ID";
    HnLeaseLost = "HN_LEASE_LOST": "The process died or hung while it held the event; another takes it.", "ringrift processes ls";
    HnNoRecord = "HN_NO_RECORD": "Whatever happened, no record of it is left.", "ringrift config show";
    StDead = "ST_DEAD": "The attempts are used up; the dead letter waits for an operator.", "ringrift dlq retry ID";
    StDiscarded = "ST_DISCARDED": "An operator discarded the delivery.", "ringrift dlq restore ID";
    StExpired = "ST_EXPIRED": "Retention ended the delivery before it was handled.", "ringrift config show";
    StPurged = "ST_PURGED": "The event was deleted from the queue before it was handled.", "ringrift queue restore";
    StSkippedBySeek = "ST_SKIPPED_BY_SEEK": "An operator moved the subscription past the event.", "ringrift subs seek NAME --to ID --preview";
    StSubscriptionRemoved = "ST_SUBSCRIPTION_REMOVED": "The subscription was removed before it handled the event.", "ringrift subs ls";
    StReplayedAs = "ST_REPLAYED_AS": "The event was delivered again in a later generation.", "ringrift explain ID";
    StRecovered = "ST_RECOVERED": "The delivery succeeded after it had failed.", "ringrift dlq show ID";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Code::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("unknown code {text}")))
    }
}

/// What one run of a handler on one event came to. The router decides what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It succeeded.
    Done,
    /// The handler answered that it skips this event.
    Skipped {
        /// The handler's words.
        reason: String,
    },
    /// The dedup step knew its key.
    Duplicate {
        /// The event that had the key first.
        original: EventId,
        /// The dedup key.
        key: String,
        /// When its window ends.
        window_ends_at: Time,
    },
    /// It failed.
    Failed(Failure),
}

impl Outcome {
    /// The verdict that it is shown with.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Outcome::Done => Code::HnOk,
            Outcome::Skipped { .. } => Code::HnSkipped,
            Outcome::Duplicate { .. } => Code::HnDuplicate,
            Outcome::Failed(failure) => failure.kind.code(),
        }
    }
}

/// Why a run failed. Decided from types, never from message text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The handler returned an error.
    Error,
    /// The handler panicked.
    Panic,
    /// The handler exceeded its time limit.
    Timeout,
    /// The system refused a resource: descriptors, memory, threads, disk (from the errno chain).
    Resource,
    /// Its process died with this event, alone, too often.
    Poison,
}

impl FailureKind {
    /// The kind as it stands in `dead_letter_queue.error_kind`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::Error => "error",
            FailureKind::Panic => "panic",
            FailureKind::Timeout => "timeout",
            FailureKind::Resource => "resource",
            FailureKind::Poison => "poison",
        }
    }

    /// The kind with this text.
    #[must_use]
    pub fn parse(text: &str) -> Option<FailureKind> {
        [
            FailureKind::Error,
            FailureKind::Panic,
            FailureKind::Timeout,
            FailureKind::Resource,
            FailureKind::Poison,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == text)
    }

    /// The verdict a failed attempt of this kind is recorded with.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            FailureKind::Error | FailureKind::Resource => Code::HnError,
            FailureKind::Panic => Code::HnPanic,
            FailureKind::Timeout => Code::HnTimeout,
            FailureKind::Poison => Code::StDead,
        }
    }
}

/// A failed run: what is kept of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Its class.
    pub kind: FailureKind,
    /// The error's text with its causes, at most [`ERROR_BYTES_MAX`] bytes.
    pub message: String,
    /// How long the run had lasted.
    pub took: Duration,
    /// The step the handler was in, as `kind:name`, if it named one.
    pub step: Option<String>,
    /// What the handler asked for.
    pub wish: RetryWish,
    /// Under which circumstances it failed; `None` once only its row is left.
    pub circumstances: Option<Box<Circumstances>>,
}

/// What a run has used of the thread that runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effort {
    /// How often it was polled; 0 for one that has a thread of its own.
    pub polls: u64,
    /// Microseconds in which it held its thread.
    pub busy_us: u64,
    /// Microseconds of processor time; `None` where it was not measured: short runs.
    pub cpu_us: Option<u64>,
}

/// Under which circumstances a run failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// What it had used.
    pub effort: Effort,
    /// Its last steps with the milliseconds each took, at most [`STEPS_MAX`], oldest first.
    pub steps: Vec<(String, u64)>,
    /// The numbers of the system's errors in its chain of causes, outermost first.
    pub errno: Vec<i32>,
    /// What the process had and used; `None` where nobody looked.
    pub resources: Option<Resources>,
    /// What the thread of a run that was given up was at; `None` for one without such a thread.
    pub thread: Option<ThreadAt>,
}

/// What a thread is at, in the kernel's words; `None` is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadAt {
    /// The kernel's letter of its state: `R` runs, `S` sleeps, `D` waits for a device.
    pub state: Option<char>,
    /// The system call it is in, by name where known.
    pub syscall: Option<String>,
    /// What that call's descriptor is: a file's path or a peer's address.
    pub object: Option<String>,
}

/// Most steps kept of one run.
pub const STEPS_MAX: usize = 8;

/// What a process has and uses; `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Bytes of memory in use.
    pub rss_bytes: Option<u64>,
    /// Descriptors in use.
    pub descriptors: Option<u64>,
    /// Descriptors allowed.
    pub descriptors_max: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Bytes free on the disk of the home.
    pub disk_free_bytes: Option<u64>,
}

/// What a failing handler asks of its next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryWish {
    /// The subscription's own policy: exponential backoff with full jitter.
    Policy,
    /// Not before this long.
    After(Duration),
    /// Never: the letter is dead at once.
    Never,
}

/// Most bytes kept of one error's text.
pub const ERROR_BYTES_MAX: usize = 64 << 10;
