-- The state of the buffer for philotes status and metrics, from the ledgers and
-- the catalogs.  Each row begins with its kind; scripts/lib/facts.sh reads the
-- columns by their names.  Rates are those of the last minute.  Ages are in
-- seconds, null if the server's clock was set back since.  Control characters
-- in names are replaced by a ?, so that no value has a line break.
SET statement_timeout = '10s';
SET search_path = pg_catalog, pg_temp;
SET jit = off;
\ir schema.sql

SELECT philotes.schema_version() AS version,
       philotes.schema_version() >= 6 AS known \gset
\if :known
\else
	DO 'BEGIN
		RAISE EXCEPTION ''its schema is older than the tools; ''
		    ''"philotes init" upgrades it'';
	END';
\endif

-- the sources; age is that of the newest row of cdc_writes
SELECT 'source' AS kind,
       regexp_replace(s.source_id, '[\x01-\x1f]', '?', 'g') AS source,
       regexp_replace(s.slot, '[\x01-\x1f]', '?', 'g') AS slot,
       w.checkpoint, w.commit_lsn, w.total AS events,
       round(coalesce(w.total - (
		SELECT min(r.total - r.events) FROM (
			SELECT total, events, written_at FROM philotes.cdc_writes
			WHERE source_id = s.source_id
			ORDER BY write_no DESC LIMIT 10000) r
		WHERE r.written_at BETWEEN clock_timestamp() - interval '60 s'
		                       AND clock_timestamp()), 0)
		/ 60.0, 1) AS events_per_second,
       CASE WHEN a.s > -1 THEN greatest(a.s, 0) END AS age
FROM philotes.cdc_sources s
CROSS JOIN LATERAL (
	SELECT checkpoint, commit_lsn, total, written_at
	FROM philotes.cdc_writes WHERE source_id = s.source_id
	ORDER BY write_no DESC LIMIT 1) w
CROSS JOIN LATERAL (
	SELECT round(extract(epoch FROM clock_timestamp() - w.written_at), 1)
	AS s) a
ORDER BY s.source_id;

-- the consumers in each source.  lag_bytes is WAL of the source; failing_* is
-- the batch that fails at the moment; dead_letters are those not closed,
-- dead_letters_total all.
SELECT 'consumer' AS kind,
       regexp_replace(l.consumer, '[\x01-\x1f]', '?', 'g') AS consumer,
       regexp_replace(l.source_id, '[\x01-\x1f]', '?', 'g') AS source,
       at.commit_lsn, coalesce(b.total, 0) AS events,
       round(coalesce(b.total - (
		SELECT min(r.total - r.events) FROM (
			SELECT total, events, processed_at
			FROM philotes.cdc_batches
			WHERE consumer = l.consumer AND source_id = l.source_id
			ORDER BY first_id DESC LIMIT 10000) r
		WHERE r.processed_at BETWEEN clock_timestamp() - interval '60 s'
		                         AND clock_timestamp()), 0)
		/ 60.0, 1) AS events_per_second,
       l.events_behind AS lag_events,
       CASE WHEN l.events_behind = 0 THEN 0
            ELSE greatest(0, pg_wal_lsn_diff(w.commit_lsn,
                 coalesce(at.commit_lsn, first.commit_lsn))::bigint)
       END AS lag_bytes,
       CASE WHEN l.events_behind = 0 THEN 0
            WHEN a.lag > -1 THEN greatest(a.lag, 0) END AS lag_seconds,
       CASE WHEN a.batch > -1 THEN greatest(a.batch, 0)
       END AS last_batch_seconds,
       coalesce(b.batch_no, 0) AS batches,
       coalesce(t.attempts, 0) AS failing_attempts,
       regexp_replace(t.status, '[\x01-\x1f]', '?', 'g') AS failing_status,
       CASE WHEN a.failing > -1 THEN greatest(a.failing, 0)
       END AS failing_seconds,
       d.open AS dead_letters, d.n AS dead_letters_total
FROM philotes.lag() l
CROSS JOIN LATERAL (
	SELECT commit_lsn FROM philotes.cdc_writes
	WHERE source_id = l.source_id ORDER BY write_no DESC LIMIT 1) w
LEFT JOIN LATERAL (
	SELECT total, write_no, batch_no FROM philotes.cdc_batches
	WHERE consumer = l.consumer AND source_id = l.source_id
	ORDER BY first_id DESC LIMIT 1) b ON true
LEFT JOIN LATERAL (
	SELECT commit_lsn FROM philotes.cdc_writes
	WHERE source_id = l.source_id AND write_no <= b.write_no
	ORDER BY write_no DESC LIMIT 1) at ON true
LEFT JOIN LATERAL (
	SELECT commit_lsn FROM philotes.cdc_writes
	WHERE source_id = l.source_id AND commit_lsn IS NOT NULL
	ORDER BY write_no LIMIT 1) first ON true
LEFT JOIN philotes.cdc_retries t
  ON t.consumer = l.consumer AND t.source_id = l.source_id
CROSS JOIN LATERAL (
	SELECT count(*) AS n, count(*) FILTER (WHERE closed_at IS NULL) AS open
	FROM philotes.cdc_dead_letters
	WHERE consumer = l.consumer AND source_id = l.source_id) d
CROSS JOIN LATERAL (
	SELECT round(extract(epoch FROM l.oldest_age), 1) AS lag,
	       round(extract(epoch FROM clock_timestamp() - l.last_batch_at), 1)
	       AS batch,
	       round(extract(epoch FROM clock_timestamp() - t.since), 1)
	       AS failing) a
ORDER BY l.consumer, l.source_id;

-- the buffer as a whole.  gc_* is the last run of buffer-gc: its age, the
-- events removed, the partitions dropped; held_by is the consumer that most of
-- the events left wait for.
SELECT 'store' AS kind,
       (SELECT count(*) FROM pg_inherits
        WHERE inhparent = 'philotes.cdc_log'::regclass) AS partitions,
       (SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
        WHERE relnamespace = 'philotes'::regnamespace AND relkind = 'r')
       AS bytes,
       CASE WHEN a.s > -1 THEN greatest(a.s, 0) END AS gc_seconds,
       g.events AS gc_events, g.partitions AS gc_partitions,
       regexp_replace(g.held_by, '[\x01-\x1f]', '?', 'g') AS held_by,
       :version AS schema_version
FROM (SELECT) one
LEFT JOIN (SELECT * FROM philotes.cdc_gc_runs
           ORDER BY ended_at <= clock_timestamp() DESC, started_at DESC
           LIMIT 1) g ON true
CROSS JOIN LATERAL (
	SELECT round(extract(epoch FROM clock_timestamp() - g.ended_at), 1)
	AS s) a;

-- the last snapshot of each source: its tables by state, and the first failure
SELECT 'snapshot' AS kind,
       regexp_replace(source_id, '[\x01-\x1f]', '?', 'g') AS source,
       regexp_replace(id, '[\x01-\x1f]', '?', 'g') AS id,
       CASE WHEN bool_or(state = 'done') THEN 'done' ELSE 'reading' END AS state,
       count(*) FILTER (WHERE state = 'begin') AS "begin",
       count(*) FILTER (WHERE state = 'chunk') AS chunk,
       count(*) FILTER (WHERE state = 'end') AS "end",
       count(*) FILTER (WHERE state = 'failed') AS failed,
       count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
       sum(rows) AS rows, sum(blocks) AS blocks, sum(of) AS of,
       regexp_replace((array_agg(schema_name || '.' || table_name || ': '
           || coalesce(reason, 'no reason given') ORDER BY schema_name,
           table_name) FILTER (WHERE state = 'failed'))[1],
           '[\x01-\x1f]', '?', 'g') AS failure
FROM philotes.snapshot_progress() WHERE last
GROUP BY source_id, id ORDER BY source_id;

-- the tables that are being read
SELECT 'table' AS kind,
       regexp_replace(source_id, '[\x01-\x1f]', '?', 'g') AS source,
       regexp_replace(schema_name || '.' || table_name, '[\x01-\x1f]', '?',
           'g') AS table,
       rows, blocks, of, rows_per_second, seconds_left
FROM philotes.snapshot_progress() WHERE state IN ('begin', 'chunk')
ORDER BY source_id, began_at, schema_name, table_name LIMIT 100;
