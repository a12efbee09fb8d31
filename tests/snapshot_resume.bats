#!/usr/bin/env bats
# A snapshot that is paused, cancelled, or goes on after a crash.

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
	start_pipeline
}

# tell DO: returns when the reader has heard of it
tell()
{
	local n
	n=$(count_events INSERT)
	src_psql "SELECT pg_logical_emit_message(true, 'philotes.snapshot',
	    '{\"do\":\"$1\"}'); INSERT INTO t2 VALUES ('new', $n, 0, 0, '')" \
		>/dev/null
	wait_for count_events INSERT $((n + 1))
}

@test "a command cancels it, and the next one begins anew" {
	request_at '["t1","t2","p"]'
	src_psql "UPDATE t1 SET v = 5, ver = nextval('ver')"
	tell cancel
	open_gate
	wait_for count_marks "done" 1
	[ "$(count_marks end)|$(count_marks failed)" = '0|1' ]
	close_gate
	request_at '["t2","t1","p"]'
	finish
	# the judge takes the cancelled one for a fault
	refute judged
	[ "$(buf_psql "SELECT what::json->>'reason' FROM fault")" = \
		"it was cancelled" ]
}

@test "a table that fails leaves no keys to the next one" {
	request_at '["t1","t2","p"]'
	src_psql "UPDATE t1 SET v = 5, ver = nextval('ver')"
	src_psql "ALTER PUBLICATION philotes_pub DROP TABLE t1"
	finish
	[ "$(buf_psql "SELECT table_name, after_data->>'state'
	    FROM philotes.cdc_log WHERE operation = 'SNAPSHOT'
	      AND after_data->>'state' IN ('end', 'failed') ORDER BY id")" = \
't1|failed
t2|end
p|end' ]
}

# The database snapshot of a part shows a commit that is on no disk yet: a new
# key.  The source crashes, and that has not been.
@test "what a crash of the source undoes is not in the stream" {
	server_psql src "ALTER SYSTEM SET wal_writer_delay = '10s'"
	server_psql src "SELECT pg_reload_conf()"
	request_at '["t1","t2","p"]'
	step
	step
	wait_for count_marks chunk 2
	when_reader_waits "LOCK t1" "UPDATE t1 SET id = 1000, ver = nextval('ver')
	    WHERE id = (SELECT min(id) FROM t1 WHERE ctid >= '(3,0)');
	    SET LOCAL synchronous_commit = off"
	step
	# a reader that waits for the disk has stored nothing by then
	wait_for count_marks chunk 3 2 || :
	stop_server src immediate
	await_pipeline
	start_server src
	[ "$(src_psql "SELECT count(*) FROM t1 WHERE id = 1000")" = 0 ]
	start_pipeline
	finish
	judged
}
