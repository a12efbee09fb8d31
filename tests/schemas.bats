#!/usr/bin/env bats
# Schema lines (philotes-stream(5)): from the reader, in the buffer, and in every
# batch.

load helper
load schemas
load lines

# the parts of the stream at hand: what is stored, without acks
store()
{
	pg-cdc-read --schema --until now >"$BATS_TEST_TMPDIR/seen"
	buffer-write <"$BATS_TEST_TMPDIR/seen"
}

# of_table NAME: the schema lines of a table in the stream
of_table()
{
	grep '^{"control":"schema"' "$BATS_TEST_TMPDIR/seen" |
		jq -c "select(.table_name == \"$1\")"
}

@test "a line says what the WAL and the catalog know of a table" {
	src_psql "CREATE TYPE mood AS ENUM ('sad', 'a \"b\"');
	    CREATE DOMAIN cents AS numeric(12,2);
	    CREATE TABLE t (id bigint, k text, d cents, ds cents[], m mood,
	        ms mood[], \"A\"\"b\" int4range, PRIMARY KEY (k, id) INCLUDE (d));
	    ALTER TABLE t REPLICA IDENTITY FULL;
	    ALTER TABLE t DROP m;
	    ALTER TABLE t ADD m mood, ADD n int NOT NULL DEFAULT 7;
	    CREATE TABLE p (id int PRIMARY KEY) PARTITION BY LIST (id);
	    CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
	    CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	expect_code 0 pg-cdc-read --create
	# rows that are older than the column
	src_psql "INSERT INTO t (id, k) VALUES (1, 'x');
	    ALTER TABLE t ADD w jsonb DEFAULT '{\"a\": 1}'"
	src_psql "INSERT INTO t VALUES (2, 'x', 1.50, '{2}', '{sad}', '[1,2)',
	    'sad', 1); INSERT INTO p VALUES (1)"
	store
	[ "$(of_table t | tail -n 1 | jq -c '[.source_id, .schema_name, .relid,
	    .replica_identity, .key_columns == [.columns[].name], .primary_key,
	    .partition_of]')" = "[\"postgres-$PHILOTES_SLOT\",\"public\",$(src_psql \
	    "SELECT 't'::regclass::oid"),\"full\",true,[\"k\",\"id\"],null]" ]
	[ "$(of_table t | tail -n 1 | jq -c '.columns[]')" = "$(cat <<-'EOT'
	{"name":"id","type":"bigint","attnum":1,"not_null":true}
	{"name":"k","type":"text","attnum":2,"not_null":true}
	{"name":"d","type":"numeric(12,2)","domain":"public.cents","attnum":3}
	{"name":"ds","type":"public.cents[]","attnum":4}
	{"name":"ms","type":"public.mood[]","enum":["sad","a \"b\""],"attnum":6}
	{"name":"A\"b","type":"int4range","attnum":7}
	{"name":"m","type":"public.mood","enum":["sad","a \"b\""],"attnum":8}
	{"name":"n","type":"integer","attnum":9,"not_null":true,"missing":7}
	{"name":"w","type":"jsonb","attnum":10,"missing":{"a":1}}
	EOT
	)" ]
	[ "$(of_table p1 | jq -c '[.partition_of, .primary_key]')" = \
	    "[{\"relid\":$(src_psql "SELECT 'p'::regclass::oid"),\"schema_name\":\"public\",\"table_name\":\"p\"},[\"id\"]]" ]
	# a domain has the values of its base type
	grep -q '"after_data":{"id":2,.*"d":1.50,' "$BATS_TEST_TMPDIR/seen"
}

@test "schema is the beginning of the SHA-256 of the line without it" {
	local line name
	workload
	store
	grep '^{"control":"schema"' "$BATS_TEST_TMPDIR/seen" >"$BATS_TEST_TMPDIR/s"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/s")" -ge 9 ]
	while IFS= read -r line; do
		name=$(jq -r .schema <<<"$line")
		[ "$(sed -E 's/,"schema":"[0-9a-f]{12}"//' <<<"$line" | tr -d '\n' |
		    sha256sum | cut -c 1-12)" = "$name" ]
	done <"$BATS_TEST_TMPDIR/s"
}

@test "a line comes when it would be another one, and only then" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL);
	    ALTER TABLE t REPLICA IDENTITY FULL;
	    CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	expect_code 0 pg-cdc-read --create
	start_pipeline
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_sources" 1
	# the same Relation message again: no line; another hint: a line
	src_psql "INSERT INTO t VALUES (1, 'x')"
	wait_for in_force '' "$(in_force)"
	src_psql "ALTER TABLE t SET (fillfactor = 50);
	    INSERT INTO t VALUES (2, 'x')"
	src_psql "GRANT SELECT ON t TO PUBLIC; TRUNCATE t;
	    INSERT INTO t VALUES (3, 'x')"
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_log" 4
	[ "$(in_force | wc -l)" = 1 ]
	src_psql "ALTER TABLE t ALTER v DROP NOT NULL"
	src_psql "INSERT INTO t VALUES (4, NULL)"
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_log" 5
	[ "$(in_force | wc -l)" = 2 ]
	[ "$(buf_psql "SELECT string_agg(philotes.schema_of(source_id, schema_name,
	        table_name, id) #>> '{columns,1,not_null}', ' ' ORDER BY id)
	    FROM philotes.cdc_log")" = 'true true true true' ]
	stop_pipeline
	[ "$reader_code $writer_code" = "0 0" ]
	# in the next run all lines are sent again; they are in force
	src_psql "INSERT INTO t VALUES (5, NULL)"
	start_pipeline --until now
	await_pipeline
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 6 ]
	[ "$(in_force | wc -l)" = 2 ]
}

@test "without --schema and --ack there are none" {
	workload
	pg-cdc-read --until now >"$BATS_TEST_TMPDIR/plain"
	refute grep -q control "$BATS_TEST_TMPDIR/plain"
	store
	grep -v '^{"control"' "$BATS_TEST_TMPDIR/seen" |
		cmp - "$BATS_TEST_TMPDIR/plain"
	expect_code 0 buffer-batch --peek
	refute grep -q control <<<"$output"
	expect_code 0 buffer-batch --once -- sh -c 'refute() { ! "$@"; }
	    refute grep control'
}

@test "the buffer gives the lines back where the reader had them" {
	workload
	store
	buffer-batch --from '#1' --batch-size 1000 --schema | alone |
		cmp - "$BATS_TEST_TMPDIR/seen"
	# with acks, too, as the first event of a table has one in the run
	start_pipeline --until now
	await_pipeline
	[ "$reader_code $writer_code" = "0 0" ]
	buffer-batch --from '#1' --batch-size 1000 --schema | alone |
		cmp - "$BATS_TEST_TMPDIR/seen"
}

@test "each batch is complete in itself, wherever it is cut" {
	local at=$BATS_TEST_TMPDIR size id n
	workload
	store
	n=$(buf_psql "SELECT count(*) FROM philotes.cdc_log")
	for size in 1 2 3 7; do
		batches --once --consumer "c$size" --batch-size "$size" >"$at/out"
		[ "$(grep -cx END "$at/out")" = $(((n + size - 1) / size)) ]
		[[ $(delivered "$at/out") == "$n|"*"|0" ]]
	done
	# from anywhere, and to anywhere
	for id in $(buf_psql "SELECT id FROM philotes.cdc_log"); do
		buffer-batch --from "#$id" --schema && echo END
		buffer-batch --to "#$id" --schema --batch-size 1000 && echo END
	done >"$at/out"
	[[ $(delivered "$at/out") == "$((n * (n + 1)))|"*"|0" ]]
	(buffer-batch --peek --schema && echo END) >"$at/out"
	[[ $(delivered "$at/out") == "$n|"*"|0" ]]
	# few tables of many
	(buffer-batch --from '#1' --tables '"C c",d' --schema && echo END) >"$at/out"
	[ "$(delivered "$at/out")" = '6|2|0' ]
	# as control lines
	mkfifo "$at/acks"
	# shellcheck disable=SC2094
	buffer-batch --consumer acks --once --batch-size 2 --ack "$at/acks" |
		tee "$at/out" | jq -r --unbuffered \
		'select(.control == "checkpoint").ack' >"$at/acks"
	sed -i 's/^{"control":"checkpoint".*/END/' "$at/out"
	[[ $(delivered "$at/out") == "$n|"*"|0" ]]
}

@test "a handler that is bisected, and dead letters, have their lines" {
	local at=$BATS_TEST_TMPDIR
	workload
	store
	cat >"$at/picky" <<-'EOT'
	#!/bin/sh
	in=$(cat)
	printf '%s\nEND\n' "$in" >>"$0.log"
	if printf '%s' "$in" | grep -v '^{"control"' | grep -q '"w":"w"'; then
		exit 1
	fi
	EOT
	chmod +x "$at/picky"
	expect_code 0 buffer-batch --schema --once --retries 0 \
		--on-failure dead-letter -- "$at/picky"
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_dead_letters")" = 2 ]
	delivered "$at/picky.log"
	# so has the last good event, which is tried again, though it is older than
	# all that is read, and another line has come into force since
	buf_psql "TRUNCATE philotes.cdc_dead_letters"
	src_psql "INSERT INTO b VALUES (3, 'x')"
	src_psql "ALTER TABLE b ADD x int"
	src_psql "INSERT INTO b VALUES (4, 'x')"
	store
	buf_psql "SELECT philotes.add_consumer('late');
	    SELECT philotes.mark_processed('late', source_id, max(id) - 1)
	    FROM philotes.cdc_log GROUP BY source_id" >/dev/null
	: >"$at/picky.log"
	sed -i 's/"w":"w"/"id":4,"v":"x"/' "$at/picky"
	expect_code 0 buffer-batch --schema --once --retries 0 --consumer late \
		--on-failure dead-letter -- "$at/picky"
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_dead_letters")" = 1 ]
	[ "$(delivered "$at/picky.log")" = '3|3|0' ]
	batches --dead-letters --consumer late >"$at/out"
	[ "$(delivered "$at/out")" = '1|1|0' ]
}

@test "WAL that is sent again adds no schema, nor does a new run" {
	local before
	workload
	store
	before=$(buf_psql "SELECT * FROM philotes.cdc_schemas ORDER BY from_id")
	[ "$(wc -l <<<"$before")" = "$(grep -c '^{"control":"schema"' \
	    "$BATS_TEST_TMPDIR/seen")" ]
	store
	store
	[ "$(buf_psql "SELECT * FROM philotes.cdc_schemas ORDER BY from_id")" = \
	    "$before" ]
	src_psql "ALTER TABLE a ADD x int; INSERT INTO a VALUES (9)"
	src_psql "INSERT INTO a VALUES (10)"
	store
	store
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_schemas")" = \
	    $(($(wc -l <<<"$before") + 1)) ]
}

@test "buffer-gc keeps the schemas of the events that are left" {
	local at=$BATS_TEST_TMPDIR n
	workload
	store
	# the next events are in another partition
	buf_psql "SELECT setval('philotes.cdc_log_id_seq',
	    philotes.partition_width(), false);
	    SELECT philotes.ensure_partitions()" >/dev/null
	src_psql "INSERT INTO a VALUES (11), (12)"
	src_psql "ALTER TABLE a ADD y int"
	src_psql "INSERT INTO a VALUES (13); INSERT INTO b VALUES (3, 'x')"
	store
	n=$(in_force | wc -l)
	buf_psql "SELECT philotes.add_consumer('all')" >/dev/null
	buffer-batch --once --consumer all --batch-size 1 >/dev/null
	# all but the last four are old
	buf_psql "UPDATE philotes.cdc_batches
	    SET processed_at = processed_at - interval '1 day'
	    WHERE last_id < philotes.partition_width();
	    INSERT INTO philotes.cdc_dead_letters SELECT 'all', l.*, 'exit 1', 1
	    FROM philotes.cdc_log l WHERE table_name = 'a' ORDER BY id OFFSET 3 LIMIT 1"
	expect_code 0 buffer-gc --retention 1h
	[[ $output == *"dropped 1 partitions" ]] || { echo "$output"; false; }
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 4 ]
	(buffer-batch --from '#1' --schema && echo END) >"$at/out"
	[ "$(delivered "$at/out")" = '4|3|0' ]
	# the dead letter's, and all since
	batches --dead-letters --consumer all --once >"$at/out"
	[ "$(delivered "$at/out")" = '1|1|0' ]
	[ "$(in_force | wc -l)" -lt "$n" ]
	expect_code 0 buffer-gc --retention 1h
	# of each table the one at or before its oldest event, and those after it
	buf_psql "DELETE FROM philotes.cdc_dead_letters"
	buf_psql "UPDATE philotes.cdc_batches
	    SET processed_at = processed_at - interval '1 day'"
	expect_code 0 buffer-gc --retention 1h
	[ "$(in_force | cut -d '|' -f 1 | sort | uniq -c | tr -s ' ')" = \
	    ' 1 C c
 1 a
 1 b
 1 d' ]
	src_psql "INSERT INTO b VALUES (4, 'x')"
	store
	(buffer-batch --from '#1' --schema && echo END) >"$at/out"
	[ "$(delivered "$at/out")" = '1|1|0' ]
}

@test "a consumer that waits gets the line that comes" {
	workload
	store
	child buffer-batch --schema --flush-interval 0 >"$BATS_TEST_TMPDIR/out"
	wait_for seen a 4
	src_psql "ALTER TABLE a ADD x int"
	src_psql "INSERT INTO a VALUES (9)"
	store
	wait_for seen a 5
	grep '^{"control"' "$BATS_TEST_TMPDIR/out" | tail -n 1 | grep -q '"name":"x"'
}

# How many INSERTs of a table have been delivered?
seen()
{
	grep -c "\"table_name\":\"$1\",\"operation\":\"INSERT\"" \
		"$BATS_TEST_TMPDIR/out"
}

@test "rows of a snapshot have their line, a table without rows too" {
	src_psql "CREATE DOMAIN cents AS bigint;
	    CREATE TABLE t (id int, c cents, j jsonb, PRIMARY KEY (id) INCLUDE (c));
	    CREATE TABLE empty (id int PRIMARY KEY);
	    INSERT INTO t SELECT i, i, 'null' FROM generate_series(1, 3) i;
	    CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	expect_code 0 pg-cdc-read --create
	expect_code 0 pg-cdc-read --snapshot all
	start_pipeline --until snapshot
	await_pipeline
	[ "$reader_code $writer_code" = "0 0" ]
	[ "$(in_force | cut -d '|' -f 1)" = $'empty\nt' ]
	src_psql "INSERT INTO t VALUES (4, 4, 'null'); INSERT INTO empty VALUES (1)"
	start_pipeline --until now
	await_pipeline
	[ "$(in_force | cut -d '|' -f 1)" = $'empty\nt' ]
	# READ and INSERT show the same values
	[ "$(buf_psql "SELECT DISTINCT json_typeof(after_data->'c'),
	        json_typeof(after_data->'j'), metadata->>'json_text'
	    FROM philotes.cdc_log
	    WHERE table_name = 't' AND operation <> 'SNAPSHOT'")" = \
	    'number|string|["j"]' ]
	(buffer-batch --from '#1' --schema && echo END) >"$BATS_TEST_TMPDIR/out"
	delivered "$BATS_TEST_TMPDIR/out"
}

@test "if the catalog cannot be asked, lines have what the WAL says" {
	src_psql "CREATE DOMAIN cents AS bigint;
	    CREATE TABLE t (id int PRIMARY KEY, c cents, cs cents[]);
	    CREATE TABLE u (id int PRIMARY KEY);
	    CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	expect_code 0 pg-cdc-read --create
	src_psql "INSERT INTO t VALUES (1, 5, '{1}'); INSERT INTO u VALUES (1)"
	# only the question needs this catalog here
	hold_source "LOCK TABLE pg_enum IN ACCESS EXCLUSIVE MODE"
	expect_code 0 pg-cdc-read --schema --until now
	printf 'COMMIT;\n' >&9
	[ "$(grep control <<<"$output" | jq -c '[.table_name, .primary_key, .columns]')" = "$(
	cat <<-'EOT'
	["t",null,[{"name":"id","type":"integer"},{"name":"c","type":"bigint"},{"name":"cs","type":"public._cents"}]]
	["u",null,[{"name":"id","type":"integer"}]]
	EOT
	)" ]
	[ "$(grep -c warning <<<"$stderr")" = 1 ]
	[[ $stderr == *"lack what only the catalog knows: "*"statement timeout"* ]]
	expect_code 0 pg-cdc-read --schema --until now
	[ -z "$stderr" ]
	[ "$(grep -c 'primary_key.*attnum' <<<"$output")" = 2 ]
}

hold_source()
{
	mkfifo "$BATS_TEST_TMPDIR/hold"
	exec 9<>"$BATS_TEST_TMPDIR/hold"
	child psql_on "$PHILOTES_SOURCE_URL" -At <"$BATS_TEST_TMPDIR/hold" \
		>"$BATS_TEST_TMPDIR/held" 9>&-
	printf 'BEGIN; %s; SELECT 1;\n' "$1" >&9
	wait_for cat "$BATS_TEST_TMPDIR/held" 1
}

# schema_line TABLE NAME [MORE]
schema_line()
{
	printf '{"control":"schema","source_id":"s","schema_name":"public","table_name":"%s","schema":"%s"%s}\n' \
		"$1" "$2" "${3-}"
}

# named TABLE COMMIT_LSN SEQ NAME PADDING: an event that says its schema
named()
{
	event s "$2" "$3" "{\"s\":\"$4\",\"p\":\"$5\"}" |
		sed "s/\"table_name\":\"t\"/\"table_name\":\"$1\"/"
}

# The events whose schema is another one than they say.
misread()
{
	buf_psql "SELECT count(*) FILTER (WHERE philotes.schema_of(source_id,
	    schema_name, table_name, id)->>'schema'
	    IS DISTINCT FROM after_data->>'s'), count(*) FROM philotes.cdc_log"
}

@test "a line takes effect between two events of a transaction of any size" {
	local pad i t
	pad=$(printf 'x%.0s' {1..2000})
	{
		start
		for ((i = 1; i <= 1500; i++)); do
			t=$((i % 3))
			((i % 100 > 3)) || schema_line "t$t" "v$((i / 100))"
			((i % 100 > 3)) || last[t]=v$((i / 100))
			named "t$t" 0/5 "$i" "${last[t]}" "$pad"
		done
		checkpoint 0/6
		# and in small ones
		for ((i = 1; i <= 30; i++)); do
			schema_line t0 "w$i"
			named t0 "$(printf '0/1%02X' "$i")" 1 "w$i" x
			named t1 "$(printf '0/1%02X' "$i")" 2 "${last[1]}" x
			schema_line t0 "u$i"
			named t0 "$(printf '0/1%02X' "$i")" 3 "u$i" x
			((i % 4 > 0)) || checkpoint "$(printf '0/2%02X' "$i")"
		done
		checkpoint 0/300
	} >"$BATS_TEST_TMPDIR/in"
	expect_code 0 buffer-write <"$BATS_TEST_TMPDIR/in"
	[ "$(misread)" = '0|1590' ]
	[ "$(in_force | wc -l)" = "$(grep '"control":"schema"' \
	    "$BATS_TEST_TMPDIR/in" | jq -r '.table_name + " " + .schema' |
	    awk '{n += last[$1] != $2; last[$1] = $2} END {print n}')" ]
	# in batches of more than one piece
	batches --once >"$BATS_TEST_TMPDIR/out"
	[[ $(delivered "$BATS_TEST_TMPDIR/out") == '1590|'*'|0' ]]
}

@test "a line whose event is not stored is not stored either" {
	{
		start
		schema_line t a
		event s 0/5 1
		checkpoint 0/6
		schema_line t b
		event s 0/7 1
		schema_line u c
	} >"$BATS_TEST_TMPDIR/in"
	expect_code 75 buffer-write <"$BATS_TEST_TMPDIR/in"
	[ "$(in_force)" = 't|a' ]
	# the name decides, and the line is stored as it is
	{
		schema_line t a ',"x": [1 , 2]'
		event s 0/8 1
		schema_line t a2 ',"x": [1 , 2]'
		event s 0/9 1
	} | sed 's/"s"/"z"/' >"$BATS_TEST_TMPDIR/in"
	expect_code 0 buffer-write <"$BATS_TEST_TMPDIR/in"
	expect_code 0 buffer-write <"$BATS_TEST_TMPDIR/in"
	[ "$(in_force)" = $'t|a\nt|a\nt|a2' ]
	[ "$(buf_psql "SELECT definition FROM philotes.cdc_schemas
	    WHERE schema = 'a2'")" = \
	    "$(schema_line t a2 ',"x": [1 , 2]' | sed 's/"s"/"z"/')" ]
}

@test "a line that is none is refused" {
	local line
	for line in '{"control":"schema"}' \
	    '{"control":"schema","source_id":"s","schema_name":"p","table_name":"t"}' \
	    "$(schema_line t '')" "$(schema_line '' a)" \
	    "$(schema_line t a ',"schema":"b"')" \
	    "$(schema_line t a ',"x":"\u0000"')" \
	    "$(schema_line t "$(printf 'x%.0s' {1..600})")"; do
		expect_code 65 buffer-write <<<"$line"
		expect_error 'could not accept line 1: '
	done
}
