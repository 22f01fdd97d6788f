-- Public SQL: a compatibility promise. Must run in SQLite 3.40; expensive columns are scalar
-- subqueries or come from an outer join on a key, so that who does not ask for them does not pay.

-- Below this place nothing is pending: the lowest position of any durable subscription, and no
-- higher than some poller has read.
CREATE VIEW lowest_position AS
SELECT MIN(
    (SELECT seq FROM poll_mark),
    COALESCE((SELECT MIN(settled) FROM subscription_rows
              WHERE kind = 'durable' AND ended_at IS NULL), 9223372036854775807)
) AS seq;

-- `acked = 0` looks up one row of `acked_states` and walks the log above the lowest position only;
-- who does not ask for `acked` walks the log as he likes and looks up the state of each row. One
-- flat join, not a union: SQLite 3.40 computes every column of a union below COUNT and GROUP BY.
CREATE TABLE acked_states (acked INTEGER PRIMARY KEY);
INSERT INTO acked_states (acked) VALUES (0), (1);

CREATE VIEW cross_process_events AS
SELECT e.seq AS id,
       e.id AS event_id,
       e.event_type AS event_type, e.payload AS payload, e.source AS source,
       p.host AS hostname, p.pid AS pid,
       e.key AS key, e.trace_id AS trace_id,
       e.parent_id AS parent_id,
       e.created_at AS created_at, a.acked AS acked
FROM acked_states AS a JOIN events AS e LEFT JOIN processes AS p ON p.id = e.origin
WHERE e.seq > CASE a.acked WHEN 0 THEN (SELECT seq FROM lowest_position) ELSE -1 END
  AND a.acked = CASE
      WHEN e.seq <= (SELECT seq FROM lowest_position) THEN 1
      WHEN e.seq > (SELECT seq FROM poll_mark) THEN 0
      -- Owed by a standing subscription to all types: one comparison instead of a look-up a row.
      WHEN e.seq > (
          SELECT MIN(MAX(s.settled, t.valid_from - 1)) FROM subscription_types AS t
          CROSS JOIN subscription_rows AS s ON s.id = t.subscription
          WHERE t.event_type = '*' AND t.valid_to = 9223372036854775807) THEN 0
      WHEN EXISTS (
          SELECT 1 FROM subscription_types AS t
          CROSS JOIN subscription_rows AS s ON s.id = t.subscription
          WHERE t.event_type = '*'
            AND t.valid_from <= e.seq AND e.seq < t.valid_to AND s.settled < e.seq) THEN 0
      WHEN EXISTS (
          SELECT 1 FROM subscription_types AS t
          CROSS JOIN subscription_rows AS s ON s.id = t.subscription
          WHERE t.event_type = e.event_type
            AND t.valid_from <= e.seq AND e.seq < t.valid_to AND s.settled < e.seq) THEN 0
      ELSE 1 END
  AND NOT EXISTS (SELECT 1 FROM deleted_events AS d WHERE d.seq = e.seq);

-- A deleted row is hidden and restorable for a week (`ringrift queue restore`).
CREATE TRIGGER cross_process_events_delete INSTEAD OF DELETE ON cross_process_events
BEGIN
    INSERT OR IGNORE INTO deleted_events (seq, deletion)
        VALUES (OLD.id, (SELECT id FROM deletions WHERE open = 1 AND until_s > unixepoch()));
END;

-- What failed and has not recovered.
CREATE VIEW dead_letter_queue AS
SELECT r.id AS id,
       r.event_id AS event_id,
       r.event_type AS event_type,
       COALESCE(r.payload, (SELECT e.payload FROM events AS e WHERE e.seq = r.event_seq)) AS payload,
       COALESCE(r.source, (SELECT e.source FROM events AS e WHERE e.seq = r.event_seq)) AS source,
       r.handler AS handler, r.error AS error, r.error_kind AS error_kind,
       r.attempts AS attempts, r.state AS status,
       r.created_at AS created_at, r.last_attempt_at AS last_attempt_at,
       r.next_retry_at AS next_retry_at
FROM redeliveries AS r
WHERE r.shown = 1;

-- Hidden for a week (`ringrift dlq restore`). A run that has begun goes on; its end changes nothing.
CREATE TRIGGER dead_letter_queue_delete INSTEAD OF DELETE ON dead_letter_queue
BEGIN
    UPDATE redeliveries
    SET before_end = CASE state WHEN 'dead' THEN 'dead' ELSE 'retrying' END,
        state = 'purged', due_us = NULL, owner = NULL, held_us = NULL, fence = fence + 1,
        ended_us = CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000
    WHERE id = OLD.id;
END;

CREATE VIEW subscriptions AS
SELECT s.id AS id, s.name AS name, s.kind AS kind,
       (SELECT v.definition FROM subscription_versions AS v
        WHERE v.subscription = s.id AND v.number = s.version) AS definition,
       s.version AS version, s.generation AS generation, s.cursor AS cursor, s.settled AS settled,
       s.paused_at AS paused_at, s.paused_by AS paused_by,
       (SELECT COUNT(*) FROM hosts AS h WHERE h.subscription = s.id) AS hosts,
       s.created_at AS created_at, s.ended_at AS ended_at
FROM subscription_rows AS s;
