# Snapshots beside changes, and what is killed.  `load snapshot` after
# `load helper`.
#
#   snapshot_setup         tables, publication and slot on the source, and what
#                          the judge needs in the buffer
#   start_load N           N sessions that change the tables at random, and one
#                          that prepares transactions, if the source allows it
#   stop_load              ends them, in order
#   request TABLES         asks for a snapshot: "all", or a JSON array
#   judged                 the buffer holds what the source has had, see
#                          snapshot_judge.sql; figures on descriptor 3
# shellcheck shell=bash disable=SC2154,SC2034

# taken [OPTION ...]: the stream until no snapshot is under way, in $stream
taken()
{
	stream=$BATS_TEST_TMPDIR/stream
	expect_code 0 pg-cdc-read --until snapshot "$@"
	printf '%s\n' "$output" >"$stream"
}

# marks: those of the stream, as TABLE STATE [REASON] [ROWS]
marks()
{
	jq -r 'select(.operation == "SNAPSHOT") | [.schema_name + "." + .table_name,
	    .after_data.state, .after_data.reason // (.after_data.rows |
	    tostring)] | join(" ")' "$stream"
}

# rows TABLE: after_data of its READs
rows()
{
	jq -c "select(.operation == \"READ\" and .table_name == \"$1\")
	    | .after_data" "$stream"
}

snapshot_setup()
{
	loaders=()
	export PHILOTES_SOURCE_ID=s
	psql_on "$PHILOTES_SOURCE_URL" -f "$root/tests/snapshot_load.sql"
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/tests/snapshot_judge.sql"
	pg-cdc-read --create
	rows_of_source replica
	buf_psql "INSERT INTO copy SELECT t, 'gone ' || n, '{}', '0/1', 1
	    FROM (VALUES ('t1'), ('t2'), ('p')) v (t), generate_series(1, 3) n"
}

# rows_of_source TABLE: the rows of all tables into that of the judge
rows_of_source()
{
	psql_on "$PHILOTES_SOURCE_URL" -At -c "
	    SELECT 't1', id::text, to_jsonb(t1) FROM t1
	    UNION ALL SELECT 't2', a || '|' || b, to_jsonb(t2) FROM t2
	    UNION ALL SELECT 'p', id || '|' || k, to_jsonb(p) FROM p" \
		-F $'\t' >"$BATS_TEST_TMPDIR/rows"
	psql_on "$PHILOTES_BUFFER_URL" \
		-c "\\copy $1 FROM '$BATS_TEST_TMPDIR/rows'"
}

start_load()
{
	local n
	for ((n = 1; n <= $1; n++)); do
		child psql_on "$PHILOTES_SOURCE_URL" \
			-c "CALL work($seed / 100000.0 + $n / 100.0)"
		loaders+=($!)
	done
	[[ $(src_psql "SHOW max_prepared_transactions") == 0 ]] || {
		child prepare_at_random
		preparer=$!
	}
}

# Transactions that are prepared and end a little later, which a procedure cannot
# do.  One that a crash of the source has left is committed.
prepare_at_random()
{
	until [[ $(src_psql "SELECT is_called FROM over" 2>&1) == t ]]; do
		commit_prepared || :
		psql_on "$PHILOTES_SOURCE_URL" -c "BEGIN" \
			-c "SELECT change(), change()" \
			-c "PREPARE TRANSACTION '$PHILOTES_SLOT'" || :
		sleep "0.0$((RANDOM % 10))"
	done >/dev/null 2>&1
	commit_prepared
}

commit_prepared()
{
	psql_on "$PHILOTES_SOURCE_URL" -qAt <<-'EOF'
	SELECT format('COMMIT PREPARED %L', gid) FROM pg_prepared_xacts
	WHERE database = current_database()
	\gexec
	EOF
}

stop_load()
{
	src_psql "SELECT nextval('over')" >/dev/null
	((${#loaders[@]} == 0)) || wait "${loaders[@]}"
	[[ -z ${preparer-} ]] || wait "$preparer"
	loaders=() preparer=''
	# transactions that were not flushed are on disk, too
	src_psql "CHECKPOINT"
}

request()
{
	local tables=$1
	[[ $tables != all ]] || tables=null
	src_psql "SELECT pg_logical_emit_message(true, 'philotes.snapshot',
	    '{\"tables\":$tables,\"id\":\"s1\"}')" >/dev/null
}

snapshot_done()
{
	buf_psql "SELECT count(*) FROM philotes.cdc_log
	    WHERE operation = 'SNAPSHOT' AND after_data->>'state' = 'done'"
}

judged()
{
	local result
	rows_of_source final
	result=$(buf_psql "SELECT * FROM judge()")
	echo "# events|reads|compared|faults: $result" >&3
	buf_psql "SELECT * FROM fault LIMIT 10"
	[[ $result == *"|0" ]]
}

# Puts the build of tests/ruled.h into PATH.
use_ruled_reader()
{
	PATH=$PHILOTES_BIN/ruled:$PATH
}

pipeline_reader()
{
	exec pg-cdc-read --snapshot-pause 4ms --ack "$BATS_TEST_TMPDIR/acks" \
		"$@" >"$BATS_TEST_TMPDIR/stream" \
		2>>"$BATS_TEST_TMPDIR/reader.log"
}

chance()
{
	((RANDOM % 100 < $1))
}

# What dies next: the reader, the writer, both, or the source.
strike()
{
	case $((RANDOM % 8)) in
	0 | 1 | 2) kill -KILL "$reader" 2>/dev/null || : ;;
	3 | 4) kill -KILL "$writer" 2>/dev/null || : ;;
	5 | 6) kill -KILL "$reader" "$writer" 2>/dev/null || : ;;
	7)
		stop_server src immediate
		start_server src
		;;
	esac
}

# Dead rows go, now and then by writing the table anew.
tidy()
{
	local how=
	! chance 25 || how=FULL
	psql_on "$PHILOTES_SOURCE_URL" -c "SET lock_timeout = '1s'" \
		-c "VACUUM $how t1, t2, p" 2>/dev/null || :
}

# load_again: those sessions that a crash of the source has ended
load_again()
{
	local n
	for n in "${!loaders[@]}"; do
		kill -0 "${loaders[n]}" 2>/dev/null && continue
		child psql_on "$PHILOTES_SOURCE_URL" \
			-c "CALL work($((RANDOM)) / 32768.0)" 2>/dev/null
		loaders[n]=$!
	done
}

# rounds N: N snapshots one after the other, with kills at random moments
rounds()
{
	local n kills=0 deadline
	start_pipeline
	for ((n = 1; n <= $1; n++)); do
		until request all 2>/dev/null; do
			start_server src
		done
		deadline=$((SECONDS + 120))
		while (($(snapshot_done) < n)); do
			((SECONDS < deadline)) || {
				echo "round $n did not end"
				tail -n 25 "$BATS_TEST_TMPDIR"/{reader,writer}.log
				buf_psql "SELECT id, table_name, commit_lsn, after_data
				    FROM philotes.cdc_log WHERE operation = 'SNAPSHOT'
				    ORDER BY id DESC LIMIT 12"
				src_psql "SELECT slot_name, active,
				    confirmed_flush_lsn, pg_current_wal_lsn()
				    FROM pg_replication_slots"
				return 1
			}
			sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
			! chance 15 || tidy
			if ((kills < 3 * n)) && chance 60; then
				strike
				kills=$((kills + 1))
				load_again
			fi
			if ! kill -0 "$reader" 2>/dev/null ||
			    ! kill -0 "$writer" 2>/dev/null; then
				await_pipeline
				case $reader_code,$writer_code in
				*69* | *70* | *76* | *65* | *78*) return 1 ;;
				esac
				start_pipeline
			fi
		done
	done
	echo "# $1 snapshots, $kills kills" >&3
}
