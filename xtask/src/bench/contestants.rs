//! Who takes part, and how each is configured: as its own documents advise.

/// One of those who do the same work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contestant {
    /// Its name in tables.
    pub(super) name: &'static str,
    /// What runs it.
    pub(super) by: By,
    /// What outlives what once an event is acknowledged.
    pub(super) class: Class,
}

/// The program that runs a contestant's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// `ringrift-bench`, the product.
    Product,
    /// `ringrift-bench`, a limit.
    Limit,
    /// `ringrift-bench` with tokio's channels: what a program does without an event system.
    Channels,
    /// `ringrift-bench-peers` with honker; no server.
    Honker,
    /// The same with Redis, on the server of this class.
    Redis,
    /// The same with JetStream, on the server of this class.
    JetStream,
    /// litequeue, in Python; no server.
    Litequeue,
    /// The product's Python package.
    Package,
    /// Python's `sqlite3` alone, a limit.
    PlainLimit,
    /// The same in the shape of the queue that the product takes the place of.
    PlainQueue,
    /// honker's Python package; no server.
    PyHonker,
    /// redis-py, on Redis' server of this class.
    PyRedis,
}

/// On which side a contestant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Ours,
    Limit,
    Peer,
}

impl By {
    /// Whose server it talks to.
    pub(super) fn server(self) -> By {
        if self == By::PyRedis { By::Redis } else { self }
    }
}

/// What an acknowledged event outlives. Different classes are different promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Nothing: it is in memory.
    Memory,
    /// The death of every process; the last moments may go with the machine's power.
    Process,
    /// The loss of power.
    Power,
}

impl Class {
    pub(super) fn name(self) -> &'static str {
        match self {
            Class::Memory => "memory",
            Class::Process => "process",
            Class::Power => "power",
        }
    }
}

impl Contestant {
    /// The product.
    pub(super) const fn product(name: &'static str, class: Class) -> Contestant {
        let by = By::Product;
        Contestant { name, by, class }
    }

    /// What the machine, or a part, allows.
    pub(super) const fn limit(name: &'static str, class: Class) -> Contestant {
        let by = By::Limit;
        Contestant { name, by, class }
    }

    /// Whether its worker needs nothing of others: one that fails is a failure of ours.
    pub(super) fn is_built_here(self) -> bool {
        self.side() != Side::Peer || matches!(self.by, By::Channels | By::PlainQueue)
    }

    /// Whether it wants the interpreter that has the package: what is compared in Python runs on one.
    pub(super) fn is_on_package(self) -> bool {
        matches!(self.by, By::Package | By::PlainLimit | By::PlainQueue)
    }

    /// On which side it stands: ours is compared with a peer as with another system.
    pub(super) fn side(self) -> Side {
        match self.by {
            By::Product | By::Package => Side::Ours,
            By::Limit | By::PlainLimit => Side::Limit,
            By::Channels
            | By::Honker
            | By::Redis
            | By::JetStream
            | By::Litequeue
            | By::PlainQueue
            | By::PyHonker
            | By::PyRedis => Side::Peer,
        }
    }
}

const fn peer(name: &'static str, by: By, class: Class) -> Contestant {
    Contestant { name, by, class }
}

pub(super) const CHANNELS: Contestant = peer("tokio mpsc each", By::Channels, Class::Memory);
pub(super) const OURS: Contestant = Contestant::product("ours", Class::Process);
pub(super) const OURS_POWER: Contestant = Contestant::product("ours", Class::Power);
pub(super) const HONKER: Contestant = peer("honker", By::Honker, Class::Process);
pub(super) const HONKER_KERNEL: Contestant =
    peer("honker, kernel watcher", By::Honker, Class::Process);
pub(super) const REDIS: Contestant = peer("Redis everysec", By::Redis, Class::Process);
pub(super) const REDIS_ALWAYS: Contestant = peer("Redis always", By::Redis, Class::Power);
pub(super) const JETSTREAM: Contestant = peer("JetStream", By::JetStream, Class::Process);
pub(super) const JETSTREAM_ALWAYS: Contestant =
    peer("JetStream always", By::JetStream, Class::Power);
pub(super) const LITEQUEUE: Contestant = peer("litequeue", By::Litequeue, Class::Process);
pub(super) const PACKAGE: Contestant = peer("ours", By::Package, Class::Process);
pub(super) const PACKAGE_AWAITED: Contestant = peer("ours, awaited", By::Package, Class::Process);
pub(super) const PACKAGE_TOGETHER: Contestant =
    peer("ours, 256 at once", By::Package, Class::Process);
pub(super) const PLAIN_QUEUE: Contestant =
    peer("sqlite3, a row a commit", By::PlainQueue, Class::Process);
pub(super) const PLAIN_CURSOR: Contestant =
    peer("sqlite3, a saved cursor", By::PlainLimit, Class::Process);
pub(super) const PY_HONKER: Contestant = peer("honker", By::PyHonker, Class::Process);
pub(super) const PY_REDIS: Contestant = peer("redis-py", By::PyRedis, Class::Process);

/// How each peer is set up, one line a peer.
pub(super) const SET_UP: &[(&str, &str)] = &[
    (
        "honker",
        "Rust crate 0.5, a stream; WAL, synchronous=NORMAL, its watcher polls each millisecond: its defaults",
    ),
    (
        "honker, kernel watcher",
        "the same with its experimental watcher on inotify",
    ),
    (
        "Redis everysec",
        "Redis Streams, appendonly yes, appendfsync everysec: its documents' advice; a consumer group",
    ),
    (
        "Redis always",
        "the same with appendfsync always: every answer comes after the sync",
    ),
    (
        "JetStream",
        "NATS JetStream, file storage, sync_interval as it comes (2 minutes); a durable pull consumer",
    ),
    ("JetStream always", "the same with sync_interval: always"),
    (
        "litequeue",
        "from PyPI, in Python; WAL, synchronous=NORMAL: its defaults; polled each millisecond",
    ),
    (
        "honker from Python",
        "its package on PyPI, older than its crate; a stream with its defaults, its iterator awaited",
    ),
    (
        "redis-py",
        "on Redis everysec; a consumer group; its plain client, but to wait for events its asyncio client",
    ),
];
