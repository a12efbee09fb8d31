-- The buffer, from its ledgers and the catalogs, for philotes status and
-- metrics.  Rows of three kinds, told apart by their first column; numbers per
-- second are those of the last minute, ages are in seconds, null if the server's
-- clock was set back meanwhile.  Names come with a ? for what is below a space,
-- so that a row is a line.
SET statement_timeout = '10s';
SET search_path = pg_catalog, pg_temp;
SET jit = off;
\ir schema.sql

SELECT philotes.schema_version() AS version,
       philotes.schema_version() >= 3 AS known \gset
\if :known
\else
	DO 'BEGIN
		RAISE EXCEPTION ''its schema is older, philotes init upgrades it'';
	END';
\endif
SELECT 'version', :version;

-- source, its slot, checkpoint and last commit, events in all, a second, age of
-- the newest row of the ledger
SELECT 'source', regexp_replace(s.source_id, '[\x01-\x1f]', '?', 'g'),
       regexp_replace(s.slot, '[\x01-\x1f]', '?', 'g'), w.checkpoint, w.commit_lsn, w.total,
       round(coalesce(w.total - (
		SELECT min(r.total - r.events) FROM (
			SELECT total, events, written_at FROM philotes.cdc_writes
			WHERE source_id = s.source_id
			ORDER BY write_no DESC LIMIT 10000) r
		WHERE r.written_at BETWEEN clock_timestamp() - interval '60 s'
		                       AND clock_timestamp()), 0)
		/ 60.0, 1),
       CASE WHEN a.s > -1 THEN greatest(a.s, 0) END
FROM philotes.cdc_sources s
CROSS JOIN LATERAL (
	SELECT checkpoint, commit_lsn, total, written_at
	FROM philotes.cdc_writes WHERE source_id = s.source_id
	ORDER BY write_no DESC LIMIT 1) w
CROSS JOIN LATERAL (
	SELECT round(extract(epoch FROM clock_timestamp() - w.written_at), 1)
	AS s) a
ORDER BY s.source_id;

-- consumer, source, its position, events processed, a second, behind: events,
-- bytes of the source's WAL and age; age of the last batch, batches; of the
-- batch that fails: attempts, status, age; dead letters, those not closed
SELECT 'consumer', regexp_replace(l.consumer, '[\x01-\x1f]', '?', 'g'),
       regexp_replace(l.source_id, '[\x01-\x1f]', '?', 'g'),
       at.commit_lsn, coalesce(b.total, 0),
       round(coalesce(b.total - (
		SELECT min(r.total - r.events) FROM (
			SELECT total, events, processed_at
			FROM philotes.cdc_batches
			WHERE consumer = l.consumer AND source_id = l.source_id
			ORDER BY first_id DESC LIMIT 10000) r
		WHERE r.processed_at BETWEEN clock_timestamp() - interval '60 s'
		                         AND clock_timestamp()), 0)
		/ 60.0, 1),
       l.events_behind,
       CASE WHEN l.events_behind = 0 THEN 0
            ELSE greatest(0, pg_wal_lsn_diff(w.commit_lsn,
                 coalesce(at.commit_lsn, first.commit_lsn))::bigint) END,
       CASE WHEN l.events_behind = 0 THEN 0
            WHEN a.lag > -1 THEN greatest(a.lag, 0) END,
       CASE WHEN a.batch > -1 THEN greatest(a.batch, 0) END,
       coalesce(b.batch_no, 0),
       coalesce(t.attempts, 0),
       regexp_replace(t.status, '[\x01-\x1f]', '?', 'g'),
       CASE WHEN a.failing > -1 THEN greatest(a.failing, 0) END,
       d.n, d.open
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

-- partitions of the log, bytes of the schema; the last run of buffer-gc: its
-- age, events let go, partitions dropped, and whom the rest waits for
SELECT 'store',
       (SELECT count(*) FROM pg_inherits
        WHERE inhparent = 'philotes.cdc_log'::regclass),
       (SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
        WHERE relnamespace = 'philotes'::regnamespace AND relkind = 'r'),
       CASE WHEN a.s > -1 THEN greatest(a.s, 0) END,
       g.events, g.partitions,
       regexp_replace(g.held_by, '[\x01-\x1f]', '?', 'g')
FROM (SELECT) one
LEFT JOIN (SELECT * FROM philotes.cdc_gc_runs
           ORDER BY ended_at <= clock_timestamp() DESC, started_at DESC
           LIMIT 1) g ON true
CROSS JOIN LATERAL (
	SELECT round(extract(epoch FROM clock_timestamp() - g.ended_at), 1)
	AS s) a;
