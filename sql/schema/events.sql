-- The views: cdc_events, the log in the columns of the plain table, and
-- cdc_pending, the events that a consumer has not processed.

-- its name before schema version 4
DO $$
BEGIN
	IF to_regprocedure('philotes.marks()') IS NOT NULL THEN
		ALTER FUNCTION philotes.marks() RENAME TO processed_times;
	END IF;
END $$;

-- For each source the step function "every registered consumer had passed this
-- id at this time", as two arrays of equal length.  It is a function since for
-- tables as small as these the planner overestimates the work so much that it
-- would compile the query with JIT, which takes longer than the query.
CREATE OR REPLACE FUNCTION philotes.processed_times()
RETURNS TABLE (source_id text, bounds bigint[], times timestamptz[])
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
ROWS 10 COST 1000
SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
	RETURN QUERY
	SELECT b.source_id, array_agg(b.last_id ORDER BY b.last_id),
	       array_agg(x.t ORDER BY b.last_id)
	FROM (SELECT DISTINCT a.source_id, a.last_id FROM philotes.cdc_batches a
	      JOIN philotes.cdc_consumers USING (consumer)) b
	CROSS JOIN LATERAL (
		SELECT max(k.processed_at) AS t
		FROM philotes.cdc_consumers c
		LEFT JOIN LATERAL (
			SELECT k.processed_at, k.last_id
			FROM philotes.cdc_batches k
			WHERE k.consumer = c.consumer
			  AND k.source_id = b.source_id
			  AND k.first_id <= b.last_id
			ORDER BY k.first_id DESC LIMIT 1) k ON true
		HAVING count(*) = count(*) FILTER (WHERE k.last_id >= b.last_id)) x
	GROUP BY b.source_id;
END $$;

-- With session_replication_role = replica the triggers of a view do not fire,
-- and ALTER cannot enable them as on a table: the server would report "INSERT
-- 0 1" and drop the row.  The constraint of a domain is checked in every
-- session, however a row is written, so the domain of processed_at raises the
-- error.  It is also checked when the view is read; such a session holds no
-- RowExclusiveLock on the view.
CREATE OR REPLACE FUNCTION philotes.refuse_replica() RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF EXISTS (SELECT FROM pg_catalog.pg_locks
	           WHERE pid = pg_catalog.pg_backend_pid() AND granted
	             AND locktype = 'relation'
	             AND database = (SELECT oid FROM pg_catalog.pg_database
	                 WHERE datname = pg_catalog.current_database())
	             AND relation =
	                 pg_catalog.to_regclass('philotes.cdc_events')
	             AND mode = 'RowExclusiveLock') THEN
		RAISE EXCEPTION 'philotes.cdc_events cannot be written to while '
		    'session_replication_role is replica'
		USING ERRCODE = 'object_not_in_prerequisite_state',
		    HINT = 'Run SET session_replication_role = origin first.';
	END IF;
	RETURN true;
END $$;

DO $$
BEGIN
	IF to_regtype('philotes.processed_time') IS NULL THEN
		CREATE DOMAIN philotes.processed_time AS timestamptz
		CONSTRAINT not_by_a_replica CHECK (
		    CASE current_setting('session_replication_role')
		    WHEN 'replica' THEN philotes.refuse_replica() ELSE true END);
	END IF;
END $$;

-- CREATE OR REPLACE cannot change the type of a column, so a view without the
-- domain is dropped first.  If other objects depend on it, it stays as it is,
-- with a warning.
DO $$
DECLARE
	odd text;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_attribute
	               WHERE attrelid = to_regclass('philotes.cdc_events')
	                 AND attname = 'processed_at'
	                 AND atttypid = 'timestamptz'::regtype) THEN
		RETURN;
	END IF;
	SELECT string_agg(what, ', ') INTO odd
	FROM (SELECT 'rule ' || quote_ident(rulename) AS what FROM pg_rewrite
	      WHERE ev_class = 'philotes.cdc_events'::regclass
	        AND rulename <> '_RETURN'
	      UNION ALL
	      SELECT 'trigger ' || quote_ident(tgname) FROM pg_trigger
	      WHERE tgrelid = 'philotes.cdc_events'::regclass
	        AND tgname NOT IN ('events_insert', 'events_insert_end',
	            'events_refuse')) x;
	IF odd IS NULL THEN
		DROP VIEW philotes.cdc_events;
		RETURN;
	END IF;
	RAISE dependent_objects_still_exist USING DETAIL = odd;
EXCEPTION WHEN dependent_objects_still_exist THEN
	GET STACKED DIAGNOSTICS odd = PG_EXCEPTION_DETAIL;
	RAISE WARNING 'kept the old view philotes.cdc_events, which silently loses '
	    'rows written with session_replication_role = replica, because of: %',
	    replace(odd, E'\n', ', ')
	USING HINT = 'Drop them, load the schema again, and create them again.';
END $$;

SELECT coalesce((SELECT atttypid::regtype::text FROM pg_attribute
                 WHERE attrelid = to_regclass('philotes.cdc_events')
                   AND attname = 'processed_at'),
           'philotes.processed_time') AS processed_type \gset

CREATE OR REPLACE VIEW philotes.cdc_events AS
SELECT l.id, l.source_id, l.schema_name, l.table_name, l.operation, l.lsn,
       l.transaction_id, l.key_columns::jsonb, l.before_data::jsonb,
       l.after_data::jsonb, l.event_time,
       CASE WHEN l.commit_lsn IS NULL THEN l.metadata::jsonb
            ELSE coalesce(l.metadata::jsonb, '{}') || jsonb_build_object(
                 'commit_lsn', l.commit_lsn::text, 'seq', l.seq)
       END AS metadata,
       l.created_at,
       CAST(m.times[1 + width_bucket(l.id - 1, m.bounds)]
            AS :processed_type) AS processed_at
FROM philotes.cdc_log l
LEFT JOIN philotes.processed_times() m ON m.source_id = l.source_id;
-- COPY checks the domain of a column that it is not given only if the column
-- has a default.
ALTER VIEW philotes.cdc_events ALTER COLUMN processed_at SET DEFAULT NULL;

-- the privileges that the dropped view had
DO $$
BEGIN
	EXECUTE current_setting('philotes.grants');
END $$;

-- of schema version 1
DROP VIEW IF EXISTS philotes.cdc_marks;

-- The events that a consumer has not processed, found by its cursor through the
-- id ranges of the ledger:
--
--     SELECT * FROM philotes.cdc_pending WHERE consumer = 'name'
--
-- The OFFSETs keep the planner from choosing another way, whatever its
-- statistics.
CREATE OR REPLACE VIEW philotes.cdc_pending AS
SELECT c.consumer, l.id, l.source_id, l.schema_name, l.table_name,
       l.operation, l.lsn, l.transaction_id, l.key_columns::jsonb,
       l.before_data::jsonb, l.after_data::jsonb, l.event_time,
       CASE WHEN l.commit_lsn IS NULL THEN l.metadata::jsonb
            ELSE coalesce(l.metadata::jsonb, '{}') || jsonb_build_object(
                 'commit_lsn', l.commit_lsn::text, 'seq', l.seq)
       END AS metadata,
       l.created_at, NULL::timestamptz AS processed_at
FROM philotes.cdc_consumers c
CROSS JOIN philotes.cdc_sources s
LEFT JOIN LATERAL (
	SELECT last_id, write_no FROM philotes.cdc_batches
	WHERE consumer = c.consumer AND source_id = s.source_id
	ORDER BY first_id DESC LIMIT 1) b ON true
CROSS JOIN LATERAL (
	SELECT greatest(first_id, coalesce(b.last_id, 0) + 1) AS low,
	       last_id AS high
	FROM philotes.cdc_writes
	WHERE source_id = s.source_id AND events > 0
	  AND write_no >= coalesce(b.write_no, 0)
	  AND last_id > coalesce(b.last_id, 0) OFFSET 0) w
CROSS JOIN LATERAL (
	SELECT * FROM philotes.cdc_log
	WHERE source_id = s.source_id AND id BETWEEN w.low AND w.high
	OFFSET 0) l;
