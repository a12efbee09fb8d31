# A snapshot of a table: READ lines to a file, compared with psql writing COPY
# text of the same rows, with pg_dump and with pgcopydb; and what it costs
# those beside it: the stream's latency, the WAL that the slot keeps, the
# source's transactions.
# shellcheck shell=bash

readonly snapshot_columns="id, customer_id, status, amount, currency, created_at, \
paid, tags, address, note"

# The rows that were there before the slot.
snapshot_table()
{
	snapshot_rows=$((rows * 5))
	progress "a table of $snapshot_rows rows"
	src "CREATE TABLE old (LIKE orders INCLUDING ALL);
	     ALTER PUBLICATION philotes_pub ADD TABLE old"
	insert_orders "$snapshot_rows" old
	src "VACUUM (FREEZE, ANALYZE) old"
	src CHECKPOINT
}

psql_copy()
{
	timed psql_copy "$snapshot_rows" "psql -Xq \"\$PHILOTES_SOURCE_URL\" \
-c \"COPY (SELECT $snapshot_columns FROM old) TO STDOUT\" >$work/read"
	rm -f "$work/read"
}

# From the first marker to the last: a reader that starts waits for a second,
# and connects.
snapshot_seconds()
{
	grep -a '"operation":"SNAPSHOT"' "$work/read" |
		sed -n '1p;$p' | sed 's/.*"event_time":"\([^"]*\)".*/\1/' |
		date -f - +%s.%N | awk 'NR == 1 { t = $1 }
		    END { if (NR < 2) exit 1; printf "%.6f", $1 - t }'
}

# snapshot_read NAME OPTION ...
snapshot_read()
{
	local name=$1
	shift
	slot_make run
	pg-cdc-read -q --snapshot old
	command_of+=(["$name"]="measure $work/peak.$name pg-cdc-read -q $* \
--until snapshot >$work/read")
	bash -c "${command_of["$name"]}" >"$work/said" 2>&1
	slot_drop run
	[[ $(grep -ac '"operation":"READ"' "$work/read") == "$snapshot_rows" ]]
	sample "$name" "$snapshot_rows" "$(snapshot_seconds)"
}

one_worker()
{
	snapshot_read one_worker --snapshot-workers 1
	rm -f "$work/read"
}

two_workers()
{
	snapshot_read two_workers --snapshot-workers 2
	rm -f "$work/read"
}

pg_dump_rows()
{
	rm -rf "$work/dump"
	timed pg_dump "$snapshot_rows" "pg_dump -Fd -j 2 -Z 0 --data-only -t old \
-d \"\$PHILOTES_SOURCE_URL\" -f $work/dump"
	rm -rf "$work/dump"
}

# Into a database whose commits are on the disk, too.
pgcopydb_rows()
{
	database_fresh plain
	psql_on "$PLAIN_URL" -c "CREATE TABLE old (id bigint PRIMARY KEY,
	    customer_id bigint, status text, amount numeric(12, 2),
	    currency char(3), created_at timestamptz, paid boolean, tags text[],
	    address jsonb, note text)"
	rm -rf "$work/pgcopydb"
	printf '[include-only-table]\npublic.old\n' >"$work/pgcopydb.filter"
	timed pgcopydb_rows "$snapshot_rows" "pgcopydb copy table-data \
--dir $work/pgcopydb --source \"\$PHILOTES_SOURCE_URL\" \
--target \"\$PLAIN_URL\" --filters $work/pgcopydb.filter --table-jobs 2 \
--not-consistent"
	rm -rf "$work/pgcopydb"
	[[ $(psql_on "$PLAIN_URL" -At -c "SELECT count(*) FROM old") == \
		"$snapshot_rows" ]]
}

snapshot_speed()
{
	alternate "$pairs" psql_copy two_workers one_worker
	result "READ lines, 2 workers / psql COPY" "<= 1.11" \
		"$(ratio two_workers psql_copy)" x two_workers psql_copy
	result "READ lines, 1 worker / psql COPY" - \
		"$(ratio one_worker psql_copy)" x one_worker psql_copy
	result "READ lines, 2 workers" - "$(rate two_workers)" rows/s two_workers
	result "psql COPY" - "$(rate psql_copy)" rows/s psql_copy
	result "peak memory of the reader, 2 workers" "<= 14" \
		"$(peak_of two_workers)" MiB two_workers
	alternate "$((quick ? 1 : 2))" pg_dump_rows
	result "pg_dump -Fd -j 2" - "$(rate pg_dump)" rows/s pg_dump
	has pgcopydb || return 0
	if alternate "$((quick ? 1 : 2))" pgcopydb_rows; then
		result "pgcopydb copy table-data" - "$(rate pgcopydb_rows)" \
			rows/s pgcopydb_rows
	else
		note "pgcopydb left out: it could not copy the table"
	fi
}

# Parts of a millisecond: what remains is to set one up.
snapshot_parts()
{
	local n
	progress "small parts"
	snapshot_read small_parts --snapshot-pause 1ms
	n=$(grep -acE '"state":"(begin|chunk)"' "$work/read")
	result "a part of 1 ms, from one marker to the next" "<= 5" \
		"$(awk -v s="$(snapshot_seconds)" -v n="$n" \
			'BEGIN { printf "%.2f", s * 1000 / n }')" ms small_parts
	rm -f "$work/read"
}

# Samples what the slot keeps until the file is gone.
sample_held()
{
	while [[ -e $work/sampling ]]; do
		src "SELECT coalesce(max(pg_current_wal_lsn() -
		        confirmed_flush_lsn), 0) FROM pg_replication_slots
		     WHERE slot_name = 'run'" || :
		sleep 0.1
	done >"$work/held"
}

snapshot_latency()
{
	local p50 p99 max seconds=$((quick ? 3 : 8)) sampler
	progress "latency beside it"
	slot_drop run
	: >"$work/sampling"
	sample_held &
	sampler=$!
	# latency_run makes the slot
	(
		until [[ $(src "SELECT active FROM pg_replication_slots
		    WHERE slot_name = 'run'") == t ]]; do
			sleep 0.05
		done
		pg-cdc-read -q --snapshot old >/dev/null
	) &
	latency_run 1000 "$seconds"
	wait $!
	rm -f "$work/sampling"
	wait "$sampler"
	latency_join
	read -r p50 p99 max < <(percentiles "$work/visible")
	result "commit to stored, 1000 tx/s beside a snapshot, p50" - "$p50" ms \
		pgbench
	result "commit to stored, 1000 tx/s beside a snapshot, p99" "<= 350" \
		"$p99" ms pgbench
	result "commit to stored, 1000 tx/s beside a snapshot, max" - "$max" ms \
		pgbench
	result "WAL that the slot keeps beside a snapshot, at most" "<= 17" \
		"$(sort -n "$work/held" | tail -n 1 |
			awk '{ printf "%.1f", $1 / 1048576 }')" MiB pgbench
}

tps()
{
	PGHOST=$(cluster_sockets "$work/src") PGUSER=postgres PGDATABASE=shop \
		PGPORT=5432 pgbench -n -f "$work/insert.sql" -c 4 -j 1 \
		-T "$((quick ? 2 : 6))" 2>"$work/said" | awk '/^tps/ { print $3 }'
}

# pgbench's transactions a second, without and with a snapshot beside them.
snapshot_tps()
{
	local alone beside reader goal=- round
	((quick)) || (($(nproc) < 4)) || goal=">= 0.9"
	for ((round = 0; round < (quick ? 1 : 3); round++)); do
		progress "pgbench beside it $((round + 1))"
		alone=$(tps)
		slot_make run
		pg-cdc-read -q --snapshot all
		pg-cdc-read -q >/dev/null &
		reader=$!
		sleep 1.5 # until it begins
		beside=$(tps)
		kill -TERM "$reader"
		wait "$reader" || :
		slot_drop run
		awk -v a="$alone" -v b="$beside" 'BEGIN { print b / a }'
	done >"$work/tps"
	command_of[tps]="pgbench -n -f insert.sql -c 4 -j 1"
	result "pgbench beside a snapshot / alone, transactions/s" "$goal" \
		"$(spread <"$work/tps")" x tps
}

bench_snapshot()
{
	local snapshot_rows
	snapshot_table
	snapshot_speed
	snapshot_parts
	latency_script
	snapshot_latency
	snapshot_tps
	src "DROP TABLE old"
}
