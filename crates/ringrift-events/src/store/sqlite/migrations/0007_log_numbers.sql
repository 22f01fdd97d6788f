-- The log's numbers without AUTOINCREMENT, whose counter is a page that every commit would write: a
-- fifth of what a publish writes. Must run in SQLite 3.40.
--
-- The log's end is its newest row, or what stands here where that row was deleted. Whoever appends
-- names the number after it, so none is given twice.
CREATE TABLE log_end (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    deleted INTEGER NOT NULL
);
INSERT INTO log_end (one, deleted)
    VALUES (1, COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0));

CREATE TRIGGER events_keep_end BEFORE DELETE ON events
WHEN OLD.seq = (SELECT MAX(seq) FROM events)
BEGIN
    UPDATE log_end SET deleted = OLD.seq WHERE deleted < OLD.seq;
END;

-- The rows stay where they are: only the counter goes.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
    SET sql = replace(sql, 'INTEGER PRIMARY KEY AUTOINCREMENT', 'INTEGER PRIMARY KEY')
    WHERE type = 'table' AND name = 'events';
PRAGMA writable_schema = RESET;
DELETE FROM sqlite_sequence WHERE name = 'events';
