# Throughput of buffer-write and buffer-batch in a buffer with a transaction
# held open, with a backlog, or with many sources, compared with a clean
# buffer.
# shellcheck shell=bash

# Prepares the buffer for a run: clean, xmin, backlog or sources.
scale_buffer()
{
	buffer_fresh
	case $1 in
	clean) ;;
	xmin) hold_xmin ;;
	backlog) make_backlog ;;
	sources) ;;
	esac
}

# Holds an old snapshot and a transaction id.
hold_xmin()
{
	exec {hold}> >(psql_on "$PHILOTES_BUFFER_URL" >/dev/null 2>&1)
	echo "BEGIN ISOLATION LEVEL REPEATABLE READ;
	      SELECT count(*) FROM philotes.cdc_log; SELECT txid_current();" \
		>&"$hold"
	while [[ $(buf "SELECT count(*) FROM pg_stat_activity
	    WHERE state = 'idle in transaction'") != 1 ]]; do
		sleep 0.05
	done
}

end_hold()
{
	[[ -n ${hold-} ]] || return 0
	exec {hold}>&-
	hold=
}

# The server writes it by itself, with the ledger rows of commits of 20,000.
make_backlog()
{
	buffer-write -q <"$work/mix.lines" >/dev/null
	buf "CREATE TABLE model AS SELECT *, row_number() OVER () AS n
	     FROM (SELECT $columns FROM philotes.cdc_log ORDER BY id LIMIT 20000) l"
	psql_on "$PHILOTES_BUFFER_URL" -c "SET synchronous_commit = off" \
		-c "DO \$\$ DECLARE b record; n bigint;
	BEGIN
		FOR i IN 1 .. $backlog / 20000 LOOP
			SELECT * INTO b FROM philotes.begin_write('waiting');
			INSERT INTO philotes.cdc_log ($columns)
			SELECT 'waiting', ${columns#*, } FROM model;
			GET DIAGNOSTICS n = ROW_COUNT;
			PERFORM philotes.end_write('waiting', b.write_no,
			    b.first_id, n, NULL, NULL, kind => 'sql');
			COMMIT;
			IF i % 400 = 0 THEN
				PERFORM philotes.ensure_partitions();
				COMMIT;
			END IF;
		END LOOP;
	END \$\$" -c "DROP TABLE model" -c CHECKPOINT
}

# Touches memory before each run.  New pages of files need memory, which the
# host of a virtual machine may provide only when it is touched, at some 10 us
# a page, and may soon take back.  Without this a run that follows a larger one
# would pay for it.
warm()
{
	head -c 512M /dev/zero >"$work/warm"
	rm "$work/warm"
}

# A source that is not in the buffer yet.
scale_write()
{
	local file=$work/scale.lines size=
	warm
	[[ $1 != sources ]] || file=$work/sources.lines
	[[ $1 != even ]] || size="--batch-size $each"
	timed "write_$1" "$rows" "buffer-write -q $size <$file >/dev/null"
}

# Three times, since one run is too short to measure.  VACUUM first, as
# autovacuum would, or the first reader writes hint bits.
scale_drain()
{
	local only="--source-id scale"
	[[ $1 != sources ]] || only=
	buf "VACUUM (ANALYZE)"
	buf CHECKPOINT
	timed "drain_$1" $((3 * rows)) "for consumer in a b c; do \
buffer-batch -q --once --batch-size 1000 --consumer \$consumer $only; \
done | cat >/dev/null"
}

scale_run()
{
	scale_buffer "$1"
	scale_write "$1"
	scale_drain "$1"
	end_hold
}

scale_clean()
{
	scale_run clean
}

scale_xmin()
{
	scale_run xmin
}

# The same with psql, which shows the server's share.
scale_copy()
{
	warm
	timed "copy_$1" "$rows" "psql -X -q -d \"\$PHILOTES_BUFFER_URL\" \
-c \"\\copy philotes.cdc_log ($columns) from '$work/mix.text'\""
}

scale_clean_copy()
{
	scale_run clean
	scale_buffer clean
	scale_copy clean
}

scale_backlog()
{
	scale_run backlog
	scale_copy backlog
}

scale_sources()
{
	scale_run sources
}

# One source, in commits as small as those of 100 sources.
scale_even()
{
	scale_buffer clean
	scale_write even
}

# The events of the workload as 100 sources would send them one after the
# other.
make_sources()
{
	each=$((rows / 100))
	sed 's/"source_id":"shop"/"source_id":"scale"/' "$work/mix.lines" \
		>"$work/scale.lines"
	awk -v each="$each" '{
		sub(/"source_id":"shop"/, "\"source_id\":\"shop" \
		    int((NR - 1) / each) % 100 "\"")
		print }' "$work/mix.lines" >"$work/sources.lines"
}

# scale_result TOOL DIRTY CLEAN TEXT [GOAL]
scale_result()
{
	result "$1, throughput with $4" "${5->= 0.95}" \
		"$(ratio "$2" "$3" | inverse)" x "$2" "$3"
}

bench_scale()
{
	local backlog=$((scale ? 10000000 : quick ? 100000 : 1000000)) hold=
	local context='' each
	make_sources
	alternate "$pairs" scale_clean scale_xmin scale_even scale_sources
	scale_result buffer-write write_xmin write_clean \
		"a held transaction / clean"
	scale_result buffer-batch drain_xmin drain_clean \
		"a held transaction / clean"
	scale_result buffer-write write_sources write_even \
		"100 sources / one, both in commits of $each"
	scale_result buffer-write write_sources write_clean \
		"100 sources, in commits of $each / one, in commits of 10000" -
	scale_result buffer-batch drain_sources drain_clean \
		"100 sources of $each events each / one"
	times_of=()
	alternate $((pairs > 3 ? 3 : pairs)) scale_clean_copy scale_backlog
	scale_result buffer-write write_backlog write_clean \
		"$backlog events waiting / clean"
	scale_result buffer-batch drain_backlog drain_clean \
		"$backlog events waiting / clean"
	scale_result "psql \\copy" copy_backlog copy_clean \
		"$backlog events waiting / clean" -
}
