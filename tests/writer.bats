#!/usr/bin/env bats
# buffer-write: what it accepts, stores and acknowledges.

load helper
load lines

setup()
{
	databases_up
	in=$BATS_TEST_TMPDIR/in
}

@test "a line comes out as it went in, byte for byte" {
	local data='{"n": 12.500, "s":"\u00e9\n\"","a":[1, 2],"z":1,"b":null}'
	event s 0/1 1 "$data" >"$in"
	write_lines 0
	expect_code 0 buffer-batch --once
	[[ $output == *"\"after_data\":$data,"* ]]
	[ "$(jq -c 'keys_unsorted[0,-1]' <<<"$output" | tr '\n' ' ')" = \
	    '"id" "created_at" ' ]
}

@test "the same lines again change nothing and are acknowledged again" {
	{
		start sys slot 0/100 0/1000
		event s 0/110 1
		event s 0/110 2
		event s 0/120 1
		checkpoint 0/130
	} >"$in"
	write_lines 0
	[ "$output" = 0/130 ]
	local before
	before=$(buf_psql "TABLE philotes.cdc_log; TABLE philotes.cdc_writes")
	write_lines 0 -v
	[ "$output" = 0/130 ]
	[[ $stderr == *'skipped 3 events at or below the watermark'* ]]
	[ "$before" = "$(buf_psql "TABLE philotes.cdc_log; TABLE philotes.cdc_writes")" ]
	[ "$(checkpoint_of s)" = 0/130 ]
}

@test "with control lines only whole transactions are stored" {
	open_writer
	start >&7
	event s 0/110 1 >&7
	checkpoint 0/118 >&7
	wait_for cat "$BATS_TEST_TMPDIR/out" 0/118
	event s 0/120 1 >&7
	await_writer 75
	grep 'stdin ended inside a transaction' "$BATS_TEST_TMPDIR/err"
	[ "$(stored)" = "s|0/110|1" ]
	# the cut transaction is stored when it is sent again
	{
		start sys slot 0/118 0/200
		event s 0/120 1
		event s 0/120 2
		checkpoint 0/130
	} >"$in"
	write_lines 0
	[ "$(stored | tail -n 2)" = $'s|0/120|1\ns|0/120|2' ]
}

@test "without control lines each event is stored by itself, a cut line is not" {
	{
		event s 0/110 1
		event s 0/110 2 | head -c 50
	} >"$in"
	write_lines 75
	expect_error 'inside line 2'
	[ "$(stored)" = "s|0/110|1" ]
	{
		event s 0/110 1
		event s 0/110 2
	} >"$in"
	write_lines 0
	[ "$(stored)" = $'s|0/110|1\ns|0/110|2' ]
}

@test "events out of order are refused, not skipped" {
	{
		event s 0/120 1
		event s 0/110 1
	} >"$in"
	write_lines 65
	expect_error 'line 2: out of order'
	nothing stored
}

@test "events without identity are appended every time" {
	local line='{"source_id":"s","schema_name":"","table_name":"","operation":"INSERT","lsn":"0/1","event_time":"2026-01-01T00:00:00Z"}'
	echo "$line" >"$in"
	write_lines 0
	write_lines 0
	[ "$(stored)" = $'s||\ns||' ]
}

@test "several sources in one stream, each with its own ledger rows" {
	{
		event a 0/110 1
		event b 0/100 1
		event a 0/120 1
	} >"$in"
	write_lines 0
	[ "$(buf_psql "SELECT source_id, write_no, events, total, commit_lsn
	    FROM philotes.cdc_writes ORDER BY 1, 2")" = \
	    $'a|1|1|1|0/110\na|2|1|2|0/120\nb|1|1|1|0/100' ]
	[ "$(buf_psql "SELECT string_agg(source_id, ',' ORDER BY source_id)
	    FROM philotes.cdc_sources")" = a,b ]
}

@test "an ack is written only after the commit: a locked source gets none" {
	local out=$BATS_TEST_TMPDIR/out
	open_writer
	start >&7
	checkpoint 0/110 >&7
	wait_for cat "$out" 0/110
	mkfifo "$BATS_TEST_TMPDIR/sql"
	exec 8<>"$BATS_TEST_TMPDIR/sql"
	child psql_on "$PHILOTES_BUFFER_URL" <"$BATS_TEST_TMPDIR/sql" \
	    >/dev/null 7>&- 8>&-
	echo "BEGIN; SELECT philotes.lock_source('s');" >&8
	wait_for buf_psql "SELECT count(*) FROM pg_locks
	    WHERE locktype = 'advisory' AND granted" 2
	event s 0/120 1 >&7
	checkpoint 0/128 >&7
	wait_for buf_psql "SELECT count(*) FROM pg_locks WHERE NOT granted" 1
	[ "$(cat "$out")" = 0/110 ]
	echo "COMMIT;" >&8
	wait_for cat "$out" $'0/110\n0/128'
	[ "$(checkpoint_of s)" = 0/128 ]
	exec 7>&- 8>&-
}

@test "a malformed line is 65 with place and key, and its transaction is not stored" {
	local good bad
	good=$(event s 0/110 1)
	while IFS=$'\t' read -r bad reason; do
		{
			start
			printf '%s\n' "$good"
			printf '%s\n' "$bad"
		} >"$in"
		write_lines 65
		expect_error "line 3: .*$reason"
		nothing stored
	done <<-END
	${good/\}\}/\}\},}	unexpected
	${good/0\/110/0\/11g}	LSN.*commit_lsn
	${good/\"seq\":1/\"seq\":0}	seq
	${good/\"seq\":1/\"x\":0}	only one of commit_lsn and seq
	${good/INSERT/insert}	operation
	${good/\"lsn\"/\"lsm\"}	known key.*lsm
	${good/\"lsn\":\"0\/1\",/}	missing.*lsn
	${good/\"lsn\"/\"operation\"}	twice.*operation
	${good/2026-11-22/2026-13-22}	event_time
	${good/\{\"id\":1\}/[1]}	after_data
	${good/\{\"id\":1\}/\{\"id\":\"\\u0000\"\}}	u0000
	${good/\{\"id\":1\}/\{\"id\":1e999999\}}	after_data
	${good/\"public\"/null}	schema_name
	{"control":"checkpoint"}	missing.*ack
	{"control":7}	not a string.*control
	nonsense	unexpected
	[]	object
	END
}

@test "binary garbage, an empty line and a long line are 65" {
	head -c 5000 /dev/zero | tr '\0' '\377' | sed 's/$/\n/' >"$in"
	write_lines 65
	echo >"$in"
	write_lines 65
	event s 0/1 1 >"$in"
	write_lines 65 --max-line 100
	expect_error 'line 1: is longer than --max-line .byte 101'
	head -c 1000 /dev/zero >"$in"
	write_lines 65 --max-line 100
}

@test "empty input is no error" {
	: >"$in"
	write_lines 0
	nothing buf_psql "TABLE philotes.cdc_writes"
}

@test "gap check: another cluster, another slot, a slot ahead, a source that was reset" {
	{
		start
		checkpoint 0/200
	} >"$in"
	write_lines 0
	start other slot 0/200 0/300 >"$in"
	write_lines 69
	expect_error 'another cluster'
	start sys slot2 0/200 0/300 >"$in"
	write_lines 69
	expect_error 'another slot'
	start sys slot 0/201 0/300 >"$in"
	write_lines 69
	expect_error 'checkpoint 0/200: the slot is ahead.*at 0/201'
	start sys slot 0/150 0/199 >"$in"
	write_lines 69
	expect_error 'reset'
	start sys slot 0/200 0/300 >"$in"
	write_lines 0
	start sys slot 0/150 0/300 >"$in"
	write_lines 0
}

@test "gap check: timelines" {
	{
		start
		checkpoint 0/200
	} >"$in"
	write_lines 0
	start sys slot 0/200 0/300 2 '[[1,"0/1F0"]]' >"$in"
	write_lines 69
	expect_error "timeline branched off"
	start sys slot 0/200 0/300 3 '[[2,"0/210"]]' >"$in"
	write_lines 69
	start sys slot 0/200 0/300 3 '[[1,"0/200"],[2,"0/210"]]' >"$in"
	write_lines 0
	{
		start sys slot 0/200 0/300 2 '[[1,"0/200"]]'
		checkpoint 0/280
	} >"$in"
	write_lines 0
	start sys slot 0/280 0/300 1 >"$in"
	write_lines 69
	expect_error 'older timeline'
}

@test "gap check: the watermark counts where it is above the checkpoint" {
	{
		start
		event s 0/500 1
		event s 0/600 1
	} >"$in"
	write_lines 75 --batch-size 1
	[ "$(stored)" = "s|0/500|1" ]
	[ "$(checkpoint_of s)" = 0/100 ]
	start sys slot 0/100 0/700 2 '[[1,"0/300"]]' >"$in"
	write_lines 69
	expect_error "timeline branched off"
	start sys slot 0/100 0/400 >"$in"
	write_lines 69
	expect_error 'reset'
	start sys slot 0/100 0/700 2 '[[1,"0/600"]]' >"$in"
	write_lines 0
}

@test "gap check: the watermark of a stream without control lines counts" {
	event s 5/110 1 >"$in"
	write_lines 0
	{
		start sys slot 0/100 0/200
		event s 0/110 1
		checkpoint 0/118
	} >"$in"
	write_lines 69
	expect_error 'buffer.s watermark 5/110: the source.s WAL ends before it'
	[ -z "$output" ]
	nothing checkpoint_of s
	write_lines 0 --accept-gap
	[ "$(stored)" = $'s|5/110|1\ns|0/110|1' ]
	# a watermark that the source's WAL has reached is no gap
	event t 0/110 1 >"$in"
	write_lines 0
	start sys slot 0/100 0/200 | sed 's/"s"/"t"/' >"$in"
	write_lines 0
}

@test "--accept-gap is recorded, and lower LSNs after it are no duplicates" {
	{
		start
		event s 0/F00 1
		checkpoint 0/F10
	} >"$in"
	write_lines 0
	{
		start new slot 0/50 0/60
		event s 0/58 1
		checkpoint 0/60
	} >"$in"
	write_lines 69
	write_lines 0 --accept-gap
	[ "$(stored)" = $'s|0/F00|1\ns|0/58|1' ]
	[ "$(buf_psql "SELECT string_agg(kind, ',' ORDER BY write_no)
	    FROM philotes.cdc_writes")" = start,stream,gap,stream ]
	write_lines 0
	[ "$(stored)" = $'s|0/F00|1\ns|0/58|1' ]
}

@test "a source has one writer: a second is 75 and names the first" {
	open_writer
	start >&7
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_writes" 1
	local pid
	pid=$(buf_psql "SELECT pid FROM pg_locks WHERE locktype = 'advisory'")
	event s 0/1 1 >"$in"
	write_lines 75
	expect_error "another writer has it.*backend $pid"
	event other 0/1 1 >"$in"
	write_lines 0
	exec 7>&-
}

@test "a writer ends if another process has written a ledger row" {
	open_writer
	start >&7
	# more than the writer keeps in memory, so that it has begun to send it
	many_events s 0/110 20000 >&7
	wait_for buf_psql "SELECT count(*) FROM pg_locks
	    WHERE locktype = 'advisory' AND granted" 2
	# without the lock, like the successor of a writer that lost its
	# connection
	buf_psql "INSERT INTO philotes.cdc_writes (source_id, write_no, first_id,
	    last_id, events, total) VALUES ('s', 2, 1, 0, 0, 0)"
	checkpoint 0/118 >&7
	await_writer 75
	nothing stored
	[ ! -s "$BATS_TEST_TMPDIR/out" ]
}

@test "a writer ends if another process has moved the watermark" {
	open_writer
	start >&7
	checkpoint 0/108 >&7
	wait_for cat "$BATS_TEST_TMPDIR/out" 0/108
	buf_psql "DO \$\$ DECLARE b record; BEGIN
	    b := philotes.begin_write('s'); PERFORM philotes.end_write('s',
	    b.write_no, b.first_id, 0, '0/110', 1); END \$\$"
	event s 0/110 1 >&7
	checkpoint 0/118 >&7
	await_writer 75
	grep 'another writer already stored up to (0/110, 1)' "$BATS_TEST_TMPDIR/err"
	nothing stored
}

@test "SIGTERM ends it at a boundary with 0, inside a transaction with 75" {
	open_writer
	start >&7
	event s 0/110 1 >&7
	checkpoint 0/118 >&7
	wait_for cat "$BATS_TEST_TMPDIR/out" 0/118
	kill -TERM "$writer"
	await_writer 0
	open_writer
	start sys slot 0/118 0/200 >&7
	wait_for buf_psql "SELECT count(*) FROM pg_locks
	    WHERE locktype = 'advisory' AND granted" 1
	local read
	read=$(bytes_read)
	event s 0/120 1 >&7
	wait_for bytes_read '' $((read + $(event s 0/120 1 | wc -c)))
	kill -TERM "$writer"
	await_writer 75
	[ "$(stored)" = "s|0/110|1" ]
}

@test "a transaction larger than a batch is one commit of several COPYs" {
	{
		start
		many_events s 0/110 250000
		checkpoint 0/118
	} >"$in"
	write_lines 0
	[ "$(buf_psql "SELECT count(*), count(DISTINCT xmin::text),
	    count(DISTINCT cmin::text) >= 5 FROM philotes.cdc_log")" = "250000|1|t" ]
	[ "$(buf_psql "SELECT events FROM philotes.newest_write('s')")" = 250000 ]
}

@test "it sets its own durability and time-outs, whatever role and database have" {
	local db=t$BATS_TEST_NUMBER
	buf_psql "CREATE TABLE seen (name text, setting text)"
	buf_psql "CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS
	    \$\$ BEGIN INSERT INTO public.seen SELECT name, setting
	    FROM pg_settings WHERE name IN ('synchronous_commit',
	    'statement_timeout', 'transaction_isolation'); RETURN NULL; END \$\$"
	buf_psql "CREATE TRIGGER seen AFTER INSERT ON philotes.cdc_writes
	    FOR EACH ROW EXECUTE FUNCTION seen()"
	buf_psql "ALTER DATABASE $db SET synchronous_commit = off"
	buf_psql "ALTER DATABASE $db SET statement_timeout = '10s'"
	buf_psql "ALTER DATABASE $db
	    SET default_transaction_isolation = 'serializable'"
	buf_psql "ALTER DATABASE $db SET default_transaction_read_only = on"
	# the server warns of this one before the session begins
	PGOPTIONS='-c default_transaction_read_only=off' \
	    buf_psql "ALTER DATABASE $db SET default_tablespace = 'nosuch'"
	event s 0/1 1 >"$in"
	write_lines 0
	[ -z "$stderr" ]
	[ "$(PGOPTIONS='-c client_min_messages=error' buf_psql "SELECT string_agg(setting, ',' ORDER BY name) FROM seen" 2>/dev/null)" = \
	    '0,on,read committed' ]
}

@test "exit codes of database, schema, version and options" {
	PHILOTES_BUFFER_URL=host=/nonexistent expect_code 75 buffer-write
	PHILOTES_BUFFER_URL="$PHILOTES_BUFFER_URL dbname=nosuch" \
	    expect_code 78 buffer-write
	PHILOTES_BUFFER_URL="$PHILOTES_BUFFER_URL dbname=postgres" \
	    expect_code 78 buffer-write
	expect_error 'schema "philotes" does not exist'
	expect_code 64 buffer-write --batch-size 0
	expect_error 'batch-size "0"'
	expect_code 64 buffer-write --flush-interval 5
	buf_psql "CREATE OR REPLACE FUNCTION philotes.schema_version()
	    RETURNS int LANGUAGE sql AS 'SELECT 99'"
	for tool in buffer-write buffer-batch buffer-gc; do
		expect_code 78 "$tool"
		expect_error 'version 6 is expected, 99 was found'
	done
}

@test "two writers on one pipe: an event that the first took is not lost, 75" {
	{
		start
		event s 0/110 1
		checkpoint 0/118
	} >"$in"
	write_lines 0
	# the first takes an event and is killed
	open_writer
	start sys slot 0/100 0/200 >&7
	wait_for locks t 1
	local read
	read=$(bytes_read)
	event s 0/120 1 >&7
	wait_for bytes_read '' $((read + $(event s 0/120 1 | wc -c)))
	kill -KILL "$writer"
	wait "$writer" || :
	# the second goes on with the same pipe
	{ event s 0/130 1 && checkpoint 0/138; } >&7
	child buffer-write <"$BATS_TEST_TMPDIR/fifo" \
	    >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 7>&-
	writer=$!
	await_writer 75
	grep 'error: could not read on: the stream of source "s" has no start line before line 1$' \
		"$BATS_TEST_TMPDIR/err"
	grep 'hint: Another buffer-write has read from the same pipe' \
		"$BATS_TEST_TMPDIR/err"
	[ ! -s "$BATS_TEST_TMPDIR/out" ]
	[ "$(stored)" = 's|0/110|1' ]
	# a checkpoint alone is not acknowledged, either
	checkpoint 0/138 >"$in"
	write_lines 75
	[ -z "$output" ]
	{
		event t 0/130 1
		checkpoint 0/138
	} >"$in"
	write_lines 75
	[ -z "$output" ]
	# the reader sends it all again
	{
		start sys slot 0/100 0/200
		event s 0/120 1
		event s 0/130 1
		checkpoint 0/138
	} >"$in"
	write_lines 0
	[ "$output" = 0/138 ]
	[ "$(stored | grep '^s')" = $'s|0/110|1\ns|0/120|1\ns|0/130|1' ]
}

# The rest of a stream of source s; another writer has read its beginning.
the_rest()
{
	event s 0/300 1
	sleep 1.5 # the later lines belong to the same transaction
	event s 0/300 2
	checkpoint 0/308
}

@test "two writers on one pipe, for a new source: nothing is stored, 75" {
	the_rest | {
		expect_code 75 buffer-write
		expect_error 'the stream of source "s" has no start line before line 3'
		[ -z "$output" ]
	}
	[ -z "$(stored)" ]
	# more than fits into memory: it is sent to the server, and rolled back
	{
		many_events s 0/300 20000
		printf '{"control":"alive"}\n'
	} | expect_code 75 buffer-write
	[ -z "$(stored)" ]
	{
		start sys slot 0/100 0/400
		event s 0/200 1
		checkpoint 0/208
		event s 0/300 1
		event s 0/300 2
		checkpoint 0/308
	} >"$in"
	write_lines 0
	[ "$(stored)" = $'s|0/200|1\ns|0/300|1\ns|0/300|2' ]
}

@test "without control lines everything is stored, at the end or when the pipe is quiet" {
	{
		event p 0/110 1
		event p 0/110 2
		event q 0/110 1
	} | expect_code 0 buffer-write
	[ "$(stored)" = $'p|0/110|1\np|0/110|2\nq|0/110|1' ]
	open_writer
	event r 0/110 1 >&7
	wait_for stored '' $'p|0/110|1\np|0/110|2\nq|0/110|1\nr|0/110|1'
	await_writer 0
	# an event without identity raises no watermark
	event s 0/110 1 | sed 's/"commit_lsn":"0\/110","seq":1//' |
		expect_code 0 buffer-write
	[ "$(stored | tail -n 1)" = 's||' ]
}
