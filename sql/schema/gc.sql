-- What buffer-gc calls.  Its role needs the privilege to call these functions
-- and nothing else, and it cannot remove an event that must be kept.
--
-- cdc_sources.removed_to is the pivot.  gc_begin() raises it; once that is
-- committed the source's events up to there may be removed at any time, and a
-- new consumer starts after them.  The other functions only read it, so a run
-- may be interrupted anywhere.

-- For each source the newest id that every registered consumer has passed
-- longer ago than the retention, and the consumer that is furthest behind.  No
-- rows if there is no consumer: events that nobody has processed are kept.
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

-- The lowest id of an event that is not removable; null if all are.
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

-- Decides which events are removed: all that are removable, up to the end of
-- the oldest partition that stays.  Returns their number.
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
	raised AS (
		UPDATE philotes.cdc_sources s
		SET removed_to = g.up_to, removed = g.total
		FROM goes g WHERE s.source_id = g.source_id)
	SELECT coalesce(sum(n), 0) INTO events FROM goes;
END $$;

-- The id below which all events are removed and no more ids are drawn.
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

-- The partitions, oldest first: number, first id, first id after it, and
-- whether the whole partition may be removed.
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

-- Why events are kept, by source and consumer, the one that holds most first:
--
--   waiting   events that the consumer has not processed
--   since     when the first of them was written
--   young     events processed more recently than the retention
--   later     removable events in a partition that stays
--   dead      whether the first waiting event is older than the retention
--
-- consumer is null if there is none.
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

REVOKE ALL ON FUNCTION philotes.gc_begin, philotes.gc_leaves, philotes.gc_held
FROM PUBLIC;
