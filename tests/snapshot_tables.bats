#!/usr/bin/env bats
# Snapshots of tables of many kinds: small ones, large ones, such without a key,
# such that others lock meanwhile.

load helper
load snapshot

setup()
{
	databases_up
}

# bag TABLE: what a consumer has of a table without a key, sorted: READ and
# INSERT add a row, DELETE takes one away, `begin` takes all
bag()
{
	jq -c "select(.table_name == \"$1\")" "$stream" | awk '
	    function after(event, name) {
		sub(".*\"" name "\":", "", event)
		sub("},\"[a-z_]*\":.*", "}", event)
		return event
	    }
	    /"operation":"SNAPSHOT"/ && /"state":"begin"/ { delete n }
	    /"operation":"(READ|INSERT|UPDATE)"/ { n[after($0, "after_data")]++ }
	    /"operation":"(DELETE|UPDATE)"/ { n[after($0, "before_data")]-- }
	    END {
		for (row in n)
			if (n[row] != 0)
				print n[row], row
	    }' | sort
}

bag_of_source()
{
	src_psql "SELECT count(*), row_to_json($1)::text FROM $1 GROUP BY 2" |
		sed 's/|/ /' | sort
}

# hold STATEMENTS: runs them in a session that stays open until let_go
hold()
{
	mkfifo "$BATS_TEST_TMPDIR/session"
	exec 21<>"$BATS_TEST_TMPDIR/session"
	child psql_on "$PHILOTES_SOURCE_URL" <"$BATS_TEST_TMPDIR/session" 21>&-
	echo "$1" >&21
}

# grep_log TEXT: how many lines of the reader have it
grep_log()
{
	grep -c -- "$1" "$BATS_TEST_TMPDIR/reader.log" || :
}

let_go()
{
	echo "ROLLBACK;" >&21
	exec 21>&-
}

@test "small tables share markers" {
	src_psql "DO \$\$ BEGIN FOR n IN 1 .. 150 LOOP
	    EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY);
	        INSERT INTO t%1\$s VALUES (%1\$s)', n);
	    END LOOP; END \$\$"
	pg-cdc-read --create --snapshot all >/dev/null
	taken --snapshot-pause 1m
	[ "$(jq -r 'select(.operation == "READ") | .after_data.id' "$stream" |
		sort -n | tr '\n' ' ')" = "$(seq -s ' ' 150) " ]
	[ "$(marks | grep -c ' end 1$')" = 150 ]
	# three groups of up to 64, two markers each, and the end of the last
	(($(jq -r .metadata.commit_lsn "$stream" | sort -u | wc -l) <= 7))
}

@test "several connections share the blocks of a large table" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY, pad text);
	    INSERT INTO t SELECT n, repeat('x', 700) FROM generate_series(1, 4000) n"
	pg-cdc-read --create --snapshot t
	PGOPTIONS='-c log_statement=all' taken --snapshot-workers 3
	[ "$(rows t | jq .id | sort -n | cksum)" = "$(seq 4000 | cksum)" ]
	(($(grep -c 'COPY (SELECT' "$BATS_FILE_TMPDIR/src/server.log") > \
		$(marks | grep -cE ' (begin|chunk) ')))
	expect_code 64 pg-cdc-read --snapshot-workers 17
	expect_error 'at most 16'
	expect_code 78 env PHILOTES_SNAPSHOT_WORKERS=17 pg-cdc-read
}

@test "a table without a key is exactly as it was at its marker" {
	src_psql "CREATE TABLE k (v int, w text); ALTER TABLE k REPLICA IDENTITY FULL;
	    CREATE TABLE p (v int, k int) PARTITION BY LIST (k);
	    CREATE TABLE p0 PARTITION OF p FOR VALUES IN (0);
	    CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
	    ALTER TABLE p REPLICA IDENTITY FULL;
	    ALTER TABLE p0 REPLICA IDENTITY FULL; ALTER TABLE p1 REPLICA IDENTITY FULL;
	    INSERT INTO k SELECT n % 50, 'w' FROM generate_series(1, 500) n;
	    INSERT INTO p SELECT n % 50, n % 2 FROM generate_series(1, 500) n;
	    CREATE PUBLICATION philotes_pub FOR TABLE k, p
	        WITH (publish_via_partition_root)"
	pg-cdc-read --create --snapshot all
	child psql_on "$PHILOTES_SOURCE_URL" -c "DO \$\$ BEGIN
	    FOR n IN 1 .. 120 LOOP
		INSERT INTO k VALUES (n % 7, 'new'), (n % 7, 'new');
		DELETE FROM k WHERE v = n % 50;
		UPDATE p SET k = 1 - k WHERE v = n % 11;
		DELETE FROM p WHERE v = n % 23 + 20;
		INSERT INTO p VALUES (n % 23, n % 2);
		COMMIT;
		PERFORM pg_sleep(0.02);
	    END LOOP; END \$\$"
	taken
	wait "$!"
	# and what came behind
	pg-cdc-read --no-snapshot --until now >>"$stream"
	awk '!seen[$0]++' "$stream" >"$BATS_TEST_TMPDIR/both"
	stream=$BATS_TEST_TMPDIR/both
	[ "$(marks | grep -c ' end ')" = 2 ]
	diff <(bag k) <(bag_of_source k)
	diff <(bag p) <(bag_of_source p)
}

# A marker takes 20 ms, in which others commit.
slow_markers()
{
	src_psql "SET allow_system_table_mods = on;
	    DO 'DECLARE f regprocedure; BEGIN
	        SELECT oid INTO f FROM pg_proc
	        WHERE proname = \$\$pg_logical_emit_message\$\$
	          AND proargtypes[2] = 25;
	        EXECUTE format(\$\$ALTER FUNCTION %s RENAME TO emit\$\$, f);
	    END';
	    CREATE FUNCTION pg_catalog.pg_logical_emit_message(
	        bool, text, text) RETURNS pg_lsn LANGUAGE plpgsql AS 'BEGIN
	        PERFORM pg_sleep(0.02);
	        RETURN pg_logical_emit_message(\$1, \$2, \$3::bytea);
	    END'"
}

@test "a table without a key that is never quiet is failed, or locked" {
	src_psql "CREATE TABLE k (v int); INSERT INTO k VALUES (1), (1)"
	src_psql "CREATE PUBLICATION philotes_pub FOR TABLE k; CREATE SEQUENCE over"
	pg-cdc-read --create --snapshot k
	slow_markers
	child psql_on "$PHILOTES_SOURCE_URL" -c "DO \$\$ BEGIN
	    WHILE NOT (SELECT is_called FROM over) LOOP
		INSERT INTO k VALUES (2);
		COMMIT;
		PERFORM pg_sleep(0.001);
	    END LOOP; END \$\$"
	taken
	[ "$(marks)" = 'public.k failed it has no key, and is changed all the time
. done 0' ]
	# nothing was acknowledged, so this is done again
	taken --snapshot-lock
	src_psql "SELECT nextval('over')" >/dev/null
	[ "$(marks | sed 's/ [0-9]*$//')" = 'public.k begin
public.k end
. done' ]
	[ "$(rows k | grep -c 1)" = 2 ]
}

@test "a table whose access method is not heap is read at once" {
	src_psql "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;
	    CREATE TABLE t (id int PRIMARY KEY) USING other;
	    INSERT INTO t SELECT generate_series(1, 3000)"
	pg-cdc-read --create --snapshot t
	taken
	[ "$(marks | sort)" = '. done 0
public.t begin 0
public.t end 3000' ]
	[ "$(rows t | jq .id | sort -n | cksum)" = "$(seq 3000 | cksum)" ]
}

@test "a partition that was empty does not make its table begin twice" {
	src_psql "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
	    CREATE TABLE p0 PARTITION OF p FOR VALUES FROM (0) TO (10);
	    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (10) TO (20);
	    INSERT INTO p VALUES (11);
	    CREATE PUBLICATION philotes_pub FOR TABLE p
	        WITH (publish_via_partition_root)"
	pg-cdc-read --create --snapshot p
	hold "BEGIN; LOCK p1;"
	wait_for src_psql "SELECT count(*) FROM pg_locks
	    WHERE mode = 'AccessExclusiveLock' AND relation = 'p1'::regclass" 1
	start_pipeline 21>&-
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_log
	    WHERE operation = 'SNAPSHOT'" 1
	src_psql "INSERT INTO p0 VALUES (1)"
	let_go
	wait_for snapshot_done '' 1
	stop_pipeline
	buf_psql "SELECT coalesce(after_data->>'state',
	        operation || ' ' || (after_data->>'id'))
	    FROM philotes.cdc_log ORDER BY id" >"$BATS_TEST_TMPDIR/events"
	cat "$BATS_TEST_TMPDIR/events"
	[ "$(grep -c begin "$BATS_TEST_TMPDIR/events")" = 1 ]
	grep -qx 'INSERT 1' "$BATS_TEST_TMPDIR/events"
	grep -qx 'READ 11' "$BATS_TEST_TMPDIR/events"
	[ "$(tail -n 2 "$BATS_TEST_TMPDIR/events" | tr '\n' ' ')" = "end done " ]
}

@test "a snapshot that was paused for long goes on where it was" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY, pad text);
	    INSERT INTO t SELECT n, repeat('x', 700) FROM generate_series(1, 300) n"
	pg-cdc-read --create --snapshot t
	use_ruled_reader
	start_pipeline
	wait_for buf_psql "SELECT count(*) > 0 FROM philotes.cdc_log
	    WHERE operation = 'READ'" t
	src_psql "SELECT pg_logical_emit_message(true, 'philotes.snapshot',
	    '{\"do\":\"pause\"}')" >/dev/null
	# a marker that only carries the state on lets the slot go on
	local at
	at=$(src_psql "SELECT pg_current_wal_lsn()")
	src_psql "SELECT pg_logical_emit_message(true, 'x', 'y')" >/dev/null
	wait_for src_psql "SELECT confirmed_flush_lsn > '$at'
	    FROM pg_replication_slots WHERE slot_name = '$PHILOTES_SLOT'" t 60
	kill -KILL "$reader"
	await_pipeline
	start_pipeline
	src_psql "SELECT pg_logical_emit_message(true, 'philotes.snapshot',
	    '{\"do\":\"resume\"}')" >/dev/null
	wait_for snapshot_done '' 1
	stop_pipeline
	[ "$(buf_psql "SELECT string_agg(DISTINCT after_data->>'state', ' ')
	    FROM philotes.cdc_log WHERE operation = 'SNAPSHOT'")" = "begin chunk done end" ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log WHERE operation =
	    'SNAPSHOT' AND after_data->>'state' = 'begin'")" = 1 ]
	[ "$(buf_psql "SELECT count(DISTINCT after_data->>'id')
	    FROM philotes.cdc_log WHERE operation = 'READ'")" = 300 ]
}

@test "a snapshot that is cancelled says so" {
	src_psql "CREATE TABLE a (id int PRIMARY KEY);
	    CREATE TABLE b (id int PRIMARY KEY)"
	pg-cdc-read --create --snapshot a
	pg-cdc-read --snapshot b
	src_psql "SELECT pg_logical_emit_message(true, 'philotes.snapshot',
	    '{\"do\":\"cancel\"}')" >/dev/null
	taken
	[ "$(marks)" = '. done 0
. done 0' ]
	pg-cdc-read --snapshot all
	taken
	[ "$(marks | grep -c ' end ')" = 2 ]
}

@test "a change made before its table was published is waited for" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
	    CREATE PUBLICATION philotes_pub"
	pg-cdc-read --create
	hold "BEGIN; INSERT INTO t VALUES (2);"
	wait_for src_psql "SELECT count(*) FROM pg_locks
	    WHERE mode = 'RowExclusiveLock' AND relation = 't'::regclass" 1
	src_psql "ALTER PUBLICATION philotes_pub ADD TABLE t"
	pg-cdc-read --snapshot t
	start_pipeline -v 21>&-
	wait_for grep_log 'waits for those who change it' 1
	# one that comes later is streamed
	src_psql "INSERT INTO t VALUES (3)"
	echo "COMMIT;" >&21
	wait_for snapshot_done '' 1
	exec 21>&-
	stop_pipeline
	[ "$(buf_psql "SELECT string_agg(DISTINCT after_data->>'id', ' ')
	    FROM philotes.cdc_log WHERE operation <> 'SNAPSHOT'")" = "1 2 3" ]
}

@test "a request that is streamed before its table is seen is not passed over" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
	    CREATE PUBLICATION philotes_pub"
	pg-cdc-read --create
	start_pipeline
	wait_for buf_psql "SELECT count(*) > 0 FROM philotes.cdc_writes" t
	src_psql "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"
	src_psql "SELECT pg_reload_conf()" >/dev/null
	wait_for src_psql "SHOW synchronous_standby_names" nobody
	child src_psql "BEGIN; ALTER PUBLICATION philotes_pub ADD TABLE t;
	    SELECT pg_logical_emit_message(true, 'philotes.snapshot',
	        '{\"tables\":[\"t\"]}'); COMMIT"
	wait_for src_psql "SELECT count(*) FROM pg_stat_activity
	    WHERE wait_event = 'SyncRep'" 1
	# the reader, whose marker waits, too, has looked for the table, which
	# nobody sees to be published
	wait_for src_psql "SELECT count(*) FROM pg_stat_activity
	    WHERE wait_event = 'SyncRep'" 2
	src_psql "ALTER SYSTEM RESET synchronous_standby_names"
	src_psql "SELECT pg_reload_conf()" >/dev/null
	wait_for snapshot_done '' 1
	stop_pipeline
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log
	    WHERE operation = 'READ'")" = 1 ]
}
