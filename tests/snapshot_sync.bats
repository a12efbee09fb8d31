#!/usr/bin/env bats
# Snapshots beside transactions that wait for a synchronous standby: they are in
# the stream, but no session sees them yet.

load helper

# There is no standby "nobody": a session that does not commit locally waits.
setup_file()
{
	clusters_up max_prepared_transactions=5 synchronous_commit=local
	server_psql src "ALTER SYSTEM SET synchronous_standby_names = nobody"
	server_psql src "SELECT pg_reload_conf()" >/dev/null
}

setup()
{
	databases_up
	owner=$PHILOTES_SOURCE_URL
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text);
	    INSERT INTO t SELECT n, 'old' FROM generate_series(1, 3) n"
	pg-cdc-read --create
}

teardown()
{
	kill_children
	let_go
	src_psql "ROLLBACK PREPARED 'two'" 2>/dev/null || :
	databases_down
}

# Not as the role of the reader.
src_psql()
{
	psql_on "$owner" -At -c "$1"
}

# Prints how many sessions wait for the standby.
waiting()
{
	src_psql "SELECT count(*) FROM pg_stat_activity
	    WHERE wait_event = 'SyncRep' AND datname = current_database()"
}

# held SQL: runs it in a session that will wait
held()
{
	local before
	before=$(waiting)
	child psql_on "$owner" -c "SET synchronous_commit = on" \
		-c "$1"
	wait_for waiting '' "$((before + 1))"
}

# Ends the waits as if the standby had answered.
let_go()
{
	src_psql "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
	    WHERE wait_event = 'SyncRep'" >/dev/null
}

events()
{
	buf_psql "SELECT count(*) FROM philotes.cdc_log WHERE operation = '$1'"
}

reader_said()
{
	grep -cE "$1" "$BATS_TEST_TMPDIR/reader.log" || :
}

# changed ROW ROW: an UPDATE of the first row and a COMMIT PREPARED of one of the
# second wait for the standby; $xids are theirs, as a regex
changed()
{
	local plain prepared
	src_psql "BEGIN; UPDATE t SET v = 'new' WHERE id = $2;
	    PREPARE TRANSACTION 'two'"
	prepared=$(src_psql "SELECT transaction FROM pg_prepared_xacts")
	held "UPDATE t SET v = 'new' WHERE id = $1"
	plain=$(src_psql "SELECT backend_xid FROM pg_stat_activity
	    WHERE wait_event = 'SyncRep'")
	held "COMMIT PREPARED 'two'"
	xids="($plain, $prepared|$prepared, $plain)"
}

# The values that READs have for the changed rows, each once.
values()
{
	buf_psql "SELECT string_agg(DISTINCT after_data->>'v', ' ')
	    FROM philotes.cdc_log WHERE operation = 'READ'
	    AND (after_data->>'id')::int IN ($1)"
}

marked()
{
	buf_psql "SELECT count(*) > 0 FROM philotes.cdc_log
	    WHERE operation = 'SNAPSHOT' AND after_data->>'state' = '$1'"
}

# Has the slot been confirmed beyond this position?
confirmed()
{
	src_psql "SELECT confirmed_flush_lsn > '$1' FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'"
}

# A new reader takes the place of one that has streamed all, and is killed.
replace_reader()
{
	local lsn
	wait_for events UPDATE 2
	lsn=$(src_psql "SELECT pg_current_wal_lsn()")
	src_psql "INSERT INTO t VALUES (0, 'new')"
	wait_for confirmed "$lsn" t
	kill -KILL "$reader"
	await_pipeline
	: >"$BATS_TEST_TMPDIR/reader.log"
	start_pipeline
}

@test "no row is older than what waited for a standby when the reader started" {
	# a row a block, and a block a part: it takes seconds
	src_psql "ALTER TABLE t SET (fillfactor = 10);
	    ALTER TABLE t ALTER v SET STORAGE PLAIN;
	    INSERT INTO t SELECT n, repeat('x', 700)
	    FROM generate_series(4, 3000) n"
	start_pipeline --snapshot-pause 1ms
	pg-cdc-read --snapshot all
	wait_for marked begin t
	changed 3000 2999
	replace_reader
	wait_for reader_said "waits for transactions.*: $xids;" 1
	[ "$(marked end)$(values 2999,3000)" = f ]
	let_go
	wait_for marked end t
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
	[ "$(values 2999,3000)" = new ]
}

@test "a role that cannot see who waits waits for all that run" {
	src_psql "DROP ROLE IF EXISTS blind; CREATE ROLE blind LOGIN REPLICATION;
	    GRANT SELECT ON t TO blind"
	PHILOTES_SOURCE_URL="$owner user=blind"
	changed 1 2
	start_pipeline
	replace_reader
	pg-cdc-read --snapshot all
	wait_for reader_said "waits for transactions.*: $xids;" 1
	[ "$(marked begin)" = f ]
	let_go
	wait_for marked end t
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
	[ "$(values 1,2)" = new ]
	src_psql "DROP OWNED BY blind; DROP ROLE blind"
}
