-- Is what the buffer holds what the source had?  In the buffer's database:
--
--   replica   the source's rows, from the slot's start on: every change, no READ
--   copy      what a consumer has that began with rows of its own, takes READ as
--             it takes INSERT, and removes at `end` what no event has touched
--             since `begin`
--
-- From a table's `end` on they are equal at each transaction, unless rows are read
-- again: then there is a mark before them, and another `end` behind.
CREATE TABLE replica (t text, k text, r jsonb, PRIMARY KEY (t, k));
CREATE TABLE copy (t text, k text, r jsonb, lsn pg_lsn, seq bigint,
    PRIMARY KEY (t, k));
CREATE TABLE final (t text, k text, r jsonb);
CREATE TABLE superseded (t text, k text, ver bigint, PRIMARY KEY (t, k, ver));
CREATE TABLE span (t text PRIMARY KEY, lsn pg_lsn, seq bigint, ended bool);
CREATE TABLE fault (id bigint, what text);

CREATE FUNCTION key_of(names jsonb, r jsonb) RETURNS text
IMMUTABLE LANGUAGE sql AS $$
	SELECT string_agg(r ->> name, '|' ORDER BY n)
	FROM jsonb_array_elements_text(names) WITH ORDINALITY AS x (name, n)
$$;

CREATE FUNCTION judge(OUT events bigint, OUT reads bigint, OUT compared bigint,
    OUT faults bigint)
LANGUAGE plpgsql AS $$
DECLARE
	e record;
	old_key text;
	new_key text;
	new_row jsonb;
	last_lsn pg_lsn := '0/0';
	last_seq bigint := 0;
BEGIN
	events := 0; reads := 0; compared := 0;
	FOR e IN
		SELECT id, table_name AS t, operation AS op, commit_lsn AS lsn, seq,
		       key_columns::jsonb AS names, before_data::jsonb AS before,
		       after_data::jsonb AS after
		FROM philotes.cdc_log ORDER BY id
	LOOP
		events := events + 1;
		IF (e.lsn, e.seq) <= (last_lsn, last_seq) THEN
			INSERT INTO fault VALUES (e.id, 'order');
		END IF;
		last_lsn := e.lsn;
		last_seq := e.seq;
		IF e.op = 'SNAPSHOT' THEN
			IF e.after ->> 'state' = 'begin' THEN
				INSERT INTO span VALUES (e.t, e.lsn, e.seq, false)
				ON CONFLICT (t) DO UPDATE SET lsn = e.lsn,
				    seq = e.seq, ended = false;
			ELSIF e.after ->> 'state' = 'end' THEN
				DELETE FROM copy c USING span s
				WHERE c.t = e.t AND s.t = e.t
				  AND (c.lsn, c.seq) < (s.lsn, s.seq);
				UPDATE span SET ended = true WHERE t = e.t;
				INSERT INTO fault SELECT e.id, format(
				    '%s at end: %s: copy %s, source %s', e.t,
				    coalesce(c.k, r.k), left(c.r::text, 80),
				    left(r.r::text, 80))
				FROM (SELECT * FROM copy WHERE t = e.t) c
				FULL JOIN (SELECT * FROM replica WHERE t = e.t) r
				  USING (k)
				WHERE c.r IS DISTINCT FROM r.r;
			ELSIF e.after ->> 'state' = 'chunk' THEN
				UPDATE span SET ended = false WHERE t = e.t;
			ELSIF e.after ->> 'state' = 'failed' THEN
				INSERT INTO fault VALUES (e.id, e.after::text);
			END IF;
			CONTINUE;
		END IF;
		new_key := key_of(e.names, e.after);
		old_key := coalesce(key_of(e.names, e.before), new_key);
		IF e.op = 'READ' THEN
			reads := reads + 1;
			IF (SELECT ended FROM span WHERE t = e.t) THEN
				INSERT INTO fault VALUES (e.id, format(
				    'behind end: %s %s', e.t, new_key));
			END IF;
			IF EXISTS (SELECT FROM superseded s WHERE s.t = e.t
			    AND s.k = new_key
			    AND s.ver = (e.after ->> 'ver')::bigint) THEN
				INSERT INTO fault VALUES (e.id, format(
				    'stale: %s %s', e.t, new_key));
			END IF;
			INSERT INTO copy VALUES (e.t, new_key, e.after, e.lsn, e.seq)
			ON CONFLICT (t, k) DO UPDATE SET r = e.after, lsn = e.lsn,
			    seq = e.seq;
			CONTINUE;
		END IF;
		INSERT INTO superseded SELECT t, k, (r ->> 'ver')::bigint
		FROM replica WHERE t = e.t AND k = old_key AND e.op <> 'INSERT'
		ON CONFLICT DO NOTHING;
		-- what after lacks, in TOAST, stays as it is
		IF e.op <> 'DELETE' THEN
			new_row := coalesce((SELECT r FROM replica
			    WHERE t = e.t AND k = old_key AND e.op = 'UPDATE'),
			    '{}') || e.after;
		END IF;
		DELETE FROM replica WHERE t = e.t AND k = old_key;
		IF e.op <> 'DELETE' THEN
			INSERT INTO replica VALUES (e.t, new_key, new_row)
			ON CONFLICT (t, k) DO UPDATE SET r = new_row;
			new_row := coalesce((SELECT r FROM copy
			    WHERE t = e.t AND k = old_key AND e.op = 'UPDATE'),
			    '{}') || e.after;
		END IF;
		DELETE FROM copy WHERE t = e.t AND k = old_key;
		IF e.op <> 'DELETE' THEN
			INSERT INTO copy VALUES (e.t, new_key, new_row, e.lsn, e.seq)
			ON CONFLICT (t, k) DO UPDATE SET r = new_row, lsn = e.lsn,
			    seq = e.seq;
		END IF;
		IF (SELECT ended FROM span WHERE t = e.t) THEN
			compared := compared + 1;
			IF (SELECT r FROM copy WHERE t = e.t AND k = new_key)
			    IS DISTINCT FROM
			    (SELECT r FROM replica WHERE t = e.t AND k = new_key)
			THEN
				INSERT INTO fault VALUES (e.id, format(
				    'differs behind end: %s %s', e.t, new_key));
			END IF;
		END IF;
	END LOOP;
	INSERT INTO fault SELECT 0, format('%s %s is not what the source has: %s',
	    coalesce(f.t, r.t), coalesce(f.k, r.k), name)
	FROM (SELECT 'replica' AS name, t, k, r FROM replica
	      UNION ALL SELECT 'copy', t, k, r FROM copy) r
	FULL JOIN (SELECT * FROM (VALUES ('replica'), ('copy')) n (name), final) f
	  USING (name, t, k)
	WHERE f.r IS DISTINCT FROM r.r;
	INSERT INTO fault SELECT 0, 'no end: ' || t
	FROM (VALUES ('t1'), ('t2'), ('p')) n (t)
	WHERE NOT coalesce((SELECT ended FROM span s WHERE s.t = n.t), false);
	SELECT count(*) INTO faults FROM fault;
END $$;
