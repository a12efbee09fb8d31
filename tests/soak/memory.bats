#!/usr/bin/env bats
# tests/memory.bats with the transaction that the budgets name.

load ../helper
load ../memory

setup_file()
{
	memory_clusters_up
}

@test "a transaction of 10 million rows takes at most 12 MiB in each tool" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
	expect_code 0 pg-cdc-read --create
	start_pipeline
	src_psql "INSERT INTO t SELECT i, repeat('x', 100)
	    FROM generate_series(1, 10000000) i"
	wait_for buf_psql "SELECT total FROM philotes.cdc_writes
	    ORDER BY write_no DESC LIMIT 1" 10000000 1800
	local peaks=("$(peak "$reader")" "$(peak "$writer")")
	figure "pg-cdc-read: peak ${peaks[0]} KiB"
	figure "buffer-write: peak ${peaks[1]} KiB"
	((peaks[0] <= 12 * 1024 && peaks[1] <= 12 * 1024))
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
}
