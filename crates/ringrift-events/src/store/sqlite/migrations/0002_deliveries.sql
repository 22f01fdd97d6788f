-- Who wants what, who handles what, and what failed. Must run in SQLite 3.40.
-- Times named `…_us` are microseconds since 1970; the others are public text in UTC.

-- One row a subscription. Everything up to `cursor` is claimed or passed, everything up to
-- `settled` is settled: `settled` is the lowest `settled_to` of the open claims of this generation,
-- or the cursor when there is none. It is kept because the public view asks for it row by row.
CREATE TABLE subscription_rows (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('durable', 'live')),
    process    INTEGER,
    version    INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    ordered    INTEGER NOT NULL,
    cursor     INTEGER NOT NULL,
    settled    INTEGER NOT NULL,
    paused_at  TEXT,
    paused_by  TEXT,
    -- Since when no process hosts it; none while one does.
    unhosted_at TEXT,
    created_at TEXT    NOT NULL,
    ended_at   TEXT
);

-- A durable name stands once, a live one once a process.
CREATE UNIQUE INDEX subscription_rows_durable ON subscription_rows (name)
    WHERE kind = 'durable' AND ended_at IS NULL;
CREATE UNIQUE INDEX subscription_rows_live ON subscription_rows (process, name)
    WHERE kind = 'live' AND ended_at IS NULL;

-- What a name stood for, and for which part of the log. `valid_to` is the largest integer while
-- the version is current, so that a range is two comparisons and never a NULL.
CREATE TABLE subscription_versions (
    subscription INTEGER NOT NULL,
    number       INTEGER NOT NULL,
    definition   TEXT    NOT NULL,
    valid_from   INTEGER NOT NULL,
    valid_to     INTEGER NOT NULL DEFAULT 9223372036854775807,
    created_at   TEXT    NOT NULL,
    PRIMARY KEY (subscription, number)
) WITHOUT ROWID;

-- The durable subscriptions of a type ('*': of all), for the public view. Rows go when a
-- subscription is removed: it owes nothing any more.
CREATE TABLE subscription_types (
    event_type   TEXT    NOT NULL,
    subscription INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    valid_from   INTEGER NOT NULL,
    valid_to     INTEGER NOT NULL DEFAULT 9223372036854775807,
    PRIMARY KEY (event_type, subscription, version)
) WITHOUT ROWID;

-- Where each generation began (after this place) and, once it is over, where it ended.
CREATE TABLE generations (
    subscription INTEGER NOT NULL,
    generation   INTEGER NOT NULL,
    after        INTEGER NOT NULL,
    settled      INTEGER,
    began_at     TEXT    NOT NULL,
    ended_at     TEXT,
    PRIMARY KEY (subscription, generation)
) WITHOUT ROWID;

-- Which processes handle a durable subscription, and by which version.
CREATE TABLE hosts (
    subscription INTEGER NOT NULL,
    process      INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    since        TEXT    NOT NULL,
    PRIMARY KEY (subscription, process)
) WITHOUT ROWID;

-- A range of the log held by one process; without an owner it waits for the next one. Settled
-- claims are the ledger of who handled what and when; neighbours of one owner are merged.
-- AUTOINCREMENT: a token names one claim for ever.
CREATE TABLE claims (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription INTEGER NOT NULL,
    generation   INTEGER NOT NULL,
    first_seq    INTEGER NOT NULL,
    last_seq     INTEGER NOT NULL,
    settled_to   INTEGER NOT NULL,
    owner        INTEGER,
    fence        INTEGER NOT NULL,
    opened_us    INTEGER NOT NULL,
    settled_us   INTEGER,
    done         INTEGER NOT NULL DEFAULT 0
);

-- Open claims are few: found by subscription for positions and hand-over.
CREATE INDEX claims_open ON claims (subscription, generation, settled_to)
    WHERE settled_us IS NULL;
-- The ledger: merging and `explain` look for the range around a place. Grows at its end per
-- subscription.
CREATE INDEX claims_ledger ON claims (subscription, generation, last_seq)
    WHERE settled_us IS NOT NULL;

-- One event for one handler, again: retries, takeovers, hand-backs, replays, restored deliveries.
-- `failed` makes it a dead letter. States: waiting (never failed), retrying, running, dead, done
-- (never failed), recovered, discarded, expired, purged. `due_us` is set exactly while it may be
-- taken. An event that is in no log (volatile, edited) stands here whole; the others are read from
-- the log by `event_seq`.
CREATE TABLE redeliveries (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription    INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    live            INTEGER NOT NULL,
    handler         TEXT    NOT NULL,
    event_seq       INTEGER,
    event_id        TEXT    NOT NULL,
    event_type      TEXT    NOT NULL,
    key             TEXT,
    why             TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    failed          INTEGER NOT NULL DEFAULT 0,
    attempts        INTEGER NOT NULL DEFAULT 0,
    attempts_total  INTEGER NOT NULL DEFAULT 0,
    deaths          INTEGER NOT NULL DEFAULT 0,
    deaths_alone    INTEGER NOT NULL DEFAULT 0,
    error           TEXT,
    error_kind      TEXT,
    step            TEXT,
    created_at      TEXT    NOT NULL,
    last_attempt_at TEXT,
    next_retry_at   TEXT,
    due_us          INTEGER,
    held_us         INTEGER,
    owner           INTEGER,
    fence           INTEGER NOT NULL DEFAULT 1,
    before_end      TEXT,
    ended_us        INTEGER,
    linked          TEXT,
    payload         TEXT,
    source          TEXT,
    published_at    INTEGER,
    trace_id        TEXT,
    parent_id       TEXT,
    depth           INTEGER,
    origin          TEXT,
    stage           TEXT,
    shown           INTEGER GENERATED ALWAYS AS
        (failed = 1 AND state IN ('retrying', 'running', 'dead')) VIRTUAL
);

-- A delivery leaves its claim once. Replays are deliveries of their own.
CREATE UNIQUE INDEX redeliveries_delivery ON redeliveries (subscription, generation, event_seq)
    WHERE event_seq IS NOT NULL AND why <> 'replay' AND live = 0;
-- Who may take what is due, oldest first.
CREATE INDEX redeliveries_due ON redeliveries (handler, due_us) WHERE due_us IS NOT NULL;
-- What a dead process ran, and what its threads still hold.
CREATE INDEX redeliveries_owner ON redeliveries (owner) WHERE owner IS NOT NULL;
-- The public dead letter queue by age; retention of ended rows.
CREATE INDEX redeliveries_shown ON redeliveries (created_at) WHERE shown = 1;
CREATE INDEX redeliveries_ended ON redeliveries (ended_us) WHERE ended_us IS NOT NULL;
-- Every letter of an event (`explain`), and whether retention may take the event.
CREATE INDEX redeliveries_event ON redeliveries (event_seq) WHERE event_seq IS NOT NULL;

-- Dedup keys of durable subscriptions. Reserved ones have an owner; confirmed ones a window.
-- `earlier` keeps who had the key before a new reservation, for the case that this one fails.
CREATE TABLE dedup_keys (
    subscription INTEGER NOT NULL,
    key          TEXT    NOT NULL,
    event_id     TEXT    NOT NULL,
    owner        INTEGER,
    ttl_us       INTEGER NOT NULL,
    ends_us      INTEGER,
    forget_us    INTEGER NOT NULL,
    earlier_id   TEXT,
    earlier_us   INTEGER,
    PRIMARY KEY (subscription, key)
) WITHOUT ROWID;
CREATE INDEX dedup_keys_forget ON dedup_keys (forget_us);
CREATE INDEX dedup_keys_owner ON dedup_keys (owner) WHERE owner IS NOT NULL;

-- Up to where some poller has read; one row. `restores` counts restores of deleted events: a
-- process that remembers having passed a place looks again when it changed.
CREATE TABLE poll_mark (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    seq      INTEGER NOT NULL,
    restores INTEGER NOT NULL
);
INSERT INTO poll_mark (one, seq, restores) VALUES (1, 0, 0);

-- Parts of the log whose deliveries ended by retention before they were handled.
CREATE TABLE lapses (
    subscription INTEGER NOT NULL,
    generation   INTEGER NOT NULL,
    after        INTEGER NOT NULL,
    last_seq     INTEGER NOT NULL,
    at           TEXT    NOT NULL,
    PRIMARY KEY (subscription, generation, after)
) WITHOUT ROWID;

-- Deleted events are rows beside the log: a statement that deletes millions writes a few bytes for
-- each, not the event again. What they were owed follows from the positions at that moment, which
-- each deletion keeps once; `open` ends with the next change of any position, and after a minute.
CREATE TABLE deletions (
    id      INTEGER PRIMARY KEY,
    at      TEXT    NOT NULL,
    until_s INTEGER NOT NULL,
    open    INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX deletions_open ON deletions (open) WHERE open = 1;

CREATE TABLE deleted_events (
    seq      INTEGER PRIMARY KEY,
    deletion INTEGER
);

-- The first row of a deletion begins it; whoever inserts the others says which one it is, so that
-- they cost one comparison here.
CREATE TRIGGER deleted_events_begin AFTER INSERT ON deleted_events
WHEN NEW.deletion IS NULL
BEGIN
    INSERT INTO deletions (at, until_s)
        SELECT strftime('%Y-%m-%d %H:%M:%f', 'now'), unixepoch() + 60
        WHERE NOT EXISTS (SELECT 1 FROM deletions WHERE open = 1 AND until_s > unixepoch());
    UPDATE deleted_events SET deletion = (SELECT MAX(id) FROM deletions) WHERE seq = NEW.seq;
END;

CREATE TABLE deletion_positions (
    deletion     INTEGER NOT NULL,
    subscription INTEGER NOT NULL,
    generation   INTEGER NOT NULL,
    cursor       INTEGER NOT NULL,
    PRIMARY KEY (deletion, subscription)
) WITHOUT ROWID;

CREATE TABLE deletion_claims (
    deletion     INTEGER NOT NULL,
    claim        INTEGER NOT NULL,
    fence        INTEGER NOT NULL,
    subscription INTEGER NOT NULL,
    first_seq    INTEGER NOT NULL,
    last_seq     INTEGER NOT NULL,
    settled_to   INTEGER NOT NULL,
    PRIMARY KEY (deletion, claim)
) WITHOUT ROWID;

CREATE TRIGGER deletions_keep_positions AFTER INSERT ON deletions
BEGIN
    UPDATE deletions SET open = 0 WHERE open = 1 AND id <> NEW.id;
    INSERT INTO deletion_positions (deletion, subscription, generation, cursor)
        SELECT NEW.id, id, generation, cursor FROM subscription_rows
        WHERE kind = 'durable' AND ended_at IS NULL;
    INSERT INTO deletion_claims (deletion, claim, fence, subscription, first_seq, last_seq, settled_to)
        SELECT NEW.id, c.id, c.fence, c.subscription, c.first_seq, c.last_seq, c.settled_to
        FROM claims AS c JOIN subscription_rows AS s
            ON s.id = c.subscription AND s.generation = c.generation
        WHERE c.settled_us IS NULL;
END;

-- Whatever changes a position ends the open deletion: the next deleted row sees the new ones.
CREATE TRIGGER deletions_end_with_cursor AFTER UPDATE OF cursor, settled, generation
    ON subscription_rows
BEGIN
    UPDATE deletions SET open = 0 WHERE open = 1;
END;
CREATE TRIGGER deletions_end_with_claim AFTER UPDATE OF settled_to, fence, last_seq ON claims
BEGIN
    UPDATE deletions SET open = 0 WHERE open = 1;
END;
CREATE TRIGGER deletions_end_with_new AFTER INSERT ON subscription_rows
BEGIN
    UPDATE deletions SET open = 0 WHERE open = 1;
END;
