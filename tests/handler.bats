#!/usr/bin/env bats
# buffer-batch -- COMMAND when the command fails: retries, dead letters and
# their delivery.

load helper
load buffer

# A handler that fails for each batch with one of the given values of "n" and
# says so; it appends what it processed to the file "done".
picky()
{
	cat >"$BATS_TEST_TMPDIR/picky" <<-END
	#!/bin/sh
	cat >"$BATS_TEST_TMPDIR/batch"
	for n in $*; do
		if grep -q "\"n\": *\$n}" "$BATS_TEST_TMPDIR/batch"; then
			echo "cannot take \$n" >&2
			exit 3
		fi
	done
	cat "$BATS_TEST_TMPDIR/batch" >>"$BATS_TEST_TMPDIR/done"
	END
	chmod +x "$BATS_TEST_TMPDIR/picky"
}

@test "a handler or a pipe that reads byte by byte gets everything" {
	fill s 50
	expect_code 0 buffer-batch --once --consumer whole
	cp "$BATS_TEST_TMPDIR/stdout" "$BATS_TEST_TMPDIR/whole"
	expect_code 0 buffer-batch --once -- dd bs=1 status=none
	cmp "$BATS_TEST_TMPDIR/stdout" "$BATS_TEST_TMPDIR/whole"
	[ "$(processed)" = "50|1" ]
	buffer-batch --once --consumer c --batch-size 7 |
		dd bs=1 status=none >"$BATS_TEST_TMPDIR/bytes"
	[ "${PIPESTATUS[*]}" = '0 0' ]
	cmp "$BATS_TEST_TMPDIR/bytes" "$BATS_TEST_TMPDIR/whole"
	[ "$(processed c)" = "50|8" ]
}

@test "values come out byte for byte, with id first and created_at last" {
	local event='{"source_id":"s","schema_name":"public","table_name":"t","operation":"INSERT","lsn":"0/1","transaction_id":7,"key_columns":["id"],"before_data":null,"after_data":{"b":1.50,"a" : [1e2, "\u00e9"], "c":1.0},"event_time":"2026-11-22T13:12:35.949462Z","metadata":{"commit_lsn":"0/2","seq":3}}'
	buffer-write <<<"$event"
	expect_code 0 buffer-batch --once
	[[ $output == '{"id":'*',"created_at":"'*'"}' ]]
	[ "$(sed 's/"id":[0-9]*,//; s/,"created_at":"[^"]*"//' \
	    <<<"$output")" = "$event" ]
}

# shellcheck disable=SC2016 # for another shell
@test "a handler that ignores SIGTERM is killed" {
	fill s 3
	expect_code 69 buffer-batch --once --retries 0 --timeout 100ms -- \
	    sh -c 'trap "" TERM; cat; sleep 60'
	[[ $stderr == *"did not end in time"* ]]
	[ "$(processed)" = "0|0" ]
	# processes that the handler left behind are killed before the next try
	expect_code 69 buffer-batch --once --retries 0 --timeout 300ms -- sh -c '
	    sh -c "trap \"\" TERM; exec sleep 60" &
	    echo $$ >$0; cat >/dev/null; wait' "$BATS_TEST_TMPDIR/left"
	wait_for pgrep "-g$(<"$BATS_TEST_TMPDIR/left")" ""
}

# shellcheck disable=SC2016 # for another shell
@test "cdc_retries shows the attempts while a batch fails, and is empty afterwards" {
	fill s 10
	child buffer-batch --flush-interval 0s -- sh -c \
	    'cat >/dev/null; [ -e "$0" ] || exit 75' "$BATS_TEST_TMPDIR/go"
	wait_for buf_psql "SELECT consumer, source_id, first_id, last_id, status,
	    attempts >= 3, updated_at > since FROM philotes.cdc_retries" \
	    "default|s|2|11|exit 75|t|t"
	: >"$BATS_TEST_TMPDIR/go"
	wait_for processed default "10|1"
	wait_for rows cdc_retries 0
	kill_children
	# a batch that is given up keeps its row for status; the next run
	# counts on
	fill s 10
	expect_code 69 buffer-batch --once --retries 1 -- false
	[ "$(buf_psql "SELECT attempts, status FROM philotes.cdc_retries")" = \
	    "2|exit 1" ]
	expect_code 69 buffer-batch --once --retries 0 -- false
	[ "$(buf_psql "SELECT attempts FROM philotes.cdc_retries")" = 3 ]
	expect_code 0 buffer-batch --once -- sh -c 'cat >/dev/null'
	[ "$(rows cdc_retries)" = 0 ]
}

@test "a poison event in the middle of 1000 is parked, the others are processed" {
	fill s 1000
	picky 500
	expect_code 0 buffer-batch --once --retries 1 \
	    --on-failure dead-letter -- "$BATS_TEST_TMPDIR/picky"
	# shellcheck disable=SC2046 # splits into numbers
	is_done $(seq 499) $(seq 501 1000)
	[ "$(letters)" = 500 ]
	[ "$(buf_psql "SELECT sum(events), min(first_id), max(last_id) FROM
	    philotes.cdc_batches")" = "1000|1|1001" ]
	[ "$(buf_psql "SELECT consumer, source_id, id, status, stderr,
	    attempts BETWEEN 3 AND 12, parked_at <= now(), closed_at
	    FROM philotes.cdc_dead_letters")" = \
	    "default|s|501|exit 3|cannot take 500
|t|t|" ]
	[[ $stderr == *"cannot take 500"* ]]
	[[ $stderr == *'parked event 501 of source "s"'* ]]
	[ "$(rows cdc_retries)" = 0 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_events
	    WHERE processed_at IS NULL")" = 0 ]
}

@test "poison events at both ends, and next to each other" {
	fill s 40
	picky 1 2 20 21 22 40
	expect_code 0 buffer-batch --once --retries 0 --batch-size 20 \
	    --on-failure dead-letter -- "$BATS_TEST_TMPDIR/picky"
	# after the last one, an earlier event is tried to show that the
	# handler works
	# shellcheck disable=SC2046 # splits into numbers
	is_done $(seq 3 19) 19 $(seq 23 39) 39
	[ "$(letters)" = 1,2,20,21,22,40 ]
	[ "$(buf_psql "SELECT sum(events) FROM philotes.cdc_batches")" = 40 ]
	expect_code 0 buffer-batch --once
	[ -z "$output" ]
}

@test "a single poison event is parked if an earlier event still succeeds" {
	picky 1
	fill s 1
	# there is no earlier event, so nothing shows whether the handler works
	expect_code 69 buffer-batch --once --retries 0 \
	    --on-failure dead-letter -- "$BATS_TEST_TMPDIR/picky"
	expect_error 'the handler failed on this event and on the last good one too'
	nothing letters
	[ "$(processed)" = "0|0" ]
	picky 2
	expect_code 0 buffer-batch --once -- "$BATS_TEST_TMPDIR/picky"
	fill s 1 "jsonb_build_object('n', 2)"
	expect_code 0 buffer-batch --once --retries 0 \
	    --on-failure dead-letter -- "$BATS_TEST_TMPDIR/picky"
	[ "$(letters)" = 2 ]
	[ "$(processed)" = "2|2" ]
	# a dead letter does not serve as the earlier event
	fill s 1 "jsonb_build_object('n', 2)"
	expect_code 0 buffer-batch --once --retries 0 \
	    --on-failure dead-letter -- "$BATS_TEST_TMPDIR/picky"
	[ "$(letters)" = 2,2 ]
}

@test "a handler that is down parks nothing" {
	fill s 50
	expect_code 69 buffer-batch --once --retries 0 \
	    --on-failure dead-letter -- false
	nothing letters
	[ "$(processed)" = "0|0" ]
	# nor does a handler that goes down in the middle
	cat >"$BATS_TEST_TMPDIR/breaks" <<-'END'
	#!/bin/sh
	cat >/dev/null
	echo x >>"$0.runs"
	[ "$(wc -l <"$0.runs")" -eq 2 ]
	END
	chmod +x "$BATS_TEST_TMPDIR/breaks"
	expect_code 69 buffer-batch --once --retries 0 \
	    --on-failure dead-letter -- "$BATS_TEST_TMPDIR/breaks"
	nothing letters
	[ "$(processed)" = "25|1" ]
	expect_code 78 buffer-batch --once --retries 0 \
	    --on-failure dead-letter -- /nonexistent
	nothing letters
	[ "$(processed)" = "25|1" ]
}

@test "--max-dead-letters stops a flood" {
	fill s 40
	picky 2 4 6 8 10 12 14 16 18 20
	expect_code 69 buffer-batch --once --retries 0 --max-dead-letters 4 \
	    --on-failure dead-letter -- "$BATS_TEST_TMPDIR/picky"
	expect_error 'could not park an event of source "s": the limit of 4 open dead letters'
	[ "$(letters)" = 2,4,6,8 ]
	[ "$(buf_psql "SELECT sum(events) FROM philotes.cdc_batches")" = 9 ]
	expect_code 69 buffer-batch --once --retries 0 --max-dead-letters 4 \
	    --on-failure dead-letter -- "$BATS_TEST_TMPDIR/picky"
	[ "$(letters)" = 2,4,6,8 ]
	expect_code 0 buffer-batch --once --retries 0 --max-dead-letters 10 \
	    --on-failure dead-letter -- "$BATS_TEST_TMPDIR/picky"
	[ "$(letters)" = 2,4,6,8,10,12,14,16,18,20 ]
}

@test "the last lines of the handler's stderr are kept, as valid text" {
	fill s 3
	cat >"$BATS_TEST_TMPDIR/noisy" <<-'END'
	#!/bin/sh
	grep -q '"n": 2}' || exit 0
	i=0
	while [ $i -lt 500 ]; do
		echo "line $i of the complaint" >&2
		i=$((i + 1))
	done
	printf 'a \000 and \377\n' >&2
	exit 1
	END
	chmod +x "$BATS_TEST_TMPDIR/noisy"
	expect_code 0 buffer-batch --once --retries 0 \
	    --on-failure dead-letter -- "$BATS_TEST_TMPDIR/noisy"
	[ "$(grep -c 'line 499 of the complaint' <<<"$stderr")" = 3 ]
	[ "$(grep -c '^line 0 of the complaint' <<<"$stderr")" = 3 ]
	buf_psql "SELECT stderr FROM philotes.cdc_dead_letters" \
	    >"$BATS_TEST_TMPDIR/kept"
	[ "$(tail -n 2 "$BATS_TEST_TMPDIR/kept" | head -n 1)" = "a ? and ?" ]
	(($(wc -c <"$BATS_TEST_TMPDIR/kept") > 1900))
	(($(wc -c <"$BATS_TEST_TMPDIR/kept") <= 2049))
	grep -qxE 'line [0-9]+ of the complaint' "$BATS_TEST_TMPDIR/kept"
	[[ $(head -n 1 "$BATS_TEST_TMPDIR/kept") =~ ^line\ [0-9]+\ of ]]
}

@test "--dead-letters prints the events as they were, even if the log is gone" {
	fill s 6
	fill t 2
	picky 2 4
	expect_code 0 buffer-batch --once --retries 0 \
	    --on-failure dead-letter -- "$BATS_TEST_TMPDIR/picky"
	expect_code 0 buffer-batch --once --consumer all
	grep -E '"n": [24]}' "$BATS_TEST_TMPDIR/stdout" >"$BATS_TEST_TMPDIR/wanted"
	[ "$(lines "$BATS_TEST_TMPDIR/wanted")" = 3 ]
	buf_psql "TRUNCATE philotes.cdc_log"
	# a letter that was not read is not closed
	expect_code 69 buffer-batch --dead-letters --retries 0 -- false
	expect_code 74 sh -c 'buffer-batch --dead-letters >/dev/full'
	[ "$(letters)" = 2,4,2 ]
	expect_code 0 buffer-batch --dead-letters
	cmp "$BATS_TEST_TMPDIR/stdout" "$BATS_TEST_TMPDIR/wanted"
	nothing letters
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_dead_letters
	    WHERE closed_at >= parked_at")" = 3 ]
	expect_code 0 buffer-batch --dead-letters
	[ -z "$output" ]
}

@test "--dead-letters with a command: letters that fail again stay open" {
	fill s 9
	picky 2 4 6
	expect_code 0 buffer-batch --once --retries 0 \
	    --on-failure dead-letter -- "$BATS_TEST_TMPDIR/picky"
	[ "$(letters)" = 2,4,6 ]
	picky 4
	expect_code 69 buffer-batch --dead-letters --retries 0 -- \
	    "$BATS_TEST_TMPDIR/picky"
	[ "$(letters)" = 2,4,6 ]
	buf_psql "UPDATE philotes.cdc_dead_letters SET attempts = 1"
	expect_code 0 buffer-batch --dead-letters --retries 0 \
	    --on-failure dead-letter -- "$BATS_TEST_TMPDIR/picky"
	[ "$(letters)" = 4 ]
	[ "$(buf_psql "SELECT attempts > 1 FROM philotes.cdc_dead_letters
	    WHERE id = 5")" = t ]
	picky
	expect_code 0 buffer-batch --dead-letters -- "$BATS_TEST_TMPDIR/picky"
	nothing letters
	is_done 1 3 5 7 8 9 2 6 4
	# the cursor did not move
	[ "$(buf_psql "SELECT sum(events) FROM philotes.cdc_batches")" = 9 ]
}

# shellcheck disable=SC2016 # for another shell
@test "--dead-letters with --ack: an ack closes a letter, of this consumer only" {
	fill s 4
	picky 2
	for consumer in default c; do
		expect_code 0 buffer-batch --once --retries 0 \
		    --consumer "$consumer" --on-failure dead-letter -- \
		    "$BATS_TEST_TMPDIR/picky"
	done
	[ "$(letters)" = 2,2 ]
	mkfifo "$BATS_TEST_TMPDIR/acks"
	child sh -c ': >"$0"' "$BATS_TEST_TMPDIR/acks"
	expect_code 75 buffer-batch --dead-letters --ack "$BATS_TEST_TMPDIR/acks"
	[ "$(letters)" = 2,2 ]
	child sh -c 'echo 3 >"$0"; exec sleep 60 >"$0"' "$BATS_TEST_TMPDIR/acks"
	expect_code 0 buffer-batch --dead-letters --ack "$BATS_TEST_TMPDIR/acks"
	[ "$(buf_psql "SELECT consumer FROM philotes.cdc_dead_letters
	    WHERE closed_at IS NULL")" = c ]
	expect_code 78 buffer-batch --dead-letters --consumer nobody
	expect_error 'could not find the consumer "nobody"'
}
