# Snapshots that stand still between two markers.  `load snapshot_gate` after
# `load snapshot`.
#
# The source has a synchronous standby that does not exist, and only sessions of
# the reader wait for it.  A marker is in the WAL then, is streamed, and what it
# asks for is read, but its writer is held until the wait is cancelled: so there
# is no next marker.
#
#   setup_file, teardown
#                      as those of helper.bash; makes it so on the source
#   prepare            snapshot_setup, and no two tables share a marker
#   request_at TABLES  asks for a snapshot; returns when its first marker is
#                      held and what that asks for is in the buffer
#   step               lets the marker go; returns when the next one is held.
#                      What the marker before asked for is in the stream, unless
#                      a rule was in the way
#   open_gate          lets all go from now on, until close_gate
#   finish             open_gate, waits for the end of the snapshot, stops the
#                      pipeline
#   count_marks STATE  how many marks of the stream are in the buffer
#   count_events OP    how many events
#   child_psql SQL ... a session in the background
#   when_reader_waits BEFORE THEN
#                      in the background and in one transaction: BEFORE, and
#                      THEN as soon as the reader waits for a lock; returns when
#                      BEFORE is done
# shellcheck shell=bash disable=SC2154,SC2034

# The tables' sizes are known, so no two of them share a marker.
prepare()
{
	snapshot_setup
	src_psql "VACUUM t1, t2, p"
}

setup_file()
{
	clusters_up
	server_psql src "ALTER SYSTEM SET synchronous_commit = local"
	server_psql src "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"
	stop_server src
	start_server src
}

pipeline_reader()
{
	PHILOTES_SOURCE_URL+=" options='-c synchronous_commit=on'" \
		exec pg-cdc-read --snapshot-pause 1ms \
		--ack "$BATS_TEST_TMPDIR/acks" "$@" \
		>"$BATS_TEST_TMPDIR/stream" 2>>"$BATS_TEST_TMPDIR/reader.log"
}

markers_held="FROM pg_stat_activity WHERE datname = current_database()
    AND wait_event = 'SyncRep' AND application_name = 'philotes'"

# A session that is held would be in the way of the next test.
teardown()
{
	src_psql "SELECT pg_cancel_backend(pid) $markers_held" || :
	kill_children
	databases_down
}

# await_marker: waits for another one than $marker, and sets that
await_marker()
{
	local now deadline=$((SECONDS + 20))
	while ((SECONDS < deadline)); do
		now=$(src_psql "SELECT max(backend_xid::text) $markers_held")
		if [[ -n $now && $now != "$marker" ]]; then
			marker=$now
			return 0
		fi
		sleep 0.01
	done
	echo "there was no marker behind transaction $marker"
	tail -n 5 "$BATS_TEST_TMPDIR"/{reader,writer}.log
	return 1
}

count_marks()
{
	buf_psql "SELECT count(*) FROM philotes.cdc_log
	    WHERE operation = 'SNAPSHOT' AND after_data->>'state' = '$1'"
}

count_events()
{
	buf_psql "SELECT count(*) FROM philotes.cdc_log WHERE operation = '$1'"
}

# A reader whose marker is held waits for others to flush the WAL.
count_flushed()
{
	src_psql "SELECT pg_logical_emit_message(true, '', '')" >/dev/null
	count_marks "$1"
}

request_at()
{
	local begun
	begun=$(count_marks begin)
	request "$1"
	marker=''
	await_marker
	wait_for count_flushed begin $((begun + 1))
}

step()
{
	src_psql "SELECT pg_cancel_backend(pid) $markers_held" >/dev/null
	await_marker
}

watch_gate()
{
	exec "$(pg_bin psql)" -qX -d "$PHILOTES_SOURCE_URL" >/dev/null 2>&1 \
		<<<"SELECT pg_cancel_backend(pid) $markers_held \\watch 0.01"
}

open_gate()
{
	child watch_gate
	gate=$!
}

# The last marker is still held when its mark is in the buffer.
close_gate()
{
	wait_for src_psql "SELECT count(*) $markers_held" 0
	kill -TERM "$gate"
	wait "$gate" || :
}

finish()
{
	local ended
	ended=$(count_marks "done")
	open_gate
	wait_for count_marks "done" $((ended + 1)) 40
	stop_pipeline
	close_gate
	[ "$reader_code$writer_code" = 00 ]
}

child_psql()
{
	local sql args=()
	for sql; do
		args+=(-c "$sql")
	done
	child psql_on "$PHILOTES_SOURCE_URL" "${args[@]}"
}

when_reader_waits()
{
	child_psql "BEGIN" "$1" "SET application_name = ready" "
	    DO \$\$ BEGIN
	        WHILE NOT EXISTS (SELECT FROM pg_locks l
	            JOIN pg_stat_activity a USING (pid)
	            WHERE NOT granted AND application_name = 'philotes') LOOP
	            PERFORM pg_stat_clear_snapshot(), pg_sleep(0.001);
	        END LOOP;
	    END \$\$" "$2" "COMMIT"
	wait_for src_psql "SELECT count(*) FROM pg_stat_activity
	    WHERE application_name = 'ready'" 1
}
