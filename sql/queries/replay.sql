-- The events that the log still has, in the columns of pending.sql: of the
-- sources $1, from id $2 to id $3, from the first write that reaches the LSN
-- $4.  Each may be null: all sources, no limit.
SELECT s.source_id, greatest(f.first_id, $2::bigint) - 1, f.total - f.events,
       f.write_no, least(w.last_id, $3::bigint), w.total, 0, false,
       NULL
FROM philotes.cdc_sources s
CROSS JOIN LATERAL (
	SELECT last_id, total FROM philotes.cdc_writes
	WHERE source_id = s.source_id ORDER BY write_no DESC LIMIT 1) w
CROSS JOIN LATERAL (
	SELECT first_id, total, events, write_no FROM philotes.cdc_writes
	WHERE source_id = s.source_id AND events > 0
	  AND last_id >= coalesce($2::bigint, 0)
	  AND (kind <> 'stream' OR $4::pg_lsn IS NULL OR commit_lsn >= $4::pg_lsn)
	ORDER BY write_no LIMIT 1) f
WHERE ($1::text[] IS NULL OR s.source_id = ANY ($1::text[]))
  AND least(w.last_id, $3::bigint) >= greatest(f.first_id, $2::bigint)
ORDER BY s.source_id
