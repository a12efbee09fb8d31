-- Three tables on the source and a procedure that changes them at random: rows
-- that move, keys that change, values that stay in TOAST, partitions that are
-- crossed, savepoints, transactions that are not flushed.  Each version of a row
-- has a number of its own, ver.
CREATE SEQUENCE ver;
CREATE TABLE t1 (id int PRIMARY KEY, v int, ver bigint, pad text, big text)
    WITH (fillfactor = 80);
CREATE TABLE t2 (a text, b int, v int, ver bigint, pad text,
    PRIMARY KEY (a, b));
CREATE TABLE p (id int, k int, v int, ver bigint, pad text, big text,
    PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE p0 PARTITION OF p FOR VALUES IN (0);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
ALTER TABLE t1 ALTER big SET STORAGE EXTERNAL;
ALTER TABLE p0 ALTER big SET STORAGE EXTERNAL;
ALTER TABLE p1 ALTER big SET STORAGE EXTERNAL;
INSERT INTO t1 SELECT i, 0, nextval('ver'), repeat('x', 300),
    repeat(md5(i::text), 90) FROM generate_series(1, 250) i;
INSERT INTO t2 SELECT md5((i % 40)::text), i, 0, nextval('ver'),
    repeat('x', 300) FROM generate_series(1, 250) i;
INSERT INTO p SELECT i, i % 2, 0, nextval('ver'), repeat('x', 300),
    repeat(md5(i::text), 90) FROM generate_series(1, 200) i;
CREATE PUBLICATION philotes_pub FOR TABLE t1, t2, p
    WITH (publish_via_partition_root);

-- one change at random; a duplicate key changes nothing
CREATE FUNCTION change() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	t text := (ARRAY['t1', 't1', 't2', 'p'])[1 + floor(random() * 4)::int];
	i int := 1 + floor(random() * 260)::int;
	o float := random();
	new text := repeat(md5(random()::text), 90);
BEGIN
	IF t = 't2' AND o < 0.5 THEN
		UPDATE t2 SET v = v + 1, ver = nextval('ver') WHERE b = i;
	ELSIF t = 't2' AND o < 0.7 THEN
		UPDATE t2 SET a = md5(i::text), ver = nextval('ver') WHERE b = i;
	ELSIF t = 't2' AND o < 0.85 THEN
		DELETE FROM t2 WHERE b = i;
	ELSIF t = 't2' THEN
		INSERT INTO t2 VALUES (md5((i % 40)::text), i, 0, nextval('ver'),
		    repeat('y', 300)) ON CONFLICT DO NOTHING;
	ELSIF o < 0.5 THEN
		EXECUTE format('UPDATE %I SET v = v + 1, ver = nextval(''ver'')
		    WHERE id = $1', t) USING i;
	ELSIF o < 0.6 THEN
		EXECUTE format('UPDATE %I SET big = $2, ver = nextval(''ver'')
		    WHERE id = $1', t) USING i, new;
	ELSIF o < 0.72 THEN
		EXECUTE format('UPDATE %I SET id = 1 + floor(random() * 300)::int,
		    ver = nextval(''ver'') WHERE id = $1', t) USING i;
	ELSIF o < 0.76 AND t = 'p' THEN
		UPDATE p SET k = 1 - k, ver = nextval('ver') WHERE id = i;
	ELSIF o < 0.88 THEN
		EXECUTE format('DELETE FROM %I WHERE id = $1', t) USING i;
	ELSIF t = 't1' THEN
		INSERT INTO t1 VALUES (i, 0, nextval('ver'), repeat('y', 300), new)
		    ON CONFLICT DO NOTHING;
	ELSE
		INSERT INTO p VALUES (i, i % 2, 0, nextval('ver'),
		    repeat('y', 300), new) ON CONFLICT DO NOTHING;
	END IF;
EXCEPTION WHEN unique_violation OR serialization_failure
    OR deadlock_detected THEN
	NULL;
END $$;

-- transactions at random until the sequence `over` is moved
CREATE SEQUENCE over;
CREATE PROCEDURE work(seed float) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(seed);
	WHILE NOT (SELECT is_called FROM over) LOOP
		PERFORM set_config('synchronous_commit',
		    (ARRAY['on', 'off', 'local'])[1 + floor(random() * 3)::int],
		    true);
		FOR n IN 1 .. 1 + floor(random() * 6)::int LOOP
			PERFORM change();
			IF random() < 0.1 THEN
				PERFORM pg_sleep(random() * 0.005);
			END IF;
		END LOOP;
		IF random() < 0.1 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		IF random() < 0.3 THEN
			PERFORM pg_sleep(random() * 0.004);
		END IF;
	END LOOP;
END $$;
