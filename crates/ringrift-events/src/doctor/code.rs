//! What doctor can find: one code a finding, with its cause, its weight and its meaning.

use std::fmt;

use serde::{Serialize, Serializer};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Events wait or fail now and will go on so until somebody acts.
    Critical,
    /// Something fails, or will.
    Warning,
    /// It works as it was told to, which may not be what was meant.
    Note,
}

impl Severity {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

macro_rules! codes {
    ($($name:ident = $text:literal, $severity:ident, $cause:expr, safe $safe:literal : $meaning:literal;)*) => {
        /// What a finding is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "`meaning` is the documentation, and each code has a page")]
        pub enum FindingCode { $($name,)* }

        impl FindingCode {
            /// Every code, the causes of the runbook first, in its order.
            pub const ALL: &'static [FindingCode] = &[$(FindingCode::$name,)*];

            /// The code as people and scripts see it.
            #[must_use]
            pub fn as_str(self) -> &'static str { match self { $(FindingCode::$name => $text,)* } }

            /// Its weight.
            #[must_use]
            pub fn severity(self) -> Severity { match self { $(FindingCode::$name => Severity::$severity,)* } }

            /// The slug of the cause it names, if it is one of the 24 that the runbook knows.
            #[must_use]
            pub fn cause(self) -> Option<&'static str> { match self { $(FindingCode::$name => $cause,)* } }

            /// What it means, one sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str { match self { $(FindingCode::$name => $meaning,)* } }

            /// Whether its command may be run at once, by anybody and without looking: it only
            /// reads, or what it does loses nothing and starts no handler.
            #[must_use]
            pub fn is_safe_to_do(self) -> bool { match self { $(FindingCode::$name => $safe,)* } }
        }
    };
}

codes! {
    HandlerNotStarted = "DR_HANDLER_NOT_STARTED", Critical, Some("handler-not-started"), safe true:
        "Events wait for a handler that no process has started.";
    TypeMisspelt = "DR_TYPE_MISSPELT", Warning, Some("wrong-type-name"), safe true:
        "Somebody publishes or subscribes to a type that does not exist, and is refused.";
    Deduplicated = "DR_DEDUPLICATED", Note, Some("deduplicated"), safe true:
        "Events were passed over because their key had been seen within its window.";
    HandlerError = "DR_HANDLER_ERROR", Warning, Some("handler-exception"), safe true:
        "A handler returns an error for some events.";
    SlowQuery = "DR_SLOW_QUERY", Warning, Some("slow-database-query"), safe true:
        "A handler exceeds its time limit while it waits for a database.";
    BlockingIo = "DR_BLOCKING_IO", Warning, Some("blocking-io"), safe true:
        "An async handler waits for a file or a pipe without yielding: other handlers of the process stand still.";
    NetworkCall = "DR_NETWORK_CALL", Warning, Some("network-call"), safe true:
        "A handler exceeds its time limit while it waits for the network.";
    HandlerPanic = "DR_HANDLER_PANIC", Warning, Some("handler-panic"), safe true:
        "A handler panics.";
    NotBridged = "DR_NOT_BRIDGED", Warning, Some("not-bridged"), safe true:
        "Events of a type stay in the process that publishes them, and a handler in another process waits for that type.";
    PollerStopped = "DR_POLLER_STOPPED", Critical, Some("poller-not-running"), safe true:
        "A process with subscriptions does not read what others publish: its CROSS_PROCESS_POLLER does not run.";
    StoreLocked = "DR_STORE_LOCKED", Critical, Some("sqlite-locked"), safe true:
        "Somebody holds the database's write lock: publishing and settling wait.";
    SkippedBySeek = "DR_SKIPPED_BY_SEEK", Note, Some("acked-not-processed"), safe true:
        "An operator moved a subscription past events that it had not handled.";
    FilteredOut = "DR_FILTERED_OUT", Note, Some("acked-not-processed"), safe true:
        "Every filter turns every event of a type away: it is acknowledged and nobody handles it.";
    RanTwice = "DR_RAN_TWICE", Warning, Some("missing-dedup-check"), safe true:
        "A handler without dedup fields ran twice for one event, since its process died or hung before it was settled.";
    DedupWindow = "DR_DEDUP_WINDOW", Warning, Some("dedup-ttl-too-short"), safe true:
        "The same key came again soon after its window had ended, and ran again.";
    DedupFields = "DR_DEDUP_FIELDS", Note, Some("different-key-fields"), safe true:
        "Handlers of one type make their dedup keys of different fields, or a field is missing in payloads.";
    EmittedTwice = "DR_EMITTED_TWICE", Warning, Some("event-emitted-twice"), safe true:
        "One publisher published the same content twice as two events.";
    HandlerFailing = "DR_HANDLER_FAILING", Critical, Some("handler-consistently-failing"), safe true:
        "A handler fails nearly every time it is started.";
    Resources = "DR_RESOURCES", Critical, Some("resource-exhaustion"), safe true:
        "The system refused a handler descriptors, memory, threads or disk.";
    Poison = "DR_POISON", Critical, Some("poison-message"), safe true:
        "An event kills the process that handles it; it is kept aside as a dead letter.";
    RetryStopped = "DR_RETRY_STOPPED", Critical, Some("retry-not-running"), safe true:
        "Dead letters are due and nobody retries them: DLQ_RETRY does not run.";
    LoopBusy = "DR_LOOP_BUSY", Warning, Some("sync-code-in-async"), safe true:
        "An async handler computes without yielding: other handlers of the process stand still.";
    EndlessLoop = "DR_ENDLESS_LOOP", Warning, Some("infinite-loop"), safe true:
        "A handler computed until its time limit and did not end: most likely a loop without an end.";
    Deadlock = "DR_DEADLOCK", Critical, Some("database-deadlock"), safe true:
        "A process waits for a write lock that it holds itself through another connection.";
    Crowded = "DR_CROWDED", Warning, Some("too-many-concurrent-handlers"), safe true:
        "A process runs as many handlers as it may, and more events wait for a place.";

    HandlerLost = "DR_HANDLER_LOST", Critical, None, safe true:
        "Events wait for a handler whose last process died.";
    HandlerSlow = "DR_HANDLER_SLOW", Warning, None, safe true:
        "A handler exceeds its time limit, and it is not known what it waits for.";
    Hung = "DR_HUNG", Critical, None, safe true:
        "A process lives and does not beat: it is stopped, swapped out or starved.";
    NoProgress = "DR_NO_PROGRESS", Critical, None, safe true:
        "Handlers run in a process and none has ended for a long time.";
    PollerStuck = "DR_POLLER_STUCK", Critical, None, safe false:
        "A poller runs and does not move on, although there is something to read.";
    NoSweeper = "DR_NO_SWEEPER", Warning, None, safe true:
        "Nobody looks for dead processes: what they held waits.";
    Backlog = "DR_BACKLOG", Warning, None, safe true:
        "More events wait than the threshold allows.";
    DeadLetters = "DR_DEAD_LETTERS", Warning, None, safe true:
        "More dead letters wait than the threshold allows.";
    OneFault = "DR_ONE_FAULT", Warning, None, safe true:
        "One error makes most of the dead letters: one mend will do for all of them.";
    NoSubscriptions = "DR_NO_SUBSCRIPTIONS", Warning, None, safe true:
        "Events are published and there is no subscription at all.";
    NearMiss = "DR_NEAR_MISS", Warning, None, safe true:
        "A type is published that nobody takes, and a nearly equal name is taken that nobody publishes.";
    NobodySubscribes = "DR_NOBODY_SUBSCRIBES", Note, None, safe true:
        "A type is published and no subscription takes it.";
    NeverPublished = "DR_NEVER_PUBLISHED", Note, None, safe true:
        "A handler waits for a type that nobody has published for a long time.";
    CriticalNotBridged = "DR_CRITICAL_NOT_BRIDGED", Warning, None, safe true:
        "A type that raises an alert does not leave its process: nobody else hears of it.";
    PipelineStalled = "DR_PIPELINE_STALLED", Critical, None, safe true:
        "A step of a pipeline did not follow within its time limit.";
    SinkFailing = "DR_SINK_FAILING", Warning, None, safe true:
        "An alert could not be delivered: whoever is to be told is not.";
    ClockSkew = "DR_CLOCK_SKEW", Warning, None, safe true:
        "The clocks of this home's processes differ: times of events cannot be compared.";
    WalGrown = "DR_WAL_GROWN", Warning, None, safe true:
        "The write-ahead log has grown beyond its bound: a reader keeps it, or nobody copies it.";
    WalDeleted = "DR_WAL_DELETED", Critical, None, safe false:
        "A process writes to a database file that was deleted: what it commits is lost.";
    OldSqlite = "DR_OLD_SQLITE", Warning, None, safe true:
        "An older SQLite wrote to the database: it can lose commits when it checkpoints.";
    TwoSqlites = "DR_TWO_SQLITES", Warning, None, safe true:
        "A process of ours opened the database with a second copy of SQLite as well.";
    Disk = "DR_DISK", Critical, None, safe true:
        "The disk is nearly full: publishing will be held back.";
    Permissions = "DR_PERMISSIONS", Warning, None, safe true:
        "A file of the store has other permissions than the database: some users are shut out.";
    Settings = "DR_SETTINGS", Warning, None, safe true:
        "Settings contradict each other.";
    Paused = "DR_PAUSED", Warning, None, safe true:
        "A subscription with events to handle is paused.";
}

impl FindingCode {
    /// The code with this text.
    #[must_use]
    pub fn parse(text: &str) -> Option<FindingCode> {
        let mut all = FindingCode::ALL.iter().copied();
        all.find(|code| code.as_str() == text)
    }
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for FindingCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
