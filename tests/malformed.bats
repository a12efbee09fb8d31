#!/usr/bin/env bats
# What the reader does with a message that it cannot decode.

load helper

setup_file()
{
	gcc -shared -fPIC -o "$BATS_FILE_TMPDIR/garble.so" \
		"$root/tests/fault/garble.c" -ldl
	clusters_up
}

pipeline_reader()
{
	exec env LD_PRELOAD="${preload-}" ASAN_OPTIONS=verify_asan_link_order=0 \
		pg-cdc-read --ack "$BATS_TEST_TMPDIR/acks" "$@" \
		>"$BATS_TEST_TMPDIR/stream" 2>>"$BATS_TEST_TMPDIR/reader.log"
}

prepare()
{
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
	expect_code 0 pg-cdc-read --create
}

stored()
{
	buf_psql "SELECT string_agg(after_data->>'id', ' ' ORDER BY id)
	    FROM philotes.cdc_events"
}

@test "76: earlier commits are stored, and no later LSN is confirmed" {
	local confirmed bad
	prepare
	src_psql "INSERT INTO t VALUES (1, 'a')"
	bad=$(src_psql "SELECT pg_current_wal_insert_lsn()")
	src_psql "INSERT INTO t VALUES (2, 'b'), (3, 'secret GARBLE'), (4, 'd')"
	src_psql "INSERT INTO t VALUES (5, 'e')"
	preload=$BATS_FILE_TMPDIR/garble.so start_pipeline --until now
	await_pipeline
	[ "$reader_code" = 76 ]
	stderr=$(<"$BATS_TEST_TMPDIR/reader.log")
	expect_error 'could not decode the message at [0-9A-F]+/[0-9A-F]+: unknown kind of field \(it begins with 49[0-9a-f]{8}4e00023f[0-9a-f]{14}\)'
	[[ $stderr != *secret* && $stderr != *736563726574* ]]
	[ "$(stored)" = 1 ]
	confirmed="SELECT confirmed_flush_lsn <= '$bad' FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'"
	[ "$(src_psql "$confirmed")" = t ]
	# trying again does not help and does no harm
	preload=$BATS_FILE_TMPDIR/garble.so start_pipeline --until now
	await_pipeline
	[ "$reader_code" = 76 ]
	[ "$(stored)" = 1 ]
	start_pipeline --until now
	await_pipeline
	[ "$reader_code$writer_code" = 00 ]
	[ "$(stored)" = "1 2 3 4 5" ]
	[ "$(src_psql "$confirmed")" = f ]
}

@test "69: text that is not UTF-8, in a source without an encoding" {
	local name=${PHILOTES_SLOT}_enc
	export PGCLIENTENCODING=UTF8
	src_psql "CREATE DATABASE $name ENCODING SQL_ASCII LOCALE 'C'
	    TEMPLATE template0"
	PHILOTES_SOURCE_URL=$(cluster_url "$BATS_FILE_TMPDIR/src" "$name")
	prepare
	src_psql "INSERT INTO t VALUES (1, 'naïve')"
	psql_on "$PHILOTES_SOURCE_URL" -c "SET client_encoding = SQL_ASCII" \
		-c "INSERT INTO t VALUES (2, E'\\xff')"
	src_psql "INSERT INTO t VALUES (3, 'c')"
	start_pipeline --until now
	await_pipeline
	[ "$reader_code" = 69 ]
	stderr=$(<"$BATS_TEST_TMPDIR/reader.log")
	expect_error 'invalid byte sequence for encoding "UTF8"'
	[ "$(stored)" = 1 ]
	src_psql "SELECT pg_drop_replication_slot('$PHILOTES_SLOT')"
	server_psql src "DROP DATABASE $name"
}
