#!/usr/bin/env bats
# A gap that heals: philotes repair, and PHILOTES_ON_GAP=snapshot.
# shellcheck source=SCRIPTDIR/helper.bash
load helper
# shellcheck source=SCRIPTDIR/supervisor.bash
load supervisor
# shellcheck source=SCRIPTDIR/copied.bash
load copied

setup()
{
	databases_up
	# shellcheck disable=SC2034 # for supervisor.bash
	out=$BATS_TEST_TMPDIR/out log=$BATS_TEST_TMPDIR/log
	export PHILOTES_SNAPSHOT=initial
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v int);
	    INSERT INTO t SELECT n, n FROM generate_series(1, 250) n"
	hasten
	philotes init
}

teardown()
{
	kill_children
	remove_locks
	databases_down
}

# lose_slot: drops it, whoever reads it
lose_slot()
{
	until src_psql "SELECT pg_terminate_backend(active_pid, 5000)
	    FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT' AND active;
	    SELECT pg_drop_replication_slot('$PHILOTES_SLOT')" >/dev/null 2>&1
	do
		sleep 0.05
	done
}

# gap: changes that no slot has seen.  A transaction keeps a new one from being
# made until it has ended.
gap()
{
	mkfifo "$BATS_TEST_TMPDIR/session"
	exec 21<>"$BATS_TEST_TMPDIR/session"
	child psql_on "$PHILOTES_SOURCE_URL" <"$BATS_TEST_TMPDIR/session" 21>&-
	echo "BEGIN; SELECT txid_current(); DELETE FROM t WHERE id % 3 = 0;
	    UPDATE t SET v = -v WHERE id % 3 = 1;" >&21
	wait_for src_psql "SELECT count(*) > 0 FROM pg_locks
	    WHERE relation = 't'::regclass AND mode = 'RowExclusiveLock'
	      AND pid IN (SELECT pid FROM pg_stat_activity
	          WHERE state = 'idle in transaction')" t
	lose_slot
	echo "COMMIT;" >&21
	exec 21>&-
	rm "$BATS_TEST_TMPDIR/session"
}

gaps()
{
	buf_psql "SELECT count(*) FROM philotes.cdc_writes WHERE kind = 'gap'"
}

@test "PHILOTES_ON_GAP=snapshot: a slot lost under load, equal after done" {
	export PHILOTES_ON_GAP=snapshot
	start_philotes
	wait_for marks 'done' 1
	start_load
	gap
	wait_for marks 'done' 2
	stop_load
	src_psql "INSERT INTO t VALUES (1000, 1)"
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_log
	    WHERE after_data ->> 'id' = '1000'" 1
	stop_philotes
	copied
	# rows that were deleted in the gap
	((swept > 0))
	[ "$(gaps)" = 1 ]
	[ "$(logged 'warning: there is a gap')" = 1 ]
	# it lies before the snapshot
	[ "$(buf_psql "SELECT max(id) FROM philotes.cdc_log WHERE id <= (SELECT
	    max(last_id) FROM philotes.cdc_writes WHERE write_no < (SELECT
	    write_no FROM philotes.cdc_writes WHERE kind = 'gap'))")" -lt \
	    "$(buf_psql "SELECT max(id) FROM philotes.cdc_log
	    WHERE after_data ->> 'state' = 'begin'")" ]
}

@test "without it 69; philotes repair by hand, once" {
	start_philotes
	wait_for marks 'done' 1
	expect_code 75 philotes repair --yes
	expect_error 'held by process'
	gap
	await_philotes 69
	# nobody to ask
	expect_code 64 philotes repair </dev/null
	[[ $stderr == *'Give "--yes"'* ]]
	[ "$(gaps)" = 0 ]
	expect_code 0 philotes repair --yes
	[[ $output == *'created slot'*'asked for'* ]]
	[ "$(gaps)" = 1 ]
	expect_code 0 philotes repair --yes
	[[ $stderr == *'nothing to repair'* ]]
	start_philotes
	wait_for marks 'done' 2
	stop_philotes
	copied
	((swept > 0))
	[ "$(gaps)" = 1 ]
}

@test "repair needs a buffer, and what is no gap is not repaired" {
	local -x PHILOTES_STREAM_HANDLER=cat
	PHILOTES_BUFFER_ENABLED=false expect_code 78 philotes repair --yes
	PHILOTES_BUFFER_ENABLED=false PHILOTES_ON_GAP=snapshot \
		expect_code 78 philotes run
	expect_error 'PHILOTES_ON_GAP=snapshot'
	expect_code 64 philotes run --yes
	# the publication is gone: 78, and the slot stays
	src_psql "DROP PUBLICATION philotes_pub"
	expect_code 78 philotes repair --yes
	[ "$(src_psql "SELECT count(*) FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'")" = 1 ]
}

# Tools that kill the repair before or after they run as the Nth one.
killers()
{
	local tool
	mkdir "$BATS_TEST_TMPDIR/bin"
	for tool in "$PHILOTES_BIN"/*; do
		[[ -f $tool ]] || continue
		cat >"$BATS_TEST_TMPDIR/bin/${tool##*/}" <<-EOF
		#!/bin/sh
		cd "$BATS_TEST_TMPDIR" || exit
		n=\$(flock lock sh -c "echo >>calls; wc -l <calls")
		[ "\$n" -ne "\$KILL_BEFORE" ] || { kill -KILL "\$(cat pid)"; exit 1; }
		[ "\$n" -eq "\$KILL_AFTER" ] || exec "$tool" "\$@"
		"$tool" "\$@"
		status=\$?
		kill -KILL "\$(cat pid)"
		exit "\$status"
		EOF
		chmod +x "$BATS_TEST_TMPDIR/bin/${tool##*/}"
	done
}

# repair_killed BEFORE AFTER: true if it was killed
repair_killed()
{
	local status=0
	: >"$BATS_TEST_TMPDIR/calls"
	(
		echo "$BASHPID" >"$BATS_TEST_TMPDIR/pid"
		KILL_BEFORE=$1 KILL_AFTER=$2 PHILOTES_BIN=$BATS_TEST_TMPDIR/bin \
			exec philotes repair --yes 3>&- >/dev/null 2>&1
	) || status=$?
	((status == 137))
}

# repaired: runs it to its end, once the tools that a killed one has left ended
repaired()
{
	local code=75
	while ((code == 75)); do
		code=0
		philotes repair --yes 2>"$BATS_TEST_TMPDIR/said" || code=$?
	done
	((code == 0)) || cat "$BATS_TEST_TMPDIR/said"
	return "$code"
}

@test "a repair that is killed anywhere goes on when it is run again" {
	local n
	start_philotes
	wait_for marks 'done' 1
	stop_philotes
	killers
	for n in 1 2 3 4 5; do
		lose_slot
		repair_killed "$n" 0
		repaired
		lose_slot
		repair_killed 0 "$n"
		repaired
		pg-cdc-read --start-line | buffer-write --check
		pg-cdc-read -v --no-snapshot --until now 2>&1 |
			grep 'a snapshot was asked for'
	done
	lose_slot
	# that was all
	refute repair_killed 6 0
	start_philotes
	wait_for marks 'done' 2
	stop_philotes
	copied
}
