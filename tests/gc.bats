#!/usr/bin/env bats
# buffer-gc: only what every consumer processed long enough ago goes.

load helper

fill()
{
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	    table_name, operation, lsn, event_time)
	    SELECT '$1', '', '', 'INSERT', '0/1', now()
	    FROM generate_series(1, $2)"
}

left()
{
	buf_psql "SELECT count(*) FROM philotes.cdc_log"
}

# Makes the marks this much older.
age()
{
	buf_psql "UPDATE philotes.cdc_batches
	    SET processed_at = processed_at - interval '$1'"
}

@test "nothing goes that nobody has processed, or not long ago" {
	fill s 100
	expect_code 0 buffer-gc --retention 0
	[ "$output" = "deleted 0 events, dropped 0 partitions" ]
	buffer-batch --once >/dev/null
	expect_code 0 buffer-gc --retention 1h
	[ "$(left)" = 100 ]
	age '59 min'
	expect_code 0 buffer-gc --retention 1h
	[ "$(left)" = 100 ]
	age '1 min'
	expect_code 0 buffer-gc --retention 1h --dry-run
	[ "$output" = "would delete 100 events, would drop 0 partitions" ]
	[ "$(left)" = 100 ]
	PHILOTES_BUFFER_RETENTION=1h expect_code 0 buffer-gc
	[ "$output" = "deleted 100 events, dropped 0 partitions" ]
	[ "$(left)" = 0 ]
}

@test "the slowest consumer holds all back" {
	fill s 100
	buffer-batch --once >/dev/null
	buf_psql "SELECT philotes.add_consumer('slow')"
	buf_psql "SELECT philotes.mark_processed('slow', 's', 41)"
	expect_code 0 buffer-gc --retention 0
	[ "$output" = "deleted 40 events, dropped 0 partitions" ]
	[ "$(buf_psql "SELECT min(id) FROM philotes.cdc_log")" = 42 ]
	expect_code 0 buffer-batch --once --consumer slow
	[ "$(wc -l <<<"$output")" = 60 ]
}

@test "sources are independent, watermarks and cursors stay" {
	fill a 10
	fill b 10
	buffer-batch --once --source-id a >/dev/null
	fill a 5
	expect_code 0 buffer-gc --retention 0
	[ "$(buf_psql "SELECT source_id, count(*) FROM philotes.cdc_log
	    GROUP BY 1 ORDER BY 1")" = $'a|5\nb|10' ]
	buffer-batch --once >/dev/null
	expect_code 0 buffer-gc --retention 0
	[ "$(left)" = 0 ]
	[ "$(buf_psql "SELECT source_id, total FROM philotes.cdc_writes
	    ORDER BY 1")" = $'a|15\nb|10' ]
	expect_code 0 buffer-batch --once
	[ -z "$output" ]
	fill a 1
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 1 ]
}

@test "whole partitions are dropped, the one in use is trimmed" {
	local next="SELECT setval('philotes.cdc_log_id_seq',
	    (last_value / philotes.partition_width() + 1)
	    * philotes.partition_width()) FROM philotes.cdc_log_id_seq"
	fill s 10
	buf_psql "$next; SELECT philotes.ensure_partitions()" >/dev/null
	fill s 10
	buf_psql "$next; SELECT philotes.ensure_partitions()" >/dev/null
	fill s 10
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 30 ]
	expect_code 0 buffer-gc --retention 0
	[ "$output" = "deleted 10 events, dropped 2 partitions" ]
	[ "$(buf_psql "SELECT to_regclass('philotes.cdc_log_0') IS NULL,
	    to_regclass('philotes.cdc_log_1') IS NULL,
	    to_regclass('philotes.cdc_log_2') IS NULL")" = "t|t|f" ]
	fill s 5
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 5 ]
}

@test "a partition in use is left for later, and nobody waits for it" {
	fill s 10
	buf_psql "SELECT setval('philotes.cdc_log_id_seq',
	    philotes.partition_width()); SELECT philotes.ensure_partitions()"
	fill s 1
	buffer-batch --once >/dev/null
	mkfifo "$BATS_TEST_TMPDIR/sql"
	exec 8<>"$BATS_TEST_TMPDIR/sql"
	child psql_on "$PHILOTES_BUFFER_URL" <"$BATS_TEST_TMPDIR/sql" \
	    >/dev/null 8>&-
	echo "BEGIN; TABLE philotes.cdc_log_0;" >&8
	wait_for buf_psql "SELECT count(*) FROM pg_stat_activity
	    WHERE state = 'idle in transaction'" 1
	expect_code 0 buffer-gc --retention 0
	[[ $stderr == *'"cdc_log_0" is in use'* ]]
	[[ $output == *"dropped 0 partitions" ]]
	echo "COMMIT;" >&8
	exec 8>&-
	wait_for buf_psql "SELECT count(*) FROM pg_stat_activity
	    WHERE state = 'idle in transaction'" 0
	expect_code 0 buffer-gc --retention 0
	[[ $output == *"dropped 1 partitions" ]]
}

@test "a new consumer begins behind what was removed" {
	fill s 100
	buffer-batch --once --batch-size 60 >/dev/null
	buf_psql "SELECT philotes.add_consumer('half')"
	buf_psql "SELECT philotes.mark_processed('half', 's', 31)"
	expect_code 0 buffer-gc --retention 0
	[ "$(left)" = 70 ]
	expect_code 0 buffer-batch --once --consumer new --batch-size 50
	[ "$(wc -l <<<"$output")" = 70 ]
	[ "$(buf_psql "SELECT total FROM philotes.cdc_batches
	    WHERE consumer = 'new' ORDER BY first_id DESC LIMIT 1")" = 100 ]
	buffer-batch --once --consumer half >/dev/null
	expect_code 0 buffer-gc --retention 0
	[ "$(left)" = 0 ]
	expect_code 0 buffer-batch --once --consumer newer
	[ -z "$output" ]
	fill s 1
	expect_code 0 buffer-batch --once --consumer newer
	[ "$(wc -l <<<"$output")" = 1 ]
}

@test "a second one beside it is 75 at once" {
	child buffer-gc --interval 1h >"$BATS_TEST_TMPDIR/out"
	wait_for "cat" "$BATS_TEST_TMPDIR/out" \
	    "deleted 0 events, dropped 0 partitions"
	expect_code 75 buffer-gc
	expect_error 'another one runs'
	kill -TERM "${children[-1]}"
	wait "${children[-1]}"
}

@test "role and database settings do not get in the way" {
	fill s 100
	buf_psql "ALTER DATABASE t$BATS_TEST_NUMBER SET statement_timeout = '1ms'"
	PGOPTIONS='-c statement_timeout=0' buf_psql "ALTER DATABASE
	    t$BATS_TEST_NUMBER SET default_transaction_read_only = on"
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 100 ]
	expect_code 0 buffer-gc --retention 0
	[ "$output" = "deleted 100 events, dropped 0 partitions" ]
}

@test "exit codes: options, variables, server, schema" {
	expect_code 64 buffer-gc --retention 5
	expect_code 64 buffer-gc --retention -1s
	PHILOTES_BUFFER_RETENTION=x expect_code 78 buffer-gc
	expect_code 64 buffer-gc operand
	PHILOTES_BUFFER_URL=host=/nonexistent expect_code 75 buffer-gc
	buf_psql "DROP SCHEMA philotes CASCADE" 2>/dev/null
	expect_code 78 buffer-gc
	expect_code 74 sh -c 'buffer-gc --help >/dev/full'
}
