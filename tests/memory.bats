#!/usr/bin/env bats
# Memory of pg-cdc-read depends on the largest row, not on the transaction.
# The figures are printed; `make soak` tries a transaction of 10 million rows.

load helper
load memory

setup_file()
{
	memory_clusters_up
}

setup()
{
	# a sanitizer uses memory of its own
	[[ $PHILOTES_BIN != */san ]] || skip "not with a sanitizer"
	databases_up
}

teardown()
{
	[[ $PHILOTES_BIN == */san ]] || {
		kill_children
		databases_down
	}
}

# read_all LINES: runs pg-cdc-read until that many lines have come; sets $peak
read_all()
{
	child pg-cdc-read >"$BATS_TEST_TMPDIR/stream" 2>"$BATS_TEST_TMPDIR/log"
	wait_for count_lines '' "$1" 120
	peak=$(peak $!)
	figure "pg-cdc-read: peak $peak KiB for" \
		"$(stat -c %s "$BATS_TEST_TMPDIR/stream") bytes in $1 lines"
	kill_children
}

# shellcheck disable=SC2329 # called by wait_for
count_lines()
{
	wc -l <"$BATS_TEST_TMPDIR/stream"
}

@test "a transaction of 300,000 rows takes no more memory than one of 3" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
	expect_code 0 pg-cdc-read --create
	src_psql "INSERT INTO t SELECT i, repeat('x', 200)
	    FROM generate_series(1, 3) i"
	read_all 3
	local small=$peak
	src_psql "INSERT INTO t SELECT i, repeat('x', 200)
	    FROM generate_series(4, 300000) i"
	read_all 300000
	((peak <= 12 * 1024))
	((peak - small <= 2 * 1024))
}

@test "a row of 100 MB takes a few times its size" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
	expect_code 0 pg-cdc-read --create
	src_psql "INSERT INTO t VALUES (1, repeat('x', 100000000))"
	src_psql "INSERT INTO t VALUES (2, 'small')"
	read_all 2
	((peak <= 4 * 100 * 1024 + 12 * 1024))
	[ "$(head -n 1 "$BATS_TEST_TMPDIR/stream" | tr -cd x | wc -c)" = 100000000 ]
	[ "$(tail -n 1 "$BATS_TEST_TMPDIR/stream" | jq -r .after_data.v)" = small ]
}
