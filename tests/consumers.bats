#!/usr/bin/env bats
# Consumers of the buffer: their backlogs, several processes of one consumer,
# and a process that is killed, stopped or cut off.

load helper
load buffer

# Ends the sessions of all tools in the buffer.
end_backends()
{
	buf_psql "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
	    WHERE datname = current_database() AND application_name = 'philotes'"
}

busy_backends()
{
	buf_psql "SELECT count(*) FROM pg_stat_activity
	    WHERE datname = current_database() AND application_name = 'philotes'
	    AND xact_start IS NOT NULL"
}

in_state()
{
	awk '/^State:/ { print $2 }' "/proc/$1/status"
}

@test "two consumers at different speeds: processed_at, cdc_pending, lag()" {
	fill a 30
	fill b 10
	expect_code 0 buffer-batch --once --consumer fast
	expect_code 0 buffer-batch --once --consumer slow --source-id b
	fill a 5
	[ "$(buf_psql "SELECT consumer, source_id, events_behind,
	    oldest_age IS NOT NULL, last_batch_at IS NOT NULL
	    FROM philotes.lag()")" = "fast|a|5|t|t
fast|b|0|f|t
slow|a|35|t|f
slow|b|0|f|t" ]
	[ "$(buf_psql "SELECT source_id, count(*) FROM philotes.cdc_events
	    WHERE processed_at IS NULL GROUP BY 1")" = "a|35" ]
	for consumer in fast slow; do
		buf_psql "SELECT id FROM philotes.cdc_pending
		    WHERE consumer = '$consumer' ORDER BY id" \
		    >"$BATS_TEST_TMPDIR/pending"
		[ -s "$BATS_TEST_TMPDIR/pending" ]
		expect_code 0 buffer-batch --once --consumer "$consumer" -- \
		    jq .id
		diff "$BATS_TEST_TMPDIR/pending" \
		    <(sort -n <<<"$output")
	done
	[ "$(rows cdc_pending)" = 0 ]
	[ "$(buf_psql "SELECT sum(events_behind) FROM philotes.lag()")" = 0 ]
}

@test "cdc_pending has the columns of cdc_events after consumer" {
	[ "$(buf_psql "SELECT string_agg(attname, ',' ORDER BY attnum)
	    FROM pg_attribute WHERE attnum > 0
	    AND attrelid = 'philotes.cdc_pending'::regclass")" = \
	    "consumer,$(buf_psql "SELECT string_agg(attname, ',' ORDER BY attnum)
	    FROM pg_attribute WHERE attnum > 0
	    AND attrelid = 'philotes.cdc_events'::regclass")" ]
	fill_log s 20000
	expect_code 0 buffer-batch --consumer c --once
	fill_log s 1000
	buf_psql "ANALYZE philotes.cdc_log"
	local plan
	plan=$(buf_psql "EXPLAIN ANALYZE SELECT * FROM philotes.cdc_pending
	    WHERE consumer = 'c'")
	echo "$plan"
	grep -E 'Index Scan using cdc_log_0_pkey .*rows=1000(\.00)? ' <<<"$plan"
	refute grep -E 'Rows Removed by (Index Recheck|Filter): [0-9]{3}' \
	    <<<"$plan"
}

@test "a million events: one ledger row a batch, no dead rows" {
	fill_log s 1000000
	buf_psql "SELECT philotes.add_consumer('other')"
	buffer-batch --once >"$BATS_TEST_TMPDIR/out"
	[ "$(processed)" = "1000000|1000" ]
	local other
	other=$(buf_psql "SELECT philotes.mark_processed('other', 's', 400000)")
	((other > 390000))
	# all events, in order
	awk -F '"n" : ' '$2 + 0 != NR { exit 1 } END { exit NR != 1000000 }' \
	    "$BATS_TEST_TMPDIR/out"
	# once the statistics have arrived
	wait_for buf_psql "SELECT sum(n_tup_ins), sum(n_dead_tup),
	    sum(n_tup_upd), sum(n_tup_del)
	    FROM pg_stat_user_tables WHERE relname LIKE 'cdc_log%'" \
	    '1000000|0|0|0'
	local before
	before=$(milliseconds)
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_events
	    WHERE processed_at IS NULL")" = $((1000000 - other)) ]
	echo "counted in $(($(milliseconds) - before)) ms" >&3
	local plan
	plan=$(buf_psql "EXPLAIN ANALYZE SELECT count(*) FROM philotes.cdc_events
	    WHERE processed_at IS NULL")
	[[ $plan == *Aggregate* && $plan != *JIT* ]]
}

@test "no transaction is open while the consumer does not read" {
	fill_log s 30000
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	exec 8<>"$BATS_TEST_TMPDIR/pipe"
	child buffer-batch --once >"$BATS_TEST_TMPDIR/pipe" 8>&-
	wait_for processed default "3000|3"
	wait_for busy_backends '' 0
	# and the memory stays within the manual's figure
	if [[ $PHILOTES_BIN != */san ]]; then
		(($(awk '/^VmHWM/ { print $2 }' "/proc/$!/status") <= 12288))
	fi
	child head -n 30000 <"$BATS_TEST_TMPDIR/pipe" >"$BATS_TEST_TMPDIR/out"
	wait "${children[0]}"
	exec 8>&-
	wait "${children[1]}"
	[ "$(lines "$BATS_TEST_TMPDIR/out")" = 30000 ]
	[ "$(processed)" = "30000|30" ]
}

# shellcheck disable=SC2016 # for another shell
@test "no transaction is open while a handler works or acks are awaited" {
	fill_log s 5000
	child buffer-batch --once -- sh -c 'cat >/dev/null; : >"$0"
	    while [ -e "$0" ]; do sleep 0.1; done' "$BATS_TEST_TMPDIR/at-work"
	wait_for ls "$BATS_TEST_TMPDIR/at-work" "$BATS_TEST_TMPDIR/at-work"
	wait_for busy_backends '' 0
	kill_children
	rm "$BATS_TEST_TMPDIR/at-work"
	mkfifo "$BATS_TEST_TMPDIR/acks"
	exec 8<>"$BATS_TEST_TMPDIR/acks"
	child buffer-batch --once --consumer c --ack "$BATS_TEST_TMPDIR/acks" \
	    >"$BATS_TEST_TMPDIR/out" 8>&-
	wait_for lines "$BATS_TEST_TMPDIR/out" 4004
	wait_for busy_backends '' 0
	exec 8>&-
}

@test "a batch that is full by its bytes does not wait" {
	fill s 4 "jsonb_build_object('x', repeat('x', 100000))"
	child buffer-batch --max-bytes 250000 --flush-interval 1h \
	    >"$BATS_TEST_TMPDIR/out"
	# of the last two events the second does not yet exceed the limit
	wait_for processed default "2|1"
	fill s 1 "jsonb_build_object('x', repeat('x', 100000))"
	wait_for processed default "4|2"
	fill s 20
	fill s 2 "jsonb_build_object('x', repeat('x', 100000))"
	wait_for processed default "26|3"
	[ "$(lines "$BATS_TEST_TMPDIR/out")" = 26 ]
}

# A slow handler, which appends NAME to a file.
slowly()
{
	cat >"$BATS_TEST_TMPDIR/slowly" <<-'END'
	#!/bin/sh
	cat >/dev/null
	echo "$1" >>"$2"
	sleep 0.05
	END
	chmod +x "$BATS_TEST_TMPDIR/slowly"
}

# Two processes of one consumer, a and b, with one event a batch.
two_processes()
{
	local name
	slowly
	for name in a b; do
		child buffer-batch --batch-size 1 -- "$BATS_TEST_TMPDIR/slowly" \
		    "$name" "$BATS_TEST_TMPDIR/work"
	done
}

@test "two processes share one source in turns" {
	fill s 100
	two_processes
	wait_for processed default "100|100" 60
	cut -c 1 "$BATS_TEST_TMPDIR/work" | uniq -c
	(($(grep -c a "$BATS_TEST_TMPDIR/work") >= 20))
	(($(grep -c b "$BATS_TEST_TMPDIR/work") >= 20))
	[ "$(lines "$BATS_TEST_TMPDIR/work")" = 100 ]
}

@test "two processes share several sources, and no source starves" {
	for i in 1 2 3 4; do
		fill "s$i" 40
	done
	two_processes
	wait_for processed default "160|160" 60
	# every source had its first batch before any source had its last
	[ "$(buf_psql "SELECT max(first) < min(last) FROM (
	    SELECT min(processed_at) AS first, max(processed_at) AS last
	    FROM philotes.cdc_batches GROUP BY source_id) s")" = t ]
	(($(grep -c a "$BATS_TEST_TMPDIR/work") >= 40))
	(($(grep -c b "$BATS_TEST_TMPDIR/work") >= 40))
}

# shellcheck disable=SC2016 # for another shell
@test "when one of two processes is killed with -9 the other takes over at once" {
	fill s 3
	child buffer-batch --flush-interval 100ms -- sh -c \
	    'cat >/dev/null; echo "$PPID" >"$0"; sleep 60' \
	    "$BATS_TEST_TMPDIR/first"
	first=$!
	wait_for cat "$BATS_TEST_TMPDIR/first" "$first"
	child buffer-batch --flush-interval 100ms >"$BATS_TEST_TMPDIR/out"
	wait_for buf_psql "SELECT count(*) FROM pg_stat_activity
	    WHERE datname = current_database()
	    AND application_name = 'philotes'" 4
	[ "$(processed)" = "0|0" ]
	local killed
	kill -KILL "$first"
	killed=$(milliseconds)
	wait_for processed default "3|1"
	echo "took over after $(($(milliseconds) - killed)) ms" >&3
	(($(milliseconds) - killed < 3000))
	[ "$(lines "$BATS_TEST_TMPDIR/out")" = 3 ]
}

# Delivers ten events and waits for their ack, as $waiting; the test writes the
# ack to descriptor 8.
unacknowledged()
{
	mkfifo "$BATS_TEST_TMPDIR/acks"
	exec 8<>"$BATS_TEST_TMPDIR/acks"
	child buffer-batch --flush-interval 0s --ack "$BATS_TEST_TMPDIR/acks" \
	    >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 8>&-
	waiting=$!
	wait_for lines "$BATS_TEST_TMPDIR/out" 11
}

# Sets $code, the exit code after the ack.
acknowledge()
{
	echo 11 >&8
	code=0
	wait "$waiting" || code=$?
}

@test "a stopped process keeps its source; after a lost session its late ack marks nothing" {
	fill s 10
	unacknowledged
	kill -STOP "$waiting"
	wait_for in_state "$waiting" T
	expect_code 124 timeout 1 buffer-batch --once
	[ -z "$output" ]
	end_backends
	expect_code 0 buffer-batch --once --batch-size 4
	[ "$(wc -l <<<"$output")" = 10 ]
	[ "$(processed)" = "10|3" ]
	echo 11 >&8
	kill -CONT "$waiting"
	code=0
	wait "$waiting" || code=$?
	cat "$BATS_TEST_TMPDIR/err"
	[ "$code" = 75 ]
	[ "$(processed)" = "10|3" ]
	exec 8>&-
}

@test "an ack after the session was terminated marks nothing, even if nobody else did" {
	fill s 10
	unacknowledged
	end_backends
	acknowledge
	[ "$code" = 75 ]
	[ "$(processed)" = "0|0" ]
	exec 8>&-
}

@test "a batch that somebody else marked meanwhile is 75" {
	fill s 10
	unacknowledged
	[ "$(buf_psql "SELECT philotes.mark_processed('default', 's', 5)")" = 4 ]
	acknowledge
	grep -F 'Another process recorded it first' "$BATS_TEST_TMPDIR/err"
	[ "$code" = 75 ]
	[ "$(processed)" = "4|1" ]
	exec 8>&-
}

@test "a consumer that is dropped meanwhile is 69, and is new when it comes back" {
	fill s 10
	unacknowledged
	[ "$(buf_psql "SELECT philotes.drop_consumer('default')")" = t ]
	[ "$(buf_psql "SELECT philotes.drop_consumer('default')")" = f ]
	acknowledge
	grep -F 'consumer "default" was dropped' "$BATS_TEST_TMPDIR/err"
	[ "$code" = 69 ]
	exec 8>&-
	[ "$(rows cdc_batches)" = 0 ]
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 10 ]
	# a failing handler leaves no row of a dropped consumer behind, either
	fill s 1
	# shellcheck disable=SC2016 # for another shell
	expect_code 69 buffer-batch --once --retries 0 -- sh -c \
	    'psql -Xqd "$1" -c "SELECT philotes.drop_consumer('"'default'"')"
	    exit 1' sh "$PHILOTES_BUFFER_URL"
	[ "$(rows cdc_retries)" = 0 ]
}

@test "a consumer that was dropped and added meanwhile keeps its new cursor" {
	fill s 10
	expect_code 0 buffer-batch --once
	fill s 10
	unacknowledged
	buf_psql "SELECT philotes.drop_consumer('default'),
	    philotes.add_consumer('default')" >/dev/null
	jq -r '.ack // empty' "$BATS_TEST_TMPDIR/out" >&8
	code=0
	wait "$waiting" || code=$?
	grep -F 'the cursor of consumer "default" was moved' "$BATS_TEST_TMPDIR/err"
	[ "$code" = 75 ]
	exec 8>&-
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 20 ]
}

# shellcheck disable=SC2016 # for another shell
@test "no event is parked for a consumer that is dropped meanwhile" {
	fill s 10
	expect_code 69 buffer-batch --once --retries 0 \
	    --on-failure dead-letter -- sh -c 'cat >"$0"
	    grep -q "\"n\": 5}" "$0" || exit 0
	    [ "$PHILOTES_BATCH_EVENTS" != 1 ] ||
		psql -Xqd "$1" -c "SELECT philotes.drop_consumer('"'default'"')"
	    exit 1' "$BATS_TEST_TMPDIR/batch" "$PHILOTES_BUFFER_URL"
	expect_error 'consumer "default" was dropped'
	[ "$(rows cdc_dead_letters) $(rows cdc_batches)" = "0 0" ]
}

@test "no consumer is registered or dropped while buffer-gc decides what to remove" {
	fill s 1
	mkfifo "$BATS_TEST_TMPDIR/in"
	# opened for reading as well, or the open would wait for the other side
	exec 8<>"$BATS_TEST_TMPDIR/in"
	child psql_on "$PHILOTES_BUFFER_URL" -At \
	    <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out"
	echo "SELECT pg_advisory_lock(hashtextextended('philotes.consumers', 0));
	    SELECT 1;" >&8
	wait_for tail "$BATS_TEST_TMPDIR/out" $'\n1'
	for call in "add_consumer('a')" "drop_consumer('a')"; do
		expect_code 1 psql_on "$PHILOTES_BUFFER_URL" \
		    -c "SET lock_timeout = '100ms'" -c "SELECT philotes.$call"
		[[ $stderr == *"lock timeout"* ]]
	done
	echo '\q' >&8
	wait "$!"
	exec 8>&-
	[ "$(buf_psql "SELECT philotes.add_consumer('a')")" = t ]
}

# hold_source SOURCE: another process of the consumer holds the source's lock
# and delivers one batch of it, which stays unacknowledged until an ack is
# written to descriptor 8
hold_source()
{
	mkfifo "$BATS_TEST_TMPDIR/held.acks"
	exec 8<>"$BATS_TEST_TMPDIR/held.acks"
	child buffer-batch --flush-interval 0s --source-id "$1" \
	    --ack "$BATS_TEST_TMPDIR/held.acks" >"$BATS_TEST_TMPDIR/held" 8>&-
	wait_for lines "$BATS_TEST_TMPDIR/held" 4
}

# Acknowledges what that process delivers, also if it gets the source once more.
acks_of_held()
{
	local pid=$BASHPID
	exec jq --unbuffered -r 'select(.control == "checkpoint").ack' \
		< <(exec tail --pid="$pid" -n +1 -f "$BATS_TEST_TMPDIR/held") >&8
}

# shellcheck disable=SC2329 # called by wait_for
waits()
{
	! grep -q 'waiting for the source "a": another process of consumer "default" has it locked' \
		"$BATS_TEST_TMPDIR/log" || echo yes
}

@test "--once waits for a source that another process holds, and gets the rest" {
	fill_log a 3
	fill_log b 5
	hold_source a
	child buffer-batch --once >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/log"
	local once=$!
	wait_for lines "$BATS_TEST_TMPDIR/out" 5
	# events written from now on were not there when --once started; of the
	# earlier ones the other process handles a part
	fill_log b 1
	wait_for waits "" yes
	fill_log a 2
	child acks_of_held
	wait "$once"
	[ "$(lines "$BATS_TEST_TMPDIR/out")" = 5 ]
	exec 8>&-
}

@test "--once exits with 75 and says so if it cannot get a source, and delivers the others" {
	fill_log a 3
	fill_log b 5
	hold_source a
	# with --ack the locks of sources are kept until the end of the stream
	mkfifo "$BATS_TEST_TMPDIR/acks"
	child buffer-batch --once --ack "$BATS_TEST_TMPDIR/acks" \
		>"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/log"
	local once=$! status=0
	exec 7>"$BATS_TEST_TMPDIR/acks"
	expect_code 75 buffer-batch --once --source-id a
	expect_error 'could not deliver the source "a": another process of consumer "default" has it locked'
	[ -z "$output" ]
	jq -r 'select(.control == "checkpoint").ack' "$BATS_TEST_TMPDIR/out" >&7
	wait "$once" || status=$?
	[ "$status" = 75 ]
	grep -q 'could not deliver the source "a"' "$BATS_TEST_TMPDIR/log"
	[ "$(lines "$BATS_TEST_TMPDIR/out")" = 6 ]
	[ "$(buf_psql "SELECT sum(events) FROM philotes.cdc_batches
	    WHERE source_id = 'b'")" = 5 ]
	exec 7>&- 8>&-
}
