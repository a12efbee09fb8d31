# buffer-batch, which drains and marks 1000 events a batch, compared with psql
# reading the same rows by COPY, with the plain table read and marked by
# UPDATE, and with PgQ; and a served handler, compared with a reader of its
# stdout that acknowledges.
# shellcheck shell=bash

# A new consumer each time, from the oldest event on.
buffer-batch_drain()
{
	consumers=$((consumers + 1))
	timed buffer-batch "$rows" "buffer-batch -q --once --batch-size 1000 \
--consumer bench$consumers | cat >/dev/null"
	[[ $(buf "SELECT total FROM philotes.cdc_batches
	    WHERE consumer = 'bench$consumers'
	    ORDER BY first_id DESC LIMIT 1") == "$rows" ]]
}

# drain_by NAME COMMAND: the same by a command with CONSUMER in it
drain_by()
{
	consumers=$((consumers + 1))
	timed "$1" "$rows" "${2//CONSUMER/--consumer bench$consumers}"
	[[ $(buf "SELECT total FROM philotes.cdc_batches
	    WHERE consumer = 'bench$consumers'
	    ORDER BY first_id DESC LIMIT 1") == "$rows" ]]
}

ack_drain()
{
	rm -f "$work/acks"
	mkfifo "$work/acks"
	drain_by ack_drain "buffer-batch -q --once CONSUMER --ack $work/acks \
| $probes/probe ack >$work/acks"
}

serve_drain()
{
	drain_by serve_drain "buffer-batch -q --once CONSUMER --serve \
-- $probes/probe ack"
}

psql_copy_out()
{
	timed copy_out "$rows" "psql -X -q -d \"\$PHILOTES_BUFFER_URL\" -c \
\"COPY (SELECT id, $columns, created_at FROM philotes.cdc_log) TO STDOUT\" \
| cat >/dev/null"
}

# The best case for the plain table: known ranges of ids, no search for
# unmarked rows.
plain_drain()
{
	plain_load "$some"
	timed plain "$some" "psql -X -q -v ON_ERROR_STOP=1 -d \"\$PLAIN_URL\" \
-f $work/plain_drain.sql | cat >/dev/null"
}

plain_script()
{
	local from
	for ((from = 1; from <= some; from += 1000)); do
		printf 'COPY (SELECT * FROM philotes.cdc_events WHERE id
		    BETWEEN %d AND %d ORDER BY id) TO STDOUT;
		    UPDATE philotes.cdc_events SET processed_at = now()
		    WHERE id BETWEEN %d AND %d;\n' \
			"$from" $((from + 999)) "$from" $((from + 999))
	done >"$work/plain_drain.sql"
}

pgq_drain()
{
	consumers=$((consumers + 1))
	timed pgq_drain "$some" "sed 's/CONSUMER/bench$consumers/' \
$work/pgq_drain.sql | psql -X -q -At -v ON_ERROR_STOP=1 -d \"\$PGQ_URL\" \
| cat >/dev/null"
}

# A tick after every 1000 events makes them a batch.
pgq_fill()
{
	local from
	pgq_make
	psql_on "$PGQ_URL" -c "UPDATE pgq.queue SET queue_ticker_max_count = 1,
	    queue_ticker_max_lag = '0', queue_ticker_idle_period = '0'" \
		-c "SELECT pgq.ticker('orders')" >/dev/null
	for ((from = 1; from <= 3; from++)); do
		psql_on "$PGQ_URL" -c "SELECT pgq.register_consumer('orders',
		    'bench$((consumers + from))')"
	done >/dev/null
	for ((from = 1; from <= some; from += 1000)); do
		printf "SELECT count(pgq.insert_event('orders', 'I', line))
		    FROM lines WHERE n BETWEEN %d AND %d;
		    SELECT pgq.ticker('orders');\n" \
			"$from" $((from + 999))
	done | psql_on "$PGQ_URL" >/dev/null
	psql_on "$PGQ_URL" -c "VACUUM ANALYZE" 2>/dev/null
	for ((from = 1; from <= some; from += 1000)); do
		printf "SELECT pgq.next_batch('orders', 'CONSUMER') AS b \\gset
		    COPY (SELECT * FROM pgq.get_batch_events(:b)) TO STDOUT;
		    SELECT pgq.finish_batch(:b);\n"
	done >"$work/pgq_drain.sql"
}

bench_batch()
{
	local consumers=0 some=$((rows / 4)) context=
	buffer_fresh
	buffer-write -q <"$work/mix.lines" >/dev/null
	buf "VACUUM (ANALYZE)"
	alternate "$pairs" psql_copy_out buffer-batch_drain
	result "buffer-batch, drain and mark / psql COPY TO STDOUT" "<= 1.1" \
		"$(ratio buffer-batch copy_out)" x buffer-batch copy_out
	result "buffer-batch, 1000 a batch" - "$(rate buffer-batch)" events/s \
		buffer-batch
	result "psql COPY TO STDOUT, no mark" - "$(rate copy_out)" events/s \
		copy_out
	alternate "$pairs" ack_drain serve_drain
	# rates, so of the times the other way round
	result "buffer-batch --serve / --ack, events/s" ">= 0.9" \
		"$(ratio ack_drain serve_drain)" x ack_drain serve_drain
	result "buffer-batch --ack" - "$(rate ack_drain)" events/s ack_drain
	result "buffer-batch --serve" - "$(rate serve_drain)" events/s \
		serve_drain
	plain_make
	plain_script
	alternate 3 plain_drain
	result "plain table, read and UPDATE" - "$(rate plain)" events/s plain
	! has pgq || {
		pgq_fill
		alternate 3 pgq_drain
		result "PgQ get_batch_events and finish_batch" - \
			"$(rate pgq_drain)" events/s pgq_drain
	}
}
