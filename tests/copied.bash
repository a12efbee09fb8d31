# A copy of table t (id int, v int) from the events in the buffer, as a consumer
# makes it.  `load copied` after `load helper`.
#
#   copied             demands that the copy is the source's table; leaves in
#                      $swept how many rows were removed at an `end`
#   marks STATE        how many of these marks the buffer has
#   start_load         a session that changes t until stop_load; no transaction
#                      of it waits for one row and holds another
# shellcheck shell=bash disable=SC2154,SC2034

copied()
{
	local here there
	psql_on "$PHILOTES_BUFFER_URL" -c "DROP TABLE IF EXISTS copy" -c "
	CREATE TABLE copy (id int PRIMARY KEY, v int, lsn pg_lsn, seq bigint)"
	swept=$(psql_on "$PHILOTES_BUFFER_URL" -At -v VERBOSITY=terse -c "DO \$\$
	DECLARE
		e record;
		begun record;
		n int;
		swept int := 0;
	BEGIN
		FOR e IN SELECT operation, commit_lsn, seq, after_data ->> 'state' AS
		        state, (coalesce(after_data, before_data) ->> 'id')::text AS k,
		        (after_data ->> 'v')::int AS v
		    FROM philotes.cdc_log WHERE table_name = 't' ORDER BY id
		LOOP
			IF e.state = 'begin' THEN
				begun := e;
			ELSIF e.state = 'end' THEN
				DELETE FROM copy
				WHERE (lsn, seq) < (begun.commit_lsn, begun.seq);
				GET DIAGNOSTICS n = ROW_COUNT;
				swept := swept + n;
			ELSIF e.operation = 'DELETE' THEN
				DELETE FROM copy WHERE id = e.k::int;
			ELSIF e.state IS NULL THEN
				INSERT INTO copy VALUES (e.k::int, e.v, e.commit_lsn, e.seq)
				ON CONFLICT (id) DO UPDATE SET v = e.v,
				    lsn = e.commit_lsn, seq = e.seq;
			END IF;
		END LOOP;
		RAISE WARNING '%', swept;
	END \$\$" 2>&1 | sed -n 's/.*WARNING: *//p')
	there=$(src_psql "SELECT id, v FROM t ORDER BY id")
	here=$(buf_psql "SELECT id, v FROM copy ORDER BY id")
	[[ -n $there ]]
	diff <(echo "$there") <(echo "$here")
}

marks()
{
	buf_psql "SELECT count(*) FROM philotes.cdc_log
	    WHERE operation = 'SNAPSHOT' AND after_data ->> 'state' = '$1'"
}

start_load()
{
	rm -f "$BATS_TEST_TMPDIR/enough"
	child keep_changing
	load=$!
}

keep_changing()
{
	until [[ -e $BATS_TEST_TMPDIR/enough ]]; do
		src_psql "DO \$\$
		DECLARE
			i int;
		BEGIN
			FOR n IN 1 .. 20 LOOP
				i := 1 + floor(random() * 300);
				UPDATE t SET v = v + 1 WHERE id = i;
				COMMIT;
				i := 1 + floor(random() * 300);
				DELETE FROM t WHERE id = i;
				COMMIT;
				i := 1 + floor(random() * 300);
				INSERT INTO t VALUES (i, n) ON CONFLICT DO NOTHING;
				COMMIT;
			END LOOP;
		END \$\$"
	done
}

stop_load()
{
	: >"$BATS_TEST_TMPDIR/enough"
	wait "$load"
}
