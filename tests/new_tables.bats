#!/usr/bin/env bats
# The rows of tables that begin to be captured: at `philotes init`, at
# `pg-cdc-read --create`, and beside a run.
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
	src_psql "CREATE TABLE a (id int PRIMARY KEY, v int);
	    INSERT INTO a SELECT n, n FROM generate_series(1, 3) n"
	hasten 60
}

teardown()
{
	kill_children
	remove_locks
	databases_down
}

# table_t: a table that is not published, with rows
table_t()
{
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v int);
	    INSERT INTO t SELECT n, n FROM generate_series(1, 250) n"
}

# reads: how many READ events the slot has to send
reads()
{
	pg-cdc-read -q --until snapshot | grep -c '"operation":"READ"' || :
}

slots()
{
	src_psql "SELECT count(*) FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'"
}

@test "init asks for all tables when it makes the slot, and only then" {
	unset PHILOTES_SNAPSHOT
	expect_code 78 env PHILOTES_SNAPSHOT=often philotes init
	expect_error 'PHILOTES_SNAPSHOT=often'
	expect_code 0 philotes init
	[[ $output == *'asked for snapshot'*'of all published tables' ]]
	expect_code 0 philotes init
	[[ $output != *asked* ]]
	[ "$(reads)" = 3 ]
	pg-cdc-read --drop
	PHILOTES_SNAPSHOT=never expect_code 0 philotes init
	[[ $output != *asked* ]]
	[ "$(reads)" = 0 ]
}

@test "a role that may not write messages makes nothing" {
	src_psql "DROP ROLE IF EXISTS mute; CREATE ROLE mute LOGIN REPLICATION;
	    GRANT CREATE ON DATABASE t$BATS_TEST_NUMBER TO mute;
	    ALTER TABLE a OWNER TO mute"
	src_psql "SELECT 'REVOKE EXECUTE ON FUNCTION ' || oid::regprocedure
	    || ' FROM PUBLIC;' FROM pg_proc
	    WHERE proname = 'pg_logical_emit_message'" |
		psql_on "$PHILOTES_SOURCE_URL"
	PHILOTES_SOURCE_URL="$PHILOTES_SOURCE_URL user=mute" \
		expect_code 77 pg-cdc-read --create --snapshot new
	[[ $stderr == *'needs EXECUTE on the function pg_logical_emit_message'* ]]
	[ "$(slots)" = 0 ]
	nothing src_psql "SELECT FROM pg_publication"
	src_psql "REASSIGN OWNED BY mute TO postgres; DROP OWNED BY mute;
	    DROP ROLE mute"
}

@test "no slot without its request, wherever --create is killed" {
	local n=0 code=1
	# ASan's leak check does not work in a traced process
	local -x ASAN_OPTIONS=detect_leaks=0
	while ((code != 0)); do
		code=0 n=$((n + 1))
		strace -qq -o /dev/null -e trace=sendto \
			-e "inject=sendto:signal=SIGKILL:when=$n" \
			pg-cdc-read --create --snapshot new 2>/dev/null || code=$?
		wait_for src_psql "SELECT count(*) FROM pg_stat_activity
		    WHERE application_name = 'pg-cdc-read'" 0
		if (($(slots) > 0)); then
			pg-cdc-read -v --no-snapshot --until now 2>&1 |
				grep 'a snapshot was asked for'
			pg-cdc-read --drop
		fi
	done
	echo "# $n calls" >&3
	((n > 5))
}

@test "--snapshot new: what --create adds to a running pipeline, with its rows" {
	pg-cdc-read --create
	expect_code 64 pg-cdc-read --snapshot new
	expect_error 'new needs --create'
	expect_code 64 pg-cdc-read --drop --snapshot new
	expect_code 0 pg-cdc-read --create --snapshot new
	[[ $output != *asked* ]]
	start_pipeline
	table_t
	start_load
	expect_code 0 pg-cdc-read --create --tables a,t --snapshot new
	[[ $output == *'extended publication'*'"public"."t"'*'asked for'*'named' ]]
	wait_for marks 'done' 1
	src_psql "INSERT INTO t VALUES (1000, 1)"
	stop_load
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_log
	    WHERE after_data ->> 'id' = '1000'" 1
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
	copied
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log
	    WHERE table_name = 'a'")" = 0 ]
	# each event once, in order
	nothing buf_psql "SELECT FROM (SELECT (commit_lsn, seq) > lag(
	    (commit_lsn, seq)) OVER (ORDER BY id) AS rises
	    FROM philotes.cdc_log) e WHERE NOT rises"
}

@test "PHILOTES_NEW_TABLES=add: a new table comes with its rows, unfit ones are named" {
	export PHILOTES_NEW_TABLES=add
	philotes init
	src_psql "CREATE TABLE keyless (id int)"
	start_philotes
	table_t
	start_load
	wait_for marks 'done' 1
	src_psql "CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)"
	wait_for marks 'done' 2
	stop_load
	src_psql "INSERT INTO late VALUES (2)"
	wait_for buf_psql "SELECT string_agg(operation, ',' ORDER BY id)
	    FROM philotes.cdc_log WHERE table_name = 'late'" \
		SNAPSHOT,READ,SNAPSHOT,INSERT
	stop_philotes
	copied
	[ "$(logged 'extended publication')" = 2 ]
	[ "$(logged 'not captured: "public"."keyless": it has no primary key')" = 1 ]
}

@test "PHILOTES_NEW_TABLES=warn, the default, names new tables once" {
	expect_code 78 env PHILOTES_NEW_TABLES=perhaps philotes run
	expect_error 'PHILOTES_NEW_TABLES=perhaps'
	unset PHILOTES_NEW_TABLES
	philotes init
	table_t
	start_philotes
	wait_for logged 'not captured: "public"."t": it is not in the existing' 1
	src_psql "CREATE TABLE late (id int PRIMARY KEY)"
	wait_for logged 'not captured: "public"."late"' 1
	[ "$(logged 'not captured: "public"."t"')" = 1 ]
	[ "$(src_psql "SELECT string_agg(tablename, ',')
	    FROM pg_publication_tables")" = a ]
	# the list says what is wanted
	stop_philotes
	PHILOTES_TABLES=a expect_code 0 pg-cdc-read --new-tables add
	[ "$output" = '' ]
}

@test "--new-tables needs publication and slot, and makes neither" {
	expect_code 78 pg-cdc-read --new-tables add
	expect_error 'there is no publication'
	pg-cdc-read --create
	pg-cdc-read --drop-slot
	[ "$(slots)" = 0 ]
	expect_code 69 pg-cdc-read --new-tables add
	expect_error 'there is no slot'
	expect_code 0 pg-cdc-read --drop-slot
	[[ $output == 'there was no slot'* ]]
	expect_code 64 pg-cdc-read --new-tables ignore
	expect_code 64 pg-cdc-read --new-tables add --create
}
