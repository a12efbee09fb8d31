#!/usr/bin/env bats
# buffer-batch --from, --to, --tables and --peek: reading the buffer without
# registering a consumer.

load helper
load buffer

# The values of "n" in $output, on one line.
numbers()
{
	jq .after_data.n <<<"$output" | paste -sd ' '
}

untouched()
{
	[ "$(rows cdc_consumers) $(rows cdc_batches)" = "0 0" ]
}

@test "replay by id, LSN and time, both ends included; nothing is marked" {
	fill_log s 20
	local first
	first=$(buf_psql "SELECT min(id) FROM philotes.cdc_log")
	expect_code 0 buffer-batch --from "#$((first + 4))" --to "#$((first + 6))"
	[ "$(numbers)" = "5 6 7" ]
	expect_code 0 buffer-batch --from 0/10
	[ "$(numbers)" = "16 17 18 19 20" ]
	expect_code 0 buffer-batch --from 0/7 --to 0/9
	[ "$(numbers)" = "7 8 9" ]
	expect_code 0 buffer-batch --to 2026-01-01T00:00:03Z
	[ "$(numbers)" = "1 2 3" ]
	expect_code 0 buffer-batch --from '2026-01-01 01:00:17.5+01:00'
	[ "$(numbers)" = "18 19 20" ]
	expect_code 0 buffer-batch --to 2026-01-01
	[ -z "$output" ]
	expect_code 0 buffer-batch --from 2025-12-31 --to 2026-01-01T00:01
	[ "$(numbers)" = "$(seq 20 | paste -sd ' ')" ]
	expect_code 0 buffer-batch --from 0/12 --to "#$((first + 18))"
	[ "$(numbers)" = "18 19" ]
	expect_code 0 buffer-batch --from "#1000"
	[ -z "$output" ]
	untouched
}

@test "replay from and to times relative to now" {
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	    table_name, operation, lsn, event_time, after_data)
	    SELECT 's', 'public', 't', 'INSERT', '0/1',
	    now() - i * interval '1 hour', jsonb_build_object('n', i)
	    FROM unnest('{200, 100, 48, 30, 3, 1, 0}'::int[]) i"
	expect_code 0 buffer-batch --from -2h
	[ "$(numbers)" = "1 0" ]
	expect_code 0 buffer-batch --from=-2h
	[ "$(numbers)" = "1 0" ]
	expect_code 0 buffer-batch --from '2 days 1 hour ago' --to -2h
	[ "$(numbers)" = "48 30 3" ]
	expect_code 0 buffer-batch --from -7d --to '2 days ago'
	[ "$(numbers)" = "100 48" ]
	expect_code 0 buffer-batch --to now
	[ "$(numbers)" = "200 100 48 30 3 1 0" ]
	expect_code 0 buffer-batch --from now --to now
	[ -z "$output" ]
	expect_code 0 buffer-batch --from "a week ago" --to yesterday
	[[ "$(numbers)" == "100 48"* ]]
}

@test "replay of one source or all, of some tables, in batches" {
	fill_log a 6
	fill_log b 4
	fill_log a 2
	expect_code 0 buffer-batch --from '#1'
	[ "$(jq -r .source_id <<<"$output" | uniq -c | tr -s ' \n' ' ')" = \
	    " 8 a 4 b " ]
	expect_code 0 buffer-batch --from '#1' --source-id b
	[ "$(numbers)" = "1 2 3 4" ]
	expect_code 0 buffer-batch --from '#1' --source-id a --tables public.t1
	[ "$(numbers)" = "1 3 5 1" ]
	expect_code 0 buffer-batch --from '#1' --tables T0 --batch-size 3 -- \
	    sh -c 'jq -c .after_data.n | paste -sd " "'
	[ "$output" = "2 4 6
2
2 4" ]
	untouched
}

@test "a replay of a table without any event in the buffer is 78, and names the table" {
	fill_log a 6
	fill 'b,"' 4
	for tables in nosuch t0,public.nosuch 'x.t0' 'T0,"T0"' "t" ; do
		expect_code 78 buffer-batch --from '#1' --source-id a --tables "$tables"
		expect_error 'find the table ".*".".*": the buffer has no event of it'
		[[ $stderr == *"hint: Names are schema.table"* ]]
		[ -z "$output" ]
	done
	expect_error '"public"."t": '
	expect_code 78 buffer-batch --to -1h --tables 't0,s."a"",b"'
	expect_error '"s"."a",b": '
	# the table has events, but outside the range; and of another source
	expect_code 0 buffer-batch --from '#1000' --tables t0
	[ -z "$output" ]
	expect_code 0 buffer-batch --from '#1' --source-id a --source-id 'b,"' \
	    --tables t --batch-size 2
	[ "$(numbers)" = "1 2 3 4" ]
	untouched
}

@test "in a log too large to search for the table, a replay goes on" {
	fill_log a 6
	# looking at a row of this table takes longer than the search may take
	buf_psql "ALTER TABLE philotes.cdc_log RENAME TO cdc_rows;
	    CREATE VIEW philotes.cdc_log AS SELECT * FROM philotes.cdc_rows
	    WHERE (SELECT pg_sleep(CASE WHEN pg_catalog.current_setting(
	        'statement_timeout') = '5s' THEN 10 ELSE 0 END)) IS NOT NULL"
	expect_code 0 buffer-batch --from '#1' --tables t0,nosuch
	[ "$(numbers)" = "2 4 6" ]
	[[ $stderr == *"warning: the log is too large to check that"* ]]
}

@test "a source that the buffer does not know is 78, or is waited for with a warning" {
	fill_log a 6
	for how in --once --peek "--from #1" "--to now" --dead-letters; do
		# shellcheck disable=SC2086
		expect_code 78 buffer-batch $how --source-id a --source-id nosuch
		expect_error 'could not find the source "nosuch": the buffer does not know it'
		[[ $stderr == *"hint: The table philotes.cdc_sources"* ]]
		[ -z "$output" ]
	done
	untouched
	child buffer-batch --source-id later --flush-interval 0s \
	    >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err"
	wait_for cat "$BATS_TEST_TMPDIR/err" "buffer-batch: warning: the buffer does\
 not know the source \"later\" yet: waiting for it"
	fill_log later 2
	wait_for lines "$BATS_TEST_TMPDIR/out" 2
}

@test "a long replay prints the log byte for byte while a consumer works" {
	fill_log s 25000
	expect_code 0 buffer-batch --once --consumer c
	mv "$BATS_TEST_TMPDIR/stdout" "$BATS_TEST_TMPDIR/all"
	buf_psql "TABLE philotes.cdc_batches" >"$BATS_TEST_TMPDIR/before"
	[ -s "$BATS_TEST_TMPDIR/before" ]
	expect_code 0 buffer-batch --from '#1'
	cmp "$BATS_TEST_TMPDIR/stdout" "$BATS_TEST_TMPDIR/all"
	expect_code 0 buffer-batch --from '#1' --tables t0
	cmp "$BATS_TEST_TMPDIR/stdout" \
	    <(grep '"table_name":"t0"' "$BATS_TEST_TMPDIR/all")
	expect_code 0 buffer-batch --from '#1' -- cat
	cmp "$BATS_TEST_TMPDIR/stdout" "$BATS_TEST_TMPDIR/all"
	diff <(buf_psql "TABLE philotes.cdc_batches") "$BATS_TEST_TMPDIR/before"
}

@test "replay of the events that retention has left" {
	fill_log s 30
	buffer-batch --once >/dev/null
	buf_psql "DELETE FROM philotes.cdc_log WHERE (after_data->>'n')::int <= 10"
	expect_code 0 buffer-batch --from 0/5
	[ "$(numbers)" = "$(seq 11 30 | paste -sd ' ')" ]
}

@test "replay: a failing handler is 69, missing acks are 75" {
	fill_log s 10
	expect_code 69 buffer-batch --from '#1' --retries 1 -- false
	expect_error 'its handler failed 2 times'
	[ "$(rows cdc_retries)" = 0 ]
	mkfifo "$BATS_TEST_TMPDIR/acks"
	# shellcheck disable=SC2016 # for another shell
	child sh -c ': >"$0"' "$BATS_TEST_TMPDIR/acks"
	expect_code 75 buffer-batch --from '#1' --ack "$BATS_TEST_TMPDIR/acks"
	cd "$BATS_TEST_TMPDIR"
	timeout 20 bash -c 'set -o pipefail
	    buffer-batch --from "#1" --ack acks | tee out.ndjson |
	    jq -r --unbuffered "select(.control==\"checkpoint\").ack" >acks' 3>&-
	[ "$(lines out.ndjson)" = 11 ]
	untouched
}

@test "--peek shows the next batch of each source and marks nothing" {
	fill_log a 30
	fill_log b 3
	expect_code 0 buffer-batch --peek --batch-size 10
	[ "$(numbers)" = "$( (seq 10; seq 3) | paste -sd ' ')" ]
	expect_code 0 buffer-batch --peek --start latest
	[ -z "$output" ]
	untouched
	expect_code 0 buffer-batch --once --source-id b
	expect_code 0 buffer-batch --peek --batch-size 2
	[ "$(numbers)" = "1 2" ]
	[ "$(processed)" = "3|1" ]
	# even if another process holds the source
	mkfifo "$BATS_TEST_TMPDIR/acks"
	exec 8<>"$BATS_TEST_TMPDIR/acks"
	child buffer-batch --flush-interval 0s --ack "$BATS_TEST_TMPDIR/acks" \
	    >"$BATS_TEST_TMPDIR/out" 8>&-
	wait_for lines "$BATS_TEST_TMPDIR/out" 31
	expect_code 0 buffer-batch --peek
	[ "$(wc -l <<<"$output")" = 30 ]
	exec 8>&-
}

@test "options that exclude each other are refused, and both are named" {
	refuse()
	{
		local one=$1 other=$2
		shift 2
		expect_code 64 buffer-batch "$@"
		expect_error "$one and $other together"
	}
	refuse --ack 'a command' --ack x -- cat
	refuse --from --peek --from '#1' --peek
	refuse --to --dead-letters --to '#1' --dead-letters
	refuse --from --consumer --from '#1' --consumer c
	refuse --from --start --from '#1' --start latest
	refuse --to --start --to '#1' --start earliest
	refuse --from --flush-interval --from '#1' --flush-interval 1s
	refuse --from --on-failure --from '#1' --on-failure dead-letter -- cat
	refuse --peek --dead-letters --peek --dead-letters
	refuse --peek 'a command' --peek -- cat
	refuse --peek --ack --peek --ack x
	refuse --peek --flush-interval --peek --flush-interval 1s
	refuse --dead-letters --start --dead-letters --start earliest
	refuse --dead-letters --flush-interval --dead-letters \
	    --flush-interval 1s
	refuse --dead-letters --max-dead-letters --dead-letters \
	    --max-dead-letters 7 --on-failure dead-letter -- cat
	refuse --once --flush-interval --once --flush-interval 1s
}

@test "an option without effect is refused, with what it needs" {
	needs()
	{
		local one=$1 other=$2
		shift 2
		expect_code 64 buffer-batch "$@"
		expect_error "$one without $other"
	}
	needs --retries 'a command' --retries 5
	needs --timeout 'a command' --once --timeout 1s
	needs --on-failure 'a command' --on-failure stop
	needs --on-failure 'a command' --dead-letters --on-failure dead-letter
	needs --max-dead-letters '--on-failure dead-letter' \
	    --max-dead-letters 100
	needs --max-dead-letters '--on-failure dead-letter' \
	    --max-dead-letters 100 --on-failure stop -- cat
	needs --tables '--from or --to' --tables t
	# a variable is for every run
	PHILOTES_BUFFER_FLUSH_INTERVAL=1s expect_code 0 buffer-batch --once
}

@test "invalid ends of a range are refused" {
	for place in '#' '#0' '#-1' '#x' 12 0/x 2026-13-01 2026-01-01T25:00 \
	    tomorrow '2 hours' -1 '1 month ago' '2026-01-01; DROP'; do
		expect_code 64 buffer-batch --from "$place"
		expect_error "neither an LSN, a time nor an id: .* -7d, \"2 hours ago\",\
 yesterday, now or '#42'"
		expect_code 64 buffer-batch --to "$place"
	done
	# a shell makes this of --from #5006
	for option in --from --to; do
		expect_code 64 buffer-batch "$option"
		expect_error "$option needs a value"
		[[ $stderr == *"An id must be in quotes, '#42': to a shell a # begins"* ]]
	done
	expect_code 64 buffer-batch --consumer
	[[ $stderr != *"in quotes"* ]]
	expect_code 64 buffer-batch --from -1h --to '2 hours ago'
	expect_error '"-1h" is later than --to "2 hours ago"'
	expect_code 64 buffer-batch --from '#2' --to '#1'
	expect_error 'is later than --to'
	expect_code 64 buffer-batch --from 0/2 --to 0/1
	expect_code 64 buffer-batch --from 2026-01-02 --to 2026-01-01
	expect_code 64 buffer-batch --from '#1' --tables 'a,,b'
}

@test "a replay of everything rebuilds the source's tables" {
	psql_on "$PHILOTES_SOURCE_URL" <<-'END'
	CREATE TABLE orders (id int PRIMARY KEY, who text, amount numeric(10, 2),
	    doc jsonb, body text);
	CREATE TABLE "Log" (t timestamptz, what text);
	ALTER TABLE "Log" REPLICA IDENTITY FULL;
	END
	pg-cdc-read --create >/dev/null
	psql_on "$PHILOTES_SOURCE_URL" <<-'END'
	INSERT INTO orders SELECT i, 'who ' || i % 7, i * 1.01,
	    jsonb_build_object('i', i), repeat(md5(i::text), 200)
	FROM generate_series(1, 2000) i;
	INSERT INTO "Log" SELECT now(), 'line ' || i % 5
	FROM generate_series(1, 500) i;
	UPDATE orders SET amount = amount + 1 WHERE id % 3 = 0;
	UPDATE orders SET id = -id WHERE id % 10 = 0;
	DELETE FROM orders WHERE id % 7 = 0;
	DELETE FROM "Log" WHERE what = 'line 3';
	END
	start_pipeline --until now
	await_pipeline
	[ "$reader_code $writer_code" = "0 0" ]
	buffer-batch --once >/dev/null
	buffer-batch --from '#1' >"$BATS_TEST_TMPDIR/events"
	expect_code 0 "$root/scripts/verify" "$BATS_TEST_TMPDIR/events"
	[[ $output == "events $(lines "$BATS_TEST_TMPDIR/events")"* ]]
	# and verify would notice a missing event
	sed '$d' "$BATS_TEST_TMPDIR/events" >"$BATS_TEST_TMPDIR/fewer"
	expect_code 1 "$root/scripts/verify" "$BATS_TEST_TMPDIR/fewer"
}
