#!/usr/bin/env bats
# buffer-batch --serve: a handler that lives longer than a batch.

load helper
load buffer
load supervisor

# worker CODE: a served handler.  At each checkpoint it runs CODE, which may
# use $batch, the events before it, $ack and $n, the number of the checkpoint in
# this process; then it appends the batch to "done" and acknowledges it.  It
# writes its pid to "begun".
worker()
{
	cat >"$BATS_TEST_TMPDIR/worker" <<-END
	#!/bin/bash
	cd "$BATS_TEST_TMPDIR"
	echo \$\$ >>begun
	batch='' n=0
	while IFS= read -r line; do
		case \$line in
		'{"control":"checkpoint"'*)
			ack=\${line#*'"ack":"'} ack=\${ack%%'"'*} n=\$((n + 1))
			${1-:}
			printf %s "\$batch" >>done
			batch=''
			printf '%s\n' "\$ack"
			;;
		'{"control":'*) ;;
		*) batch+=\$line\$'\n' ;;
		esac
	done
	END
	chmod +x "$BATS_TEST_TMPDIR/worker"
	touch "$BATS_TEST_TMPDIR/begun"
}

serve()
{
	buffer-batch --serve "$@" -- "$BATS_TEST_TMPDIR/worker"
}

# From now on a table has each state of each row of cdc_retries.
watch_retries()
{
	psql_on "$PHILOTES_BUFFER_URL" <<-'EOF'
	CREATE TABLE public.tries (no serial, first_id bigint, last_id bigint,
	    attempts int, status text);
	CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.tries (first_id, last_id, attempts, status)
		VALUES (new.first_id, new.last_id, new.attempts, new.status);
		RETURN NULL;
	END $$;
	CREATE TRIGGER note AFTER INSERT OR UPDATE ON philotes.cdc_retries
	FOR EACH ROW EXECUTE FUNCTION public.note();
	EOF
}

tries()
{
	buf_psql "SELECT first_id, last_id, attempts, status FROM public.tries
	    ORDER BY no"
}

# shellcheck disable=SC2016 # for another shell
@test "one process gets all batches, the lines of --ack; its acks mark them" {
	fill 'the source' 2500
	worker 'env >env; ls /proc/self/fd >fds
		printf "%s%s\n" "$batch" "$line" >>seen'
	PHILOTES_BATCH_EVENTS=7 PGAPPNAME=x PHILOTES_HANDLER=y \
	    expect_code 0 serve --once
	[ -z "$output" ]
	[ "$(processed)" = "2500|3" ]
	[ "$(begun)" = 1 ]
	[ "$(running)" = 0 ]
	[ "$(jq .after_data.n "$BATS_TEST_TMPDIR/done" | md5sum)" = \
	    "$(seq 2500 | md5sum)" ]
	grep -x 'PHILOTES_HANDLER=serve' "$BATS_TEST_TMPDIR/env"
	refute grep -E '^(PG|PHILOTES_.*_URL|PHILOTES_BATCH_)' \
	    "$BATS_TEST_TMPDIR/env"
	# no other descriptors than with --ack, for the same program
	cp "$BATS_TEST_TMPDIR/fds" "$BATS_TEST_TMPDIR/fds.served"
	cp "$BATS_TEST_TMPDIR/seen" "$BATS_TEST_TMPDIR/served"
	rm "$BATS_TEST_TMPDIR/seen"
	cd "$BATS_TEST_TMPDIR"
	mkfifo acks
	timeout 60 bash -c 'set -o pipefail
	    buffer-batch --once --consumer c --ack acks | ./worker >acks' 3>&-
	cmp seen served
	diff fds fds.served
	[ "$(processed c)" = "2500|3" ]
}

# shellcheck disable=SC2016 # for another shell
@test "killed at each batch, twice: each failure counts for that batch alone" {
	fill s 50
	watch_retries
	worker '[ "$(grep -cx "$ack" tried)" -ge 2 ] || {
		echo "$ack" >>tried; kill -KILL $$; }'
	touch "$BATS_TEST_TMPDIR/tried"
	expect_code 0 serve --once --batch-size 10
	[ "$(processed)" = "50|5" ]
	# shellcheck disable=SC2046 # splits into numbers
	is_done $(seq 50)
	diff <(for first in 2 12 22 32 42; do
		for attempt in 1 2; do
			echo "$first|$((first + 9))|$attempt|signal 9"
		done
	done) <(tries)
	[ "$(rows cdc_retries)" = 0 ]
	[ "$(begun)" = 11 ]
	[ "$(running)" = 0 ]
}

# shellcheck disable=SC2016 # for another shell
@test "killed at random: every event comes, in order" {
	local seed=${SEED:-$RANDOM}
	echo "# seed $seed (SEED=$seed repeats it)"
	for _ in 1 2 3; do
		fill s 100
		fill t 30
	done
	worker 'RANDOM=$(($(wc -l <begun) * 31 + n + '"$seed"'))
		((RANDOM % 6)) || kill -KILL $$
		((RANDOM % 6)) || { printf "%s\n" "$ack"; kill -KILL $$; }'
	expect_code 0 serve --once --batch-size 7 --retries 1000
	[ "$(buf_psql "SELECT source_id, sum(events) FROM philotes.cdc_batches
	    GROUP BY 1 ORDER BY 1")" = "s|300
t|90" ]
	# what was acknowledged last may be missing in "done"
	(($(begun) > 5))
	[ "$(running)" = 0 ]
}

# shellcheck disable=SC2016 # for another shell
@test "exactly the failing events are parked, in whatever batch and company" {
	fill s 1000
	worker 'for p in 1 500 501 1000; do
		[[ $batch != *"\"n\": $p}"* ]] || {
			echo "cannot take $p" >&2
			exit 3
		}
	done'
	expect_code 0 serve --once --batch-size 100 --retries 1 \
	    --on-failure dead-letter
	# at the end of a batch, an earlier event is tried to show that the
	# handler works
	# shellcheck disable=SC2046 # splits into numbers
	is_done $(seq 2 499) 499 $(seq 502 999) 999
	[ "$(letters)" = 1,500,501,1000 ]
	[ "$(buf_psql "SELECT status, stderr, attempts BETWEEN 3 AND 12
	    FROM philotes.cdc_dead_letters WHERE id = 501")" = \
	    "exit 3|cannot take 500
|t" ]
	[[ $stderr == *"cannot take 500"* ]]
	[ "$(buf_psql "SELECT sum(events) FROM philotes.cdc_batches")" = 1000 ]
	[ "$(rows cdc_retries)" = 0 ]
	# the letters, by the same handler
	worker '[[ $batch != *"\"n\": 501}"* ]] || exit 3'
	expect_code 0 serve --dead-letters --retries 0 --batch-size 1 \
	    --on-failure dead-letter
	[ "$(letters)" = 501 ]
	# and a replay, which marks nothing
	rm "$BATS_TEST_TMPDIR/done"
	expect_code 69 serve --from '#400' --to '#600' --batch-size 10 \
	    --retries 1
	expect_error 'the batch 500 to 509 .* failed 2 times'
	# shellcheck disable=SC2046 # splits into numbers
	is_done $(seq 399 498)
}

# shellcheck disable=SC2016 # for another shell
@test "--window: at most so many batches wait, of one source, with --ack too" {
	fill s 10
	fill t 1
	cd "$BATS_TEST_TMPDIR"
	mkfifo acks
	exec 8<>acks
	child buffer-batch --once --serve --batch-size 1 --window 3 -- \
	    sh -c 'exec 5<&0; cat <&5 >out & exec cat acks' 8>&-
	wait_for checkpoints "" 3
	echo 3 >&8
	wait_for checkpoints "" 5
	[ "$(processed)" = "2|2" ]
	echo 6 >&8
	wait_for checkpoints "" 8
	echo 9 >&8
	wait_for checkpoints "" 10
	refute grep '"source_id":"t"' out
	echo 11 >&8
	wait_for checkpoints "" 11
	tail -n 1 out | jq -r .ack >&8
	wait_for processed default "11|11"
	exec 8>&-
	wait "${children[-1]}"
	# the default is 4
	exec 8<>acks
	child buffer-batch --once --serve --consumer d --batch-size 1 -- \
	    sh -c 'exec 5<&0; cat <&5 >out & exec cat acks' 8>&-
	wait_for checkpoints "" 4
	kill -KILL "${children[-1]}"
	child buffer-batch --once --ack acks --consumer a --batch-size 1 \
	    --window 2 8>&- >out
	wait_for checkpoints "" 2
	echo 2 >&8
	wait_for checkpoints "" 3
	[ "$(processed a)" = "1|1" ]
	exec 8>&-
	kill_children
}

checkpoints()
{
	grep -c '"control":"checkpoint"' "$BATS_TEST_TMPDIR/out"
}

# shellcheck disable=SC2016 # for another shell
@test "--timeout without an ack is a failure of the oldest batch" {
	fill s 40
	watch_retries
	worker '[[ $batch != *"\"n\": 25}"* ]] || {
		sleep 100 & echo $! >>begun; wait; }'
	expect_code 69 serve --once --batch-size 10 --retries 1 --timeout 300ms
	expect_error 'batch 22 to 31 .* failed 2 times'
	[[ $stderr == *"has acknowledged nothing in time and is killed"* ]]
	[ "$(processed)" = "20|2" ]
	[ "$(running)" = 0 ]
	[ "$(tries)" = "22|31|1|timeout
22|31|2|timeout" ]
}

# shellcheck disable=SC2016 # for another shell
@test "a stalled handler that reads nothing, or closes its stdout" {
	fill s 3000 "jsonb_build_object('x', repeat('x', 1000))"
	# more than a pipe holds
	expect_code 69 buffer-batch --serve --once --retries 0 \
	    --timeout 300ms -- sleep 100
	SECONDS=0
	expect_code 69 buffer-batch --serve --once --retries 0 -- \
	    sh -c 'exec >&-; exec sleep 100'
	((SECONDS < 9))
	[ "$(buf_psql "SELECT status FROM philotes.cdc_retries")" = \
	    "closed stdout" ]
	expect_code 69 buffer-batch --serve --once --retries 1 -- true
	[ "$(buf_psql "SELECT status, attempts FROM philotes.cdc_retries")" = \
	    "exit 0, not acknowledged|4" ]
	[ "$(processed)" = "0|0" ]
}

# shellcheck disable=SC2016 # for another shell
@test "an ack of what was not sent is 76; the handler is gone" {
	fill s 10
	for ack in 999 x '{"id":5}'; do
		worker 'echo "'"${ack//\"/\\\"}"'"; exec sleep 100'
		expect_code 76 serve --once
		expect_error 'could not use the ack ".*" from "the handler"'
		[ "$(running)" = 0 ]
	done
	[ "$(processed)" = "0|0" ]
	[ "$(buf_psql "SELECT status, attempts FROM philotes.cdc_retries")" = \
	    "wrong ack|3" ]
	# a repeated ack, and one of an earlier process
	worker 'echo 2; echo 2; ((n < 3)) || exit 1'
	expect_code 0 serve --once --batch-size 1 --retries 2
	[ "$(processed)" = "10|10" ]
}

# shellcheck disable=SC2016 # for another shell
@test "75 is retried for ever, 126 and 127 are 78; one process a batch is fine" {
	fill s 3
	worker '[ "$(wc -l <begun)" -gt 3 ] || exit 75'
	expect_code 0 serve --once --retries 0
	[ "$(begun)" = 4 ]
	[ "$(processed)" = "3|1" ]
	fill s 3
	expect_code 78 buffer-batch --serve --once -- /nonexistent
	expect_code 78 buffer-batch --serve --once -- sh -c 'exit 126'
	# what a failed one leaves behind is killed
	worker 'sleep 100 </dev/null >/dev/null 2>&1 &
		echo $! >>begun; exit 1'
	expect_code 69 serve --once --retries 1
	[ "$(running)" = 0 ]
	# it ends after each batch
	worker 'printf "%s\n" "$ack"; exit'
	expect_code 0 serve --once --batch-size 1
	[ "$(processed)" = "6|4" ]
}

# shellcheck disable=SC2016 # for another shell
@test "acks at the end of the input only; a handler that does not end then" {
	fill s 20
	fill t 1
	# it may take longer than 10 s, and gets a new process then
	child buffer-batch --serve --once --consumer late --batch-size 10 \
	    --window 1 --source-id s -- sh -c 'cat >"$0"
		sed -n "s/.*\"ack\":\"\([0-9]*\)\".*/\1/p" "$0"' \
	    "$BATS_TEST_TMPDIR/late"
	late=$!
	SECONDS=0
	expect_code 0 buffer-batch --serve --once -- sh -c 'echo $$ >"$0"
	    sed -un "s/.*\"ack\":\"\([0-9]*\)\".*/\1/p"; trap "" TERM
	    while :; do sleep 1; done' "$BATS_TEST_TMPDIR/begun"
	((SECONDS >= 9))
	[[ $stderr == *"did not end in time and is killed"* ]]
	[ "$(processed)" = "21|2" ]
	[ "$(running)" = 0 ]
	wait "$late"
	[ "$(processed late)" = "20|2" ]
}

# shellcheck disable=SC2016 # for another shell
@test "SIGTERM: the input ends, and the last acks still count" {
	fill s 10
	child buffer-batch --serve --flush-interval 10ms --batch-size 5 -- \
	    sh -c 'cat >"$0"
		sed -n "s/.*\"ack\":\"\([0-9]*\)\".*/\1/p" "$0"' \
	    "$BATS_TEST_TMPDIR/out"
	wait_for checkpoints "" 2
	kill -TERM "${children[-1]}"
	wait "${children[-1]}"
	[ "$(processed)" = "10|2" ]
	# without them the batches come again; no failure is recorded
	fill s 10
	rm "$BATS_TEST_TMPDIR/out"
	child buffer-batch --serve --flush-interval 10ms --batch-size 5 -- \
	    sh -c 'cat >"$0"' "$BATS_TEST_TMPDIR/out"
	wait_for checkpoints "" 2
	kill -TERM "${children[-1]}"
	wait "${children[-1]}"
	[ "$(processed)" = "10|2" ]
	[ "$(rows cdc_retries)" = 0 ]
}

# shellcheck disable=SC2016 # for another shell
@test "an ack counts even if its sender has failed since" {
	fill s 3
	worker ': >got; until [ -e go ]; do sleep 0.05; done
		printf "%s\n" "$ack"; exit 1'
	child buffer-batch --serve --once -- "$BATS_TEST_TMPDIR/worker"
	wait_for ls "$BATS_TEST_TMPDIR/got" "$BATS_TEST_TMPDIR/got"
	kill -STOP "${children[-1]}"
	: >"$BATS_TEST_TMPDIR/go"
	wait_for running "" 0
	kill -CONT "${children[-1]}"
	wait "${children[-1]}"
	[ "$(processed)" = "3|1" ]
	[ "$(begun)" = 1 ]
}

# shellcheck disable=SC2016 # for another shell
@test "kill -9 of buffer-batch: the handler and its children end" {
	worker 'trap "" TERM; sleep 100 </dev/null >/dev/null 2>&1 &
		echo $! >>begun; wait'
	fill s 1
	child buffer-batch --serve --flush-interval 10ms -- \
	    "$BATS_TEST_TMPDIR/worker"
	wait_for begun "" 2
	kill -KILL "${children[-1]}"
	wait_for running "" 0
	# also between batches
	worker
	child buffer-batch --serve --flush-interval 10ms -- \
	    "$BATS_TEST_TMPDIR/worker"
	wait_for processed default "1|1"
	[ "$(running)" = 1 ]
	kill -KILL "${children[-1]}"
	wait_for running "" 0
	# one that ends between batches is started again with the next one
	child buffer-batch --serve --flush-interval 10ms -- \
	    "$BATS_TEST_TMPDIR/worker"
	fill s 1
	wait_for processed default "2|2"
	kill -KILL "$(tail -n 1 "$BATS_TEST_TMPDIR/begun")"
	wait_for running "" 0
	fill s 1
	wait_for processed default "3|3"
	[ "$(rows cdc_retries)" = 0 ]
}

# shellcheck disable=SC2016 # for another shell
@test "sources take turns; two processes share them" {
	for _ in 1 2 3; do
		fill a 20
		fill b 20
	done
	# each process appends what it gets and acknowledges
	worker 'printf "%s%s\n" "$batch" "$line" >>"seen.$$"'
	child buffer-batch --serve --once --batch-size 5 -- \
	    "$BATS_TEST_TMPDIR/worker"
	first=$!
	expect_code 0 serve --once --batch-size 5
	wait "$first"
	[ "$(processed)" = "120|24" ]
	[ "$(jq .id "$BATS_TEST_TMPDIR/done" | sort -n | uniq -d | wc -l)" = 0 ]
	for file in "$BATS_TEST_TMPDIR"/seen.*; do
		# each batch has one source
		jq -s -e '[.[] | .source_id // "|"] | join("") |
		    test("^(a*\\||b*\\|)*$")' "$file"
	done
}

@test "the same program behind pg-cdc-read --ack, as stream handler and served" {
	# shellcheck disable=SC2034 # of supervisor.bash
	log=$BATS_TEST_TMPDIR/log out=$BATS_TEST_TMPDIR/out
	worker
	src_psql "CREATE TABLE t (id int PRIMARY KEY, n int)"
	PHILOTES_BUFFER_FLUSH_INTERVAL=50ms
	export PHILOTES_BUFFER_FLUSH_INTERVAL
	philotes init
	src_psql "INSERT INTO t SELECT i, i FROM generate_series(1, 20) i" \
	    >/dev/null
	cd "$BATS_TEST_TMPDIR"
	mkfifo acks
	timeout 60 bash -c 'set -o pipefail
	    pg-cdc-read --until now --ack acks | ./worker >acks' 3>&-
	# shellcheck disable=SC2046 # splits into numbers
	is_done $(seq 20)
	src_psql "INSERT INTO t VALUES (21, 21)" >/dev/null
	PHILOTES_BUFFER_ENABLED=false PHILOTES_STREAM_HANDLER=./worker \
	    start_philotes
	wait_for done_lines "" 21
	stop_philotes
	PHILOTES_HANDLER=./worker PHILOTES_HANDLER_MODE=serve \
	    PHILOTES_WINDOW=2 start_philotes
	src_psql "INSERT INTO t SELECT i, i FROM generate_series(22, 40) i" \
	    >/dev/null
	wait_for done_lines "" 40
	src_psql "INSERT INTO t VALUES (41, 41)" >/dev/null
	wait_for done_lines "" 41
	# shellcheck disable=SC2046 # splits into numbers
	is_done $(seq 41)
	[ "$(begun)" = 3 ]
	stop_philotes
	[ "$(running)" = 0 ]
	[ "$(buf_psql "SELECT sum(events) FROM philotes.cdc_batches")" = 20 ]
}

done_lines()
{
	lines "$BATS_TEST_TMPDIR/done"
}

@test "wrong options and settings" {
	expect_code 64 buffer-batch --serve
	expect_error '--serve without a command'
	expect_code 64 buffer-batch --window 2
	expect_error '--window without --ack or --serve'
	expect_code 64 buffer-batch --window 4097 --serve -- cat
	expect_code 64 buffer-batch --window 0 --serve -- cat
	expect_code 64 buffer-batch --serve --ack x -- cat
	PHILOTES_WINDOW=4097 expect_code 78 buffer-batch --once
	PHILOTES_WINDOW=x expect_code 78 buffer-batch --once
	PHILOTES_WINDOW=2 expect_code 0 buffer-batch --once
	PHILOTES_HANDLER_MODE=both expect_code 78 philotes run
	expect_error 'PHILOTES_HANDLER_MODE=both": not one of batch serve'
	PHILOTES_HANDLER_MODE=serve expect_code 78 philotes run
	expect_error 'PHILOTES_HANDLER is not set'
}
