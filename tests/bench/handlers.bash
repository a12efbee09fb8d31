# What schema lines cost pg-cdc-read and buffer-batch, and how fast
# share/handlers/postgres mirrors the events, as one process and as a command a
# batch.
# shellcheck shell=bash

# The same as pg-cdc-read_to_file, which has no schema lines.
reader_schema()
{
	slot_copy mix pgoutput
	rm -f "$work/read"
	timed reader_schema "$rows" \
		"pg-cdc-read -q --schema --until $(load_until mix) >$work/read"
	slot_drop run
	grep -q '"control":"schema"' "$work/read"
}

# The first N events of the workload, with their schema lines.
schema_lines()
{
	slot_copy mix pgoutput
	pg-cdc-read -q --schema --until "$(load_until mix)" 2>/dev/null |
		awk -v n="$1" '!/^{"control"/ && ++i > n { exit } 1' || :
	slot_drop run
}

schema_drain()
{
	drain_by schema_drain "buffer-batch -q --once --schema \
--batch-size 1000 CONSUMER | cat >/dev/null"
}

# mirror NAME OPTION ...
mirror()
{
	local name=$1 url
	shift
	database_fresh mirror
	url=$(cluster_url "$work/buf" mirror)
	consumers=$((consumers + 1))
	timed "$name" "$some" "buffer-batch -q --once --batch-size 1000 \
--consumer bench$consumers $* -- /usr/bin/python3 \
$root/share/handlers/postgres \"$url\""
	[[ $(psql_on "$url" -At -c "SELECT count(*) > 0 FROM orders") == t ]]
}

mirror_served()
{
	mirror mirror_served --serve
}

mirror_by_batch()
{
	mirror mirror_by_batch --schema
}

bench_handlers()
{
	local load=mix consumers=0 some=$((rows / 8))
	alternate "$pairs" pg-cdc-read_to_file reader_schema
	result "pg-cdc-read --schema / without" "<= 1.01" \
		"$(ratio reader_schema pg-cdc-read)" x reader_schema pg-cdc-read
	buffer_fresh
	schema_lines "$rows" | buffer-write -q >/dev/null
	buf "VACUUM (ANALYZE)"
	alternate "$pairs" buffer-batch_drain schema_drain
	result "buffer-batch --schema / without" "<= 1.01" \
		"$(ratio schema_drain buffer-batch)" x schema_drain buffer-batch
	/usr/bin/python3 -c "import psycopg" 2>/dev/null || {
		note "python3-psycopg is not installed: no mirror"
		return 0
	}
	buffer_fresh
	schema_lines "$some" | buffer-write -q >/dev/null
	alternate "$((quick ? 1 : 3))" mirror_served mirror_by_batch
	result "share/handlers/postgres, served" - "$(rate mirror_served)" \
		events/s mirror_served
	result "share/handlers/postgres, a command a batch" - \
		"$(rate mirror_by_batch)" events/s mirror_by_batch
}
