# The time from the commit on the source (event_time, the source's clock when
# it writes its commit record) to the acknowledged commit of the buffer, and to
# the first byte at a handler, at a steady rate of single-row transactions.
#
# All run on one machine, so there is one clock.  The acks pass through a probe
# that records when each came; an event is visible at the first ack that covers
# it.
# shellcheck shell=bash

readonly batch_wait=1ms

latency_reader()
{
	echo "$BASHPID" >"$work/reader.pid"
	exec pg-cdc-read -q --ack "$work/acks"
}

latency_pipeline()
{
	rm -f "$work"/{acks,ack_times,batch_times}
	mkfifo "$work/acks"
	buffer-batch -q --flush-interval "$batch_wait" -- \
		probe batch "$work/batch_times" &
	batcher=$!
	latency_reader | buffer-write -q |
		probe stamp "$work/ack_times" >"$work/acks" &
	writer=$!
}

# Has everything that was committed been delivered?
latency_settled()
{
	[[ $(buf "SELECT w.total = coalesce((SELECT max(total)
	    FROM philotes.cdc_batches), 0) FROM philotes.cdc_writes w
	    WHERE w.total > 0 ORDER BY write_no DESC LIMIT 1") == t ]]
}

latency_run()
{
	local rate=$1 seconds=$2 left=100 batcher writer
	buffer_fresh
	slot_drop run
	slot_make run
	src CHECKPOINT
	latency_pipeline
	command_of[pgbench]="pgbench -n -f insert.sql -c 8 -j 1 -R $rate -T $seconds"
	PGHOST=$(cluster_sockets "$work/src") PGUSER=postgres PGDATABASE=shop \
		PGPORT=5432 pgbench -n -f "$work/insert.sql" -c 8 -j 1 \
		-R "$rate" -T "$seconds" >"$work/said" 2>&1
	while ((left-- > 0)) && ! latency_settled; do
		sleep 0.1
	done
	kill -TERM "$batcher" "$(<"$work/reader.pid")"
	wait "$batcher"
	wait "$writer"
	slot_drop run
}

# Writes lists of ms, one a line: $work/visible and $work/handed.  The first
# second is left out, in which connections are made and caches filled.
latency_join()
{
	buf "CREATE TABLE acked (us bigint, lsn pg_lsn);
	     CREATE TABLE handed (us bigint, first_id bigint, last_id bigint)"
	psql_on "$PHILOTES_BUFFER_URL" \
		-c "\\copy acked from '$work/ack_times'" \
		-c "\\copy handed from '$work/batch_times'" \
		-c "CREATE INDEX ON acked (lsn); CREATE INDEX ON handed (last_id);
		    CREATE VIEW times AS SELECT a.us - e.us AS visible,
		        h.us - e.us AS handed
		    FROM (SELECT id, commit_lsn,
		              (extract(epoch FROM event_time) * 1e6)::bigint AS us
		          FROM philotes.cdc_log WHERE operation = 'INSERT'
		            AND event_time > (SELECT
		              min(event_time) + '1 s' FROM philotes.cdc_log)) e,
		    LATERAL (SELECT us FROM acked WHERE lsn > e.commit_lsn
		             ORDER BY lsn LIMIT 1) a,
		    LATERAL (SELECT us FROM handed WHERE last_id >= e.id
		             ORDER BY last_id LIMIT 1) h" \
		-c "SET enable_seqscan = off" \
		-c "\\copy (SELECT visible / 1000.0 FROM times) to '$work/visible'" \
		-c "\\copy (SELECT handed / 1000.0 FROM times) to '$work/handed'"
}

# Prints "p50 p99 max" of a file of numbers.
percentiles()
{
	sort -g "$1" | awk '{ v[NR] = $1 }
		END { print v[int(NR * .5) + 1], v[int(NR * .99) + 1], v[NR] }'
}

# Ten classes a decade, each as a share of all.
histogram()
{
	awk '{ n[int(log($1 < 0.1 ? 0.1 : $1) / log(10) * 10 + 10)]++ }
		END { for (i = 0; i < 50; i++)
			printf "%.4f %.6f\n", 10 ^ ((i - 9.5) / 10),
			    n[i] / NR }' "$1"
}

latency_report()
{
	local rate=$1 what p50 p99 max goal50 goal99
	for what in visible handed; do
		[[ $(wc -l <"$work/$what") -gt 0 ]]
		histogram "$work/$what" >"$out/latency.$rate.$what"
		read -r p50 p99 max < <(percentiles "$work/$what")
		goal50=- goal99=-
		[[ $rate-$what != 1000-visible ]] || goal50="<= 2.5" goal99="<= 10"
		result "commit to $(latency_name $what), $rate tx/s, p50" \
			"$goal50" "$p50" ms pgbench
		result "commit to $(latency_name $what), $rate tx/s, p99" \
			"$goal99" "$p99" ms pgbench
		result "commit to $(latency_name $what), $rate tx/s, max" \
			- "$max" ms pgbench
	done
}

latency_name()
{
	case $1 in
	visible) echo "visible in the buffer" ;;
	handed) echo "first byte at the handler" ;;
	esac
}

# One order, for pgbench.
latency_script()
{
	echo "INSERT INTO orders ($order_columns) SELECT $order_values
	    FROM (SELECT (random() * 1e6)::int AS i) r" | tr '\n' ' ' \
		>"$work/insert.sql"
}

bench_latency()
{
	local rate seconds=10
	((!quick)) || seconds=4
	latency_script
	for rate in 100 1000; do
		progress "$rate tx/s for $seconds s"
		latency_run "$rate" "$seconds"
		progress "$rate tx/s: joining the times"
		latency_join
		latency_report "$rate"
	done
	note "a batch is due $batch_wait after its first event was written (--flush-interval); a handler process a batch"
}
