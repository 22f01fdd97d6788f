-- The log, and what the file knows of itself. Must run in SQLite 3.40.

-- One row. `incarnation` changes with each restore and repair: a position held outside the file is
-- worth nothing under another one. Path, device and inode say which home and which file this is,
-- so that a copy, a hard link or a bind mount is noticed.
CREATE TABLE home (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    incarnation INTEGER NOT NULL,
    path        TEXT    NOT NULL,
    device      INTEGER NOT NULL,
    inode       INTEGER NOT NULL,
    created_at  TEXT    NOT NULL
);

-- AUTOINCREMENT: without it SQLite gives the numbers of cleared newest rows again, and every
-- position held at them skips new events without a word.
--
-- `id` is unique: dedup by event id happens in the publish's own transaction. Ids follow time
-- (UUIDv7), so the index grows at its end; with random ids it would cost ten times. Ids are text
-- as people write them: making it of bytes cost more for each row that a public statement touches
-- than writing the longer one once does (docs/decisions/0028).
-- `origin` is the row of the publishing process in `processes`. `created_at` is the commit time
-- on this machine as 'YYYY-MM-DD HH:MM:SS.SSS' in UTC, so that the public queries may compare it
-- with datetime('now', …). It follows the true clock and may step back with it; `seq` orders.
CREATE TABLE events (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT    NOT NULL UNIQUE,
    event_type   TEXT    NOT NULL,
    payload      TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    key          TEXT,
    published_at INTEGER NOT NULL,
    created_at   TEXT    NOT NULL,
    trace_id     TEXT    NOT NULL,
    parent_id    TEXT,
    depth        INTEGER NOT NULL,
    origin       INTEGER NOT NULL,
    stage        TEXT
);

-- The public queries, retention and `--since` select by it. Grows at its end: about 15 % of an
-- insert.
CREATE INDEX events_created_at ON events (created_at);

-- What an event led to. Partial: events that no handler published pay nothing.
CREATE INDEX events_parent ON events (parent_id) WHERE parent_id IS NOT NULL;

-- No index on `event_type` or `key`: each would add a random page to every insert. Those who ask
-- for them read the log backwards, a page at a time, within a time limit.

-- Publishers' idempotency keys: a fixed window from the first use, in microseconds.
CREATE TABLE idempotency_keys (
    key        TEXT    PRIMARY KEY,
    seq        INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Each use of a key removes a few expired ones; they are found here.
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);
