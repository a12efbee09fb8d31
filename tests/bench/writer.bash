# buffer-write from a file, compared with psql's \copy of the same rows as text
# into the same table, with one INSERT an event, and with PgQ's insert_event.
# shellcheck shell=bash

buffer-write_file()
{
	buffer_fresh
	timed buffer-write "$rows" "buffer-write -q <$work/mix.lines >/dev/null"
	[[ $(buf "SELECT total FROM philotes.cdc_writes
	    ORDER BY write_no DESC LIMIT 1") == "$rows" ]]
}

psql_copy()
{
	buffer_fresh
	timed copy "$rows" "psql -X -q -d \"\$PHILOTES_BUFFER_URL\" \
-c \"\\copy philotes.cdc_log ($columns) from '$work/mix.text'\""
}

# The first rows of the workload, each in its own transaction.
insert_each()
{
	buffer_fresh
	timed insert "$few" "psql -X -q -v ON_ERROR_STOP=1 \
-d \"\$PHILOTES_BUFFER_URL\" -f $work/inserts.sql"
}

make_inserts()
{
	buffer_fresh
	buffer-write -q <"$work/mix.lines" >/dev/null
	buf "SELECT format('INSERT INTO philotes.cdc_log ($columns) VALUES '
	         '(%L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L);',
	         source_id, schema_name, table_name, operation, lsn,
	         transaction_id, commit_lsn, seq, key_columns, before_data,
	         after_data, event_time, metadata)
	     FROM philotes.cdc_log ORDER BY id LIMIT $few" \
		>"$work/inserts.sql"
}

# The INSERTs alone: the lines are in a table already.
pgq_insert()
{
	timed pgq_insert "$some" "psql -X -q -d \"\$PGQ_URL\" -c \"SELECT \
count(pgq.insert_event('orders', 'I', line)) FROM lines WHERE n <= $some\""
}

pgq_make()
{
	database_fresh pgq
	psql_on "$PGQ_URL" -c "CREATE EXTENSION pgq" \
		-c "SELECT pgq.create_queue('orders')" \
		-c "CREATE TABLE lines (n bigserial, line text)" \
		-c "\\copy lines (line) from program 'head -n $some $work/mix.lines' (format csv, quote E'\\x01', delimiter E'\\x02')" \
		-c "ALTER TABLE lines ADD PRIMARY KEY (n)" \
		-c "VACUUM ANALYZE lines" >/dev/null
}

bench_writer()
{
	local few=$((rows / 20)) some=$((rows / 4)) context=
	alternate "$pairs" psql_copy buffer-write_file
	result "buffer-write / psql \\copy text" "<= 0.90" \
		"$(ratio buffer-write copy)" x buffer-write copy
	result "buffer-write" - "$(rate buffer-write)" events/s buffer-write
	result "psql \\copy, text, same table" - "$(rate copy)" events/s copy
	make_inserts
	alternate 3 insert_each
	result "buffer-write, times faster than one INSERT an event" ">= 20" \
		"$(awk -v a="$(rate buffer-write)" -v b="$(rate insert)" \
			'BEGIN { split(a, x); split(b, y)
			print x[1] / y[1], x[2] / y[3], x[3] / y[2] }')" x \
		buffer-write insert
	result "one INSERT an event, committed ($few events)" - \
		"$(rate insert)" events/s insert
	! has pgq || {
		pgq_make
		alternate 3 pgq_insert
		result "PgQ insert_event, in one statement" - \
			"$(rate pgq_insert)" events/s pgq_insert
	}
}
