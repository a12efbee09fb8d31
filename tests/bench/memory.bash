# Peak resident memory of each tool by the size of one transaction.
# shellcheck shell=bash

# The figure of a tool is the peak of its process (ru_maxrss).
peak_of()
{
	awk '{ printf "%.1f", $4 / 1024 }' "$work/peak.$1"
}

memory_chain()
{
	command_of[memory]="measure $work/peak.reader pg-cdc-read -q \
--ack $work/acks --until $(load_until memory) | \
measure $work/peak.writer buffer-write -q >$work/acks && \
measure $work/peak.batch buffer-batch -q --once >/dev/null"
	rm -f "$work/acks"
	mkfifo "$work/acks"
	buffer_fresh
	slot_copy memory pgoutput
	bash -o pipefail -c "${command_of[memory]}" >"$work/said" 2>&1
	slot_drop run
}

memory_raw()
{
	command_of[memory_raw]="measure $work/peak.raw pg_recvlogical \
-d \"\$PHILOTES_SOURCE_URL\" --slot run --start --no-loop -F 0 \
-E $(load_until memory) -o proto_version=1 \
-o publication_names=philotes_pub -f /dev/null"
	slot_copy memory pgoutput
	bash -c "${command_of[memory_raw]}" >"$work/said" 2>&1
	slot_drop run
}

memory_pgcopydb()
{
	has pgcopydb || return 0
	command_of[memory_pgcopydb]="measure $work/peak.pgcopydb pgcopydb \
stream receive --dir $work/pgcopydb --source \"\$PHILOTES_SOURCE_URL\" \
--target \"\$PHILOTES_BUFFER_URL\" \
--slot-name run --endpos $(load_until memory) --not-consistent --restart"
	rm -rf "$work/pgcopydb"
	slot_copy memory wal2json
	bash -c "${command_of[memory_pgcopydb]}" >"$work/said" 2>&1 || :
	slot_drop run
	rm -rf "$work/pgcopydb"
}

# A transaction of n rows, which is removed before the next one.
memory_size()
{
	local n=$1 peak=0 tool goal=-
	progress "a transaction of $n rows"
	slot_make memory
	insert_orders "$n"
	load_ends memory "$n"
	memory_chain
	((n > 1000000)) || memory_raw
	((n > 100000)) || memory_pgcopydb
	slot_drop memory
	((n < largest)) || goal="<= 12"
	for tool in reader writer batch; do
		result "$(memory_name "$tool"), one transaction of $n rows" \
			"$goal" "$(peak_of "$tool")" MiB memory
	done
	for tool in raw pgcopydb; do
		[[ -s $work/peak.$tool ]] || continue
		result "$(memory_name "$tool"), one transaction of $n rows" - \
			"$(peak_of "$tool")" MiB "memory_$tool"
	done
	rm -f "$work"/peak.*
}

memory_name()
{
	case $1 in
	reader) echo pg-cdc-read ;;
	writer) echo buffer-write ;;
	batch) echo buffer-batch ;;
	raw) echo pg_recvlogical ;;
	pgcopydb) echo pgcopydb ;;
	esac
}

# In order of size; the goal is for the largest.
bench_memory()
{
	local n largest=$((scale ? 10000000 : quick ? 10000 : 1000000))
	src "TRUNCATE orders"
	for ((n = 1000; n <= largest; n *= 10)); do
		memory_size "$n"
	done
	((scale)) || note "with --scale to 10 million rows"
}
