#!/usr/bin/env bats
# share/handlers/duckdb: a mirror in DuckDB.

load ../helper
load ../handlers
load pypi

@test "the mirror equals the source, served and a command a batch, also again" {
	local file=$BATS_TEST_TMPDIR/mirror.duckdb
	run_workload 300
	# a part of it, as one process a batch
	expect_code 0 buffer-batch --to '#700' --schema --batch-size 300 -- \
		"$handlers/duckdb" "$file"
	expect_code 0 buffer-batch --once --serve --batch-size 150 -- \
		"$handlers/duckdb" "$file"
	# not those whose rows ALTER TABLE has changed
	same duckdb "$file" dated documents full_id by_index lines types part_us
	[[ $stderr == *"keyless\" has no key, and is not mirrored"* ]]
	src_psql "DROP TABLE keyless"
	expect_code 0 pg-cdc-read --snapshot all
	catch_up --until snapshot
	expect_code 0 buffer-batch --once --serve --batch-size 150 -- \
		"$handlers/duckdb" "$file"
	same duckdb "$file"
	expect_code 0 buffer-batch --from '#300' --schema -- \
		"$handlers/duckdb" "$file"
	same duckdb "$file"
}

@test "killed at random; rows that were deleted unheard go with a snapshot" {
	local file=$BATS_TEST_TMPDIR/mirror.duckdb
	run_workload 200
	src_psql "DROP TABLE keyless"
	expect_code 0 pg-cdc-read --snapshot all
	catch_up --until snapshot
	killing_handler write 12 "$handlers/duckdb" "$file"
	deliver_killing
	same duckdb "$file"
	unheard "DELETE FROM orders WHERE id < 20; DELETE FROM part"
	refute same duckdb "$file"
	expect_code 0 pg-cdc-read --snapshot all
	catch_up --until snapshot
	expect_code 0 buffer-batch --once --serve -- "$handlers/duckdb" "$file"
	same duckdb "$file"
}
