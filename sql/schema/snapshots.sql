-- What buffer-write calls for the SNAPSHOT events of a commit.

-- Is this the after_data of a mark, and may its id be a part of a key?
CREATE OR REPLACE FUNCTION philotes.is_mark(d jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT coalesce(d->>'state' IN ('begin', 'chunk', 'end', 'failed', 'done')
	    AND jsonb_typeof(d->'id') = 'string'
	    AND octet_length(d->>'id') <= 512
	    AND (SELECT bool_and(CASE WHEN jsonb_typeof(d->k) = 'number' THEN
	                (d->>k)::numeric BETWEEN 0 AND 9223372036854775807
	                ELSE false END)
	         FROM unnest('{rows,blocks,of}'::text[]) k), false)
$$;

-- Keeps in cdc_snapshots what the marks of a commit say, the newest of each
-- table.  marks is an array in the order of the stream; each element has
-- "schema", "table", "lsn" (of the commit on the source), "at" (its time) and
-- "data", the after_data.  What is not a mark, in a stream that somebody else
-- has made, is passed over.
CREATE OR REPLACE FUNCTION philotes.keep_marks(source text, marks jsonb)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO philotes.cdc_snapshots AS s (source_id, id, schema_name,
	    table_name, state, rows, blocks, of, begin_lsn, end_lsn, began_at,
	    changed_at, reason)
	-- of rising LSNs the greatest is the newest
	SELECT DISTINCT ON (id, schema_name, table_name) source, id, schema_name,
	       table_name, state, rows, blocks, of,
	       max(lsn) FILTER (WHERE state = 'begin') OVER same,
	       CASE WHEN state IN ('end', 'failed', 'done') THEN lsn END,
	       max(at) FILTER (WHERE state = 'begin') OVER same, at, reason
	FROM (SELECT n, d->>'id' AS id, m->>'schema' AS schema_name,
	             m->>'table' AS table_name, d->>'state' AS state,
	             (d->>'rows')::bigint AS rows,
	             (d->>'blocks')::bigint AS blocks,
	             (d->>'of')::bigint AS of, (m->>'lsn')::pg_lsn AS lsn,
	             -- no reader sends times of other years
	             CASE WHEN m->>'at' ~ '^[1-9][0-9]{3}-'
	                  THEN (m->>'at')::timestamptz END AS at,
	             d->>'reason' AS reason
	      FROM jsonb_array_elements(marks) WITH ORDINALITY e (m, n)
	      CROSS JOIN LATERAL (SELECT m->'data' AS d) x
	      WHERE philotes.is_mark(d)
	        AND octet_length(m->>'schema') <= 512
	        AND octet_length(m->>'table') <= 512) mark
	WINDOW same AS (PARTITION BY id, schema_name, table_name)
	ORDER BY id, schema_name, table_name, n DESC
	ON CONFLICT (source_id, id, schema_name, table_name) DO UPDATE
	SET state = EXCLUDED.state, rows = EXCLUDED.rows,
	    blocks = EXCLUDED.blocks, of = EXCLUDED.of,
	    begin_lsn = coalesce(EXCLUDED.begin_lsn, s.begin_lsn),
	    end_lsn = EXCLUDED.end_lsn,
	    began_at = coalesce(EXCLUDED.began_at, s.began_at),
	    changed_at = EXCLUDED.changed_at, reason = EXCLUDED.reason;
END $$;

-- cdc_snapshots for people.  state is cancelled for a table whose snapshot was
-- left before its end; last is true for the tables of the source's last
-- snapshot.  The seconds, and the seconds left at the same speed, are null if
-- they are not known.  Not a view: a session may be barred from these.
CREATE OR REPLACE FUNCTION philotes.snapshot_progress()
RETURNS TABLE (source_id text, id text, schema_name text, table_name text,
    state text, rows bigint, blocks bigint, of bigint, began_at timestamptz,
    changed_at timestamptz, reason text, last boolean, seconds numeric,
    rows_per_second numeric, seconds_left numeric)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT s.source_id, s.id, s.schema_name, s.table_name,
	       CASE WHEN u.under_way AND (NOT k.last
	                OR s.changed_at <= k.done_at)
	            THEN 'cancelled' ELSE s.state END,
	       s.rows, s.blocks, s.of, s.began_at, s.changed_at, s.reason,
	       k.last, round(t.s, 1),
	       CASE WHEN t.s > 0 THEN round(s.rows / t.s) END,
	       CASE WHEN u.under_way AND s.blocks BETWEEN 1 AND s.of
	            THEN round(t.s * (s.of - s.blocks) / s.blocks) END
	FROM philotes.cdc_snapshots s
	JOIN (SELECT n.source_id, n.id, max(n.changed_at) AS changed_at,
	             max(n.changed_at) FILTER (WHERE n.state = 'done')
	             AS done_at,
	             row_number() OVER (PARTITION BY n.source_id
	                 ORDER BY max(n.changed_at) DESC NULLS LAST, n.id) = 1
	             AS last
	      FROM philotes.cdc_snapshots n GROUP BY n.source_id, n.id) k
	  ON k.source_id = s.source_id AND k.id = s.id
	CROSS JOIN LATERAL (
		SELECT s.state IN ('begin', 'chunk') AS under_way) u
	CROSS JOIN LATERAL (
		SELECT CASE WHEN s.changed_at >= s.began_at THEN extract(epoch
		       FROM s.changed_at - s.began_at)::numeric END AS s) t
	-- an id that was used again is not done before its new end
	WHERE s.state <> 'done' OR s.changed_at >= k.changed_at
$$;
