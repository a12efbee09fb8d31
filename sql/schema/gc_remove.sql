-- How buffer-gc removes the events up to cdc_sources.removed_to, trims the
-- ledgers, switches partitions and records the run.

-- Empties a partition.  False if, now that it is locked, an event in it must
-- be kept.  The lock blocks other sessions behind it, so it is requested for
-- 200 ms only; then the error is lock_not_available.
CREATE OR REPLACE FUNCTION philotes.gc_truncate(n bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
	leaf CONSTANT text := 'cdc_log_' || n;
BEGIN
	EXECUTE format('LOCK TABLE philotes.%I IN ACCESS EXCLUSIVE MODE', leaf);
	IF (n + 1) * philotes.partition_width() > philotes.gc_end_of_removed() THEN
		RETURN false;
	END IF;
	EXECUTE format('TRUNCATE philotes.%I', leaf);
	RETURN true;
END $$;

-- Drops a partition if it is empty.  False if not: a session that had drawn an
-- id earlier has written to it.  Two locks of 100 ms each, 200 ms in all.
CREATE OR REPLACE FUNCTION philotes.gc_drop(n bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
	leaf  CONSTANT text := 'cdc_log_' || n;
	empty boolean;
BEGIN
	LOCK TABLE ONLY philotes.cdc_log IN ACCESS EXCLUSIVE MODE;
	EXECUTE format('LOCK TABLE philotes.%I IN ACCESS EXCLUSIVE MODE', leaf);
	EXECUTE format('SELECT NOT EXISTS (SELECT FROM philotes.%I)', leaf)
	INTO empty;
	IF empty AND (n + 1) * philotes.partition_width() <=
	    philotes.gc_end_of_removed() THEN
		EXECUTE format('DROP TABLE philotes.%I', leaf);
		RETURN true;
	END IF;
	RETURN false;
END $$;

-- Looks at the next `rows` events of a partition and deletes those up to
-- removed_to.  Returns the last id that it looked at, null at the end.
CREATE OR REPLACE FUNCTION philotes.gc_delete(n bigint, from_id bigint,
    rows bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	last_id bigint;
BEGIN
	EXECUTE format('WITH chunk AS ('
	    'SELECT id, source_id FROM philotes.%1$I WHERE id >= $1 AND id <= '
	    '(SELECT max(removed_to) FROM philotes.cdc_sources) '
	    'ORDER BY id LIMIT $2), '
	    'gone AS (DELETE FROM philotes.%1$I l '
	    'USING chunk c JOIN philotes.cdc_sources s USING (source_id) '
	    'WHERE l.id = c.id AND l.id <= s.removed_to) '
	    'SELECT max(id) FROM chunk', 'cdc_log_' || n)
	INTO last_id USING from_id, rows;
	RETURN last_id;
END $$;

-- Deletes the rows of cdc_writes and cdc_batches that describe only removed
-- events below an id, the closed dead letters below it, and the schemas that no
-- event or dead letter has that is left.  The newest row of a source, its
-- watermark, and that of a consumer, its cursor, stay.  Returns the number of
-- rows deleted, at most `rows` of each table.
CREATE OR REPLACE FUNCTION philotes.gc_trim(below bigint, rows bigint)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	writes  bigint;
	batches bigint;
	letters bigint;
	schemas bigint;
BEGIN
	DELETE FROM philotes.cdc_writes w
	USING (SELECT w.source_id, w.write_no
	       FROM philotes.cdc_sources s
	       CROSS JOIN LATERAL (
			SELECT coalesce(
				(SELECT b.write_no FROM philotes.cdc_writes b
				 WHERE b.source_id = s.source_id
				   AND b.last_id > least(s.removed_to, below - 1)
				 ORDER BY b.write_no LIMIT 1),
				(SELECT max(b.write_no) FROM philotes.cdc_writes b
				 WHERE b.source_id = s.source_id)) AS write_no) k
	       JOIN philotes.cdc_writes w
	         ON w.source_id = s.source_id AND w.write_no < k.write_no
	       LIMIT rows) g
	WHERE w.source_id = g.source_id AND w.write_no = g.write_no;
	GET DIAGNOSTICS writes = ROW_COUNT;
	DELETE FROM philotes.cdc_batches d
	USING (SELECT b.consumer, b.source_id, b.first_id
	       FROM philotes.cdc_sources s
	       CROSS JOIN philotes.cdc_consumers c
	       CROSS JOIN LATERAL (
			SELECT coalesce(
				(SELECT b.first_id FROM philotes.cdc_batches b
				 WHERE b.consumer = c.consumer
				   AND b.source_id = s.source_id
				   AND b.last_id > least(s.removed_to, below - 1)
				 ORDER BY b.first_id LIMIT 1),
				(SELECT max(b.first_id) FROM philotes.cdc_batches b
				 WHERE b.consumer = c.consumer
				   AND b.source_id = s.source_id)) AS first_id) k
	       JOIN philotes.cdc_batches b
	         ON b.consumer = c.consumer AND b.source_id = s.source_id
	        AND b.first_id < k.first_id
	       LIMIT rows) g
	WHERE d.consumer = g.consumer AND d.source_id = g.source_id
	  AND d.first_id = g.first_id;
	GET DIAGNOSTICS batches = ROW_COUNT;
	DELETE FROM philotes.cdc_dead_letters d
	USING (SELECT l.consumer, l.id
	       FROM philotes.cdc_sources s
	       JOIN philotes.cdc_dead_letters l
	         ON l.source_id = s.source_id AND l.closed_at IS NOT NULL
	        AND l.id <= least(s.removed_to, below - 1)
	       LIMIT rows) g
	WHERE d.consumer = g.consumer AND d.id = g.id;
	GET DIAGNOSTICS letters = ROW_COUNT;
	DELETE FROM philotes.cdc_schemas d
	USING (SELECT x.source_id, x.schema_name, x.table_name, x.from_id
	       FROM philotes.cdc_sources s
	       CROSS JOIN LATERAL (
			SELECT least(s.removed_to + 1, below,
				(SELECT min(l.id) FROM philotes.cdc_dead_letters l
				 WHERE l.source_id = s.source_id)) AS id) oldest
	       JOIN philotes.cdc_schemas x
	         ON x.source_id = s.source_id AND x.from_id < oldest.id
	       WHERE EXISTS (
			SELECT FROM philotes.cdc_schemas n
			WHERE n.source_id = x.source_id
			  AND n.schema_name = x.schema_name
			  AND n.table_name = x.table_name
			  AND n.from_id > x.from_id AND n.from_id <= oldest.id)
	       LIMIT rows) g
	WHERE d.source_id = g.source_id AND d.schema_name = g.schema_name
	  AND d.table_name = g.table_name AND d.from_id = g.from_id;
	GET DIAGNOSTICS schemas = ROW_COUNT;
	RETURN writes + batches + letters + schemas;
END $$;

-- Switches to the next partition once the oldest event of the current one is
-- older than a quarter of the retention, so that the current one can be dropped
-- as a whole instead of being trimmed for long.  Not if 16 older partitions are
-- still kept.
--
-- An ALTER that changes nothing locks the sequence: the transactions that have
-- drawn an id have ended by then, and nobody can draw another.  So no id is
-- drawn twice, and no running COPY needs a partition made after it began.
CREATE OR REPLACE FUNCTION philotes.gc_advance(retention interval)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
	width CONSTANT bigint := philotes.partition_width();
	most  CONSTANT bigint := 16;
	head  bigint := (SELECT last_value / width FROM philotes.cdc_log_id_seq);
BEGIN
	IF (SELECT count(*) FROM philotes.gc_leaves() WHERE n < head) >= most OR
	    to_regclass('philotes.cdc_log_' || head + 1) IS NULL OR
	    NOT EXISTS (SELECT FROM philotes.cdc_writes w
	                JOIN philotes.cdc_sources s USING (source_id)
	                WHERE w.events > 0 AND w.last_id >= head * width
	                  AND w.last_id > s.removed_to
	                  AND w.written_at < now() - retention / 4) THEN
		RETURN false;
	END IF;
	ALTER SEQUENCE philotes.cdc_log_id_seq OWNED BY NONE;
	IF (SELECT last_value / width <> head FROM philotes.cdc_log_id_seq) THEN
		RETURN false;
	END IF;
	PERFORM setval('philotes.cdc_log_id_seq', (head + 1) * width, false);
	RETURN true;
END $$;

-- Records the run, and forgets old runs and snapshots.
CREATE OR REPLACE FUNCTION philotes.gc_end(started_at timestamptz,
    retention interval, events bigint, partitions bigint, busy bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO philotes.cdc_gc_runs (started_at, retention, events,
	    partitions, busy, held_by, held)
	SELECT gc_end.started_at, gc_end.retention, gc_end.events,
	       gc_end.partitions, gc_end.busy, h.consumer, coalesce(h.n, 0)
	FROM (SELECT) one
	LEFT JOIN (SELECT consumer, sum(waiting) AS n
	           FROM philotes.gc_held(gc_end.retention)
	           WHERE waiting > 0 AND consumer IS NOT NULL
	           GROUP BY consumer ORDER BY n DESC, consumer LIMIT 1) h ON true;
	DELETE FROM philotes.cdc_gc_runs r
	WHERE r.started_at < (SELECT n.started_at FROM philotes.cdc_gc_runs n
	                      ORDER BY n.started_at DESC OFFSET 99 LIMIT 1);
	-- the newest 100 snapshots of a source stay
	DELETE FROM philotes.cdc_snapshots d
	USING (SELECT source_id, id, row_number() OVER (PARTITION BY source_id
	              ORDER BY max(changed_at) DESC NULLS LAST, id) AS n
	       FROM philotes.cdc_snapshots GROUP BY source_id, id) s
	WHERE d.source_id = s.source_id AND d.id = s.id
	  AND (s.n > 100 OR NOT EXISTS (SELECT FROM philotes.cdc_sources k
	                                WHERE k.source_id = s.source_id));
	-- so that the statistics are current for the VACUUM that follows
	IF to_regprocedure('pg_stat_force_next_flush()') IS NOT NULL THEN
		EXECUTE 'SELECT pg_stat_force_next_flush()';
	END IF;
END $$;

REVOKE ALL ON FUNCTION philotes.gc_truncate, philotes.gc_drop,
    philotes.gc_delete, philotes.gc_trim, philotes.gc_advance, philotes.gc_end
FROM PUBLIC;
