-- Claims that grow: neither index has a key that moves while a claim is open, and there is no counter
-- beside the table. Must run in SQLite 3.40.
DROP INDEX claims_open;
CREATE INDEX claims_open ON claims (subscription, generation) WHERE settled_us IS NULL;

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
