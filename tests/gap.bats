#!/usr/bin/env bats
# The gap check, each of its conditions with real servers: missing changes are
# never skipped silently.

load helper
load crash

setup_file()
{
	clusters_up wal_level=logical max_replication_slots=50 max_wal_senders=50
}

setup()
{
	databases_up
	crash_setup
	transactions
	catch_up
}

# stops_with REGEX: the pipeline stops, buffer-write with 69 and a matching
# message; nothing is stored and nothing confirmed
stops_with()
{
	local before
	before=$(buf_psql "SELECT count(*) FROM philotes.cdc_writes")
	: >"$BATS_TEST_TMPDIR/writer.log"
	start_pipeline --until now
	await_pipeline
	# shellcheck disable=SC2034 # used by expect_error
	stderr=$(<"$BATS_TEST_TMPDIR/writer.log")
	expect_error "$1"
	[ "$writer_code" = 69 ]
	[[ $reader_code =~ ^(0|74|75)$ ]]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_writes")" = "$before" ]
}

stored_checkpoint()
{
	buf_psql "SELECT checkpoint FROM philotes.newest_write('s')"
}

slot_at()
{
	src_psql "SELECT confirmed_flush_lsn FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'"
}

total()
{
	buf_psql "SELECT count(*) FROM philotes.cdc_log"
}

# accepted EVENTS: the pipeline goes on with --accept-gap and stores that many
# events
accepted()
{
	local before after
	before=$(total)
	pipeline_writer()
	{
		exec buffer-write --accept-gap <"$BATS_TEST_TMPDIR/stream" \
		    >"$BATS_TEST_TMPDIR/acks"
	}
	catch_up
	after=$(total)
	[ "$((after - before))" = "$1" ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_writes
	    WHERE kind = 'gap'")" = 1 ]
	# a second run stores nothing twice and finds no gap
	catch_up
	[ "$(total)" = "$after" ]
}

@test "a buffer restored from an older copy: 69 with both LSNs" {
	server_psql buf "CREATE DATABASE older TEMPLATE t$BATS_TEST_NUMBER"
	transactions
	catch_up
	local newer=$PHILOTES_BUFFER_URL slot
	slot=$(slot_at)
	PHILOTES_BUFFER_URL=$(cluster_url "$BATS_FILE_TMPDIR/buf" older)
	transactions
	stops_with "checkpoint $(stored_checkpoint): the slot is ahead.* at $slot"
	[ "$(slot_at)" = "$slot" ]
	accepted 44
	PHILOTES_BUFFER_URL=$newer
}

@test "another slot for the same source: 69" {
	PHILOTES_SLOT=other pg-cdc-read --create
	PHILOTES_SLOT=other stops_with 'from another slot.*slot "other"'
	catch_up
}

@test "a slot that was dropped and made again: 69" {
	pg-cdc-read --drop
	transactions
	pg-cdc-read --create
	transactions
	stops_with "checkpoint $(stored_checkpoint): the slot is ahead"
	accepted 44
}

@test "a slot that somebody advanced: 69" {
	transactions
	src_psql "SELECT pg_replication_slot_advance('$PHILOTES_SLOT',
	    pg_current_wal_lsn())" >/dev/null
	stops_with "the slot is ahead.* at $(slot_at)"
	accepted 0
}

@test "another cluster: 69; with --accept-gap its lower LSNs are no duplicates" {
	local mine=$PHILOTES_SOURCE_URL
	# far ahead of a new cluster
	for _ in {1..4}; do
		src_psql "SELECT pg_switch_wal()" >/dev/null
		transactions
	done
	catch_up
	server_psql buf "CREATE DATABASE source"
	PHILOTES_SOURCE_URL=$(cluster_url "$BATS_FILE_TMPDIR/buf" source)
	crash_setup
	transactions
	stops_with 'from another cluster'
	(($(lsn "$(slot_at)") < $(lsn "$(stored_checkpoint)")))
	accepted 44
	pg-cdc-read --drop
	PHILOTES_SOURCE_URL=$mine
}

# Up to version 15 a standby has no logical slots.  Tools that copy them to a
# standby copy the slot's directory while the servers are down, as here.

# standby_made: a standby of the source, in $standby, stopped
standby_made()
{
	standby=$BATS_TEST_TMPDIR/standby
	chmod a+x "$BATS_TEST_TMPDIR"
	stop_server src
	cp -a "$BATS_FILE_TMPDIR/src" "$standby"
	start_server src
	: >"$standby/standby.signal"
	chown "$(server_user)" "$standby/standby.signal"
	cluster_set "$standby" "primary_conninfo=host=''$(cluster_sockets \
		"$BATS_FILE_TMPDIR/src")'' user=postgres"
}

# promoted: stops the source for good and goes on with the standby
promoted()
{
	stop_server src
	rm -rf "$standby/pg_replslot"
	cp -a "$BATS_FILE_TMPDIR/src/pg_replslot" "$standby/pg_replslot"
	cluster_start "$standby"
	as_server "$(pg_bin pg_ctl)" promote -s -w -D "$standby"
	PHILOTES_SOURCE_URL=$(cluster_url "$standby" "t$BATS_TEST_NUMBER")
}

demoted()
{
	cluster_stop "$standby" immediate
	start_server src
	PHILOTES_SOURCE_URL=$(cluster_url "$BATS_FILE_TMPDIR/src" "t$BATS_TEST_NUMBER")
}

@test "a promoted standby that has all WAL that the buffer has goes on" {
	standby_made
	transactions
	catch_up
	cluster_start "$standby"
	local lsn
	lsn=$(src_psql "SELECT pg_current_wal_lsn()")
	wait_replay "$lsn"
	cluster_stop "$standby"
	promoted
	transactions
	catch_up
	[ "$(total)" = 132 ]
	complete
	[ "$(buf_psql "SELECT timeline FROM philotes.newest_write('s')")" = 2 ]
	demoted
}

standby_psql()
{
	psql_on "$(cluster_url "$standby")" -At -c "$1"
}

# wait_replay LSN: waits until the standby has replayed it
wait_replay()
{
	wait_for standby_psql "SELECT pg_last_wal_replay_lsn() >= '$1'" t
}

@test "a promoted standby that lacks WAL that the buffer has: 69" {
	standby_made
	transactions
	catch_up
	# the standby has not streamed: changes made after the copy are missing
	promoted
	stops_with "checkpoint $(stored_checkpoint): the source's (timeline|WAL)"
	transactions 200
	stops_with "the source's timeline branched off before it"
	demoted
}

@test "a source restored from an older snapshot of its storage: 69" {
	local data=$BATS_FILE_TMPDIR/src
	stop_server src
	cp -a "$data" "$data.older"
	start_server src
	transactions 20
	catch_up
	stop_server src
	mv "$data" "$data.newer"
	mv "$data.older" "$data"
	start_server src
	stops_with "the source's WAL ends before it"
	stop_server src
	rm -rf "$data"
	mv "$data.newer" "$data"
	start_server src
	catch_up
}
