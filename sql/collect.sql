-- Included by 001_schema.sql: what buffer-gc calls, so that its role needs no
-- right but that to call them, and can remove nothing that must stay.
--
-- cdc_sources.removed_to is where it all hangs on: gc_begin raises it, and from
-- its commit on the source's events up to there may go at any time, for a new
-- consumer begins behind them.  All that follows only looks at it, so a run
-- may be interrupted anywhere.

-- One row a run that went to its end; the newest 100.
CREATE TABLE IF NOT EXISTS philotes.cdc_gc_runs (
	started_at timestamptz PRIMARY KEY,
	ended_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
	retention  interval    NOT NULL,
	events     bigint      NOT NULL, -- let go
	partitions bigint      NOT NULL, -- dropped
	busy       bigint      NOT NULL, -- partitions left for later, being in use
	held_by    text,                 -- the consumer that most events wait for
	held       bigint      NOT NULL  -- how many
);

-- Per source, the newest id that every registered consumer has passed longer
-- ago than the retention, and the consumer that has come least far.  No rows
-- without a consumer: what nobody has processed is kept.
CREATE OR REPLACE FUNCTION philotes.removable(retention interval)
RETURNS TABLE (source_id text, up_to bigint, held_by text)
LANGUAGE sql STABLE AS $$
	SELECT DISTINCT ON (s.source_id) s.source_id, k.up_to, c.consumer
	FROM philotes.cdc_sources s
	CROSS JOIN philotes.cdc_consumers c
	CROSS JOIN LATERAL (SELECT coalesce(
		(SELECT b.first_id - 1 FROM philotes.cdc_batches b
		 WHERE b.consumer = c.consumer AND b.source_id = s.source_id
		   AND b.processed_at >= now() - retention
		 ORDER BY b.first_id LIMIT 1),
		(SELECT b.last_id FROM philotes.cdc_batches b
		 WHERE b.consumer = c.consumer AND b.source_id = s.source_id
		 ORDER BY b.first_id DESC LIMIT 1), 0) AS up_to) k
	ORDER BY s.source_id, k.up_to, c.consumer
$$;

-- The first event of the buffer, by id, that is not removable; null if all are.
CREATE OR REPLACE FUNCTION philotes.first_kept(retention interval)
RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT min(f.id)
	FROM philotes.cdc_sources s
	LEFT JOIN philotes.removable(retention) r USING (source_id)
	CROSS JOIN LATERAL (
		SELECT greatest(w.first_id, coalesce(r.up_to, 0) + 1) AS id
		FROM philotes.cdc_writes w
		WHERE w.source_id = s.source_id AND w.events > 0
		  AND w.last_id > coalesce(r.up_to, 0)
		ORDER BY w.write_no LIMIT 1) f
$$;

-- Decides what goes: all that is removable, up to the end of the oldest
-- partition that stays.  Returns how many events that are.
CREATE OR REPLACE FUNCTION philotes.gc_begin(retention interval,
    OUT started_at timestamptz, OUT events bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	width CONSTANT bigint := philotes.partition_width();
	stays bigint;
BEGIN
	started_at := clock_timestamp();
	PERFORM pg_advisory_xact_lock(hashtextextended('philotes.consumers', 0));
	SELECT least(philotes.first_kept(retention), last_value) / width
	INTO stays FROM philotes.cdc_log_id_seq;
	WITH goes AS (
		SELECT s.source_id, u.up_to, t.total, t.total - s.removed AS n
		FROM philotes.removable(retention) r
		JOIN philotes.cdc_sources s USING (source_id)
		CROSS JOIN LATERAL (
			SELECT least(r.up_to, (stays + 1) * width - 1) AS up_to) u
		CROSS JOIN LATERAL philotes.total_at(s.source_id, u.up_to) t
		WHERE u.up_to > s.removed_to),
	said AS (
		UPDATE philotes.cdc_sources s
		SET removed_to = g.up_to, removed = g.total
		FROM goes g WHERE s.source_id = g.source_id)
	SELECT coalesce(sum(n), 0) INTO events FROM goes;
END $$;

-- No event below this id is to stay, and no more ids are drawn below it.
CREATE OR REPLACE FUNCTION philotes.gc_end_of_removed() RETURNS bigint
LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN EXISTS (SELECT FROM philotes.cdc_consumers)
	       THEN least(q.last_value, (
		SELECT min(f.id)
		FROM philotes.cdc_sources s
		CROSS JOIN LATERAL (
			SELECT greatest(w.first_id, s.removed_to + 1) AS id
			FROM philotes.cdc_writes w
			WHERE w.source_id = s.source_id AND w.events > 0
			  AND w.last_id > s.removed_to
			ORDER BY w.write_no LIMIT 1) f))
	       ELSE 0 END
	FROM philotes.cdc_log_id_seq q
$$;

-- The partitions, oldest first: number, first id, first id beyond, and whether
-- all of it may go.
CREATE OR REPLACE FUNCTION philotes.gc_leaves()
RETURNS TABLE (n bigint, first_id bigint, end_id bigint, may_go boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT l.n, l.n * w.ids, (l.n + 1) * w.ids, (l.n + 1) * w.ids <= k.id
	FROM (SELECT substr(c.relname, 9)::bigint AS n
	      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	      WHERE i.inhparent = 'philotes.cdc_log'::regclass) l,
	     philotes.partition_width() w (ids),
	     philotes.gc_end_of_removed() k (id)
	ORDER BY l.n
$$;

-- Empties a partition of which nothing is to stay.  False: something is, now
-- that it is locked.  Whoever would wait behind us matters more, so a lock that
-- is not to be had at once is an error, lock_not_available.
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

-- Drops a partition that is empty.  False: somebody who had drawn an id before
-- has written to it meanwhile.  Two locks one after the other, 200 ms in all.
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

-- Looks at the next `rows` events of a partition and deletes those that go.
-- Returns the last id it has looked at, null at the end.
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

-- The ledgers go with the events below this id that they describe; the newest
-- row of a source, its watermark, and that of a consumer, its cursor, stay.
-- Returns how many rows went, `rows` of each ledger at the most.
CREATE OR REPLACE FUNCTION philotes.gc_trim(below bigint, rows bigint)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	writes  bigint;
	batches bigint;
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
	RETURN writes + batches;
END $$;

-- Moves on to the next partition when the oldest event of the one in use is
-- older than a quarter of the retention, so that it will be dropped as a whole
-- and not be trimmed for long; unless events are held in many already.
--
-- The sequence is locked by an ALTER that changes nothing: whoever has drawn an
-- id has ended by then, and nobody draws one, so no id is drawn twice and no
-- COPY that is under way misses a partition made after it began.
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

-- Why events stay, per source and consumer, whoever holds most first: those
-- that it has not processed, and since when the first of them waits; those that
-- it has, but not long enough ago; and those that only wait for a partition
-- before theirs.  consumer is null if there is none.
CREATE OR REPLACE FUNCTION philotes.gc_held(retention interval)
RETURNS TABLE (source_id text, consumer text, waiting bigint,
    since timestamptz, young bigint, later bigint, dead boolean)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
	SELECT s.source_id, c.consumer, w.total - p.done, f.written_at,
	       p.done - p.old, p.old - s.removed,
	       c.consumer IS NOT NULL
	       AND coalesce(f.written_at < now() - retention, false)
	FROM philotes.cdc_sources s
	CROSS JOIN LATERAL philotes.newest_write(s.source_id) w
	LEFT JOIN philotes.cdc_consumers c ON true
	LEFT JOIN LATERAL (
		SELECT b.last_id, b.total, b.write_no FROM philotes.cdc_batches b
		WHERE b.consumer = c.consumer AND b.source_id = s.source_id
		ORDER BY b.first_id DESC LIMIT 1) b ON true
	LEFT JOIN LATERAL (
		SELECT k.total - k.events AS total FROM philotes.cdc_batches k
		WHERE k.consumer = c.consumer AND k.source_id = s.source_id
		  AND k.processed_at >= now() - retention
		ORDER BY k.first_id LIMIT 1) k ON true
	CROSS JOIN LATERAL (
		SELECT greatest(b.total, s.removed) AS done,
		       greatest(least(k.total, b.total), s.removed) AS old) p
	LEFT JOIN LATERAL (
		SELECT x.written_at FROM philotes.cdc_writes x
		WHERE x.source_id = s.source_id
		  AND x.write_no >= coalesce(b.write_no, 0)
		  AND x.last_id > greatest(b.last_id, s.removed_to)
		  AND x.events > 0
		ORDER BY x.write_no LIMIT 1) f ON true
	WHERE w.total > s.removed
	ORDER BY s.source_id, p.old, p.done, c.consumer
$$;

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
	-- what was deleted is counted before the VACUUM that follows, not after
	IF to_regprocedure('pg_stat_force_next_flush()') IS NOT NULL THEN
		EXECUTE 'SELECT pg_stat_force_next_flush()';
	END IF;
END $$;

REVOKE ALL ON FUNCTION philotes.gc_begin, philotes.gc_leaves,
    philotes.gc_truncate, philotes.gc_drop, philotes.gc_delete,
    philotes.gc_trim, philotes.gc_advance, philotes.gc_held, philotes.gc_end
FROM PUBLIC;
