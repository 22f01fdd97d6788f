-- A claim and its settlement write three pages instead of five: one index instead of two, whose key
-- a settlement leaves as it is, and no counter beside the table. Must run in SQLite 3.40.
--
-- Whatever is open lies above what its subscription has settled: few rows to go through.
CREATE INDEX claims_places ON claims (subscription, generation, last_seq);
DROP INDEX claims_open;
DROP INDEX claims_ledger;

-- The newest claim is never deleted, so no number is given twice.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
    SET sql = replace(sql, 'INTEGER PRIMARY KEY AUTOINCREMENT', 'INTEGER PRIMARY KEY')
    WHERE type = 'table' AND name = 'claims';
PRAGMA writable_schema = RESET;
-- Where it was deleted before, a row of no subscription keeps its number.
INSERT INTO claims (id, subscription, generation, first_seq, last_seq, settled_to, fence, opened_us,
                    settled_us)
    SELECT seq, 0, 0, 1, 0, 0, 2, 0, 0 FROM sqlite_sequence
    WHERE name = 'claims' AND seq > (SELECT COALESCE(MAX(id), 0) FROM claims);
DELETE FROM sqlite_sequence WHERE name = 'claims';

DROP TRIGGER deletions_keep_positions;
CREATE TRIGGER deletions_keep_positions AFTER INSERT ON deletions
BEGIN
    UPDATE deletions SET open = 0 WHERE open = 1 AND id <> NEW.id;
    INSERT INTO deletion_positions (deletion, subscription, generation, cursor)
        SELECT NEW.id, id, generation, cursor FROM subscription_rows
        WHERE kind = 'durable' AND ended_at IS NULL;
    INSERT INTO deletion_claims (deletion, claim, fence, subscription, first_seq, last_seq, settled_to)
        SELECT NEW.id, c.id, c.fence, c.subscription, c.first_seq, c.last_seq, c.settled_to
        FROM subscription_rows AS s CROSS JOIN claims AS c
            ON c.subscription = s.id AND c.generation = s.generation AND c.last_seq > s.settled
        WHERE c.settled_us IS NULL;
END;
