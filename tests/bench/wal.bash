# What an event costs the buffer's server over its life (written, read, marked,
# removed) in WAL and dead tuples, compared with the INSERT of its row alone,
# and with the plain table.  Volumes, not times, so one run each.
# shellcheck shell=bash

wal_at()
{
	psql_on "$1" -At -c "SELECT pg_current_wal_insert_lsn() - '0/0'"
}

# The bytes of WAL an event that the command makes.
wal_of()
{
	local name=$1 url=$2 before
	command_of["$name"]=$3
	before=$(wal_at "$url")
	bash -o pipefail -c "$3" >"$work/said" 2>&1
	awk -v a="$before" -v b="$(wal_at "$url")" -v n="$events" \
		'BEGIN { printf "%.1f", (b - a) / n }'
}

dead_tuples()
{
	psql_on "$1" -At -c "SELECT pg_stat_force_next_flush()" \
		-c "SELECT sum(n_tup_upd + n_tup_del) FROM pg_stat_user_tables
		    WHERE schemaname = 'philotes'" | tail -n 1 |
		awk -v n="$events" '{ printf "%.4f", $1 / n }'
}

# Turns rows on stdin into COPYs of that many rows, each a transaction.
chunks()
{
	awk -v table="$1" -v n="$per_commit" '
		NR % n == 1 || n == 1 {
			if (NR > 1) print "\\."
			print "COPY " table " FROM STDIN;"
		}
		{ print }
		END { print "\\." }'
}

wal_insert_alone()
{
	buffer_fresh
	head -n "$events" "$work/tiny.text" |
		chunks "philotes.cdc_log ($columns)" >"$work/chunks.sql"
	alone=$(wal_of insert "$PHILOTES_BUFFER_URL" \
		"psql -X -q -d \"\$PHILOTES_BUFFER_URL\" -f $work/chunks.sql")
}

wal_life()
{
	buffer_fresh
	head -n "$events" "$work/tiny.lines" >"$work/life.lines"
	written=$(wal_of write "$PHILOTES_BUFFER_URL" \
		"buffer-write -q --batch-size $per_commit <$work/life.lines")
	marked=$(wal_of mark "$PHILOTES_BUFFER_URL" \
		"buffer-batch -q --once --batch-size 1000 >/dev/null")
	dead=$(dead_tuples "$PHILOTES_BUFFER_URL")
}

# A full partition is dropped as a whole.  Here the sequence is moved to the
# next one first, as buffer-gc does in time.
wal_removal()
{
	buf "SELECT setval('philotes.cdc_log_id_seq',
	         philotes.partition_width()), philotes.ensure_partitions()" \
		>/dev/null
	removed=$(wal_of gc "$PHILOTES_BUFFER_URL" "buffer-gc -q --retention 0s")
}

wal_plain()
{
	plain_load 0
	head -n "$events" "$work/tiny.plain" |
		chunks "philotes.cdc_events ($plain_columns)" >"$work/chunks.sql"
	seq 1 1000 "$events" | awk '{ print "UPDATE philotes.cdc_events " \
	    "SET processed_at = now() WHERE id BETWEEN " $1 " AND " $1 + 999 \
	    ";" }' >"$work/update.sql"
	plain_before=$(dead_tuples "$PLAIN_URL")
	plain=$(wal_of plain "$PLAIN_URL" "cat $work/chunks.sql \
$work/update.sql <(echo 'DELETE FROM philotes.cdc_events;') | \
psql -X -q -d \"\$PLAIN_URL\"")
	plain_dead=$(awk -v a="$(dead_tuples "$PLAIN_URL")" \
		-v b="$plain_before" 'BEGIN { print a - b }')
}

wal_row()
{
	local per_commit=$1 goal=$2 events=$3
	local alone written marked removed dead plain plain_before plain_dead
	progress "$per_commit events a commit"
	wal_insert_alone
	wal_life
	wal_removal
	wal_plain
	result "WAL, life of an event / its insert alone, $per_commit a commit" \
		"$goal" "$(awk -v a="$alone" -v w="$written" -v m="$marked" \
			-v r="$removed" 'BEGIN { print (w + m + r) / a }')" x \
		write mark gc insert
	result "WAL, insert alone, $per_commit a commit" - "$alone" \
		bytes/event insert
	result "WAL, buffer-write, $per_commit a commit" - "$written" \
		bytes/event write
	result "WAL, buffer-batch, $per_commit a commit" - "$marked" \
		bytes/event mark
	result "WAL, buffer-gc, $per_commit a commit" - "$removed" \
		bytes/event gc
	result "WAL, plain table's life / insert alone, $per_commit a commit" \
		- "$(awk -v a="$alone" -v p="$plain" 'BEGIN { print p / a }')" \
		x plain insert
	result "dead tuples an event, written and marked, $per_commit a commit" \
		"<= 0" "$dead" "tuples/event" write mark
	result "dead tuples an event, plain table, $per_commit a commit" - \
		"$plain_dead" "tuples/event" plain
}

bench_wal()
{
	local n=20000
	((!quick)) || n=5000
	((n <= rows / 4)) || n=$((rows / 4))
	lines_of tiny >/dev/null
	text_of tiny >/dev/null
	plain_make
	plain_text tiny "$n"
	wal_row 1000 "<= 1.05" "$n"
	wal_row 100 "<= 1.05" "$n"
	wal_row 1 "<= 1.6" "$n"
}
