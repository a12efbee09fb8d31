#!/usr/bin/env bats
# buffer-gc beside all other work, and killed at any moment.

# shellcheck source=SCRIPTDIR/helper.bash
load helper

# With these settings the server logs each wait for a lock of a second or more.
setup_file()
{
	clusters_up log_lock_waits=on deadlock_timeout=1s
}

# Repeats a command until the file is gone.
again()
{
	while [ -e "$BATS_TEST_TMPDIR/go" ]; do
		"$@"
	done
}

insert_some()
{
	src_psql "INSERT INTO t (x) SELECT 'x' FROM generate_series(1, 40)"
}

dump()
{
	"$(pg_bin pg_dump)" -d "$PHILOTES_BUFFER_URL" >/dev/null \
		2>>"$BATS_TEST_TMPDIR/dump.log" || return 0
	: >"$BATS_TEST_TMPDIR/dumped"
}

# On a machine that stalls, a lock may not be granted in time: 75 that says so.
collect()
{
	local code=0
	buffer-gc --retention 0 >"$BATS_TEST_TMPDIR/gc.run" 2>&1 || code=$?
	cat "$BATS_TEST_TMPDIR/gc.run" >>"$BATS_TEST_TMPDIR/gc.out"
	if ((code == 75)) && grep -q 'lock timeout' "$BATS_TEST_TMPDIR/gc.run"; then
		code=0
	fi
	((code == 0)) || echo "$code" >>"$BATS_TEST_TMPDIR/gc.failed"
}

# A COPY that stays open for a second, with the locks of a slow writer.
slow_copy()
{
	{
		echo "slow,s,t,INSERT,0/1,2026-01-01"
		sleep 1
		echo "slow,s,t,INSERT,0/1,2026-01-01"
	} | psql_on "$PHILOTES_BUFFER_URL" -c "\copy philotes.cdc_events
	    (source_id, schema_name, table_name, operation, lsn, event_time)
	    FROM pstdin (FORMAT csv)"
}

@test "beside a writer, a slow COPY, batches and pg_dump nobody waits a second" {
	local loops=() pid batch n work=(insert_some collect slow_copy)
	! client_is_fit pg_dump || work+=(dump)
	src_psql "CREATE TABLE t (n serial PRIMARY KEY, x text)"
	pg-cdc-read --create 2>/dev/null
	: >"$BATS_TEST_TMPDIR/go"
	start_pipeline
	child buffer-batch --batch-size 50 --flush-interval 50ms \
	    >"$BATS_TEST_TMPDIR/out"
	batch=$!
	for pid in "${work[@]}"; do
		child again "$pid"
		loops+=($!)
	done
	sleep 8
	rm "$BATS_TEST_TMPDIR/go"
	for pid in "${loops[@]}"; do
		wait "$pid"
	done
	stop_pipeline
	[ "$reader_code $writer_code" = "0 0" ]
	expect_code 0 buffer-gc --retention 0
	wait_for buf_psql "SELECT sum(w.total - coalesce(b.total, 0))
	    FROM (SELECT source_id, max(total) AS total FROM philotes.cdc_writes
	          GROUP BY 1) w
	    LEFT JOIN (SELECT source_id, max(total) AS total
	          FROM philotes.cdc_batches GROUP BY 1) b USING (source_id)" 0
	kill -TERM "$batch"
	wait "$batch"
	refute grep 'still waiting for' "$BATS_FILE_TMPDIR/buf/server.log"
	# partitions were dropped meanwhile
	sort "$BATS_TEST_TMPDIR/gc.out" | uniq -c
	[ ! -e "$BATS_TEST_TMPDIR/gc.failed" ]
	grep -q 'dropped [1-9]' "$BATS_TEST_TMPDIR/gc.out"
	n=$(src_psql "SELECT count(*) FROM t")
	jq -r 'select(.table_name == "t" and .source_id != "slow").after_data.n' \
		"$BATS_TEST_TMPDIR/out" | diff - <(seq "$n")
	needs_client pg_dump
	[ -e "$BATS_TEST_TMPDIR/dumped" ]
}

@test "killed at any moment: required events stay, and the next run does the rest" {
	local round seed=$RANDOM gc n
	echo "seed $seed"
	RANDOM=$seed
	buf_psql "SELECT philotes.add_consumer('default')"
	buf_psql "SELECT philotes.add_consumer('slow')"
	for ((round = 1; round <= 12; round++)); do
		buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
		    table_name, operation, lsn, event_time)
		    SELECT s, '', '', 'INSERT', '0/1', now()
		    FROM generate_series(1, 500), unnest('{a,b}'::text[]) s"
		buf_psql "SELECT setval('philotes.cdc_log_id_seq',
		    (last_value / 10000000 + 1) * 10000000, false)
		    FROM philotes.cdc_log_id_seq;
		    SELECT philotes.ensure_partitions();
		    SELECT philotes.mark_processed(c, s, CASE
		        WHEN c = 'default' OR s = 'a' THEN
		            (philotes.newest_write(s)).last_id
		        ELSE (philotes.newest_write(s)).last_id - $((RANDOM % 30000000))
		        END)
		    FROM unnest('{default,slow}'::text[]) c,
		         unnest('{a,b}'::text[]) s" >/dev/null
		child buffer-gc --retention 0
		gc=$!
		sleep "0.$(printf %03d $((RANDOM % 120)))"
		# unless it has ended
		kill -KILL "$gc" 2>/dev/null || :
		wait "$gc" || :
		wait_for buf_psql "SELECT count(*) FROM pg_locks
		    WHERE locktype = 'advisory'" 0
		# each event after the slowest cursor is there
		[ "$(buf_psql "SELECT sum(n) FROM (
		    SELECT max(w.total) - min(c.total) - (SELECT count(*)
		        FROM philotes.cdc_log l WHERE l.source_id = w.source_id
		        AND l.id > min(c.last_id)) AS n
		    FROM philotes.cdc_writes w
		    JOIN (SELECT consumer, source_id, max(total) AS total,
		              max(last_id) AS last_id
		          FROM philotes.cdc_batches GROUP BY 1, 2) c
		      USING (source_id)
		    GROUP BY w.source_id) x")" = 0 ]
	done
	expect_code 0 buffer-gc --retention 0
	n=$(buf_psql "SELECT sum(total) FROM (SELECT max(total) AS total
	    FROM philotes.cdc_writes GROUP BY source_id) w")
	[ "$n" -ge 12000 ]
	# a new consumer gets all remaining events; then all of them may be
	# removed
	expect_code 0 buffer-batch --once --consumer new
	n=$(buf_psql "SELECT $n - sum(removed) FROM philotes.cdc_sources")
	[ "$(wc -l <<<"$output")" = "$n" ]
	expect_code 0 buffer-batch --once --consumer slow
	expect_code 0 buffer-gc --retention 0
	expect_code 0 buffer-gc --retention 0
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 0 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.gc_leaves()
	    WHERE may_go")" = 0 ]
}

@test "the sequence moves on under many sessions, and no id is used twice" {
	local pid loops=() n
	put_some()
	{
		buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
		    table_name, operation, lsn, event_time)
		    SELECT '$1', '', '', 'INSERT', '0/1', now()
		    FROM generate_series(1, 20)" 2>>"$BATS_TEST_TMPDIR/put.log"
	}
	move_on()
	{
		buf_psql "SELECT philotes.ensure_partitions(3)" >/dev/null
		buf_psql "SELECT philotes.gc_advance('0')" >/dev/null 2>&1 || :
	}
	: >"$BATS_TEST_TMPDIR/go"
	buf_psql "SELECT setval('philotes.cdc_log_id_seq', 9999700)" >/dev/null
	for pid in 'put_some a' 'put_some b' 'put_some c' move_on; do
		# shellcheck disable=SC2086
		child again $pid
		loops+=($!)
	done
	sleep 4
	rm "$BATS_TEST_TMPDIR/go"
	for pid in "${loops[@]}"; do
		wait "$pid"
	done
	[ ! -s "$BATS_TEST_TMPDIR/put.log" ] || {
		cat "$BATS_TEST_TMPDIR/put.log"
		return 1
	}
	n=$(buf_psql "SELECT count(DISTINCT tableoid) FROM philotes.cdc_log")
	echo "$n partitions"
	((n > 2))
	[ "$(buf_psql "SELECT count(*) FROM (SELECT first_id <= lag(last_id) OVER
	    (PARTITION BY source_id ORDER BY write_no) AS back
	    FROM philotes.cdc_writes) w WHERE back")" = 0 ]
}
