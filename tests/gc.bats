#!/usr/bin/env bats
# buffer-gc removes only events that every consumer processed long enough ago.

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

# Makes all marks older by this interval.
age()
{
	buf_psql "UPDATE philotes.cdc_batches
	    SET processed_at = processed_at - interval '$1'"
}

@test "events that are unprocessed or were processed recently stay" {
	fill s 100
	expect_code 0 buffer-gc --retention 1h
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

@test "the boundary of the retention is exact, by the server's clock" {
	fill s 100
	buffer-batch --once --batch-size 50 >/dev/null
	[ "$(buf_psql "BEGIN;
	    UPDATE philotes.cdc_batches SET processed_at = now() - interval '1 h';
	    SELECT events FROM philotes.gc_begin('1 h');
	    UPDATE philotes.cdc_batches
	    SET processed_at = processed_at - interval '1 us'
	    WHERE first_id = 1;
	    SELECT events FROM philotes.gc_begin('1 h');
	    ROLLBACK")" = $'0\n50' ]
	# a later mark with an earlier time, from a clock set back, changes
	# nothing
	buf_psql "UPDATE philotes.cdc_batches
	    SET processed_at = now() - interval '1 year' WHERE first_id > 1"
	expect_code 0 buffer-gc --retention 1h
	[ "$(left)" = 100 ]
}

@test "the slowest consumer holds back the removal" {
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

@test "the report names what holds back events, for each source" {
	fill a 100
	fill b 10
	expect_code 0 buffer-gc --retention 1h --dry-run
	[[ $output == *'source "a": some stay; 100 wait, no consumer is'* ]]
	buffer-batch --once --source-id a >/dev/null
	buf_psql "SELECT philotes.add_consumer('gone')"
	buf_psql "SELECT philotes.mark_processed('gone', 'a', 41)"
	expect_code 0 buffer-gc --retention 1h --dry-run
	[[ $output == *'source "a": some stay; 60 wait for consumer "gone", '* ]]
	[[ $output == *Z$'; 40 were processed less than the retention ago\n'* ]]
	[[ $output == *'source "b": some stay; 10 wait for consumer "default"'* ]]
	[ -z "$stderr" ]
	buf_psql "UPDATE philotes.cdc_writes
	    SET written_at = written_at - interval '2 h'"
	expect_code 0 buffer-gc --retention 1h
	[[ $stderr == *'"gone" holds 60 events of source "a", the oldest from 20'* ]]
	[ "$(grep -c warning <<<"$stderr")" = 3 ]
	age '2 h'
	expect_code 0 buffer-gc --retention 1h --log-format json
	[ "$(jq -c 'del(.held)' <<<"$output")" = \
	    '{"dry_run":false,"events":40,"partitions":0,"busy":0}' ]
	[ "$(jq -c '.held[0] | del(.since)' <<<"$output")" = \
	    '{"source_id":"a","consumer":"gone","waiting":60,"young":0,"later":0,"dead":true}' ]
	[ "$(jq '.held | length' <<<"$output")" = 4 ]
	[ "$(buf_psql "SELECT events, partitions, busy, held_by, held
	    FROM philotes.cdc_gc_runs ORDER BY started_at")" = \
	    $'0|0|0|gone|70\n40|0|0|gone|70' ]
	buf_psql "DELETE FROM philotes.cdc_batches WHERE consumer = 'gone';
	    DELETE FROM philotes.cdc_consumers WHERE consumer = 'gone'"
	expect_code 0 buffer-gc --retention 1h
	[ "$(buf_psql "SELECT source_id, count(*) FROM philotes.cdc_log
	    GROUP BY 1")" = 'b|10' ]
}

@test "sources are independent; watermarks and cursors stay" {
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
	[ "$(grep -c . <<<"$output")" = 1 ]
}

# Moves the next id to the start of the next partition.
next_partition()
{
	buf_psql "SELECT setval('philotes.cdc_log_id_seq',
	    (last_value / philotes.partition_width() + 1)
	    * philotes.partition_width(), false) FROM philotes.cdc_log_id_seq;
	    SELECT philotes.ensure_partitions()" >/dev/null
}

# The partitions up to the current one.
partitions()
{
	buf_psql "SELECT string_agg(n::text, ' ' ORDER BY n)
	    FROM philotes.gc_leaves(), philotes.cdc_log_id_seq
	    WHERE first_id <= last_value"
}

# A session that keeps a transaction open after these statements, until
# end_hold.
hold()
{
	mkfifo "$BATS_TEST_TMPDIR/sql"
	exec {held}<>"$BATS_TEST_TMPDIR/sql"
	child psql_on "$PHILOTES_BUFFER_URL" <"$BATS_TEST_TMPDIR/sql" \
	    >/dev/null {held}>&-
	echo "BEGIN; $1;" >&"$held"
	wait_for holding x 1
}

end_hold()
{
	echo "COMMIT;" >&"$held"
	exec {held}>&-
	rm "$BATS_TEST_TMPDIR/sql"
	wait_for holding x 0
}

holding()
{
	buf_psql "SELECT count(*) FROM pg_stat_activity
	    WHERE state = 'idle in transaction' AND datname = current_database()"
}

@test "full partitions are dropped, the current one is trimmed" {
	fill s 10
	next_partition
	fill s 10
	next_partition
	fill s 10
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 30 ]
	expect_code 0 buffer-gc --retention 0 --dry-run
	[ "$output" = "would delete 30 events, would drop 2 partitions" ]
	expect_code 0 buffer-gc --retention 0
	[ "$output" = "deleted 30 events, dropped 2 partitions" ]
	[ "$(partitions)" = 2 ]
	fill s 5
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 5 ]
}

@test "only the oldest remaining partition is trimmed" {
	fill a 10
	fill slow 1
	next_partition
	fill a 10
	buffer-batch --once --source-id a >/dev/null
	expect_code 0 buffer-gc --retention 0
	[ "$output" = "deleted 10 events, dropped 0 partitions" ]
	[ "$(buf_psql "SELECT source_id, count(*) FROM philotes.cdc_log
	    GROUP BY 1 ORDER BY 1")" = $'a|10\nslow|1' ]
	# the cursor and the ledger rows of the remaining events are there
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_events
	    WHERE processed_at IS NOT NULL")" = 10 ]
	expect_code 0 buffer-gc --retention 0 --dry-run
	[[ $output == *'"a": some stay; 10 are after a partition that stays'$'\n'* ]]
	buffer-batch --once >/dev/null
	expect_code 0 buffer-gc --retention 0
	[ "$(left)" = 0 ]
}

@test "a dead letter stays until it is closed, even after its event was removed" {
	local id
	letters() { buf_psql "SELECT count(*) FROM philotes.cdc_dead_letters"; }
	fill s 10
	id=$(buf_psql "SELECT max(id) - 5 FROM philotes.cdc_log")
	# shellcheck disable=SC2016 # for another shell
	buffer-batch --once --retries 0 --on-failure dead-letter -- \
		sh -c '! grep "^{\"id\":$0,"' "$id"
	[ "$(letters)" = 1 ]
	buffer-gc --retention 0
	[ "$(left) $(letters)" = "0 1" ]
	buffer-batch --dead-letters -- cat >/dev/null
	[ "$(letters)" = 1 ]
	buffer-gc --retention 0
	[ "$(letters)" = 0 ]
}

@test "a partition in use is left for the next run, and nobody waits for it" {
	fill s 10
	next_partition
	fill s 1
	buffer-batch --once >/dev/null
	hold 'TABLE philotes.cdc_log_0'
	expect_code 0 buffer-gc --retention 0 -v
	[[ $stderr == *'"cdc_log_0" is in use'* ]]
	[[ $output == *"dropped 0 partitions, left 1 in use" ]]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log_0")" = 10 ]
	end_hold
	expect_code 0 buffer-gc --retention 0
	[[ $output == *"dropped 1 partitions" ]]
}

@test "a partition is emptied at once, and dropped when nobody uses the log" {
	fill s 10
	next_partition
	fill s 1
	buffer-batch --once >/dev/null
	hold "SELECT FROM philotes.cdc_log WHERE id = 10000000"
	expect_code 0 buffer-gc --retention 0
	[[ $output == *"dropped 0 partitions, left 1 in use" ]]
	[ "$(buf_psql "SELECT pg_relation_size('philotes.cdc_log_0')")" = 0 ]
	end_hold
	expect_code 0 buffer-gc --retention 0
	[[ $output == "deleted 0 events, dropped 1 partitions" ]]
}

@test "an emptied partition stays if a late row was written to it" {
	fill s 10
	next_partition
	buffer-batch --once >/dev/null
	buf_psql "SELECT philotes.gc_begin('0')" >/dev/null
	[ "$(buf_psql "SELECT philotes.gc_truncate(0)")" = t ]
	buf_psql "INSERT INTO philotes.cdc_log (id, source_id, schema_name,
	    table_name, operation, lsn, event_time)
	    VALUES (500, 's', '', '', 'INSERT', '0/1', now())"
	[ "$(buf_psql "SELECT philotes.gc_drop(0)")" = f ]
	[ "$(left)" = 1 ]
}

@test "a partition stays as long as a transaction is writing to it" {
	fill s 10
	buffer-batch --once >/dev/null
	hold "INSERT INTO philotes.cdc_events (source_id, schema_name,
	    table_name, operation, lsn, event_time)
	    VALUES ('t', '', '', 'INSERT', '0/1', now())"
	next_partition
	expect_code 0 buffer-gc --retention 0
	[ "$output" = "deleted 10 events, dropped 0 partitions, left 1 in use" ]
	end_hold
	expect_code 0 buffer-gc --retention 0
	[ "$(left)" = 1 ]
	expect_code 0 buffer-batch --once
	[ "$(grep -c . <<<"$output")" = 1 ]
}

@test "the next partition is begun early" {
	fill s 10
	expect_code 0 buffer-gc --retention 4h
	[ "$(partitions)" = 0 ]
	buf_psql "UPDATE philotes.cdc_writes
	    SET written_at = written_at - interval '61 min'"
	expect_code 0 buffer-gc --retention 4h --dry-run
	expect_code 0 buffer-gc --retention 4h
	[ "$(partitions)" = "0 1" ]
	expect_code 0 buffer-gc --retention 4h
	[ "$(partitions)" = "0 1" ]
	fill s 1
	[ "$(buf_psql "SELECT max(id) FROM philotes.cdc_log")" = 10000001 ]
	buffer-batch --once >/dev/null
	age '4 h'
	expect_code 0 buffer-gc --retention 4h
	[ "$output" = "deleted 11 events, dropped 1 partitions" ]
}

@test "the next partition is not begun while drawn ids are uncommitted" {
	fill s 10
	buf_psql "UPDATE philotes.cdc_writes
	    SET written_at = written_at - interval '2 h'"
	hold "SELECT nextval('philotes.cdc_log_id_seq')"
	expect_code 0 buffer-gc --retention 4h
	[ "$(partitions)" = 0 ]
	end_hold
	expect_code 0 buffer-gc --retention 4h
	[ "$(partitions)" = "0 1" ]
}

# days EVENTS: writes that many events a day, in four commits, for three weeks
# with a daily clean-up.  A day passes by making all recorded times older.
days()
{
	local day most=0 n
	local write="INSERT INTO philotes.cdc_events (source_id, schema_name,
	    table_name, operation, lsn, event_time)
	    VALUES ('s', '', '', 'INSERT', '0/1', now());"
	write+="SELECT setval('philotes.cdc_log_id_seq',
	    last_value + $(($1 / 4 - 2))), philotes.ensure_partitions(3)
	    FROM philotes.cdc_log_id_seq; $write"
	for ((day = 1; day <= 21; day++)); do
		buf_psql "$write $write $write $write" >/dev/null
		buffer-batch --once >/dev/null
		buf_psql "UPDATE philotes.cdc_batches
		    SET processed_at = processed_at - interval '1 day';
		    UPDATE philotes.cdc_writes
		    SET written_at = written_at - interval '1 day'"
		buffer-gc >/dev/null
		n=$(partitions | wc -w)
		((n <= most)) || most=$n
	done
	echo "$most"
}

@test "10 thousand events a day: few partitions, and they are dropped" {
	run days 10000
	echo "$output"
	((output >= 3 && output <= 6))
	[ "$(left)" = 48 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_writes")" = 48 ]
}

@test "100 million events a day: no more partitions than a week needs" {
	run days 100000000
	echo "$output"
	((output >= 60 && output <= 73))
	[ "$(left)" = 48 ]
}

@test "events that nobody processes do not lead to ever more partitions" {
	local i
	buf_psql "SELECT philotes.add_consumer('gone')"
	for ((i = 0; i < 20; i++)); do
		fill s 1
		buffer-gc --retention 0 2>/dev/null
	done
	[ "$(partitions | wc -w)" = 17 ]
}

@test "a new consumer begins after the removed events" {
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
	[ "$(grep -c . <<<"$output")" = 1 ]
}

@test "adding a consumer and deciding what to remove wait for each other" {
	local gc
	fill s 100
	buffer-batch --once >/dev/null
	hold "SELECT philotes.add_consumer('new')"
	child buffer-gc --retention 0
	gc=$!
	wait_for buf_psql "SELECT count(*) FROM pg_locks
	    WHERE NOT granted AND locktype = 'advisory'" 1
	end_hold
	wait "$gc"
	[ "$(left)" = 100 ]
	buf_psql "SELECT philotes.mark_processed('new', 's', 61)"
	hold "SELECT philotes.gc_begin('0')"
	child buf_psql "SELECT philotes.add_consumer('newer')"
	gc=$!
	wait_for buf_psql "SELECT count(*) FROM pg_locks
	    WHERE NOT granted AND locktype = 'advisory'" 1
	# adding a consumer that exists already does not wait
	buf_psql "SELECT philotes.add_consumer('new')"
	end_hold
	wait "$gc"
	[ "$(buf_psql "SELECT last_id, total FROM philotes.cdc_batches
	    WHERE consumer = 'newer'")" = '61|60' ]
	expect_code 0 buffer-gc --retention 0
	expect_code 0 buffer-batch --once --consumer newer
	[ "$(wc -l <<<"$output")" = 40 ]
}

@test "a second buffer-gc at the same time is 75 at once; between runs no lock is held" {
	fill s 1
	buffer-batch --once >/dev/null
	hold "LOCK TABLE philotes.cdc_writes"
	child buffer-gc --retention 0
	wait_for buf_psql "SELECT count(*) FROM pg_locks WHERE NOT granted
	    AND relation = 'philotes.cdc_writes'::regclass" 1
	expect_code 75 buffer-gc
	expect_error 'another one is running'
	[ "$(buf_psql "SELECT count(*) FROM pg_locks WHERE NOT granted
	    AND relation = 'philotes.cdc_writes'::regclass")" = 1 ]
	end_hold
	wait "${children[-1]}"
	child buffer-gc --interval 1h >"$BATS_TEST_TMPDIR/out"
	wait_for "cat" "$BATS_TEST_TMPDIR/out" \
	    "deleted 0 events, dropped 0 partitions"
	expect_code 0 buffer-gc
	kill -TERM "${children[-1]}"
	wait "${children[-1]}"
}

@test "runs are recorded, the newest 100" {
	buf_psql "INSERT INTO philotes.cdc_gc_runs (started_at, retention, events,
	    partitions, busy, held)
	    SELECT now() - n * interval '1 h', '1 h', 0, 0, 0, 0
	    FROM generate_series(1, 100) n"
	expect_code 0 buffer-gc
	[ "$(buf_psql "SELECT count(*),
	    max(ended_at) - max(started_at) < '1 min',
	    min(started_at) > now() - interval '99.5 h'
	    FROM philotes.cdc_gc_runs")" = '100|t|t' ]
}

@test "a role that may execute the functions needs no other right" {
	fill s 10
	next_partition
	fill s 10
	buffer-batch --once >/dev/null
	buf_psql "CREATE ROLE gc_$BATS_TEST_NUMBER LOGIN;
	    GRANT USAGE ON SCHEMA philotes TO gc_$BATS_TEST_NUMBER"
	PHILOTES_BUFFER_URL+=" user=gc_$BATS_TEST_NUMBER"
	expect_code 77 buffer-gc --retention 0
	PHILOTES_BUFFER_URL=${PHILOTES_BUFFER_URL% *}
	buf_psql "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA philotes
	    TO gc_$BATS_TEST_NUMBER"
	PHILOTES_BUFFER_URL+=" user=gc_$BATS_TEST_NUMBER"
	expect_code 0 buffer-gc --retention 0
	[ "$output" = "deleted 20 events, dropped 1 partitions" ]
	[ -z "$stderr" ]
	PHILOTES_BUFFER_URL=${PHILOTES_BUFFER_URL% *}
}

# busy TABLE: locks it for longer than the database's statement_timeout
busy()
{
	child psql_on "$PHILOTES_BUFFER_URL" -o /dev/null \
		-c "SET default_transaction_read_only = off" \
		-c "SET statement_timeout = 0" \
		-c "BEGIN; LOCK TABLE philotes.$1 IN SHARE MODE;
		    SELECT pg_sleep(1); COMMIT"
	wait_for buf_psql "SELECT count(*) FROM pg_locks WHERE granted
	    AND mode = 'ShareLock' AND relation = 'philotes.$1'::regclass" 1
}

# The limit is one that no statement exceeds on a loaded machine unless it
# waits.
@test "settings of the role and the database do not matter" {
	fill s 100
	buf_psql "ALTER DATABASE t$BATS_TEST_NUMBER SET statement_timeout = '500ms';
	    ALTER DATABASE t$BATS_TEST_NUMBER
	    SET default_transaction_read_only = on"
	busy cdc_batches
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 100 ]
	busy cdc_gc_runs
	expect_code 0 buffer-gc --retention 0
	[ "$output" = "deleted 100 events, dropped 0 partitions" ]
}

@test "exit codes of options, variables, server and schema" {
	expect_code 64 buffer-gc --retention 5
	expect_code 64 buffer-gc --retention -1s
	PHILOTES_BUFFER_RETENTION=x expect_code 78 buffer-gc
	expect_code 64 buffer-gc operand
	PHILOTES_BUFFER_URL=host=/nonexistent expect_code 75 buffer-gc
	buf_psql "DROP SCHEMA philotes CASCADE" 2>/dev/null
	expect_code 78 buffer-gc
	expect_code 74 sh -c 'buffer-gc --help >/dev/full'
}
