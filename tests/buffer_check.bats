#!/usr/bin/env bats
# buffer-write --check: what the report says, and that its exit code is the one
# that writing ends with.

load helper
load lines

setup()
{
	databases_up
	in=$BATS_TEST_TMPDIR/in
}

# found LEVEL CHECK REGEX: the report has such a line
found()
{
	grep -E "^$1 +$2 +$3" <<<"$output" || {
		echo "not in the report: $*"
		echo "$output"
		return 1
	}
}

# both CODE REGEX [OPTION ...]: writing $in and checking it end with CODE and the
# same error
both()
{
	local code=$1 regex=$2 line
	shift 2
	write_lines "$code" "$@"
	expect_error "$regex"
	line=$(grep ': error: ' <<<"$stderr")
	expect_code "$code" buffer-write --check "$@" <"$in"
	[[ $(grep ': error: ' <<<"$stderr") == "$line" ]]
	grep -q '^ERROR' <<<"$output"
}

# The ledgers and the log as they are.
everything()
{
	buf_psql "TABLE philotes.cdc_log; TABLE philotes.cdc_writes;
	    TABLE philotes.cdc_sources"
}

@test "a buffer that is ready: 0, and nothing is changed" {
	local before
	{
		start
		event s 0/110 1
		checkpoint 0/118
	} >"$in"
	write_lines 0
	before=$(everything)
	start sys slot 0/118 0/200 >"$in"
	expect_code 0 buffer-write --check <"$in"
	[[ -z $stderr ]]
	found ok buffer "database \"t$BATS_TEST_NUMBER\" as role \"postgres\""
	found ok schema 'version [0-9]+$'
	found ok role '"postgres" has the privileges of buffer-write$'
	found ok clock '20[0-9-]+T[0-9:]+Z$'
	found ok position 'slot "slot" at 0/118, checkpoint of "s" at 0/118$'
	[[ $(wc -l <<<"$output") == 5 && $(everything) == "$before" ]]
	# without a stream there is no position to compare
	expect_code 0 buffer-write --check </dev/null
	[[ $(wc -l <<<"$output") == 4 ]]
	# a source that is new
	start sys slot 0/118 0/200 | sed 's/"s"/"new"/' >"$in"
	expect_code 0 buffer-write --check <"$in"
	found ok position 'the buffer has no checkpoint of "new" yet$'
	[[ $(everything) == "$before" ]]
}

@test "--log-format json: an object for each finding, the same findings" {
	start >"$in"
	expect_code 0 buffer-write --check <"$in"
	local text=$output
	expect_code 0 buffer-write --check --log-format json <"$in"
	diff <(jq -r 'select(.check != "clock") |
	        "\(.result) \(.check) \(.message)"' <<<"$output") \
		<(sed -E '/^ok +clock/d; s/^([a-z]+) +([a-z_]+) +/\1 \2 /' <<<"$text")
	expect_code 78 buffer-write --check --log-format json \
		-d "${PHILOTES_BUFFER_URL/dbname=t$BATS_TEST_NUMBER/dbname=nosuch}" \
		<"$in"
	[[ $(jq -r '"\(.check) \(.result) \(.code)"' <<<"$output") == \
	    "buffer error 78" ]]
	[[ $(jq -r .message <<<"$output") == *'"nosuch" does not exist' &&
	    $(jq -r .hint <<<"$output") == *createdb* ]]
}

@test "options without effect are 64, a full disk is 74" {
	local option
	for option in "--batch-size 1" "--flush-interval 1s" "--max-line 1000" \
	    "--rejects x" --accept-gap; do
		# shellcheck disable=SC2086 # words
		expect_code 64 buffer-write --check $option </dev/null
		expect_error "${option%% *} has no effect with --check"
	done
	expect_code 74 sh -c 'buffer-write --check </dev/null >/dev/full'
}

@test "the gap check is the writer's" {
	{
		start
		checkpoint 0/200
	} >"$in"
	write_lines 0
	start sys slot 0/201 0/300 >"$in"
	both 69 'the slot is ahead'
	found ERROR position 'could not continue the source "s"'
	start new slot 0/200 0/300 >"$in"
	both 69 'another cluster'
	start sys other 0/200 0/300 >"$in"
	both 69 'another slot'
	start sys slot 0/150 0/199 >"$in"
	both 69 'the source was reset'
	start sys slot 0/200 0/300 2 '[[1,"0/1F0"]]' >"$in"
	both 69 'timeline branched off'
	# what comes after the start line is not looked at
	{
		start sys slot 0/200 0/300
		echo nonsense
	} >"$in"
	expect_code 0 buffer-write --check <"$in"
	found ok position
	# another line is no error, but is said
	for line in nonsense '{}' "$(event s 0/210 1)" "$(checkpoint 0/1)"; do
		expect_code 0 buffer-write --check <<<"$line"
		found WARNING position 'not checked: the first line on stdin'
	done
	start | tr -d '\n' >"$in"
	expect_code 0 buffer-write --check <"$in"
	found WARNING position 'not checked'
}

@test "a reader's stream is checked by its start line" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	pg-cdc-read --create >/dev/null
	start_pipeline --until now
	await_pipeline
	pg-cdc-read --start-line >"$in"
	[[ $(jq -r .control "$in") == start && $(wc -l <"$in") == 1 ]]
	expect_code 0 buffer-write --check <"$in"
	found ok position
	src_psql "INSERT INTO t VALUES (1)"
	src_psql "SELECT pg_replication_slot_advance('$PHILOTES_SLOT',
	    pg_current_wal_lsn())" >/dev/null
	pg-cdc-read --start-line >"$in"
	both 69 'the slot is ahead'
}

@test "a schema that is missing or of another version" {
	: >"$in"
	buf_psql "CREATE OR REPLACE FUNCTION philotes.schema_version()
	    RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 99'"
	both 78 'version [0-9] is expected, 99 was found'
	found ERROR schema
	refute grep -E "^[A-Za-z]+ +role " <<<"$output"
	buf_psql "DROP SCHEMA philotes CASCADE" 2>/dev/null
	both 78 'schema "philotes" does not exist'
	found ERROR schema
	[[ $output == *'philotes init'* ]]
}

@test "a role that lacks privileges is 77, one that has its own is not" {
	local url=$PHILOTES_BUFFER_URL
	psql_on "$url" -f "$root/sql/roles.sql"
	event s 0/110 1 >"$in"
	expect_code 0 buffer-write --check \
		-d "${url/user=postgres/user=philotes_writer}" </dev/null
	found ok role '"philotes_writer" has the privileges'
	expect_code 77 buffer-write --check \
		-d "${url/user=postgres/user=philotes_batcher}" </dev/null
	found ERROR role '"philotes_batcher" needs .*INSERT on cdc_log.* for buffer-write'
	[[ $output == *roles.sql* ]]
	expect_error 'needs .*INSERT on cdc_log'
	expect_code 77 buffer-write \
		-d "${url/user=postgres/user=philotes_batcher}" <"$in"
}

@test "a clock that was set back is a warning" {
	start >"$in"
	write_lines 0
	buf_psql "UPDATE philotes.cdc_writes SET written_at = now() + interval '1h'"
	expect_code 0 buffer-write --check </dev/null
	found WARNING clock '20.*Z, (3600|3599) s before the last commit'
}

@test "it waits for a line, says so, and a signal ends that" {
	open_writer --check
	wait_for grep_waits "" 'buffer-write: warning: waiting for a start line on stdin'
	kill -TERM "$writer"
	writer_ends 75
	grep 'could not read "stdin": stopped' "$BATS_TEST_TMPDIR/err"
	exec 7>&-
}

grep_waits()
{
	grep -F waiting "$BATS_TEST_TMPDIR/err"
}
