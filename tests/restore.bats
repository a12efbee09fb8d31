#!/usr/bin/env bats
# pg_dump and restore of the buffer, and how the pipeline treats the copy.

# shellcheck source=SCRIPTDIR/helper.bash
load helper

teardown()
{
	kill_children
	server_psql buf "DROP DATABASE IF EXISTS t${BATS_TEST_NUMBER}copy
	    WITH (FORCE)"
	databases_down
}

change()
{
	src_psql "INSERT INTO t SELECT n FROM generate_series($1, $2) n"
}

start()
{
	src_psql "CREATE TABLE t (n int PRIMARY KEY)"
	pg-cdc-read --create 2>/dev/null
	start_pipeline
	change 1 100
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_log" 100
}

dump()
{
	needs_client pg_dump
	"$(pg_bin pg_dump)" -d "$PHILOTES_BUFFER_URL" \
		>"$BATS_TEST_TMPDIR/dump.sql"
}

restore()
{
	local copy=t${BATS_TEST_NUMBER}copy
	server_psql buf "CREATE DATABASE $copy"
	PHILOTES_BUFFER_URL=$(cluster_url "$BATS_FILE_TMPDIR/buf" "$copy")
	psql_on "$PHILOTES_BUFFER_URL" -o /dev/null \
		-f "$BATS_TEST_TMPDIR/dump.sql"
}

@test "a copy of the buffer goes on where the original stopped" {
	local before tables="SELECT * FROM philotes.cdc_events ORDER BY id"
	start
	expect_code 0 buffer-batch --once --batch-size 30 --consumer half
	buf_psql "SELECT philotes.add_consumer('late')"
	buf_psql "SELECT philotes.mark_processed('half', s.source_id, 50),
	    philotes.mark_processed('late', s.source_id, 50)
	    FROM philotes.cdc_sources s" >/dev/null
	stop_pipeline
	[ "$reader_code $writer_code" = "0 0" ]
	dump
	before=$(buf_psql "$tables")
	restore
	[ "$(buf_psql "$tables")" = "$before" ]
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
	psql_on "$PHILOTES_BUFFER_URL" -c '\d philotes.cdc_events' |
		grep -q 'processed_at .* philotes.processed_time'
	start_pipeline
	change 101 200
	wait_for buf_psql "SELECT string_agg(after_data->>'n', ' '
	    ORDER BY id) FROM philotes.cdc_log" "$(seq -s ' ' 200)"
	expect_code 0 buffer-batch --once --consumer half
	[ "$(jq -r .after_data.n <<<"$output" | paste -sd' ')" = \
	    "$(seq -s ' ' 101 200)" ]
	expect_code 0 buffer-gc --retention 0
	stop_pipeline
}

@test "a copy that lacks events acknowledged since is refused" {
	start
	dump # while the writer runs
	change 101 200
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_log" 200
	stop_pipeline
	restore
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 100 ]
	start_pipeline
	await_pipeline
	[ "$writer_code" = 69 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 100 ]
	# its events can still be delivered
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 100 ]
}
