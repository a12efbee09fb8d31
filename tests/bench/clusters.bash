# The servers of scripts/bench, and their workloads.  fsync is on.  No
# autovacuum and no scheduled checkpoint disturbs either side of a comparison,
# and WAL files are recycled.
#
#   src SQL, buf SQL        runs SQL on the source's or buffer's database
#   buffer_fresh            replaces the buffer's database, with an empty schema
#   slot_copy LOAD PLUGIN   makes a slot "run" at the start of the workload
#   slot_drop NAME
#   load_events LOAD        the workload's number of events
#   load_until LOAD         the LSN where it ends
#   lines_of LOAD           the file with its events as lines
#   text_of LOAD            file with its rows of cdc_log, in COPY text format
# shellcheck shell=bash

# the columns of cdc_log that a writer fills
readonly columns="source_id, schema_name, table_name, operation, lsn, \
transaction_id, commit_lsn, seq, key_columns, before_data, after_data, \
event_time, metadata"

clusters_start()
{
	local common=(shared_buffers=512MB min_wal_size=16GB max_wal_size=64GB
		checkpoint_timeout=1h autovacuum=off
		max_parallel_maintenance_workers=0)
	local name=output_plugin_libraries plugins=()
	! pg_knows "$name" || plugins=("$name=wal2json,pgoutput")
	progress "starting the servers"
	cluster_create "$work/src" "${common[@]}" wal_level=logical \
		max_replication_slots=40 max_wal_senders=40 \
		"${plugins[@]}"
	cluster_create "$work/buf" "${common[@]}"
	cluster_start "$work/src"
	cluster_start "$work/buf"
}

# For the shells that run the subjects.
clusters_env()
{
	PHILOTES_SOURCE_URL=$(cluster_url "$work/src" shop)
	PHILOTES_BUFFER_URL=$(cluster_url "$work/buf" buffer)
	PLAIN_URL=$(cluster_url "$work/buf" plain)
	PGQ_URL=$(cluster_url "$work/buf" pgq)
	export PHILOTES_SOURCE_URL PHILOTES_BUFFER_URL PLAIN_URL PGQ_URL
	export PHILOTES_SLOT=run PHILOTES_SOURCE_ID=shop
}

src()
{
	psql_on "$PHILOTES_SOURCE_URL" -At -F ' ' -c "$1"
}

buf()
{
	psql_on "$PHILOTES_BUFFER_URL" -At -F ' ' -c "$1"
}

buffer_server()
{
	psql_on "$(cluster_url "$work/buf")" -At "$@"
}

buffer_template()
{
	buffer_server -c "CREATE DATABASE buffer_template"
	psql_on "$(cluster_url "$work/buf" buffer_template)" \
		-f "$root/sql/001_schema.sql"
}

buffer_fresh()
{
	buffer_server -c "DROP DATABASE IF EXISTS buffer WITH (FORCE)" \
		-c "CREATE DATABASE buffer TEMPLATE buffer_template" \
		-c "CHECKPOINT" 2>/dev/null
}

database_fresh()
{
	buffer_server -c "DROP DATABASE IF EXISTS $1 WITH (FORCE)" \
		-c "CREATE DATABASE $1" 2>/dev/null
}

slot_make()
{
	src "SELECT pg_create_logical_replication_slot('$1', 'pgoutput')" \
		>/dev/null
}

slot_copy()
{
	src "SELECT pg_copy_logical_replication_slot('$1', 'run', false, '$2')" \
		>/dev/null
	src "CHECKPOINT"
}

# The session that used the slot may still be ending.
slot_drop()
{
	local name=$1 left=100
	while ((left-- > 0)) && [[ $(src "SELECT count(*)
	    FROM pg_replication_slots WHERE slot_name = '$name'") != 0 ]]; do
		src "SELECT pg_drop_replication_slot('$name')" \
			>/dev/null 2>&1 || sleep 0.05
	done
}

# A row of an order, of about 280 bytes, numbered by i.
readonly order_columns="customer_id, status, amount, currency, created_at, \
paid, tags, address, note"
readonly order_values="i::bigint * 31 % 50000, 'new', (i::bigint * 7919 % 1000000) / 100.0, \
'EUR', now(), false, '{web,priority}', jsonb_build_object('street', \
'Invalidenstraße ' || i % 200, 'zip', '10115', 'city', 'Berlin'), \
'please leave it with the \"neighbours\" on the second floor, the bell is ' \
|| 'out of order ' || md5(i::text)"

source_schema()
{
	local order="id bigserial PRIMARY KEY, customer_id bigint NOT NULL,
	    status text NOT NULL, amount numeric(12, 2), currency char(3),
	    created_at timestamptz, paid boolean, tags text[], address jsonb,
	    note text"
	psql_on "$(cluster_url "$work/src")" -c "CREATE DATABASE shop"
	src "CREATE TABLE orders ($order);
	     CREATE TABLE full_orders ($order);
	     ALTER TABLE full_orders REPLICA IDENTITY FULL;
	     CREATE TABLE wide (id bigserial PRIMARY KEY, body text);
	     ALTER TABLE wide ALTER body SET STORAGE PLAIN;
	     CREATE TABLE fence (id bigserial PRIMARY KEY);
	     CREATE PUBLICATION philotes_pub
	         FOR TABLE orders, full_orders, wide, fence"
}

# All in one transaction.
insert_orders()
{
	src "INSERT INTO ${2-orders} ($order_columns)
	     SELECT $order_values FROM generate_series(1, $1) i"
}

# Each in its own transaction.  The commits do not wait for the source's disk,
# which makes no difference to the buffer.
insert_orders_singly()
{
	psql_on "$PHILOTES_SOURCE_URL" -c "SET synchronous_commit = off" \
		-c "DO \$\$ BEGIN FOR i IN 1 .. $1 LOOP
		INSERT INTO orders ($order_columns) VALUES ($order_values);
		COMMIT; END LOOP; END \$\$"
}

# Records where a workload ends.  A transaction of one more event follows, so
# that no reader waits for a keepalive to notice the end.
load_ends()
{
	echo "$2" >"$work/$1.events"
	src "SELECT pg_current_wal_insert_lsn()" >"$work/$1.until"
	src "INSERT INTO fence DEFAULT VALUES"
}

load_events()
{
	cat "$work/$1.events"
}

load_until()
{
	cat "$work/$1.until"
}

# mix: a large transaction of inserts, one of updates, and many of one insert.
# large and tiny are the first and the last part of it.  It has $rows events
# in all, and the event between the parts is one of them.
make_mix()
{
	progress "making the workload: $rows orders"
	slot_make mix
	slot_make large
	insert_orders $((rows / 2 - 1))
	load_ends large $((rows / 2 - 1))
	src "UPDATE orders SET status = 'paid', paid = true
	     WHERE id <= $((rows / 4))"
	slot_make tiny
	insert_orders_singly $((rows / 4))
	load_ends mix "$rows"
	cp "$work/mix.until" "$work/tiny.until"
	echo $((rows / 4)) >"$work/tiny.events"
}

make_wide()
{
	local n=$((rows / 8))
	progress "making the workload: wide rows"
	slot_make wide
	src "INSERT INTO wide (body) SELECT repeat(md5(i::text), 62)
	     FROM generate_series(1, $n) i"
	load_ends wide "$n"
}

make_full()
{
	local n=$((rows / 4))
	progress "making the workload: updates under FULL"
	insert_orders "$n" full_orders
	slot_make full
	src "UPDATE full_orders SET status = 'paid', paid = true"
	load_ends full "$n"
}

workloads_make()
{
	buffer_template
	source_schema
	make_mix
	make_wide
	make_full
	lines_of mix >/dev/null
	text_of mix >/dev/null
}

lines_of()
{
	local file=$work/$1.lines
	if [[ ! -e $file ]]; then
		progress "lines of $1"
		slot_copy "$1" pgoutput
		# without the event that follows the workload
		pg-cdc-read -q --until "$(load_until "$1")" |
			head -n "$(load_events "$1")" >"$file.new" || :
		slot_drop run
		[[ $(wc -l <"$file.new") == "$(load_events "$1")" ]]
		mv "$file.new" "$file"
	fi
	echo "$file"
}

# The order of keys and the spacing are as in the lines.
text_of()
{
	local file=$work/$1.text
	if [[ ! -e $file ]]; then
		buffer_fresh
		buffer-write -q <"$(lines_of "$1")" >/dev/null
		buf "COPY (SELECT $columns FROM philotes.cdc_log ORDER BY id)
		     TO STDOUT" >"$file"
	fi
	echo "$file"
}
