-- What is kept so that it can be told why something did not happen. Must run in SQLite 3.40. Rows
-- are written for what was refused, declared or changed, never for a success; `process` is the row
-- in `processes`.

-- Refused publishes and subscribes, by name: at most a thousand different ones a process.
CREATE TABLE refusals (
    process      INTEGER NOT NULL,
    verb         TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    code         TEXT    NOT NULL,
    subscription TEXT    NOT NULL,
    nearest      TEXT,
    call_site    TEXT,
    events       INTEGER NOT NULL,
    first_us     INTEGER NOT NULL,
    last_us      INTEGER NOT NULL,
    last_at      TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%d %H:%M:%f', last_us / 1000000.0, 'unixepoch')) VIRTUAL,
    PRIMARY KEY (process, verb, name, code, subscription)
) WITHOUT ROWID;

ALTER TABLE unbridged ADD COLUMN last_us INTEGER;
ALTER TABLE unbridged ADD COLUMN last_event TEXT;

-- Where programs publish: `file:line`. The number is the text's digest, so that the writer of an
-- event knows it without asking; six bytes, at which two of a thousand texts meet once in 10^8.
CREATE TABLE call_sites (
    id   INTEGER PRIMARY KEY,
    site TEXT    NOT NULL
);

ALTER TABLE events ADD COLUMN call_site INTEGER;

-- The generation of its subscription that a fact is about.
ALTER TABLE facts ADD COLUMN generation INTEGER;

-- The handlers that a program says it has, and when it started them.
CREATE TABLE declared_handlers (
    process     INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    types       TEXT    NOT NULL,
    declared_us INTEGER NOT NULL,
    started_us  INTEGER,
    declared_at TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%d %H:%M:%f', declared_us / 1000000.0, 'unixepoch')) VIRTUAL,
    started_at  TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%d %H:%M:%f', started_us / 1000000.0, 'unixepoch')) VIRTUAL,
    PRIMARY KEY (process, name)
) WITHOUT ROWID;

-- From when on a process published by which catalog: `catalogs` has the texts.
CREATE TABLE process_catalogs (
    process  INTEGER NOT NULL,
    since_us INTEGER NOT NULL,
    hash     INTEGER NOT NULL,
    PRIMARY KEY (process, since_us, hash)
) WITHOUT ROWID;

-- Which process hosted what, under which policy (JSON), and how its runs ended as its page said
-- last. `hosts` says who does so now; these rows stay when the process is gone.
CREATE TABLE host_records (
    process      INTEGER NOT NULL,
    subscription INTEGER NOT NULL,
    policy       TEXT    NOT NULL,
    since_us     INTEGER NOT NULL,
    until_us     INTEGER,
    done         INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    skipped      INTEGER NOT NULL,
    duplicates   INTEGER NOT NULL,
    PRIMARY KEY (process, subscription)
) WITHOUT ROWID;

-- Events that lacked a field of a dedup key, and so counted as no duplicates.
CREATE TABLE missing_fields (
    process      INTEGER NOT NULL,
    subscription INTEGER NOT NULL,
    field        TEXT    NOT NULL,
    events       INTEGER NOT NULL,
    last_event   TEXT    NOT NULL,
    last_us      INTEGER NOT NULL,
    PRIMARY KEY (process, subscription, field)
) WITHOUT ROWID;
