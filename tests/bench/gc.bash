# Removing a million processed events: buffer-gc, which drops partitions,
# compared with one DELETE of the same rows; and the longest transaction of
# another session that writes to the buffer meanwhile.
# shellcheck shell=bash

# Writes and processes all events, and moves the ids to the next partition.
gc_fill()
{
	buffer_fresh
	psql_on "$PHILOTES_BUFFER_URL" -c "SET synchronous_commit = off" \
		-c "CREATE TABLE model ($model)" \
		-c "\\copy model from program 'head -n 20000 $work/mix.text'" \
		-c "DO \$\$ DECLARE b record; n bigint;
	BEGIN
		FOR i IN 1 .. $gone / 20000 LOOP
			SELECT * INTO b FROM philotes.begin_write('shop');
			INSERT INTO philotes.cdc_log ($columns)
			SELECT * FROM model;
			GET DIAGNOSTICS n = ROW_COUNT;
			PERFORM philotes.end_write('shop', b.write_no,
			    b.first_id, n, NULL, NULL, kind => 'sql');
			COMMIT;
		END LOOP;
	END \$\$" -c "DROP TABLE model" \
		-c "SELECT philotes.add_consumer('default'),
		    philotes.mark_processed('default', 'shop',
		        9223372036854775807)" \
		-c "SELECT setval('philotes.cdc_log_id_seq',
		    philotes.partition_width()), philotes.ensure_partitions()" \
		-c CHECKPOINT >/dev/null
}

# Drops the events from the page cache, as events as old as a retention would
# be: DELETE must read them, and the kernel frees files faster without their
# pages.
gc_forget()
{
	cluster_stop "$work/buf"
	find "$work/buf/base" -type f -exec \
		dd if={} iflag=nocache count=0 status=none \;
	cluster_start "$work/buf"
}

# Writes as buffer-write does, for longer than the removal takes; column 3 of
# its log has microseconds.
gc_bystander()
{
	rm -f "$work"/wait.*
	PGHOST=$(cluster_sockets "$work/buf") PGUSER=postgres \
		PGDATABASE=buffer PGPORT=5432 pgbench -n \
		-f "$work/bystander.sql" -c 1 -R 200 -T "$long" -l \
		--log-prefix="$work/wait" >"$work/pgbench.said" 2>&1 &
	bystander=$!
	while [[ $(buf "SELECT count(*) FROM philotes.cdc_writes
	    WHERE source_id = 'other'") == 0 ]]; do
		sleep 0.05
	done
}

# The longest of its transactions, in ms.
gc_longest()
{
	wait "$bystander"
	awk '$3 > max { max = $3 } END { print max / 1000 }' "$work"/wait.*
}

gc_drop()
{
	local bystander
	gc_fill
	gc_bystander
	timed buffer-gc "$gone" "buffer-gc -q --retention 0s"
	gc_longest >>"$work/waits.gc"
	[[ $(buf "SELECT count(*) FROM philotes.cdc_log
	    WHERE source_id = 'shop'") == 0 ]]
}

gc_delete()
{
	local bystander
	gc_fill
	gc_bystander
	timed delete "$gone" "psql -X -q -d \"\$PHILOTES_BUFFER_URL\" -c \
\"DELETE FROM philotes.cdc_log WHERE source_id = 'shop'\""
	gc_longest >>"$work/waits.delete"
}

gc_drop_old()
{
	gc_fill
	gc_forget
	timed buffer-gc-old "$gone" "buffer-gc -q --retention 0s"
}

gc_delete_old()
{
	gc_fill
	gc_forget
	timed delete-old "$gone" "psql -X -q -d \"\$PHILOTES_BUFFER_URL\" -c \
\"DELETE FROM philotes.cdc_log WHERE source_id = 'shop'\""
}

# What frees the space for other rows as well.
gc_delete_vacuum()
{
	gc_fill
	timed delete-vacuum "$gone" "psql -X -q -d \"\$PHILOTES_BUFFER_URL\" \
-c \"DELETE FROM philotes.cdc_log WHERE source_id = 'shop'\" \
-c \"VACUUM philotes.cdc_log\""
}

bench_gc()
{
	local context='' gone=1000000 rounds=$((pairs < 3 ? pairs : 3)) model
	local long=6
	((!quick)) || gone=200000 long=2
	model="source_id text, schema_name text, table_name text, \
operation text, lsn text, transaction_id bigint, commit_lsn pg_lsn, \
seq bigint, key_columns json, before_data json, after_data json, \
event_time timestamptz, metadata json"
	cat >"$work/bystander.sql" <<-SQL
		BEGIN;
		SELECT * FROM philotes.begin_write('other') \gset
		INSERT INTO philotes.cdc_log (source_id, schema_name,
		    table_name, operation, lsn, event_time)
		VALUES ('other', 'public', 'orders', 'INSERT', '0/1', now());
		SELECT philotes.end_write('other', :write_no, :first_id, 1,
		    NULL, NULL, kind => 'sql');
		COMMIT;
	SQL
	alternate "$rounds" gc_delete_old gc_drop_old
	alternate "$rounds" gc_delete gc_drop gc_delete_vacuum
	result "buffer-gc of $gone old events, times faster than DELETE" ">= 10" \
		"$(ratio buffer-gc-old delete-old | inverse)" x buffer-gc-old \
		delete-old
	result "the same, events still in memory" - \
		"$(ratio buffer-gc delete | inverse)" x buffer-gc delete
	result "the same, than DELETE and VACUUM" - \
		"$(ratio buffer-gc delete-vacuum | inverse)" x buffer-gc \
		delete-vacuum
	result "buffer-gc" - "$(rate buffer-gc)" events/s buffer-gc
	result "DELETE" - "$(rate delete)" events/s delete
	result "longest transaction of another writer during buffer-gc" \
		"<= 200" "$(spread <"$work/waits.gc")" ms buffer-gc
	result "longest transaction of another writer during DELETE" - \
		"$(spread <"$work/waits.delete")" ms delete
}
