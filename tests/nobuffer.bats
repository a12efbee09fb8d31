#!/usr/bin/env bats
# scripts/philotes: run without a buffer.
# shellcheck source=SCRIPTDIR/helper.bash
load helper
# shellcheck source=SCRIPTDIR/supervisor.bash
load supervisor

setup()
{
	databases_up
	# shellcheck disable=SC2034 # of supervisor.bash
	out=$BATS_TEST_TMPDIR/out log=$BATS_TEST_TMPDIR/log
	export PHILOTES_BUFFER_FLUSH_INTERVAL=100ms
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
}

teardown()
{
	kill_children
	databases_down
}

@test "without a buffer the stream goes to a handler that acks" {
	local before
	philotes init
	before=$(src_psql "SELECT confirmed_flush_lsn FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'")
	export PHILOTES_BUFFER_ENABLED=false SEEN=$BATS_TEST_TMPDIR/seen
	# shellcheck disable=SC2016 # expanded by the handler's shell
	export PHILOTES_STREAM_HANDLER='env >"$SEEN.env"; tee "$SEEN" |
	    jq -r --unbuffered "select(.control==\"checkpoint\").ack"'
	PGAPPNAME=x PGSERVICEFILE=/nonexistent PGPASSFILE=/nonexistent \
		start_philotes
	changes 1 50
	wait_for src_psql "SELECT confirmed_flush_lsn > '$before'
	    FROM pg_replication_slots WHERE slot_name = '$PHILOTES_SLOT'" t
	wait_for grep_inserts "$SEEN" 50
	[[ -n $(stage_now pg-cdc-read) ]]
	[[ -z $(stage_now buffer-batch)$(stage_now buffer-gc) ]]
	stop_philotes
	refute grep -E '^(PHILOTES_.*_URL|PG)' "$SEEN.env"
}

@test "a stream handler decides by its acks and its exit status" {
	confirmed() { src_psql "SELECT confirmed_flush_lsn
	    FROM pg_replication_slots WHERE slot_name = '$PHILOTES_SLOT'"; }
	local before
	philotes init
	export PHILOTES_BUFFER_ENABLED=false SEEN=$BATS_TEST_TMPDIR/seen
	# without acks nothing is confirmed
	before=$(confirmed)
	# shellcheck disable=SC2016 # expanded by the handler's shell
	PHILOTES_STREAM_HANDLER='cat >"$SEEN"' start_philotes
	changes 1 5
	wait_for grep_inserts "$SEEN" 5
	kill -TERM "$supervisor"
	wait "$supervisor" || :
	[[ $(confirmed) == "$before" ]]
	# after 75 it is restarted, and gets the same events again
	rm "$SEEN"
	# shellcheck disable=SC2016
	PHILOTES_STREAM_HANDLER='cat >>"$SEEN" & sleep 0.5; exit 75' \
		start_philotes
	wait_for logged "restarting the pair unit in 2 s" 1
	stop_philotes
	[[ $(confirmed) == "$before" ]]
	# other codes end the run
	PHILOTES_STREAM_HANDLER='head -n 1 >/dev/null; exit 65' \
		child exec_philotes
	supervisor=$!
	await_philotes 65
	PHILOTES_STREAM_HANDLER='head -n 1 >/dev/null; exit 3' \
		child exec_philotes
	supervisor=$!
	await_philotes 69
	PHILOTES_STREAM_HANDLER=no-such-command child exec_philotes
	supervisor=$!
	await_philotes 78
	# an ack of a position that was not sent
	PHILOTES_STREAM_HANDLER='echo FFFFFFF/0; cat >/dev/null' \
		child exec_philotes
	supervisor=$!
	await_philotes 76
	[[ $(confirmed) == "$before" ]]
}

grep_inserts()
{
	grep -c '"operation":"INSERT"' "$1" || :
}

# stubborn COMMAND: a stream handler with a child that ignores SIGTERM; both
# write their pids to $LEFT.
stubborn()
{
	export PHILOTES_BUFFER_ENABLED=false LEFT=$BATS_TEST_TMPDIR/left
	# shellcheck disable=SC2016 # expanded by the handler's shell
	export PHILOTES_STREAM_HANDLER='(trap "" TERM; exec sleep 100) &
		echo $$ $! >>"$LEFT"; '"$1"
	touch "$LEFT"
}

left()
{
	local pid n=0
	for pid in $(<"$LEFT"); do
		! grep -qs '^State:.[^Z]' "/proc/$pid/status" || n=$((n + 1))
	done
	echo "$n"
}

@test "a stream handler's children are killed before the next one starts" {
	philotes init
	stubborn 'exit 75'
	start_philotes
	wait_for logged "restarting the pair unit" 2
	stop_philotes
	(($(wc -l <"$LEFT") >= 2))
	[ "$(left)" = 0 ]
}

@test "kill -9 of philotes run: a stream handler and its children are killed" {
	philotes init
	stubborn 'trap "" TERM; cat >/dev/null; wait'
	start_philotes
	wait_for left "" 2
	kill -KILL "$supervisor"
	wait "$supervisor" || :
	remove_locks
	wait_for left "" 0
}

@test "... also when its units are killed with it" {
	local pid pids=()
	philotes init
	stubborn 'trap "" TERM; cat >/dev/null; wait'
	start_philotes
	wait_for left "" 2
	for pid in $(descendants "$supervisor"); do
		! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q "/philotes run" ||
			pids+=("$pid")
	done
	((${#pids[@]} >= 3))
	kill -KILL "$supervisor" "${pids[@]}"
	wait "$supervisor" || :
	remove_locks
	wait_for left "" 0
}
