-- Counts what happens to rows of the log after they were appended: readers keep events in memory, and
-- use one only while this says that no row was deleted or changed since. By triggers, so that whoever
-- does it is counted. Must run in SQLite 3.40.
ALTER TABLE log_end ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER events_count_delete AFTER DELETE ON events
BEGIN
    UPDATE log_end SET changes = changes + 1;
END;

CREATE TRIGGER events_count_update AFTER UPDATE ON events
BEGIN
    UPDATE log_end SET changes = changes + 1;
END;
