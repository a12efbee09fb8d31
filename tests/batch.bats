#!/usr/bin/env bats
# buffer-batch: batches, the three ways to process one, failures.

load helper
load buffer

@test "--once delivers all events in order and marks them; a second run prints nothing" {
	fill s 2500
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 2500 ]
	[ "$(jq .after_data.n <<<"$output" | md5sum)" = "$(seq 2500 | md5sum)" ]
	[ "$(processed)" = "2500|3" ]
	expect_code 0 buffer-batch --once
	[ -z "$output" ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_events
	    WHERE processed_at IS NULL")" = 0 ]
}

@test "the handler false marks nothing, the handler cat marks everything" {
	fill s 10
	expect_code 69 buffer-batch --once --retries 1 -- false
	expect_error 'batch 2 to 11 of source "s".*failed 2 times'
	[ "$(processed)" = "0|0" ]
	expect_code 0 buffer-batch --once -- cat
	[ "$(wc -l <<<"$output")" = 10 ]
	[ "$(processed)" = "10|1" ]
	expect_code 0 buffer-batch --once -- cat
	[ -z "$output" ]
}

@test "a batch counts as processed only if the handler read all of its input" {
	fill s 1000
	expect_code 69 buffer-batch --once --retries 0 -- true
	[[ $stderr == *"exited with 0: input not read"* ]]
	expect_code 69 buffer-batch --once --retries 0 -- head -n 1
	expect_code 69 buffer-batch --once --retries 0 -- sh -c 'exec <&-; exit 0'
	[ "$(processed)" = "0|0" ]
}

@test "a batch whose handler was killed or ran too long is not processed" {
	fill s 10
	expect_code 69 buffer-batch --once --retries 0 -- \
	    sh -c 'head -c 10; kill -9 $$'
	[[ $stderr == *"killed by signal 9"* ]]
	SECONDS=0
	expect_code 69 buffer-batch --once --retries 0 --timeout 100ms -- \
	    sh -c 'cat; sleep 60'
	[[ $stderr == *"did not end in time"* ]]
	((SECONDS < 10))
	[ "$(processed)" = "0|0" ]
}

# shellcheck disable=SC2016 # for another shell
@test "a handler that exits with 75 is run again; 126 and 127 are configuration errors" {
	fill s 10
	expect_code 0 buffer-batch --once --retries 0 -- sh -c \
	    'cat >/dev/null; [ -e "$0" ] || { : >"$0"; exit 75; }' \
	    "$BATS_TEST_TMPDIR/once"
	[ "$(processed)" = "10|1" ]
	fill s 1
	expect_code 78 buffer-batch --once -- /nonexistent/handler
	expect_code 78 buffer-batch --once -- sh -c 'exit 126'
	[ "$(processed)" = "10|1" ]
}

# shellcheck disable=SC2016 # for another shell
@test "a failing handler is run again and may then succeed" {
	fill s 10
	expect_code 0 buffer-batch --once -- sh -c \
	    'cat; echo x >>"$0"; [ "$(wc -l <"$0")" -ge 3 ]' \
	    "$BATS_TEST_TMPDIR/tries"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/tries")" = 3 ]
	[ "$(processed)" = "10|1" ]
}

@test "the handler's environment has the batch and no addresses; signals are default" {
	fill 'the source' 3
	PGAPPNAME=x expect_code 0 buffer-batch --once -- \
	    sh -c 'cat >/dev/null; env; grep SigIgn /proc/self/status
		ls /proc/self/fd'
	grep -x 'PHILOTES_BATCH_SOURCE=the source' <<<"$output"
	grep -x 'PHILOTES_BATCH_FIRST_ID=2' <<<"$output"
	grep -x 'PHILOTES_BATCH_LAST_ID=4' <<<"$output"
	grep -x 'PHILOTES_BATCH_EVENTS=3' <<<"$output"
	refute grep -E '^(PG|PHILOTES_.*_URL)' <<<"$output"
	grep -E '^SigIgn:.*0{16}$' <<<"$output"
	# the handler has no more descriptors than it would have without us
	[ "$(grep -cE '^[0-9]+$' <<<"$output")" = \
	    "$(sh -c 'ls /proc/self/fd' 3>&- </dev/null | wc -l)" ]
}

@test "--ack: a batch is processed when its checkpoint comes back, as typed" {
	fill s 2500
	cd "$BATS_TEST_TMPDIR"
	mkfifo acks
	timeout 20 bash -c 'set -o pipefail
	    buffer-batch --once --ack acks | tee out.ndjson |
	    jq -r --unbuffered "select(.control==\"checkpoint\").ack" >acks' 3>&-
	[ "$(processed)" = "2500|3" ]
	[ "$(grep -c '"control":"checkpoint"' out.ndjson)" = 3 ]
	[ "$(grep -vc control out.ndjson)" = 2500 ]
}

# shellcheck disable=SC2016 # for another shell
@test "--ack: a batch that is not acknowledged is not processed" {
	fill s 10
	mkfifo "$BATS_TEST_TMPDIR/acks"
	child sh -c ': >"$0"' "$BATS_TEST_TMPDIR/acks"
	expect_code 75 buffer-batch --once --ack "$BATS_TEST_TMPDIR/acks"
	[ "$(wc -l <<<"$output")" = 11 ]
	for ack in 999 x; do
		child sh -c 'echo "$1" >"$0"; exec sleep 60 >"$0"' \
		    "$BATS_TEST_TMPDIR/acks" "$ack"
		expect_code 76 buffer-batch --once --ack "$BATS_TEST_TMPDIR/acks"
		kill_children
	done
	[ "$(processed)" = "0|0" ]
}

@test "--ack: at most four batches are unacknowledged, and acks are cumulative" {
	fill s 10
	mkfifo "$BATS_TEST_TMPDIR/acks"
	exec 8<>"$BATS_TEST_TMPDIR/acks"
	child buffer-batch --once --batch-size 1 \
	    --ack "$BATS_TEST_TMPDIR/acks" >"$BATS_TEST_TMPDIR/out" 8>&-
	wait_for "grep_checkpoints" "" 4
	echo 5 >&8
	wait_for "grep_checkpoints" "" 8
	[ "$(processed)" = "4|4" ]
	echo 3 >&8 # an old ack
	echo 9 >&8
	wait_for "grep_checkpoints" "" 10
	echo 11 >&8
	wait "${children[-1]}"
	[ "$(processed)" = "10|10" ]
	exec 8>&-
}

# at_the_end CONSUMER SIZE: reads the whole stream before it acknowledges
# anything
at_the_end()
{
	local dir=$BATS_TEST_TMPDIR/$1
	mkdir "$dir"
	mkfifo "$dir/acks"
	# shellcheck disable=SC2016 # for another shell
	timeout 30 bash -c 'set -o pipefail
	    buffer-batch --once --consumer "$1" --batch-size "$2" \
		--ack "$0/acks" 2>"$0/err" |
	    { cat >"$0/out"; jq -r ".ack // empty" "$0/out"; } >"$0/acks"' \
	    "$dir" "$1" "$2" 3>&-
}

@test "--ack: a consumer may acknowledge at the end only, with up to four batches a source" {
	fill b 40
	fill a 30
	fill c 1
	at_the_end four 10
	[ "$(processed four)" = "71|8" ]
	[ "$(grep -c '"control":"checkpoint"' "$BATS_TEST_TMPDIR/four/out")" = 8 ]
	# five are too many: buffer-batch ends instead of waiting for ever
	run at_the_end five 8
	[ "$status" = 75 ]
	[ "$(processed five)" = "62|8" ]
	grep -q 'only when the stream ended' "$BATS_TEST_TMPDIR/five/err"
}

grep_checkpoints()
{
	grep -c checkpoint "$BATS_TEST_TMPDIR/out"
}

@test "a full disk or a closed pipe is 74, and nothing is marked" {
	fill s 10
	expect_code 74 sh -c 'buffer-batch --once >/dev/full'
	expect_code 74 sh -c 'buffer-batch --once >&-'
	[ "$(processed)" = "0|0" ]
}

@test "each consumer has its own cursor; --start latest begins after the newest event" {
	fill s 5
	expect_code 0 buffer-batch --once --consumer a
	[ "$(wc -l <<<"$output")" = 5 ]
	expect_code 0 buffer-batch --once --consumer b --start latest
	[ -z "$output" ]
	fill s 2
	expect_code 0 buffer-batch --once --consumer b
	[ "$(wc -l <<<"$output")" = 2 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_events
	    WHERE processed_at IS NULL")" = 2 ]
}

@test "--source-id selects; a batch has events of one source, in order" {
	for i in 1 2 3; do
		fill a 3
		fill 'b,"' 2
	done
	expect_code 0 buffer-batch --once --source-id 'b,"'
	[ "$(jq -r .source_id <<<"$output" | sort -u)" = 'b,"' ]
	[ "$(jq -c .after_data.n <<<"$output" | tr -d '\n')" = 121212 ]
	expect_code 0 buffer-batch --once -- sh -c \
	    'jq -r .source_id | sort | uniq -c'
	[ "$(tr -s ' ' <<<"$output")" = ' 9 a' ]
}

@test "--batch-size and --max-bytes limit a batch; a larger event goes alone" {
	fill s 5
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	    table_name, operation, lsn, event_time, after_data)
	    VALUES ('s', '', '', 'INSERT', '0/1', now(),
	    jsonb_build_object('x', repeat('x', 100000)))"
	fill s 1
	expect_code 0 buffer-batch --once --batch-size 4 --max-bytes 1000 -- \
	    sh -c 'wc -lc'
	[ "$(buf_psql "SELECT string_agg(events::text, ',' ORDER BY first_id)
	    FROM philotes.cdc_batches")" = "3,2,1,1" ]
	PHILOTES_BUFFER_BATCH_SIZE=2 expect_code 0 buffer-batch --once --consumer c
	[ "$(processed c)" = "7|4" ]
}

@test "a partial batch leaves after the flush interval, a full one at once" {
	fill s 3
	child buffer-batch --batch-size 4 --flush-interval 1h \
	    >"$BATS_TEST_TMPDIR/out"
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_consumers" 1
	fill s 2
	wait_for processed default "4|1"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/out")" = 4 ]
	kill -TERM "${children[-1]}"
	wait "${children[-1]}"
	child buffer-batch --flush-interval 100ms >/dev/null
	wait_for processed default "5|2"
	fill s 1
	wait_for processed default "6|3"
	kill -TERM "${children[-1]}"
	wait "${children[-1]}"
}

@test "two processes of one consumer never get the same batch" {
	for i in 1 2 3 4; do
		fill "s$i" 3000
	done
	local out=$BATS_TEST_TMPDIR/out
	child buffer-batch --once --batch-size 100 >"$out.1"
	child buffer-batch --once --batch-size 100 >"$out.2"
	wait "${children[0]}"
	wait "${children[1]}"
	expect_code 0 buffer-batch --once
	[ "$(cat "$out.1" "$out.2" <(echo "$output") | grep -c .)" = 12000 ]
	[ "$(cat "$out.1" "$out.2" <(echo "$output") | grep . |
	    jq .id | sort -u | wc -l)" = 12000 ]
	[ "$(processed)" = "12000|120" ]
}

# shellcheck disable=SC2016 # for another shell
@test "after a kill -9 before the mark the same batch comes again" {
	fill s 10
	child buffer-batch --once -- sh -c 'cat >"$0"; exec sleep 60' \
	    "$BATS_TEST_TMPDIR/got"
	wait_for lines "$BATS_TEST_TMPDIR/got" 10
	kill -KILL "${children[-1]}"
	refute wait "${children[-1]}"
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 10 ]
	[ "$(processed)" = "10|1" ]
}

@test "a source with few events among many is read by its id ranges" {
	for i in 1 2 3; do
		fill busy 200
		fill quiet 1
	done
	expect_code 0 buffer-batch --once --source-id quiet
	[ "$(wc -l <<<"$output")" = 3 ]
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 600 ]
}

@test "SIGTERM ends buffer-batch with 0; an unprocessed batch comes again" {
	fill s 10
	child buffer-batch --flush-interval 1h
	# it has looked for events once, in one of its two sessions
	wait_for buf_psql "SELECT count(*) FROM pg_stat_activity
	    WHERE state = 'idle' AND query LIKE '%FROM philotes.cdc_sources%'" 1
	kill -TERM "${children[-1]}"
	wait "${children[-1]}"
	[ "$(processed)" = "0|0" ]
}

@test "exit codes of bad options, an unreachable server and a missing schema" {
	expect_code 64 buffer-batch --batch-size 0
	expect_code 64 buffer-batch --start middle
	expect_code 64 buffer-batch --consumer "$(printf '%513s' x)"
	expect_error "at most 512 bytes"
	expect_code 64 buffer-batch --ack x -- cat
	expect_code 64 buffer-batch --once cat
	PHILOTES_BUFFER_FLUSH_INTERVAL=5 expect_code 78 buffer-batch --once
	expect_error 'PHILOTES_BUFFER_FLUSH_INTERVAL="5": not a duration'
	PHILOTES_BUFFER_BATCH_SIZE=-1 expect_code 78 buffer-batch --once
	PHILOTES_BUFFER_URL=host=/nonexistent expect_code 75 buffer-batch --once
	PHILOTES_BUFFER_URL="$PHILOTES_BUFFER_URL dbname=postgres" \
	    expect_code 78 buffer-batch --once
	buf_psql "DROP SCHEMA philotes CASCADE" 2>/dev/null
	expect_code 78 buffer-batch --once
}
