#!/usr/bin/env bats
# Handlers and their children end with buffer-batch, also when it is killed, and
# before another process gets their batch.

load helper
load buffer

# handler SECONDS COMMAND: a handler that holds a lock, and so does its child,
# which lives for SECONDS.  If the lock is taken, two handlers overlap.
handler()
{
	cat >"$BATS_TEST_TMPDIR/handler" <<-END
	#!/bin/bash
	cd "$BATS_TEST_TMPDIR"
	exec 9>>lock
	flock -n 9 || echo overlap >>overlaps
	trap "" TERM
	sleep $1 </dev/null >/dev/null 2>&1 &
	echo "\$BASHPID \$!" >>begun
	cat >/dev/null
	$2
	END
	chmod +x "$BATS_TEST_TMPDIR/handler"
	touch "$BATS_TEST_TMPDIR/begun"
}

batch()
{
	child buffer-batch --flush-interval 10ms "$@" -- \
	    "$BATS_TEST_TMPDIR/handler" 2>>"$BATS_TEST_TMPDIR/log"
	batch=$!
}

# The guard of $batch's handlers.
guard()
{
	local pid children
	read -ra children <"/proc/$batch/task/$batch/children"
	for pid in "${children[@]}"; do
		! grep -qs '^Name:.handler-guard' "/proc/$pid/status" ||
			echo "$pid"
	done
}

@test "kill -9 of buffer-batch: its handler and the handler's children end" {
	handler 100 "wait"
	fill s 1
	batch
	wait_for begun "" 1
	[ "$(running)" = 2 ]
	kill -KILL "$batch"
	wait_for running "" 0
}

@test "... also if its whole process group is killed, or its session ends" {
	handler 100 "wait"
	fill s 1
	child setsid buffer-batch --flush-interval 10ms -- \
	    "$BATS_TEST_TMPDIR/handler"
	batch=$!
	wait_for begun "" 1
	kill -KILL -- "-$batch"
	wait_for running "" 0
}

@test "a handler begins only when the one before and its children are gone" {
	local n
	handler 100 "wait"
	fill s 1
	for n in {1..12}; do
		batch
		wait_for begun "" "$n"
		sleep "0.0$((RANDOM % 5))"
		kill -KILL "$batch"
	done
	wait_for running "" 0
	[ ! -e "$BATS_TEST_TMPDIR/overlaps" ]
}

@test "kill -9 of buffer-batch at any moment: no two handlers run at once" {
	local n before
	# one that kills its child and succeeds at once
	handler 100 'kill -KILL $!; wait; exit 0'
	fill s 2000
	for n in {1..15}; do
		before=$(begun)
		batch --batch-size 1
		wait_for more_than "$before" yes
		sleep "0.0$((RANDOM % 10))"
		kill -KILL "$batch"
	done
	[ ! -e "$BATS_TEST_TMPDIR/overlaps" ]
}

# shellcheck disable=SC2329 # by wait_for
more_than()
{
	(($(begun) <= $1)) || echo yes
}

@test "a handler that fails leaves no child beside the next retry" {
	handler 100 "exit 1"
	fill s 1
	expect_code 69 buffer-batch --once --retries 3 -- \
	    "$BATS_TEST_TMPDIR/handler"
	[ "$(begun)" = 4 ]
	wait_for running "" 0
	[ ! -e "$BATS_TEST_TMPDIR/overlaps" ]
}

@test "the background children of a handler that succeeds go on" {
	handler 100 "exit 0"
	fill s 1
	expect_code 0 buffer-batch --once -- "$BATS_TEST_TMPDIR/handler"
	[ "$(running)" = 1 ]
	kill -KILL "$(cut -d' ' -f2 "$BATS_TEST_TMPDIR/begun")"
}

@test "the guard holds nothing but its pipe and the session with the locks" {
	handler 100 "wait"
	fill s 1
	batch
	wait_for begun "" 1
	local guard
	guard=$(guard)
	local fds=(/proc/"$guard"/fd/*)
	[ "${#fds[@]}" = 2 ]
	[[ $(readlink "${fds[0]}") == pipe:* ]]
	[[ $(readlink "${fds[1]}") == socket:* ]]
	# without its guard the handler itself still ends with buffer-batch, and
	# no other batch is begun
	kill -KILL "$guard"
	kill -KILL "$batch"
	wait_for running "" 1
	kill -KILL "$(cut -d' ' -f2 "$BATS_TEST_TMPDIR/begun")"
}

@test "no handler is started when the guard is gone: 71" {
	handler 0 "exit 75"
	fill s 1
	batch
	wait_for begun "" 1
	local guard status=0
	guard=$(guard)
	kill -KILL "$guard"
	wait "$batch" || status=$?
	[ "$status" = 71 ]
	grep -q "error: could not reach the handler's guard" \
		"$BATS_TEST_TMPDIR/log"
}

@test "a script that ends with an error can still use the servers" {
	# shellcheck disable=SC2016 # for the other shell
	expect_code 7 bash -c '. "$1/scripts/cluster.sh"
	    ended() { psql_on "$PHILOTES_SOURCE_URL" -At -c "SELECT 41 + 1"; }
	    at_exit ended
	    exit 7' bash "$root"
	[ "$output" = 42 ]
}
