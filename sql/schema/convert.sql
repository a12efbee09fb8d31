-- Moves the rows of the plain table, which plain_table.sql renamed, into the
-- log and drops the table.
--
-- processed_at becomes the batches of a consumer `default`: one for each run
-- of equal times.  A cursor requires that the processed events of a source
-- have lower ids than the others.  So in a source where an unprocessed event
-- has a lower id than a processed one, all unprocessed events get new ids, in
-- the same order.

-- the number of events in a row of cdc_writes
\set events 10000

DO $$
BEGIN
	IF EXISTS (SELECT FROM philotes.cdc_events_plain
	           WHERE id < 1 OR created_at IS NULL) THEN
		RAISE EXCEPTION
		    'philotes.cdc_events has a row without created_at or with an id '
		    'below 1';
	END IF;
END $$;

-- for each source, the last processed id and whether the unprocessed events
-- move
CREATE TEMP TABLE plain ON COMMIT DROP AS
SELECT source_id, min(created_at) AS created_at, processed,
       coalesce(waiting < processed, false) AS moves, n AS waiting
FROM (SELECT source_id, min(created_at) AS created_at,
             max(id) FILTER (WHERE processed_at IS NOT NULL) AS processed,
             min(id) FILTER (WHERE processed_at IS NULL) AS waiting,
             count(*) FILTER (WHERE processed_at IS NULL) AS n
      FROM philotes.cdc_events_plain GROUP BY source_id) s
GROUP BY source_id, processed, waiting, n;

-- Makes the partitions.  philotes.top becomes the last id ever drawn, perhaps
-- for a row that was deleted since; the events that move get the ids after it.
DO $$
DECLARE
	width  CONSTANT bigint := philotes.partition_width();
	top    bigint;
	moving bigint;
	q      record;
BEGIN
	SELECT coalesce(max(id), 0) INTO top FROM philotes.cdc_events_plain;
	FOR q IN SELECT DISTINCT s.oid::regclass AS name
	         FROM pg_class s
	         JOIN pg_depend d ON s.oid IN (d.objid, d.refobjid)
	         LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass
	                               AND f.oid = d.objid
	         WHERE s.relkind = 'S' AND 'philotes.cdc_events_plain'::regclass
	               IN (d.refobjid, f.adrelid) LOOP
		EXECUTE format('SELECT greatest($1, last_value - '
		    'CASE WHEN is_called THEN 0 ELSE 1 END) FROM %s', q.name)
		INTO top USING top;
	END LOOP;
	SELECT coalesce(sum(waiting), 0) INTO moving FROM plain WHERE moves;
	IF top + moving > 0 THEN
		PERFORM setval('philotes.cdc_log_id_seq', top + moving);
	END IF;
	PERFORM philotes.make_partition(n)
	FROM (SELECT DISTINCT id / width FROM philotes.cdc_events_plain
	      UNION
	      SELECT generate_series(top / width, (top + moving) / width)) x (n);
	PERFORM philotes.ensure_partitions();
	PERFORM set_config('philotes.top', top::text, true);
END $$;

-- Values are cast to jsonb first, so that one which the view could not show is
-- an error now.
INSERT INTO philotes.cdc_log (id, source_id, schema_name, table_name,
    operation, lsn, transaction_id, commit_lsn, seq, key_columns,
    before_data, after_data, event_time, metadata, created_at)
SELECT CASE WHEN x.moving
            THEN current_setting('philotes.top')::bigint
                 + row_number() OVER (PARTITION BY x.moving ORDER BY e.id)
            ELSE e.id END,
       e.source_id, e.schema_name, e.table_name, e.operation, e.lsn,
       e.transaction_id,
       CASE WHEN x.known THEN (x.metadata->>'commit_lsn')::pg_lsn END,
       CASE WHEN x.known THEN (x.metadata->>'seq')::bigint END,
       e.key_columns::jsonb::json, e.before_data::jsonb::json,
       e.after_data::jsonb::json,
       e.event_time,
       CASE WHEN x.known
            THEN nullif(x.metadata - 'commit_lsn' - 'seq', '{}')
            ELSE x.metadata END::json,
       e.created_at
FROM philotes.cdc_events_plain e
JOIN plain p USING (source_id)
CROSS JOIN LATERAL (
	SELECT p.moves AND e.processed_at IS NULL AS moving,
	       e.metadata::jsonb AS metadata,
	       philotes.identified(e.metadata::jsonb) AS known) x;

INSERT INTO philotes.cdc_sources (source_id, created_at)
SELECT source_id, created_at FROM plain;

INSERT INTO philotes.cdc_writes (source_id, write_no, first_id, last_id,
    events, total, kind, written_at)
SELECT source_id, chunk + 1, min(id), max(id), count(*),
       sum(count(*)) OVER (PARTITION BY source_id ORDER BY chunk), 'sql',
       least(min(created_at), now())
FROM (SELECT source_id, id, created_at,
             (row_number() OVER (PARTITION BY source_id ORDER BY id) - 1)
             / :events AS chunk
      FROM philotes.cdc_log) l
GROUP BY source_id, chunk;

INSERT INTO philotes.cdc_consumers (consumer)
SELECT 'default' WHERE EXISTS (SELECT FROM plain);

INSERT INTO philotes.cdc_batches (consumer, source_id, first_id, last_id,
    events, total, write_no, batch_no, processed_at)
SELECT 'default', source_id,
       1 + coalesce(lag(last_id) OVER w, 0), last_id, n, sum(n) OVER w,
       (sum(n) OVER w - 1)::bigint / :events + 1, row_number() OVER w,
       processed_at
FROM (SELECT source_id, max(id) AS last_id, count(*) AS n, processed_at
      FROM (SELECT source_id, id, processed_at,
                   row_number() OVER (PARTITION BY source_id ORDER BY id)
                   - row_number() OVER (PARTITION BY source_id, processed_at
                                        ORDER BY id) AS run
            FROM philotes.cdc_events_plain
            WHERE processed_at IS NOT NULL) e
      GROUP BY source_id, processed_at, run) b
WINDOW w AS (PARTITION BY source_id ORDER BY last_id);

DO $$
DECLARE
	odd text;
BEGIN
	DROP TABLE philotes.cdc_events_plain;
EXCEPTION WHEN dependent_objects_still_exist THEN
	GET STACKED DIAGNOSTICS odd = PG_EXCEPTION_DETAIL;
	RAISE EXCEPTION 'the table philotes.cdc_events cannot become a view '
	    'while it has: %', replace(replace(odd, E'\n', ', '),
	    'cdc_events_plain', 'cdc_events')
	USING HINT = 'Drop them; create them again afterwards if needed.';
END $$;
