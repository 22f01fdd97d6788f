-- Processes, their daemons and commands, types, and what must outlast them. Must run in
-- SQLite 3.40. Times are kept in microseconds since 1970, as the library uses them; beside each
-- stands its public form as a virtual column, which costs no space.

-- One row for each start of each program. Its page (a mapped file beside the database) says what
-- it does while there is one; `beat_us`, `polled_to` and the counters are written here once, when
-- it leaves or its page is swept.
--
-- AUTOINCREMENT: events, claims and facts name rows that retention may remove; a number given
-- again would make another program their author.
CREATE TABLE processes (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    process_id   TEXT    NOT NULL UNIQUE,
    host         TEXT    NOT NULL,
    pid          INTEGER NOT NULL,
    command      TEXT    NOT NULL,
    version      TEXT    NOT NULL,
    catalog_hash INTEGER NOT NULL,
    started_us   INTEGER NOT NULL,
    -- 'joined', 'left' (ended by itself) or 'dead' (found dead and taken over). Whether a joined
    -- one lives, its page's lock says.
    state        TEXT    NOT NULL DEFAULT 'joined',
    ended_us     INTEGER,
    beat_us      INTEGER,
    polled_to    INTEGER NOT NULL DEFAULT 0,
    published    INTEGER NOT NULL DEFAULT 0,
    published_volatile INTEGER NOT NULL DEFAULT 0,
    publish_failed     INTEGER NOT NULL DEFAULT 0,
    received     INTEGER NOT NULL DEFAULT 0,
    delivered    INTEGER NOT NULL DEFAULT 0,
    done         INTEGER NOT NULL DEFAULT 0,
    skipped      INTEGER NOT NULL DEFAULT 0,
    deduplicated INTEGER NOT NULL DEFAULT 0,
    failed       INTEGER NOT NULL DEFAULT 0,
    started_at   TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%d %H:%M:%f', started_us / 1000000.0, 'unixepoch')) VIRTUAL,
    ended_at     TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%d %H:%M:%f', ended_us / 1000000.0, 'unixepoch')) VIRTUAL
);

-- Each sweep asks who is lost: it looks at the living and at the few that just died.
CREATE INDEX processes_joined ON processes (id) WHERE state = 'joined';

-- How daemons stood when their process last said so; one row a process and daemon.
CREATE TABLE daemons (
    process    INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    stopped_by TEXT,
    restarts   INTEGER NOT NULL,
    error      TEXT,
    cycle_us   INTEGER,
    since_us   INTEGER NOT NULL,
    cycle_at   TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%d %H:%M:%f', cycle_us / 1000000.0, 'unixepoch')) VIRTUAL,
    since      TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%d %H:%M:%f', since_us / 1000000.0, 'unixepoch')) VIRTUAL,
    PRIMARY KEY (process, name)
) WITHOUT ROWID;

-- Requests from one process to another. AUTOINCREMENT: who waits for number n must never be shown
-- a later command's answer.
CREATE TABLE commands (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    process    INTEGER NOT NULL,
    verb       TEXT    NOT NULL,
    args       TEXT    NOT NULL,
    asked_by   TEXT    NOT NULL,
    at_us      INTEGER NOT NULL,
    taken_us   INTEGER,
    result     TEXT,
    created_at TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%d %H:%M:%f', at_us / 1000000.0, 'unixepoch')) VIRTUAL,
    taken_at   TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%d %H:%M:%f', taken_us / 1000000.0, 'unixepoch')) VIRTUAL
);

-- Every process asks for its open commands at each ring: they must be found without a scan.
-- Partial: taken ones cost nothing.
CREATE INDEX commands_open ON commands (process) WHERE taken_us IS NULL;

-- The types that users declared, one declaration each.
CREATE TABLE declared_types (
    value       TEXT    PRIMARY KEY,
    declaration TEXT    NOT NULL,
    declared_by INTEGER NOT NULL,
    at_us       INTEGER NOT NULL,
    declared_at TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%d %H:%M:%f', at_us / 1000000.0, 'unixepoch')) VIRTUAL
) WITHOUT ROWID;

-- Every catalog that some process published by, once each: `processes.catalog_hash` names one, so
-- that a bridge decision can be told from the catalog of its time.
CREATE TABLE catalogs (
    hash    INTEGER PRIMARY KEY,
    text    TEXT    NOT NULL,
    kept_us INTEGER NOT NULL,
    kept_at TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%d %H:%M:%f', kept_us / 1000000.0, 'unixepoch')) VIRTUAL
);

-- How many events of a type stayed in their process because the type is not bridged.
CREATE TABLE unbridged (
    process    INTEGER NOT NULL,
    event_type TEXT    NOT NULL,
    events     INTEGER NOT NULL,
    PRIMARY KEY (process, event_type)
) WITHOUT ROWID;

-- Everything that was decided where it cannot be recomputed, and what operators did.
CREATE TABLE facts (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    at_us        INTEGER NOT NULL,
    code         TEXT,
    event        TEXT,
    seq          INTEGER,
    seq_to       INTEGER,
    event_type   TEXT,
    subscription INTEGER,
    process      TEXT,
    act_by       TEXT,
    act          TEXT,
    evidence     TEXT    NOT NULL
);

-- `explain` asks for one event's facts. Partial, and event ids follow time: a fact pays for it
-- only when it is about one event, near the index's end.
CREATE INDEX facts_event ON facts (event) WHERE event IS NOT NULL;

-- Facts about ranges (seeks, removals) are few, and asked for with every event they may cover.
CREATE INDEX facts_range ON facts (seq_to) WHERE seq_to IS NOT NULL;

-- Retention asks for the oldest; facts are kept in time order, so `id` serves it.

-- Coded facts about events, for people.
CREATE VIEW verdicts AS
SELECT id,
       strftime('%Y-%m-%d %H:%M:%f', at_us / 1000000.0, 'unixepoch') AS created_at,
       code,
       event AS event_id,
       seq, seq_to, event_type, subscription,
       process AS process_id,
       evidence
FROM facts
WHERE code IS NOT NULL;

-- What operators did and everything that was not a plain success, for people.
CREATE VIEW audit_log AS
SELECT id,
       strftime('%Y-%m-%d %H:%M:%f', at_us / 1000000.0, 'unixepoch') AS created_at,
       act_by AS actor,
       coalesce(act, code) AS action,
       event AS event_id,
       seq, seq_to, event_type, subscription,
       evidence
FROM facts;

-- The views' rows are read only for people; nothing deletes through them.
CREATE TRIGGER verdicts_delete INSTEAD OF DELETE ON verdicts
BEGIN
    SELECT RAISE(ABORT, 'verdicts are kept by retention only: ringrift config show --origin');
END;
CREATE TRIGGER audit_log_delete INSTEAD OF DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is kept by retention only: ringrift config show --origin');
END;
