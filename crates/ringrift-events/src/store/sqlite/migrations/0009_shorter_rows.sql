-- What a new row of the log no longer writes out, so that ten events of 300 bytes fit a page. Older
-- rows stay as they are: each form says which it is. Must run in SQLite 3.40.
--
-- `events.trace_id` is '' where the event begins a trace: its own id then. `events.published_at` is,
-- below a thousand, in microseconds since the millisecond that the event's id names.
-- `events.call_site` is a small number; older ones are digests of six bytes.
CREATE INDEX call_sites_site ON call_sites (site);

-- The public view, which writes the trace out.
DROP VIEW cross_process_events;
CREATE VIEW cross_process_events AS
SELECT e.seq AS id,
       e.id AS event_id,
       e.event_type AS event_type, e.payload AS payload, e.source AS source,
       p.host AS hostname, p.pid AS pid,
       e.key AS key,
       CASE e.trace_id WHEN '' THEN replace(e.id, '-', '') ELSE e.trace_id END AS trace_id,
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
