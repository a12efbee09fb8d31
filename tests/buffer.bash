# Shared by the tests of buffer-batch, beside helper.bash.
#
#   fill SOURCE N [SQL]      stores N events through the view; after_data is
#                            {"n": 1}, {"n": 2} ..., or what SQL makes of i
#   fill_log SOURCE N        the same as a writer does it, 1000 a commit, which
#                            is faster; commit_lsn is 0/1, 0/2 ..., and
#                            event_time rises by a second
#   processed [CONSUMER]     events|batches that the consumer has processed
#   lines FILE               its number of lines
#   rows TABLE               its number of rows
#   milliseconds             the time
#   is_done N ...            handlers have added these values of "n" to the file
#                            "done", in this order
#   letters                  the values of "n" that are dead letters
#   begun                    how many processes have written their pids to the
#                            file "begun"
#   running                  how many of these still run
# shellcheck shell=bash

fill()
{
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	    table_name, operation, lsn, event_time, after_data)
	    SELECT '$1', 'public', 't', 'INSERT', '0/1', now(),
	    ${3:-"jsonb_build_object('n', i)"} FROM generate_series(1, $2) i"
}

fill_log()
{
	psql_on "$PHILOTES_BUFFER_URL" <<-EOF
	DO \$\$
	DECLARE
		b record;
		k int;
	BEGIN
		FOR d IN 0 .. $2 - 1 BY 1000 LOOP
			k := least(1000, $2 - d);
			SELECT * INTO b FROM philotes.begin_write('$1');
			INSERT INTO philotes.cdc_log (source_id, schema_name,
			    table_name, operation, lsn, commit_lsn, seq,
			    key_columns, after_data, event_time)
			SELECT '$1', 'public', 't' || i % 2, 'INSERT', '0/1',
			       pg_lsn('0/0') + (d + i), 1, '["n"]',
			       json_build_object('n', d + i),
			       timestamptz '2026-01-01 00:00Z'
			       + (d + i) * interval '1 second'
			FROM generate_series(1, k) i;
			PERFORM philotes.end_write('$1', b.write_no, b.first_id,
			    k, pg_lsn('0/0') + (d + k), 1);
		END LOOP;
	END \$\$
	EOF
}

processed()
{
	buf_psql "SELECT coalesce(sum(events), 0), count(*) FROM
	    philotes.cdc_batches WHERE consumer = '${1-default}'"
}

lines()
{
	wc -l <"$1"
}

rows()
{
	buf_psql "SELECT count(*) FROM philotes.$1"
}

milliseconds()
{
	date +%s%3N
}

is_done()
{
	diff <(printf '%s\n' "$@") \
	    <(jq .after_data.n "$BATS_TEST_TMPDIR/done")
}

letters()
{
	buf_psql "SELECT coalesce(string_agg(after_data->>'n', ',' ORDER BY id),
	    '') FROM philotes.cdc_dead_letters WHERE closed_at IS NULL"
}

begun()
{
	lines "$BATS_TEST_TMPDIR/begun"
}

running()
{
	local pid n=0
	for pid in $(<"$BATS_TEST_TMPDIR/begun"); do
		! grep -qs '^State:.[^Z]' "/proc/$pid/status" || n=$((n + 1))
	done
	echo "$n"
}
