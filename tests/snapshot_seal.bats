#!/usr/bin/env bats
# Messages of snapshots that are sealed with a key, and commands.

load helper
# shellcheck source=SCRIPTDIR/supervisor.bash
load supervisor

setup()
{
	databases_up
	key=$BATS_TEST_TMPDIR/key
	(umask 77; openssl rand -hex 32 >"$key")
	stream=$BATS_TEST_TMPDIR/events
	# shellcheck disable=SC2034 # for supervisor.bash
	out=$BATS_TEST_TMPDIR/out log=$BATS_TEST_TMPDIR/log
	src_psql "CREATE TABLE t (id int PRIMARY KEY);
	    INSERT INTO t VALUES (1), (2)"
}

teardown()
{
	kill_children
	remove_locks
	databases_down
}

# message CONTENT: writes it as anybody may
message()
{
	src_psql "SELECT pg_logical_emit_message(true, 'philotes.snapshot',
	    '$1')" >/dev/null
}

# taken [OPTION ...]: the stream until no snapshot is under way, in $stream
taken()
{
	expect_code 0 pg-cdc-read --until snapshot "$@"
	printf '%s\n' "$output" >"$stream"
}

# marks: those of the stream, as TABLE STATE ROWS
marks()
{
	jq -r 'select(.operation == "SNAPSHOT")
	    | "\(.table_name) \(.after_data.state) \(.after_data.rows)"' \
		"$stream"
}

readonly whole=$'t begin 0\nt end 2\n done 0'

# A marker that no reader wrote, with which the snapshot of t would be at its end.
forged()
{
	echo "{\"run\":\"f\",\"slot\":\"$PHILOTES_SLOT\",\"seen\":\"0/0\",
	    \"id\":\"f\",\"parts\":[],\"next\":\"public.t\",\"tables\":[],
	    \"at\":[{\"table\":\"public.t\",\"step\":\"end\",\"begun\":true,
	    \"rows\":7,\"blocks\":1,\"of\":1,\"leaf\":1,\"shape\":\"\",
	    \"keys\":[]}],\"paused\":false,\"cancelled\":false,\"queue\":[]}"
}

@test "a forged marker makes an end that is not true, and with a key none" {
	pg-cdc-read --create
	message "$(forged)"
	taken
	[[ $(marks) == *'t end 7'* ]]
	taken --snapshot-key-file "$key"
	[ "$(marks)" = '' ]
	[[ $stderr == *"ignored a snapshot message at "*": it does not have the seal of \"$key\""* ]]
}

@test "with a key, requests, commands and markers are sealed, and obeyed" {
	pg-cdc-read --create
	src_psql "SELECT pg_create_logical_replication_slot(
	    'x$PHILOTES_SLOT', 'test_decoding')"
	export PHILOTES_SNAPSHOT_KEY_FILE=$key
	pg-cdc-read --snapshot all
	pg-cdc-read --snapshot-do resume
	message '{"tables":null}'
	taken
	[ "$(marks)" = "$whole" ]
	[ "$(grep -c 'ignored a snapshot message' <<<"$stderr")" = 1 ]
	# each, but for that of message, is what HMAC-SHA256 says
	local content mac rest n=0
	while IFS= read -r content; do
		[[ $content != '{"tables":null}' ]] || continue
		[[ $content =~ ^\{\"mac\":\"([0-9a-f]{64})\",(.*)$ ]]
		mac=${BASH_REMATCH[1]} rest="{${BASH_REMATCH[2]}"
		[[ $(printf %s "$rest" | openssl dgst -sha256 \
			-hmac "$(<"$key")") == *" $mac" ]]
		n=$((n + 1))
	done < <(src_psql "SELECT split_part(data, 'content:', 2)
	    FROM pg_logical_slot_get_changes('x$PHILOTES_SLOT', NULL, NULL)
	    WHERE data LIKE 'message:%philotes.snapshot%'")
	((n >= 4))
	src_psql "SELECT pg_drop_replication_slot('x$PHILOTES_SLOT')"
	# without a key a seal is not looked at; another key breaks it
	PHILOTES_SNAPSHOT_KEY_FILE='' taken
	[[ $(marks) == *"$whole"* ]]
	(umask 77; openssl rand -hex 32 >"$key.2")
	taken --snapshot-key-file "$key.2"
	[ "$(marks)" = '' ]
}

@test "a reader with the key goes on from sealed markers" {
	export PHILOTES_SNAPSHOT_KEY_FILE=$key
	pg-cdc-read --create --snapshot all
	taken
	# nothing was confirmed, so the next reader meets the markers of this one
	taken -v
	[ "$(marks)" = "$whole" ]
	[[ $stderr == *'going on with snapshot'* ]]
	[[ $stderr != *ignored* ]]
}

@test "a key file that cannot be used is 78, with a remedy" {
	pg-cdc-read --create
	export PHILOTES_SNAPSHOT_KEY_FILE=$key
	local mode
	chmod 640 "$key"
	for mode in "--until now" "--snapshot all" "--snapshot-do pause" --check; do
		# shellcheck disable=SC2086 # words
		expect_code 78 pg-cdc-read $mode
		expect_error "could not use the key file \"$key\": group or others have access to it"
	done
	[[ $output == *"chmod 600 \"$key\""* ]]
	chmod 600 "$key"
	expect_code 0 pg-cdc-read --check
	[[ $output =~ ok\ +messages\ +those\ of\ snapshots\ are\ sealed ]]
	echo short >"$key"
	expect_code 78 pg-cdc-read --until now
	expect_error 'a key has 16 to 4096 bytes'
	expect_code 78 pg-cdc-read --until now --snapshot-key-file "$key.no"
	expect_error 'key.no": No such file or directory'
	expect_code 0 pg-cdc-read --drop
	expect_code 64 pg-cdc-read --drop --snapshot-key-file "$key"
}

@test "--check warns while everybody may write messages, and says the REVOKE" {
	pg-cdc-read --create
	expect_code 0 pg-cdc-read --check --log-format json
	local revoke
	revoke=$(jq -r 'select(.check == "messages" and .result == "warning")
	    | .hint' <<<"$output" | grep -o 'REVOKE .* FROM PUBLIC')
	[[ $revoke == *"(boolean,text,text"*"(boolean,text,bytea"* ]]
	src_psql "$revoke"
	expect_code 0 pg-cdc-read --check
	[[ $output =~ ok\ +messages\ +only ]]
	[ "$(src_psql "SELECT count(*) FROM pg_proc
	    WHERE proname = 'pg_logical_emit_message'
	    AND has_function_privilege('pg_monitor', oid, 'EXECUTE')")" = 0 ]
}

@test "init makes a key with the slot, and run and init use it" {
	hasten
	local file=$PHILOTES_STATE_DIR/snapshot.key
	philotes init
	[ "$(stat -c %a "$file")" = 600 ]
	[[ $(<"$file") =~ ^[0-9a-f]{64}$ ]]
	start_philotes
	message '{"tables":null,"id":"forged"}'
	PHILOTES_SNAPSHOT_KEY_FILE=$file pg-cdc-read --snapshot all
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_log
	    WHERE operation = 'READ'" 2
	wait_for logged "ignored a snapshot message .*\"$file\"" 1
	stop_philotes
	expect_code 0 philotes check
	[[ $output =~ ok\ +messages\ +those\ of\ snapshots\ are\ sealed ]]
	# a key that is there stays; one that is lost is not made anew, since a
	# snapshot may be under way
	local before
	before=$(<"$file")
	pg-cdc-read --drop
	philotes init
	[ "$(<"$file")" = "$before" ]
	rm "$file"
	philotes init
	[ ! -e "$file" ]
	pg-cdc-read --drop
	PHILOTES_SNAPSHOT_KEY_FILE=$key philotes init
	[ ! -e "$file" ]
	# nor is it needed
	pg-cdc-read --drop
	touch "$BATS_TEST_TMPDIR/no"
	PHILOTES_STATE_DIR=$BATS_TEST_TMPDIR/no/state expect_code 0 philotes init
	[[ $stderr == *'no/state/snapshot.key": snapshots work without a key'* ]]
}

@test "a snapshot pauses, resumes and is cancelled" {
	expect_code 0 pg-cdc-read --create --snapshot all
	expect_code 0 pg-cdc-read --snapshot-do pause
	[ "$output" = "told the snapshots of slot \"$PHILOTES_SLOT\" to pause" ]
	start_pipeline
	wait_for buf_psql "SELECT count(*) > 0 FROM philotes.cdc_writes" t
	# a second after a request its snapshot begins
	sleep 1.3
	local before
	before=$(src_psql "SELECT pg_current_wal_lsn()")
	pg-cdc-read --snapshot-do resume
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_log
	    WHERE operation = 'SNAPSHOT'
	    AND after_data->>'state' = 'done'" 1
	[ "$(buf_psql "SELECT count(*), count(*) FILTER (
	        WHERE commit_lsn > '$before') FROM philotes.cdc_log
	    WHERE operation = 'READ'")" = '2|2' ]
	stop_pipeline
	pg-cdc-read --snapshot all
	pg-cdc-read --snapshot-do cancel
	# of another slot
	pg-cdc-read --snapshot-do pause --slot another
	start_pipeline --until snapshot
	await_pipeline
	[ "$reader_code$writer_code" = 00 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log
	    WHERE operation = 'READ'")" = 2 ]
}

@test "--snapshot-do has the same rules as --snapshot" {
	pg-cdc-read --create
	expect_code 64 pg-cdc-read --snapshot-do
	expect_code 64 pg-cdc-read --snapshot-do jump
	expect_error 'not one of pause|resume|cancel'
	expect_code 64 pg-cdc-read --snapshot-do pause --until now
	expect_error '--until has no effect with --snapshot-do'
	local mode
	for mode in --create --drop --check --start-line "--snapshot all"; do
		# shellcheck disable=SC2086 # words
		expect_code 64 pg-cdc-read $mode --snapshot-do cancel
		expect_error "--snapshot-do has no effect with ${mode% *}"
	done
	src_psql "DROP ROLE IF EXISTS weak; CREATE ROLE weak LOGIN"
	# its arguments are others since version 17
	src_psql "DO 'DECLARE f regprocedure; BEGIN
	    FOR f IN SELECT oid FROM pg_proc
	        WHERE proname = \$\$pg_logical_emit_message\$\$ LOOP
	        EXECUTE format(\$\$REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC\$\$, f);
	    END LOOP; END'"
	PHILOTES_SOURCE_URL="$PHILOTES_SOURCE_URL user=weak" \
		expect_code 77 pg-cdc-read --snapshot-do pause
	[[ $stderr == *'needs EXECUTE on the function pg_logical_emit_message'* ]]
	src_psql "DROP ROLE weak"
	expect_code 74 sh -c 'pg-cdc-read --snapshot-do pause >/dev/full'
}
