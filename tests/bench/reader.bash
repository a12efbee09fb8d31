# pg-cdc-read to a file, compared with pg_recvlogical writing the same WAL as
# raw pgoutput, with pg_recvlogical and wal2json, and with pgcopydb.
# shellcheck shell=bash

raw()
{
	slot_copy "$load" pgoutput
	rm -f "$work/read"
	timed raw "$(load_events "$load")" "pg_recvlogical \
-d \"\$PHILOTES_SOURCE_URL\" --slot run --start --no-loop -F 0 \
-E $(load_until "$load") -o proto_version=1 \
-o publication_names=philotes_pub -f $work/read"
	slot_drop run
}

pg-cdc-read_to_file()
{
	local n
	slot_copy "$load" pgoutput
	rm -f "$work/read"
	timed pg-cdc-read "$(load_events "$load")" \
		"pg-cdc-read -q --until $(load_until "$load") >$work/read"
	slot_drop run
	n=$(wc -l <"$work/read")
	# the event after the workload may be in it
	((n - $(load_events "$load") == 0 || n - $(load_events "$load") == 1))
}

wal2json()
{
	slot_copy "$load" wal2json
	rm -f "$work/read"
	timed wal2json "$(load_events "$load")" "pg_recvlogical \
-d \"\$PHILOTES_SOURCE_URL\" --slot run --start --no-loop -F 0 \
-E $(load_until "$load") -o format-version=2 -o include-lsn=1 \
-o include-xids=1 -o include-timestamp=1 -o include-types=0 -f $work/read"
	slot_drop run
}

# It keeps its place in a table of its own, and its files in a directory.
pgcopydb_stream()
{
	slot_copy "$load" wal2json
	rm -rf "$work/pgcopydb"
	timed pgcopydb "$(load_events "$load")" "pgcopydb stream receive \
--dir $work/pgcopydb --source \"\$PHILOTES_SOURCE_URL\" \
--target \"\$PHILOTES_BUFFER_URL\" --slot-name run \
--endpos $(load_until "$load") --not-consistent --restart" || return
	slot_drop run
}

bench_reader()
{
	local load=mix context=mix variants=(raw pg-cdc-read_to_file)
	! has wal2json || variants+=(wal2json)
	alternate "$pairs" "${variants[@]}"
	result "pg-cdc-read / pg_recvlogical raw, mixed transactions" \
		"<= 1.00" "$(ratio pg-cdc-read raw)" x pg-cdc-read raw
	result "pg-cdc-read" - "$(rate pg-cdc-read)" events/s pg-cdc-read
	result "pg_recvlogical raw pgoutput" - "$(rate raw)" events/s raw
	! has wal2json || {
		result "pg_recvlogical wal2json / raw" - \
			"$(ratio wal2json raw)" x wal2json raw
		result "pg_recvlogical wal2json" - "$(rate wal2json)" events/s \
			wal2json
	}
	! has pgcopydb || reader_pgcopydb
	for load in large tiny wide full; do
		context=$load
		times_of=()
		alternate "$pairs" raw pg-cdc-read_to_file
		result "pg-cdc-read / raw, $(describe "$load")" - \
			"$(ratio pg-cdc-read raw)" x pg-cdc-read raw
	done
}

# A failure of pgcopydb must not spoil the other results.
reader_pgcopydb()
{
	local context=mix
	pgcopydb stream sentinel create --source "$PHILOTES_SOURCE_URL" \
		>/dev/null 2>&1 || :
	if alternate 1 pgcopydb_stream; then
		((quick)) || alternate 2 pgcopydb_stream
		result "pgcopydb stream receive" - "$(rate pgcopydb)" events/s \
			pgcopydb
	else
		slot_drop run
		note "pgcopydb left out: it could not read the workload"
	fi
}

describe()
{
	case $1 in
	large) echo "one large transaction" ;;
	tiny) echo "transactions of one row" ;;
	wide) echo "rows of 2 kB" ;;
	full) echo "updates under FULL" ;;
	esac
}
