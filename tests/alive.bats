#!/usr/bin/env bats
# Liveness: what an idle reader confirms, heartbeats, shutdown of the source, a
# server that does not answer, and session settings.

load helper

setup()
{
	stopped=
	databases_up
}

teardown()
{
	[[ -z $stopped ]] || kill -CONT "$stopped"
	kill_children
	databases_down
}

prepare()
{
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
	expect_code 0 pg-cdc-read --create
	src_psql "CREATE TABLE unpublished (v text)"
}

confirmed()
{
	src_psql "SELECT confirmed_flush_lsn FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'"
}

sender_pid()
{
	src_psql "SELECT active_pid FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT' AND active"
}

wait_for_sender()
{
	wait_for src_psql "SELECT active FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'" t
}

# A reader without a writer, as $reader: its stream goes to a file, and the
# test writes acks to descriptor 7.
start_reader()
{
	mkfifo "$BATS_TEST_TMPDIR/acks"
	child pg-cdc-read --ack "$BATS_TEST_TMPDIR/acks" "$@" \
		>"$BATS_TEST_TMPDIR/stream" 2>"$BATS_TEST_TMPDIR/log"
	reader=$!
	exec 7>"$BATS_TEST_TMPDIR/acks"
}

# shellcheck disable=SC2329 # called by wait_for
state_of()
{
	! grep -qs '^State:.[^Z]' "/proc/$1/status" || echo running
}

await_reader()
{
	reader_code=0
	wait_for state_of "$reader" '' 60
	wait "$reader" || reader_code=$?
}

last_checkpoint()
{
	jq -r 'select(.control == "checkpoint").ack' "$BATS_TEST_TMPDIR/stream" |
		tail -n 1
}

events()
{
	jq -r 'select(.control == null).after_data.id' "$BATS_TEST_TMPDIR/stream" |
		tr '\n' ' '
}

# shellcheck disable=SC2329 # called by wait_for
passed()
{
	src_psql "SELECT confirmed_flush_lsn >= '$1' FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'"
}

@test "an idle slot moves on past WAL that is not published" {
	prepare
	start_pipeline
	wait_for_sender
	src_psql "INSERT INTO unpublished
	    SELECT repeat('x', 1000) FROM generate_series(1, 20000)"
	wait_for passed "$(src_psql "SELECT pg_current_wal_insert_lsn() - 1000000")" t
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 0 ]
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
}

@test "a keepalive's position is not confirmed before earlier events are acknowledged" {
	prepare
	local start first
	start=$(confirmed)
	start_reader
	src_psql "INSERT INTO t VALUES (1)"
	wait_for events '' '1 '
	first=$(last_checkpoint)
	# 16 MB further, the reader sends a checkpoint without events
	src_psql "INSERT INTO unpublished
	    SELECT repeat('x', 1000) FROM generate_series(1, 20000)"
	wait_for passed_on "$first" yes
	# the reader reports its position again and again, the slot does not
	# move
	src_psql "INSERT INTO t VALUES (2)"
	wait_for events '' '1 2 '
	[ "$(confirmed)" = "$start" ]
	echo "$first" >&7
	wait_for confirmed '' "$first"
	last_checkpoint >&7
	wait_for confirmed '' "$(last_checkpoint)"
	kill -TERM "$reader"
	exec 7>&-
	await_reader
	[ "$reader_code" = 0 ] || [ "$reader_code" = 75 ]
}

# shellcheck disable=SC2329 # called by wait_for
passed_on()
{
	[[ $(last_checkpoint) == "$1" ]] || echo yes
}

# shellcheck disable=SC2329 # called by wait_for
heartbeats()
{
	src_psql "SELECT count(*) >= $1
	    FROM pg_logical_slot_peek_changes('h_$PHILOTES_SLOT', NULL, NULL)
	    WHERE data LIKE '%prefix: philotes.heartbeat,%'"
}

@test "--heartbeat writes WAL, prints nothing of it and leaves seq as it is" {
	prepare
	src_psql "SELECT pg_create_logical_replication_slot(
	    'h_$PHILOTES_SLOT', 'test_decoding')"
	start_reader --heartbeat 50ms --messages
	wait_for_sender
	wait_for heartbeats 5 t
	# some heartbeats fall into the middle of a transaction
	src_psql "BEGIN; INSERT INTO t VALUES (1); SELECT pg_sleep(0.5),
	    pg_logical_emit_message(true, 'p', 'x');
	    INSERT INTO t VALUES (2); COMMIT;
	    SELECT pg_logical_emit_message(false, 'p', 'y')"
	wait_for heartbeats 10 t
	src_psql "INSERT INTO t VALUES (3)"
	wait_for events '' '1 null 2 null 3 '
	[ "$(jq -r 'select(.control == null).metadata.seq' \
	    "$BATS_TEST_TMPDIR/stream" | tr '\n' ' ')" = "1 2 3 1 1 " ]
	kill -KILL "$reader"
	wait_for sender_pid '' ''
	# the same WAL read with other options gives the same bytes
	expect_code 0 pg-cdc-read --until now --messages
	# except for the event_time of messages outside transactions, which is
	# the time of reading
	diff <(grep -v '^{"control"' "$BATS_TEST_TMPDIR/stream" |
	    sed '/"transaction_id":null/s/"event_time":[^,]*//') \
		<(sed '/"transaction_id":null/s/"event_time":[^,]*//' <<<"$output")
}

@test "--heartbeat moves the slot in a database where nothing happens" {
	prepare
	start_pipeline --heartbeat 200ms
	wait_for_sender
	local before
	before=$(confirmed)
	# the first at once, then one every 10 s
	wait_for confirmed_after "$before" t 30
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 0 ]
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
}

# shellcheck disable=SC2329 # called by wait_for
confirmed_after()
{
	src_psql "SELECT confirmed_flush_lsn > '$1' FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'"
}

# shellcheck disable=SC2329 # called by wait_for
probe()
{
	cluster_probe "$BATS_FILE_TMPDIR/$1" || echo $?
}

@test "fast shutdown of the source, with an idle and with a stopped downstream" {
	prepare
	start_pipeline --heartbeat 1s
	src_psql "INSERT INTO t VALUES (0, 'z')"
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_log" 1
	# the heartbeat's session ends first; the stream goes on
	kill -STOP "$writer"
	src_psql "INSERT INTO t VALUES (2, 'y')"
	SECONDS=0
	child stop_server src fast
	local stopping=${children[-1]}
	wait_for probe src 1
	kill -CONT "$writer"
	await_pipeline
	wait "$stopping"
	((SECONDS < 5))
	[ "$reader_code" = 75 ]
	[ "$writer_code" = 0 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 2 ]
	start_server src

	start_pipeline
	wait_for_sender
	kill -STOP "$writer"
	src_psql "INSERT INTO t VALUES (1, 'a')"
	SECONDS=0
	stop_server src fast
	((SECONDS <= 5))
	kill -CONT "$writer"
	await_pipeline
	[ "$reader_code" = 75 ]
	start_server src
	start_pipeline --until now
	await_pipeline
	[ "$reader_code$writer_code" = 00 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 3 ]
}

@test "fast shutdown of the source, with a reader that confirms nothing" {
	prepare
	child pg-cdc-read >/dev/null 2>"$BATS_TEST_TMPDIR/log"
	reader=$!
	wait_for_sender
	src_psql "INSERT INTO t VALUES (0, 'z')"
	SECONDS=0
	stop_server src fast
	((SECONDS <= 5))
	await_reader
	[ "$reader_code" = 75 ]
	start_server src
}

@test "fast shutdown of the source, with a large backlog and a stopped downstream" {
	prepare
	start_pipeline
	src_psql "INSERT INTO t VALUES (0, 'z')"
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_log" 1
	kill -STOP "$writer"
	src_psql "INSERT INTO t SELECT i, repeat('x', 200)
	    FROM generate_series(1, 50000) i"
	SECONDS=0
	child stop_server src fast
	local stopping=${children[-1]}
	wait "$reader" || reader_code=$?
	((SECONDS <= 20))
	[ "$reader_code" = 75 ]
	wait "$stopping"
	kill -CONT "$writer"
	writer_code=0
	wait "$writer" || writer_code=$?
	[[ $writer_code =~ ^(0|74|75)$ ]]
	start_server src
	start_pipeline --until now
	await_pipeline
	[ "$reader_code$writer_code" = 00 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 50001 ]
}

@test "feedback goes on while stdout is blocked, so the walsender lives on" {
	src_psql "ALTER DATABASE t$BATS_TEST_NUMBER SET wal_sender_timeout = '1s'"
	prepare
	# nor does the reader, which does not listen meanwhile, take the server
	# for dead
	start_pipeline --server-timeout 1s
	wait_for_sender
	local sender
	sender=$(sender_pid)
	kill -STOP "$writer"
	src_psql "INSERT INTO t SELECT i, repeat('x', 1000)
	    FROM generate_series(1, 10000) i"
	# until three of the walsender's time-outs have passed, by the server's
	# clock
	wait_for src_psql "SELECT reply_time > backend_start + interval '4 s'
	    FROM pg_stat_replication WHERE pid = $sender" t
	[ "$(sender_pid)" = "$sender" ]
	kill -CONT "$writer"
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_log" 10000
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
}

@test "a server that is silent for --server-timeout is taken for dead: 75" {
	prepare
	start_reader --server-timeout 2s
	wait_for_sender
	stopped=$(sender_pid)
	kill -STOP "$stopped"
	SECONDS=0
	await_reader
	((SECONDS <= 10))
	[ "$reader_code" = 75 ]
	grep -q 'error: could not continue replication: the server does not answer' \
		"$BATS_TEST_TMPDIR/log"
}

@test "a server that does not answer a heartbeat is taken for dead: 75" {
	prepare
	start_reader --server-timeout 2s --heartbeat 200ms
	wait_for_sender
	stopped=$(src_psql "SELECT pid FROM pg_stat_activity
	    WHERE query LIKE '%philotes.heartbeat%' AND pid <> pg_backend_pid()")
	kill -STOP "$stopped"
	await_reader
	[ "$reader_code" = 75 ]
	grep -q 'error: could not send a heartbeat to the source: the server does not answer' \
		"$BATS_TEST_TMPDIR/log"
}

@test "a server that has nothing to send is asked for a reply, and is not taken for dead" {
	prepare
	start_reader --server-timeout 1s
	wait_for_sender
	wait_for src_psql "SELECT reply_time > backend_start + interval '4 s'
	    FROM pg_stat_replication WHERE pid = $(sender_pid)" t
	kill -0 "$reader"
	src_psql "INSERT INTO t VALUES (1)"
	wait_for events '' '1 '
}

@test "a server busy with WAL that is not published is not taken for dead" {
	since 15 "a filter of rows"
	src_psql "ALTER DATABASE t$BATS_TEST_NUMBER SET wal_sender_timeout = '1s'"
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
	# a row filter that takes about 0.4 ms a row and lets no row through
	src_psql "CREATE PUBLICATION philotes_pub FOR TABLE t
	    WHERE (v = '' OR md5(repeat(v, 200000)) = '')"
	expect_code 0 pg-cdc-read --create
	start_reader --server-timeout 2s
	wait_for_sender
	src_psql "INSERT INTO t SELECT i, 'x' FROM generate_series(1, 12000) i"
	src_psql "INSERT INTO t VALUES (0, '')"
	wait_for events '' '0 ' 120
	kill -0 "$reader"
}

@test "a reader is not taken for dead when it prints nothing inside a transaction for minutes" {
	since 15 "a filter of rows"
	# hasty.so makes half a minute pass in a second, for both tools
	pipeline_reader()
	{
		env LD_PRELOAD="$PHILOTES_BIN/fault/hasty.so" \
		    ASAN_OPTIONS=verify_asan_link_order=0 \
		    pg-cdc-read --ack "$BATS_TEST_TMPDIR/acks" "$@" \
		    2>"$BATS_TEST_TMPDIR/log" |
		    tee "$BATS_TEST_TMPDIR/copy" >"$BATS_TEST_TMPDIR/stream"
	}
	pipeline_writer()
	{
		exec env LD_PRELOAD="$PHILOTES_BIN/fault/hasty.so" \
		    ASAN_OPTIONS=verify_asan_link_order=0 \
		    buffer-write <"$BATS_TEST_TMPDIR/stream" \
		    >"$BATS_TEST_TMPDIR/acks" 2>"$BATS_TEST_TMPDIR/writer.log"
	}
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
	src_psql "CREATE PUBLICATION philotes_pub FOR TABLE t
	    WHERE (v = '' OR md5(repeat(v, 200000)) = '')"
	expect_code 0 pg-cdc-read --create
	src_psql "INSERT INTO t SELECT i, CASE WHEN i IN (1, 12000) THEN ''
	    ELSE 'x' END FROM generate_series(1, 12000) i"
	start_pipeline --server-timeout 1h --until now
	await_pipeline
	cat "$BATS_TEST_TMPDIR/log" "$BATS_TEST_TMPDIR/writer.log"
	[ "$writer_code" = 0 ]
	[ "$(buf_psql "SELECT string_agg(after_data->>'id', ' ' ORDER BY id)
	    FROM philotes.cdc_log")" = "1 12000" ]
	# between the two events, one line for every ten silent seconds
	(($(grep -c '^{"control":"alive"}$' "$BATS_TEST_TMPDIR/copy") >= 6))
	[ "$(jq -r 'select(.control != "schema") |
	    .control // .after_data.id' "$BATS_TEST_TMPDIR/copy" |
	    uniq | paste -sd' ')" = "start 1 alive 12000 checkpoint" ]
}

@test "session settings of the role and the database do not matter" {
	local role=r$BATS_TEST_NUMBER
	src_psql "CREATE ROLE $role LOGIN REPLICATION;
	    CREATE SCHEMA hostile;
	    GRANT USAGE ON SCHEMA hostile TO public;
	    GRANT CREATE ON DATABASE t$BATS_TEST_NUMBER TO $role;
	    CREATE FUNCTION hostile.lie(name, name) RETURNS bool
	        LANGUAGE sql RETURN false;
	    CREATE FUNCTION hostile.lie(text, text) RETURNS bool
	        LANGUAGE sql RETURN false;
	    CREATE OPERATOR hostile.= (FUNCTION = hostile.lie,
	        LEFTARG = name, RIGHTARG = name);
	    CREATE OPERATOR hostile.= (FUNCTION = hostile.lie,
	        LEFTARG = text, RIGHTARG = text);
	    CREATE TABLE t (id int PRIMARY KEY, d date, f float8);
	    ALTER TABLE t OWNER TO $role;
	    ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
	local setting
	for setting in "search_path = hostile, pg_catalog" \
	    "statement_timeout = '500ms'" "lock_timeout = '500ms'" \
	    "idle_session_timeout = '500ms'" \
	    "idle_in_transaction_session_timeout = '500ms'" \
	    "default_transaction_read_only = on" "row_security = off" \
	    "default_transaction_isolation = 'serializable'" \
	    "datestyle = 'SQL, DMY'" "extra_float_digits = -5"; do
		src_psql "ALTER ROLE $role SET $setting"
	done
	PHILOTES_SOURCE_URL="$PHILOTES_SOURCE_URL user=$role"
	expect_code 0 pg-cdc-read --create
	expect_code 0 pg-cdc-read --create
	start_reader --heartbeat 700ms
	PHILOTES_SOURCE_URL=${PHILOTES_SOURCE_URL% user=*}
	wait_for_sender
	# four of the time-outs have passed, by the server's clock
	wait_for src_psql "SELECT clock_timestamp() > backend_start + interval '2 s'
	    FROM pg_stat_replication WHERE pid = $(sender_pid)" t
	src_psql "INSERT INTO t VALUES (1, '2026-11-25', 0.1::float8 + 0.2)"
	wait_for events '' '1 '
	[ "$(jq -c 'select(.control == null).after_data' \
	    "$BATS_TEST_TMPDIR/stream")" = \
	    '{"id":1,"d":"2026-11-25","f":0.30000000000000004}' ]
	kill -KILL "$reader"
	wait_for sender_pid '' ''
	src_psql "DROP PUBLICATION philotes_pub; DROP OWNED BY $role; DROP ROLE $role"
}
