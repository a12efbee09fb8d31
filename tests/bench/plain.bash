# The plain table of tests/data, filled with the events of the mixed workload.
#
#   plain_make       makes its database and table, and a file of its rows
#   plain_load N     refills the table with the first N events
# shellcheck shell=bash

readonly plain_columns="source_id, schema_name, table_name, operation, lsn, \
transaction_id, key_columns, before_data, after_data, event_time, metadata"

plain_make()
{
	database_fresh plain
	psql_on "$PLAIN_URL" -f "$root/tests/data/plain-table.sql"
	plain_text mix "$rows"
}

plain_text()
{
	[[ ! -e $work/$1.plain ]] || return 0
	buffer_fresh
	buffer-write -q <"$(lines_of "$1")" >/dev/null
	buf "COPY (SELECT $plain_columns FROM philotes.cdc_events
	     ORDER BY id LIMIT $2) TO STDOUT" >"$work/$1.plain"
}

plain_load()
{
	psql_on "$PLAIN_URL" \
		-c "TRUNCATE philotes.cdc_events RESTART IDENTITY" \
		-c "\\copy philotes.cdc_events ($plain_columns) from program 'head -n $1 $work/mix.plain'" \
		-c "VACUUM ANALYZE philotes.cdc_events" -c CHECKPOINT
}
