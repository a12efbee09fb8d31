#!/usr/bin/env bats
# Each rule of the snapshot has a moment at which it counts.  Each test goes
# through that moment twice: with the rule the copy is the source, without it
# the judge sees what went wrong.
#
# Rule 8, the blocks of a table are fixed when it begins, cannot be left out: a
# part is a range of blocks that the marker names, so a reader that goes on from
# it has no other.

load helper
load snapshot
load snapshot_gate

setup()
{
	use_ruled_reader
	# shellcheck disable=SC2034 # for snapshot.bash
	seed=1
	databases_up
	prepare
}

# needed RULE SCENARIO FAULT: without the rule the judge finds this
needed()
{
	local found
	"$2"
	judged
	kill_children
	databases_down
	databases_up
	prepare
	export WITHOUT_RULE=$1
	"$2"
	refute judged
	found=$(buf_psql "SELECT string_agg(what, E'\n') FROM fault")
	grep -qE "$3" <<<"$found"
}

begin_at()
{
	start_pipeline
	request_at "$1"
}

# block N: is a row in it?
block()
{
	echo "ctid >= '($1,0)' AND ctid < '($(($1 + 1)),0)'"
}

# A commit waits for the standby: the stream has it, and no database snapshot
# shows it.
standby_is_gone()
{
	begin_at '["t2","t1","p"]'
	child_psql "SET synchronous_commit = on" \
		"UPDATE t2 SET v = 9, ver = nextval('ver') WHERE $(block 1)"
	wait_for buf_psql "SELECT count(*) > 0 FROM philotes.cdc_log
	    WHERE operation = 'UPDATE'" t
	step
	step
	src_psql "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
	    WHERE datname = current_database() AND query LIKE 'UPDATE t2%'"
	finish
}

@test "a commit that is not visible yet is waited for (rule 1)" {
	needed 1 standby_is_gone "stale: t2"
}

# An ALTER TABLE that rewrites a partition commits when its only part is about to
# be read.
rewritten_at_the_start()
{
	src_psql "DELETE FROM p WHERE ctid >= '(1,0)'"
	src_psql "VACUUM p"
	begin_at '["p","t1","t2"]'
	when_reader_waits "ALTER TABLE p ALTER v TYPE int USING v + 0" \
		"SELECT"
	finish
}

@test "the lock is older than the database snapshot (rule 2)" {
	needed 2 rewritten_at_the_start "p at end: .*copy , source"
}

# VACUUM FULL moves rows of the second block to the first one.
rows_move_forward()
{
	src_psql "DELETE FROM t1 WHERE id % 2 = 0"
	begin_at '["t1","t2","p"]'
	src_psql "VACUUM FULL t1"
	finish
}

@test "a table that was rewritten is read anew (rule 3)" {
	needed 3 rows_move_forward "t1 at end: .*copy , source"
}

free_first_block()
{
	src_psql "DELETE FROM t1 WHERE $(block 0) $1"
	src_psql "VACUUM t1"
}

in_first_block()
{
	src_psql "SELECT count(*) FROM t1 WHERE $(block 0)"
}

# Rows go from the last blocks to the first one, which has been read, and the
# stream has not their values in TOAST.
rows_move_back()
{
	free_first_block
	begin_at '["t1","t2","p"]'
	src_psql "UPDATE t1 SET v = 5, ver = nextval('ver')
	    WHERE ctid >= '(8,0)'"
	(($(in_first_block) > 0))
	finish
}

@test "a row of which the stream has a part is read again (rule 4)" {
	needed 4 rows_move_back "t1 at end: .*copy {\"v\""
}

# The same between the last marker and the reading of its part.
rows_move_back_at_the_end()
{
	free_first_block "OR ctid >= '(2,0)'"
	begin_at '["t1","t2","p"]'
	when_reader_waits "LOCK t1" \
		"UPDATE t1 SET v = 5, ver = nextval('ver')"
	finish
	(($(in_first_block) > 0))
}

@test "a table has not ended with its last block (rule 5)" {
	needed 5 rows_move_back_at_the_end "t1 at end: .*copy {\"v\""
}

# A row leaves its key and another one takes it, before the last rows are read by
# their keys and behind the marker for that.
keys_change_places()
{
	src_psql "DELETE FROM t1 WHERE id > 3"
	src_psql "VACUUM t1"
	begin_at '["t1","t2","p"]'
	src_psql "UPDATE t1 SET v = 5, ver = nextval('ver') WHERE id = 1"
	when_reader_waits "LOCK t1" \
		"UPDATE t1 SET id = 100, ver = nextval('ver') WHERE id = 1;
		 UPDATE t1 SET id = 1, ver = nextval('ver') WHERE id = 2"
	finish
}

@test "rows whose keys changed meanwhile are read again at the end (rule 10)" {
	needed 10 keys_change_places "t1 at end: 100: copy"
}

# The reader ends when its only marker is acknowledged.
ended_behind_a_marker()
{
	begin_at '["t1","t2","p"]'
	stop_pipeline
	open_gate
	start_pipeline --until snapshot
	await_pipeline
	close_gate
	[ "$reader_code$writer_code" = 00 ]
}

@test "WAL is kept from a marker on (rule 6)" {
	needed 6 ended_behind_a_marker "no end: t1"
}

slot_is_free()
{
	src_psql "SELECT NOT active FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'"
}

# The rows of a part are lost in the pipe, and the marker behind is in the WAL.
killed_with_a_part_in_the_pipe()
{
	begin_at '["t1","t2","p"]'
	kill -STOP "$writer"
	step
	step
	kill -KILL "$reader" "$writer"
	await_pipeline
	wait_for slot_is_free "" t
	start_pipeline
	finish
}

@test "the first marker of the WAL is the state (rule 7)" {
	needed 7 killed_with_a_part_in_the_pipe "t1 at end: .*copy , source"
}

slot_is_behind()
{
	src_psql "SELECT confirmed_flush_lsn < '$1' FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'"
}

# paused_for_long: $behind is whether the slot keeps WAL from the pause on
paused_for_long()
{
	local i at
	begin_at '["t1","t2","p"]'
	command_paused
	open_gate
	at=$(src_psql "SELECT pg_current_wal_lsn()")
	for ((i = 2; i < 10; i++)); do
		src_psql "SELECT pg_switch_wal()" >/dev/null
		src_psql "INSERT INTO t2 VALUES ('new', $i, 0, 0, '')"
		wait_for count_events INSERT "$i"
		behind=$(slot_is_behind "$at")
		[[ $behind == t ]] || break
	done
	stop_pipeline
	close_gate
	[ "$reader_code$writer_code" = 00 ]
	behind=$(slot_is_behind "$at")
}

# returns when the reader has heard of it
command_paused()
{
	src_psql "SELECT pg_logical_emit_message(true, 'philotes.snapshot',
	    '{\"do\":\"pause\"}'); INSERT INTO t2 VALUES ('new', 1, 0, 0, '')" \
		>/dev/null
	wait_for count_events INSERT 1
}

@test "WAL is let go while nothing can be read (rule 9)" {
	paused_for_long
	[ "$behind" = f ]
	kill_children
	databases_down
	databases_up
	prepare
	export WITHOUT_RULE=9
	paused_for_long
	[ "$behind" = t ]
}
