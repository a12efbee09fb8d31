#!/usr/bin/env bats
# The rows that were there before, put into the stream beside its changes.

load helper
load snapshot

setup_file()
{
	clusters_up max_prepared_transactions=10
}

setup()
{
	seed=${SEED:-$((RANDOM % 10000))}
	RANDOM=$seed
	echo "# seed $seed" >&3
	databases_up
}

@test "a table that cannot be read is marked failed, and the others are read" {
	src_psql "CREATE TABLE good (id int PRIMARY KEY, \"B b\" text);
	    INSERT INTO good VALUES (1, E'a\\tb'), (2, NULL);
	    CREATE TABLE \"Emp ty\" (id int PRIMARY KEY);
	    CREATE TABLE keyless (id int); ALTER TABLE keyless REPLICA IDENTITY FULL;
	    CREATE TABLE whole (id int NOT NULL UNIQUE, v int);
	    ALTER TABLE whole REPLICA IDENTITY FULL; INSERT INTO whole VALUES (1, 2);
	    CREATE TABLE secret (id int PRIMARY KEY); INSERT INTO secret VALUES (1);
	    ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
	    CREATE TABLE hidden (id int PRIMARY KEY);
	    DROP ROLE IF EXISTS reads; CREATE ROLE reads LOGIN REPLICATION;
	    GRANT SELECT ON good, \"Emp ty\", keyless, whole, secret TO reads"
	pg-cdc-read --create
	local owner=$PHILOTES_SOURCE_URL
	PHILOTES_SOURCE_URL="$owner user=reads" pg-cdc-read --snapshot all
	PHILOTES_SOURCE_URL="$owner user=reads" taken
	src_psql "DROP OWNED BY reads; DROP ROLE reads"
	diff <(marks | sort) - <<-'EOF'
		. done 0
		public.Emp ty begin 0
		public.Emp ty end 0
		public.good begin 0
		public.good end 2
		public.hidden failed permission denied for table hidden
		public.keyless begin 0
		public.keyless end 0
		public.secret begin 0
		public.secret failed query would be affected by row-level security policy for table "secret"
		public.whole begin 0
		public.whole end 1
	EOF
	[ "$(rows good)" = '{"id":1,"B b":"a\tb"}
{"id":2,"B b":null}' ]
	[[ $stderr == *'could not take a snapshot of public.hidden: permission denied'* ]]
}

@test "columns, rows and names are those of the publication" {
	src_psql "CREATE TABLE p (id int, v text, k int, PRIMARY KEY (id, k),
	        g int GENERATED ALWAYS AS (k + 1) STORED) PARTITION BY LIST (k);
	    CREATE TABLE p0 PARTITION OF p FOR VALUES IN (0);
	    CREATE TABLE \"P 1\" (k int NOT NULL, v text, id int NOT NULL,
	        g int GENERATED ALWAYS AS (k + 1) STORED, PRIMARY KEY (id, k));
	    ALTER TABLE p ATTACH PARTITION \"P 1\" FOR VALUES IN (1);
	    INSERT INTO p VALUES (1, 'a', 0), (2, 'b', 1)"
	pg-cdc-read --create
	pg-cdc-read --snapshot p
	taken
	[ "$(rows p0)$(rows "P 1")" = '{"id":1,"v":"a","k":0}{"k":1,"v":"b","id":2}' ]
	# the root's name and order of columns
	src_psql "ALTER PUBLICATION philotes_pub
	    SET (publish_via_partition_root)"
	pg-cdc-read --snapshot p
	taken
	[ "$(rows p)" = '{"id":1,"v":"a","k":0}
{"id":2,"v":"b","k":1}' ]
	(($(src_psql "SHOW server_version_num") >= 150000)) || return 0
	src_psql "ALTER PUBLICATION philotes_pub SET TABLE p (id, k) WHERE (id > 1)"
	pg-cdc-read --snapshot p
	taken
	[ "$(rows p)" = '{"id":2,"k":1}' ]
}

@test "what is not published is 78, a malformed list 64, a bad message ignored" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int)"
	pg-cdc-read --create
	expect_code 78 pg-cdc-read --snapshot t,u
	expect_error '"public"."u": it is not in the publication'
	expect_code 64 pg-cdc-read --snapshot 't,,'
	expect_code 64 pg-cdc-read --snapshot t --until now
	expect_error '--until has no effect with --snapshot'
	local content
	for content in '' '{' '[]' '{}' '{"tables":[]}' '{"tables":[1]}' \
	    '{"tables":"t"}' '{"do":"jump"}' '{"run":"x"}' \
	    '{"tables":["t"],"slot":"another"}' '{"tables":["nosuch","a.b.c"]}'; do
		src_psql "SELECT pg_logical_emit_message(true, 'philotes.snapshot',
		    '$content')"
	done
	taken -v
	[ "$(marks)" = '. done 0' ]
	[ "$(grep -c 'ignored a snapshot message' <<<"$stderr")" = 9 ]
	[[ $stderr == *'could not take a snapshot of "nosuch": it is not published'* ]]
}

@test "--tables limits a snapshot, and --no-snapshot leaves it" {
	src_psql "CREATE TABLE a (id int PRIMARY KEY);
	    CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1);
	    INSERT INTO b VALUES (2)"
	expect_code 0 pg-cdc-read --create --snapshot all
	[[ $output == *'asked for snapshot'* ]]
	taken --no-snapshot
	[ "$(marks)" = '' ]
	taken --tables b
	[ "$(marks)" = 'public.b begin 0
public.b end 1
. done 0' ]
}

@test "a locked table is waited for, and the stream goes on meanwhile" {
	src_psql "CREATE TABLE a (id int PRIMARY KEY);
	    CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1)"
	pg-cdc-read --create --snapshot a
	mkfifo "$BATS_TEST_TMPDIR/session"
	exec 21<>"$BATS_TEST_TMPDIR/session"
	child psql_on "$PHILOTES_SOURCE_URL" <"$BATS_TEST_TMPDIR/session" 21>&-
	echo "BEGIN; LOCK a;" >&21
	wait_for src_psql "SELECT count(*) FROM pg_locks
	    WHERE mode = 'AccessExclusiveLock' AND relation = 'a'::regclass" 1
	start_pipeline 21>&-
	wait_for buf_psql "SELECT count(*) > 0 FROM philotes.cdc_writes
	    WHERE source_id LIKE 'postgres%'" t
	src_psql "INSERT INTO b VALUES (7)"
	wait_for buf_psql "SELECT string_agg(operation, ' ')
	    FROM philotes.cdc_log" INSERT
	echo "ROLLBACK;" >&21
	wait_for snapshot_done '' 1
	exec 21>&-
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log
	    WHERE operation = 'READ'")" = 1 ]
}

@test "a snapshot beside changes, after which the copy is the source" {
	snapshot_setup
	start_load 2
	start_pipeline
	request all
	wait_for snapshot_done '' 1 60
	sleep 0.5
	stop_load
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
	start_pipeline --until snapshot
	await_pipeline
	[ "$reader_code$writer_code" = 00 ]
	judged
}

@test "snapshots beside changes, with readers, writers and the source killed" {
	snapshot_setup
	use_ruled_reader
	start_load 2
	rounds "${ROUNDS:-2}"
	stop_load
	stop_pipeline || :
	start_pipeline --until snapshot
	await_pipeline
	[ "$reader_code$writer_code" = 00 ]
	judged
}

# Each 50 ms, what the reader does at the source.  The view is not of one moment:
# a transaction that begins meanwhile has a horizon and no age in one sample.
sample()
{
	exec "$(pg_bin psql)" -qX -d "$PHILOTES_SOURCE_URL" >/dev/null 2>&1 <<-'EOF'
	INSERT INTO sampled
	SELECT clock_timestamp(), pid, clock_timestamp() - xact_start, backend_xmin,
	    (SELECT array_agg(DISTINCT mode) FROM pg_locks l
	     WHERE l.pid = a.pid AND locktype NOT IN ('virtualxid', 'transactionid'))
	FROM pg_stat_activity a WHERE application_name = 'philotes'
	  AND datname = current_database()
	\watch 0.05
	EOF
}

@test "no transaction of the reader is long, no lock is strong" {
	snapshot_setup
	src_psql "CREATE TABLE sampled (at timestamptz, pid int, age interval,
	        horizon xid, locks text[]);
	    INSERT INTO t2 SELECT i, i, 0, 0, repeat('x', 300)
	    FROM generate_series(1000, 80000) i"
	start_load 2
	child sample
	start_pipeline --snapshot-pause 300ms
	request '["t2"]'
	wait_for snapshot_done '' 1 60
	stop_load
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
	echo "# samples, in a transaction, longest: $(src_psql "SELECT count(*),
	    count(age), max(age) FROM sampled")" >&3
	src_psql "SELECT * FROM sampled
	    WHERE age >= '1.3 s' OR horizon IS NOT NULL AND age IS NULL
	       OR locks <> '{AccessShareLock}'"
	[ "$(src_psql "SELECT count(age) > 5, max(age) < '1.3 s',
	    count(*) FILTER (WHERE ageless AND again),
	    bool_and(locks = '{AccessShareLock}')
	    FROM (SELECT *, lag(ageless) OVER (PARTITION BY pid ORDER BY at) AS again
	        FROM (SELECT *, horizon IS NOT NULL AND age IS NULL AS ageless
	            FROM sampled) s) s")" = 't|t|0|t' ]
}

ours_in_transaction()
{
	src_psql "SELECT count(*) FROM pg_stat_activity
	    WHERE datname = current_database() AND application_name = 'philotes'
	      AND backend_type = 'client backend' AND xact_start IS NOT NULL"
}

@test "a writer that stands still keeps no transaction open on the source" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY, pad text); INSERT INTO t
	    SELECT i, repeat('x', 200000) FROM generate_series(1, 300) i"
	pg-cdc-read --create --snapshot all
	start_pipeline --snapshot-pause 20s
	wait_for buf_psql "SELECT count(*) > 0 FROM philotes.cdc_sources" t
	kill -STOP "$writer"
	wait_for ours_in_transaction "" 1
	wait_for ours_in_transaction "" 0 30
	kill -CONT "$writer"
	wait_for snapshot_done "" 1 60
	stop_pipeline
	[ "$(buf_psql "SELECT count(DISTINCT after_data->>'id')
	    FROM philotes.cdc_log WHERE operation = 'READ'")" = 300 ]
}

# whole FILE: its lines up to the last checkpoint
whole()
{
	head -n "$(grep -n '"control":"checkpoint"' "$1" | tail -n 1 |
		cut -d : -f 1)" "$1"
}

# Is the slot behind the first part?
is_confirmed()
{
	local begin
	begin=$(jq -r 'select(.after_data.state == "begin").metadata.commit_lsn' \
		"$seen") && [[ -n $begin ]] &&
		src_psql "SELECT confirmed_flush_lsn > '$begin'
		    FROM pg_replication_slots WHERE slot_name = '$PHILOTES_SLOT'"
}

# As philotes-stream(5) has it for any program.
@test "without a buffer a snapshot goes on after kill -9" {
	local seen=$BATS_TEST_TMPDIR/seen
	use_ruled_reader
	pipeline_writer()
	{
		tee "$seen" <"$BATS_TEST_TMPDIR/stream" |
			jq -r --unbuffered 'select(.control == "checkpoint").ack' \
				>"$BATS_TEST_TMPDIR/acks"
	}
	src_psql "CREATE TABLE t (id int PRIMARY KEY, pad text); INSERT INTO t
	    SELECT i, repeat('x', 900) FROM generate_series(1, 6000) i"
	pg-cdc-read --create --snapshot all
	start_pipeline --snapshot-pause 1ms
	wait_for is_confirmed "" t
	kill -KILL "$reader"
	await_pipeline
	whole "$seen" >"$seen.1"
	wait_for src_psql "SELECT active FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'" f
	start_pipeline --until snapshot --snapshot-pause 1ms
	await_pipeline
	[ "$reader_code$writer_code" = 00 ]
	stream=$seen
	[ "$(marks | head -n 1)" != 'public.t begin 0' ]
	[ "$(marks | tail -n 2)" = 'public.t end 6000
. done 0' ]
	cat "$seen.1" "$seen" >"$BATS_TEST_TMPDIR/both"
	# shellcheck disable=SC2034 # for rows
	stream=$BATS_TEST_TMPDIR/both
	[ "$(rows t | jq .id | sort -un | wc -l)" = 6000 ]
	echo "# of 6000 rows, read twice: $(($(rows t | wc -l) - 6000))" >&3
}
