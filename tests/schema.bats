#!/usr/bin/env bats
# sql/001_schema.sql: what it guarantees to users who write by SQL.

# shellcheck source=SCRIPTDIR/helper.bash
load helper

# insert SOURCE [ROWS]: in one statement
insert()
{
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	    table_name, operation, lsn, event_time, after_data)
	    SELECT '$1', 'public', 't', 'INSERT', '0/1', now(),
	        jsonb_build_object('n', n)
	    FROM generate_series(1, ${2:-1}) n"
}

# A session that copies N rows in each of three statements.
copy_session()
{
	local i
	for i in 1 2 3; do
		seq 1 "$2" | sed "s/.*/$1,public,t,INSERT,0\/1,2026-01-01,{\"n\":&$i}/" |
			sed 's/{\(.*\)}/"{""n"":1}"/' |
			psql_on "$PHILOTES_BUFFER_URL" -c "\copy philotes.cdc_events
			    (source_id, schema_name, table_name, operation, lsn,
			     event_time, after_data) FROM pstdin (FORMAT csv)"
	done
}

@test "the schema can be loaded again, also when there is data" {
	insert a 3
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
	[[ $(buf_psql "SELECT count(*) FROM philotes.cdc_events") == 3 ]]
	[[ $(buf_psql "SELECT philotes.schema_version()") == 6 ]]
}

@test "cdc_events has exactly the columns of the plain table, in order" {
	[[ $(buf_psql "SELECT string_agg(column_name || ' ' || data_type, ', '
	        ORDER BY ordinal_position)
	    FROM information_schema.columns
	    WHERE table_schema = 'philotes' AND table_name = 'cdc_events'") == \
"id bigint, source_id text, schema_name text, table_name text, operation text,\
 lsn text, transaction_id bigint, key_columns jsonb, before_data jsonb,\
 after_data jsonb, event_time timestamp with time zone, metadata jsonb,\
 created_at timestamp with time zone, processed_at timestamp with time zone" ]]
}

@test "the log is partitioned and has no default partition" {
	[[ $(buf_psql "SELECT count(*) > 1 AND bool_and(pg_get_expr(relpartbound,
	    oid) LIKE 'FOR VALUES FROM%') FROM pg_class WHERE relispartition
	    AND relkind = 'r'") == t ]]
}

@test "an INSERT into the view makes one ledger row a statement" {
	insert a 3
	insert a 2
	[[ $(buf_psql "SELECT write_no, events, total, kind
	    FROM philotes.cdc_writes WHERE source_id = 'a' ORDER BY 1") == \
	    $'1|3|3|sql\n2|2|5|sql' ]]
	[[ $(buf_psql "SELECT bool_and(l.n = w.events) FROM philotes.cdc_writes w
	    CROSS JOIN LATERAL (SELECT count(*) n FROM philotes.cdc_log
	    WHERE source_id = 'a' AND id BETWEEN first_id AND last_id) l") == t ]]
}

# lengths SOURCE: the ledger's bytes are about those of the lines
lengths()
{
	local told lines
	told=$(buf_psql "SELECT sum(bytes) FROM philotes.cdc_writes
	    WHERE source_id = '$1'")
	lines=$(buffer-batch --once --source-id "$1" | wc -c)
	echo "$1: $told bytes in the ledger, $lines in lines"
	((told > lines * 95 / 100 && told < lines * 105 / 100))
}

@test "the ledger knows about how many bytes the events are as lines" {
	insert sql 100
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	    table_name, operation, lsn, transaction_id, key_columns,
	    before_data, after_data, event_time, metadata)
	    SELECT 'large', 's', 't', 'UPDATE', '0/1A2B400', 742, '[\"id\"]',
	        jsonb_build_object('id', n), jsonb_build_object('id', n,
	        'x', repeat('x', 3 * n)), now(), jsonb_build_object(
	        'commit_lsn', '0/1A2B400', 'seq', n, 'unchanged', '[\"y\"]')
	    FROM generate_series(1, 1000) n"
	buffer-batch --once --consumer copy |
		sed 's/"source_id":"[a-z]*"/"source_id":"written"/' |
		jq -c 'select(.metadata) | del(.id, .created_at)' |
		buffer-write
	lengths sql
	lengths large
	lengths written
	[[ $(buf_psql "SELECT count(*) FROM philotes.cdc_writes
	    WHERE bytes IS NULL OR events = 0 AND bytes <> 0") == 0 ]]
}

@test "a statement with runs of several sources makes a ledger row for each run" {
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	    table_name, operation, lsn, event_time)
	    SELECT s, 'public', 't', 'INSERT', '0/1', now()
	    FROM unnest('{a,a,b,a}'::text[]) s"
	[[ $(buf_psql "SELECT source_id, write_no, events, total
	    FROM philotes.cdc_writes ORDER BY 1, 2") == \
	    $'a|1|2|2\na|2|1|3\nb|1|1|1' ]]
}

@test "\\copy by several sessions: within a source, ids are in commit order" {
	local i sessions=()
	for i in 1 2 3 4; do
		child copy_session "s$((i % 2))" 500
		sessions+=($!)
	done
	for i in "${sessions[@]}"; do
		wait "$i"
	done
	[[ $(buf_psql "SELECT source_id, sum(events), max(total), count(*)
	    FROM philotes.cdc_writes GROUP BY 1 ORDER BY 1") == \
	    $'s0|3000|3000|6\ns1|3000|3000|6' ]]
	# the ranges of a source follow each other and hold the stated number
	# of events
	[[ $(buf_psql "SELECT count(*) FROM (SELECT first_id, lag(last_id)
	        OVER (PARTITION BY source_id ORDER BY write_no) AS before
	    FROM philotes.cdc_writes) w WHERE first_id <= before") == 0 ]]
	[[ $(buf_psql "SELECT bool_and(events = n) FROM philotes.cdc_writes w
	    CROSS JOIN LATERAL (SELECT count(*) n FROM philotes.cdc_log l
	    WHERE l.source_id = w.source_id
	    AND id BETWEEN first_id AND last_id) x") == t ]]
}

@test "commit_lsn and seq of metadata become columns and come back" {
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	    table_name, operation, lsn, event_time, metadata)
	    VALUES ('a', 's', 't', 'INSERT', '0/1', now(),
	    '{\"commit_lsn\":\"0/AB\",\"seq\":7,\"x\":1}')"
	[[ $(buf_psql "SELECT commit_lsn, seq, metadata FROM philotes.cdc_log") \
	    == '0/AB|7|{"x": 1}' ]]
	[[ $(buf_psql "SELECT metadata FROM philotes.cdc_events") == \
	    '{"x": 1, "seq": 7, "commit_lsn": "0/AB"}' ]]
	# metadata that is not a valid identity stays as it is
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	    table_name, operation, lsn, event_time, metadata)
	    VALUES ('b', 's', 't', 'INSERT', '0/1', now(),
	    '{\"commit_lsn\":\"0/AB\",\"seq\":0}')"
	[ "$(buffer-batch --source-id b --once | jq -c .metadata.commit_lsn,.metadata.seq)" = \
	    $'"0/AB"\n0' ]
}

@test "an INSERT that gives id or processed_at is refused" {
	local column
	for column in "id|5" "processed_at|now()"; do
		expect_code 1 buf_psql "INSERT INTO philotes.cdc_events (source_id,
		    schema_name, table_name, operation, lsn, event_time,
		    ${column%|*}) VALUES ('a', 's', 't', 'INSERT', '0/1', now(),
		    ${column#*|})"
		[[ $stderr == *"are assigned by Philotes"* ]]
	done
	[[ $(buf_psql "SELECT count(*) FROM philotes.cdc_writes") == 0 ]]
}

@test "UPDATE and DELETE are refused with a hint" {
	insert a
	expect_code 1 buf_psql "UPDATE philotes.cdc_events SET processed_at = now()"
	[[ $stderr == *append-only* && $stderr == *mark_processed* ]]
	expect_code 1 buf_psql "DELETE FROM philotes.cdc_events"
	[[ $stderr == *append-only* && $stderr == *buffer-gc* ]]
	[[ $(buf_psql "SELECT count(*) FROM philotes.cdc_events
	    WHERE processed_at IS NULL") == 1 ]]
}

@test "mark_processed stops at the last event there is, and never goes back" {
	local ids
	insert a 10
	mapfile -t ids < <(buf_psql "SELECT id FROM philotes.cdc_log ORDER BY 1")
	buf_psql "SELECT philotes.add_consumer('c')"
	mark() { buf_psql "SELECT philotes.mark_processed('c', 'a', $1)"; }
	[[ $(mark "${ids[3]}") == 4 ]]
	[[ $(mark "${ids[1]}") == 0 ]]
	[[ $(mark 1000000) == 6 ]]
	[[ $(mark 1000000) == 0 ]]
	[[ $(buf_psql "SELECT last_id, events, total FROM philotes.cdc_batches
	    ORDER BY first_id") == $"${ids[3]}|4|4"$'\n'"${ids[9]}|6|10" ]]
	# later events are not marked in advance
	insert a 1
	[[ $(mark 1000000) == 1 ]]
	expect_code 1 buf_psql "SELECT philotes.mark_processed('nobody', 'a', 1)"
	[[ $stderr == *'consumer "nobody" does not exist'* ]]
}

@test "processed_at waits for every registered consumer" {
	local id
	insert a 4
	id=$(buf_psql "SELECT min(id) + 1 FROM philotes.cdc_log")
	done_count() { buf_psql "SELECT count(processed_at)
	    FROM philotes.cdc_events"; }
	buf_psql "SELECT philotes.add_consumer('fast')"
	buf_psql "SELECT philotes.add_consumer('slow')"
	buf_psql "SELECT philotes.mark_processed('fast', 'a', 1000000)"
	[[ $(done_count) == 0 ]]
	buf_psql "SELECT philotes.mark_processed('slow', 'a', $id)"
	[[ $(done_count) == 2 ]]
	[[ $(buf_psql "SELECT bool_and((id <= $id) = (processed_at IS NOT NULL))
	    FROM philotes.cdc_events") == t ]]
	buf_psql "SELECT philotes.mark_processed('slow', 'a', 1000000)"
	[[ $(done_count) == 4 ]]
	# no consumer has processed the new source yet
	insert b 2
	[[ $(done_count) == 4 ]]
}

@test "ensure_partitions makes each partition once" {
	local before after
	partitions() { buf_psql "SELECT count(*) FROM pg_inherits
	    WHERE inhparent = 'philotes.cdc_log'::regclass"; }
	before=$(partitions)
	buf_psql "SELECT philotes.ensure_partitions()"
	[[ $(partitions) == "$before" ]]
	buf_psql "SELECT setval('philotes.cdc_log_id_seq',
	    philotes.partition_width() + 1)"
	buf_psql "SELECT philotes.ensure_partitions()"
	after=$(partitions)
	((after == before + 1))
	insert a 2
}

@test "ensure_partitions does not wait for a COPY in progress" {
	local copy
	mkfifo "$BATS_TEST_TMPDIR/rows"
	exec {rows}<>"$BATS_TEST_TMPDIR/rows"
	copier()
	{
		exec <"$BATS_TEST_TMPDIR/rows" {rows}>&-
		psql_on "$PHILOTES_BUFFER_URL" -c "\copy philotes.cdc_log
		    (source_id, schema_name, table_name, operation, lsn,
		     event_time) FROM pstdin (FORMAT csv)"
	}
	child copier
	copy=$!
	echo a,s,t,INSERT,0/1,2026-01-01 >&"$rows"
	wait_for buf_psql "SELECT count(*) FROM pg_stat_progress_copy" 1
	buf_psql "SELECT philotes.ensure_partitions(5)"
	[[ $(buf_psql "SELECT count(*) FROM pg_inherits
	    WHERE inhparent = 'philotes.cdc_log'::regclass") == 6 ]]
	[[ $(buf_psql "SELECT count(*) FROM pg_stat_progress_copy") == 1 ]]
	exec {rows}>&-
	wait "$copy"
	[[ $(buf_psql "SELECT count(*) FROM philotes.cdc_log") == 1 ]]
}

@test "writing requires READ COMMITTED" {
	expect_code 1 buf_psql "BEGIN ISOLATION LEVEL REPEATABLE READ;
	    INSERT INTO philotes.cdc_events (source_id, schema_name, table_name,
	        operation, lsn, event_time)
	    VALUES ('a', 's', 't', 'INSERT', '0/1', now())"
	[[ $stderr == *"READ COMMITTED"* ]]
}

@test "a table cdc_events of another kind is left alone" {
	buf_psql "DROP SCHEMA philotes CASCADE; CREATE SCHEMA philotes;
	    CREATE TABLE philotes.cdc_events (id BIGSERIAL PRIMARY KEY,
	        source_id TEXT NOT NULL, processed_at TIMESTAMPTZ);
	    INSERT INTO philotes.cdc_events (source_id) VALUES ('mine')"
	expect_code 3 psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
	[[ $stderr == *"differs from the plain table in the columns "*created_at* ]]
	[[ $(buf_psql "SELECT source_id FROM philotes.cdc_events") == mine ]]
	[[ $(buf_psql "SELECT count(*) FROM pg_class
	    WHERE relnamespace = 'philotes'::regnamespace
	    AND relname LIKE 'cdc_log%'") == 0 ]]
	expect_code 78 philotes init
	expect_error 'differs from the plain table in the columns'
}

@test "a newer schema is left alone" {
	buf_psql "CREATE OR REPLACE FUNCTION philotes.schema_version()
	    RETURNS int LANGUAGE sql AS 'SELECT 99'"
	expect_code 78 philotes init
	expect_error 'version 99, newer than'
	[[ $(buf_psql "SELECT philotes.schema_version()") == 99 ]]
}

# What version 1 of the tools leaves in a buffer: events of a slot and of
# users, the cursors of two consumers, and a run of its buffer-gc.
version_1()
{
	local system lsn
	buf_psql "DROP SCHEMA philotes CASCADE" 2>/dev/null
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/tests/data/schema-1.sql"
	src_psql "CREATE TABLE t (n int PRIMARY KEY)"
	pg-cdc-read --create 2>/dev/null
	system=$(src_psql "SELECT system_identifier FROM pg_control_system()")
	lsn=$(src_psql "SELECT confirmed_flush_lsn FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'")
	buf_psql "SELECT philotes.start_source('$source', '$system',
	    '$PHILOTES_SLOT', '$lsn', 1, 'start')"
	insert "$source" 10
	insert people 4
	insert "$source" 5
	buf_psql "SELECT philotes.add_consumer(c),
	        philotes.mark_processed(c, '$source', 6),
	        philotes.mark_processed(c, '$source', 9)
	    FROM unnest('{default,slow}'::text[]) c;
	    SELECT philotes.mark_processed('default', '$source', 19)"
	buf_psql "UPDATE philotes.cdc_sources s SET removed_to = r.up_to
	    FROM philotes.removable('0') r
	    WHERE r.source_id = s.source_id AND r.up_to > 0;
	    DELETE FROM philotes.cdc_log WHERE source_id = '$source' AND id <= 9"
}

@test "the schema of version 1 is upgraded in place, and the pipeline goes on" {
	local source=postgres-t$BATS_TEST_NUMBER before tool
	local state="SELECT e, w, b FROM (SELECT jsonb_agg(e ORDER BY id) AS e
	        FROM philotes.cdc_events e) e,
	    (SELECT jsonb_agg(to_jsonb(w) - 'bytes' ORDER BY source_id,
	        write_no) AS w
	     FROM philotes.cdc_writes w) w,
	    (SELECT jsonb_agg(to_jsonb(b) - 'batch_no' ORDER BY consumer,
	        source_id, first_id) AS b FROM philotes.cdc_batches b) b"
	version_1 >/dev/null
	for tool in buffer-write buffer-batch buffer-gc; do
		expect_code 78 "$tool"
		expect_error 'version 6 is expected, 1 was found'
		[[ $stderr == *"hint: philotes init upgrades it"* ]]
	done
	expect_code 78 philotes check
	grep -q '^ERROR *schema .*version 6 is expected, 1 was found' <<<"$output"
	refute grep -qE '^[A-Za-z]+ +(role|clock) ' <<<"$output"
	expect_code 1 philotes status
	[[ $output == *"its schema is older than the tools; \"philotes init\" upgrades it"* ]]
	before=$(buf_psql "$state")
	expect_code 0 philotes init
	[[ $(buf_psql "$state") == "$before" ]]
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
	[[ $(buf_psql "$state") == "$before" ]]
	[[ $(buf_psql "SELECT source_id, removed FROM philotes.cdc_sources
	    ORDER BY removed") == "people|0"$'\n'"$source|7" ]]
	[[ $(buf_psql "SELECT to_regclass('philotes.cdc_marks') IS NULL") == t ]]

	# the slot goes on at the position in the ledger
	start_pipeline
	src_psql "INSERT INTO t SELECT generate_series(1, 3)"
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_log" 15
	stop_pipeline
	[[ "$reader_code $writer_code" == "0 0" ]]
	expect_code 0 buffer-batch --once
	[[ $(jq -r .source_id <<<"$output" | sort | uniq -c | xargs) == \
	    "4 people 7 $source" ]]
	expect_code 0 buffer-batch --once --consumer slow
	[[ $(wc -l <<<"$output") == 15 ]]
	[[ $(buf_psql "SELECT consumer, batch_no, total FROM (SELECT DISTINCT
	        ON (consumer) * FROM philotes.cdc_batches
	        WHERE source_id = '$source' ORDER BY consumer, first_id DESC) b
	    ORDER BY 1") == $'default|4|18\nslow|3|18' ]]
	expect_code 0 buffer-gc --retention 0
	[[ $output == "deleted 15 events, dropped 0 partitions" ]]
}

# older VERSION: takes the schema back to it
older()
{
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/tests/data/schema-5.sql"
	(($1 < 5)) || return 0
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/tests/data/schema-4.sql"
	(($1 < 4)) || return 0
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/tests/data/schema-3.sql"
	if (($1 == 2)); then
		buf_psql "DROP FUNCTION philotes.stored_to;
		    CREATE OR REPLACE FUNCTION philotes.schema_version()
		    RETURNS int LANGUAGE sql AS 'SELECT 2'"
	fi
}

@test "the schema of versions 2 to 5 is upgraded in place, and all goes on" {
	local version tool first='1|3|3|sql'
	for version in 2 3 4 5; do
		((version != 4)) || first+='|t'
		buf_psql "DROP SCHEMA IF EXISTS philotes CASCADE" 2>/dev/null
		older "$version"
		insert a 3
		for tool in buffer-write buffer-batch buffer-gc; do
			expect_code 78 "$tool"
			expect_error "version 6 is expected, $version was found"
		done
		expect_code 1 philotes status
		[[ $output == *"its schema is older than the tools"* ]]
		psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
		psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
		[[ $(buf_psql "SELECT philotes.schema_version()") == 6 ]]
		# a tool that was started before goes on
		buf_psql "DO 'DECLARE b record; BEGIN
		    b := philotes.begin_write(''a'');
		    INSERT INTO philotes.cdc_log (source_id, schema_name,
		        table_name, operation, lsn, event_time)
		    VALUES (''a'', ''s'', ''t'', ''INSERT'', ''0/1'', now());
		    PERFORM philotes.end_write(''a'', b.write_no, b.first_id, 1,
		        ''0/1'', 1, ''0/2'', 1); END'"
		insert a
		[[ $(buf_psql "SELECT string_agg(concat_ws('|', write_no, events,
		        total, kind, bytes > 250), ' ' ORDER BY write_no)
		    FROM philotes.cdc_writes") == \
		    "$first 2|1|4|stream 3|1|5|sql|t" ]]
		[[ $(buf_psql "SELECT count(*) FROM philotes.cdc_snapshots") == 0 ]]
		[[ $(buf_psql "SELECT count(*) FROM philotes.cdc_schemas") == 0 ]]
		expect_code 0 buffer-batch --once
		[[ $(wc -l <<<"$output") == 5 ]]
	done
}

# processed: events of the consumer default
processed()
{
	buf_psql "SELECT coalesce(sum(events), 0) FROM philotes.cdc_batches
	    WHERE consumer = 'default'"
}

@test "events of an older version, whose length is not known, count as no bytes" {
	older 3
	insert a 3
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
	child buffer-batch --max-bytes 500 --flush-interval 1h
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_consumers" 1
	insert a 1
	sleep 1
	[[ $(processed) == 0 ]]
	# full now, but for the last event
	insert a 1
	wait_for processed '' 4
	kill_children
	# they wait no longer than others
	older 3
	insert a 3
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
	child buffer-batch --flush-interval 1s
	wait_for processed '' 8
}

@test "no upgrade while buffer-gc works; psql <FILE upgrades afterwards" {
	local held
	buf_psql "DROP SCHEMA philotes CASCADE" 2>/dev/null
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/tests/data/schema-1.sql"
	mkfifo "$BATS_TEST_TMPDIR/sql"
	exec {held}<>"$BATS_TEST_TMPDIR/sql"
	child psql_on "$PHILOTES_BUFFER_URL" <"$BATS_TEST_TMPDIR/sql" \
	    >/dev/null {held}>&-
	echo "SELECT pg_advisory_lock(hashtextextended('philotes.gc', 0));" \
	    >&"$held"
	wait_for buf_psql "SELECT count(*) FROM pg_locks
	    WHERE locktype = 'advisory'" 1
	expect_code 75 philotes init
	expect_error 'a buffer-gc of an older version is running'
	[[ $(buf_psql "SELECT philotes.schema_version()") == 1 ]]
	exec {held}>&-
	kill_children
	wait_for buf_psql "SELECT count(*) FROM pg_locks
	    WHERE locktype = 'advisory'" 0
	(cd "$root/sql" && psql_on "$PHILOTES_BUFFER_URL" <001_schema.sql)
	[[ $(buf_psql "SELECT philotes.schema_version()") == 6 ]]
}
