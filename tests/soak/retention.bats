#!/usr/bin/env bats
# A writer, buffer-batch and buffer-gc side by side for SOAK_SECONDS (1800),
# with a retention of SOAK_RETENTION seconds (60): years of retention in half
# an hour.  The buffer must stop growing, and the clean-up must leave dead rows
# in the oldest partition only.

# shellcheck source=SCRIPTDIR/../helper.bash
load ../helper

# The size of all tables with their indexes, in kB.
size()
{
	buf_psql "SELECT sum(pg_total_relation_size(oid)) / 1024
	    FROM pg_class WHERE relnamespace = 'philotes'::regnamespace
	    AND relkind = 'r'" | cut -d. -f1
}

partitions()
{
	buf_psql "SELECT count(*) FROM philotes.gc_leaves()"
}

# Inserts 2500 rows a second on any machine, since the buffer's size depends on
# it.
insert_always()
{
	local left next=${EPOCHREALTIME/./}
	while [ -e "$BATS_TEST_TMPDIR/go" ]; do
		src_psql "INSERT INTO t (x) SELECT repeat('x', 200)
		    FROM generate_series(1, 500)"
		next=$((next + 200000))
		left=$((next - ${EPOCHREALTIME/./}))
		((left <= 0)) || sleep "${left}e-6"
	done
}

# Dead rows outside the oldest partition.  They are counted, since the server's
# statistics are late and estimates.  VACUUM skips a table on which autovacuum
# or ANALYZE is running, so buffer-gc may have to run again.
dead()
{
	buffer-gc --retention "$1s" >/dev/null
	buf_psql "SELECT string_agg(relname || ' ' || dead_tuple_count, ', ')
	    FROM pg_class c CROSS JOIN LATERAL pgstattuple(c.oid)
	    WHERE relnamespace = 'philotes'::regnamespace AND relkind = 'r'
	      AND dead_tuple_count > 0
	      AND relname <> (SELECT 'cdc_log_' || min(n)
	                      FROM philotes.gc_leaves())"
}

@test "the size stays constant, and no dead row is left outside the oldest partition" {
	local seconds=${SOAK_SECONDS:-1800} retention=${SOAK_RETENTION:-60}
	local inserter batch gc now sum=(0 0) times=(0 0) half most=0 n end
	buf_psql "CREATE EXTENSION pgstattuple"
	src_psql "CREATE TABLE t (n serial PRIMARY KEY, x text)"
	pg-cdc-read --create 2>/dev/null
	: >"$BATS_TEST_TMPDIR/go"
	start_pipeline
	child buffer-batch -- wc -l >/dev/null
	batch=$!
	child buffer-gc --retention "${retention}s" \
		--interval "$((retention / 6 + 1))s" >"$BATS_TEST_TMPDIR/gc.out"
	gc=$!
	child insert_always
	inserter=$!
	end=$((SECONDS + seconds))
	while ((SECONDS < end)); do
		sleep "$((retention / 10 + 1))"
		now=$(size)
		n=$(partitions)
		echo "$((seconds - end + SECONDS)) s: $now kB, $n partitions"
		((n <= most)) || most=$n
		# during the first two retentions the buffer grows to its size
		((SECONDS >= end - seconds + 2 * retention)) || continue
		half=$((SECONDS >= end - (seconds - 2 * retention) / 2))
		sum[half]=$((sum[half] + now))
		times[half]=$((times[half] + 1))
	done
	for half in 0 1; do
		sum[half]=$((sum[half] / times[half]))
	done
	rm "$BATS_TEST_TMPDIR/go"
	wait "$inserter"
	stop_pipeline
	[ "$reader_code $writer_code" = "0 0" ]
	kill -TERM "$batch" "$gc"
	wait "$batch"
	# 75 if it was just connecting
	wait "$gc" || (($? == 75))
	expect_code 0 buffer-batch --once
	tail -n 3 "$BATS_TEST_TMPDIR/gc.out"
	echo "# figure: $seconds s: ${sum[0]} kB in the first half," \
		"${sum[1]} kB in the second, $most partitions, of" \
		"$(src_psql "SELECT count(*) FROM t") events" >&3
	((sum[1] * 10 <= sum[0] * 12))
	((most <= 12))
	wait_for dead "$retention" ''
}
