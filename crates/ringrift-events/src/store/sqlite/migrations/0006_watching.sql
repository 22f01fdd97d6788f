-- What the watchers of a home keep: how far they have read, what they remember, the alerts they
-- raised and what of them is to be sent. Must run in SQLite 3.40. Times as in 0003.

-- One row a watcher. `steps` counts its transactions: whoever knows an older count is refused.
CREATE TABLE watchers (
    name  TEXT    PRIMARY KEY,
    place INTEGER NOT NULL,
    steps INTEGER NOT NULL
) WITHOUT ROWID;

-- What a watcher remembers, in its own words.
CREATE TABLE watch_marks (
    watcher TEXT NOT NULL,
    name    TEXT NOT NULL,
    text    TEXT NOT NULL,
    PRIMARY KEY (watcher, name)
) WITHOUT ROWID;

-- AUTOINCREMENT: operators and other systems name alerts by number after retention took them.
CREATE TABLE alerts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    rule        TEXT    NOT NULL,
    part        TEXT    NOT NULL,
    severity    TEXT    NOT NULL,
    -- 'open', 'acked' or 'resolved'.
    state       TEXT    NOT NULL DEFAULT 'open',
    summary     TEXT    NOT NULL,
    evidence    TEXT    NOT NULL,
    event       TEXT,
    seq         INTEGER,
    last_event  TEXT,
    occurrences INTEGER NOT NULL DEFAULT 1,
    opened_us   INTEGER NOT NULL,
    last_us     INTEGER NOT NULL,
    acked_us    INTEGER,
    acked_by    TEXT,
    resolved_us INTEGER,
    resolved_by TEXT,
    silenced_by INTEGER,
    created_at  TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%d %H:%M:%f', opened_us / 1000000.0, 'unixepoch')) VIRTUAL,
    resolved_at TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%d %H:%M:%f', resolved_us / 1000000.0, 'unixepoch')) VIRTUAL
);

-- Each occurrence asks for its rule's alerts that stand. Partial: what is over costs nothing.
CREATE INDEX alerts_standing ON alerts (rule, part) WHERE state <> 'resolved';

-- The messages of alerts, one a sink and kind: 'due', 'sent', 'failed', 'silenced', or
-- 'resolved' if that came first.
CREATE TABLE alert_sends (
    alert    INTEGER NOT NULL,
    sink     TEXT    NOT NULL,
    resolved INTEGER NOT NULL,
    state    TEXT    NOT NULL DEFAULT 'due',
    attempts INTEGER NOT NULL DEFAULT 0,
    due_us   INTEGER NOT NULL,
    error    TEXT,
    PRIMARY KEY (alert, sink, resolved)
) WITHOUT ROWID;

CREATE INDEX alert_sends_due ON alert_sends (due_us) WHERE state = 'due';

CREATE TABLE alert_silences (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    rule     TEXT,
    part     TEXT,
    until_us INTEGER NOT NULL,
    made_us  INTEGER NOT NULL,
    made_by  TEXT    NOT NULL,
    why      TEXT    NOT NULL
);

CREATE TABLE alert_sinks (
    name      TEXT    PRIMARY KEY,
    ok_us     INTEGER,
    failed_us INTEGER,
    failures  INTEGER NOT NULL DEFAULT 0,
    given_up  INTEGER NOT NULL DEFAULT 0,
    error     TEXT
) WITHOUT ROWID;
