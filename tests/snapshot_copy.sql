-- copied(TABLE, COLUMNS): what a consumer has that began with an empty table,
-- takes READ as it takes INSERT, and removes at `end` what no event has touched
-- since `begin`.  Rows as JSON without nulls, as text; of the columns only those
-- named.
CREATE FUNCTION copied(name text, columns text[]) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	e record;
	begun record;
BEGIN
	CREATE TEMP TABLE held (k jsonb PRIMARY KEY, r jsonb, lsn pg_lsn,
	    seq bigint) ON COMMIT DROP;
	FOR e IN
		SELECT operation AS op, commit_lsn AS lsn, seq,
		       before_data::jsonb AS before, after_data::jsonb AS after,
		       (SELECT jsonb_object_agg(n, coalesce(before_data, after_data)
		               ::jsonb -> n)
		        FROM json_array_elements_text(key_columns) n) AS old_key,
		       (SELECT jsonb_object_agg(n, after_data::jsonb -> n)
		        FROM json_array_elements_text(key_columns) n) AS new_key
		FROM philotes.cdc_log WHERE table_name = name ORDER BY id
	LOOP
		IF e.op = 'TRUNCATE' THEN
			DELETE FROM held;
		ELSIF e.op = 'SNAPSHOT' AND e.after ->> 'state' = 'begin' THEN
			begun := e;
		ELSIF e.op = 'SNAPSHOT' AND e.after ->> 'state' = 'end' THEN
			DELETE FROM held h
			WHERE (h.lsn, h.seq) < (begun.lsn, begun.seq);
		ELSIF e.op IN ('DELETE', 'UPDATE') AND e.old_key IS DISTINCT FROM
		    e.new_key THEN
			UPDATE held SET k = e.new_key
			WHERE k = e.old_key AND e.op = 'UPDATE';
			DELETE FROM held WHERE k = e.old_key;
		END IF;
		IF e.op IN ('READ', 'INSERT', 'UPDATE') THEN
			INSERT INTO held VALUES (e.new_key, e.after, e.lsn, e.seq)
			ON CONFLICT (k) DO UPDATE SET r = held.r || e.after,
			    lsn = e.lsn, seq = e.seq;
		END IF;
	END LOOP;
	RETURN QUERY SELECT (SELECT jsonb_object_agg(key, value)
	        FROM jsonb_each(jsonb_strip_nulls(r)) x
	        WHERE key = ANY (columns))::text
	    FROM held ORDER BY 1;
END $$;
