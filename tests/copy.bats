#!/usr/bin/env bats
# sql/copy.sql, with the handler that philotes(7) prints: the copy is the source.
# shellcheck source=SCRIPTDIR/helper.bash
load helper
# shellcheck source=SCRIPTDIR/snapshot.bash
load snapshot

setup()
{
	seed=${SEED:-$((RANDOM % 10000))}
	RANDOM=$seed
	echo "# seed $seed" >&3
	databases_up
	export PHILOTES_SOURCE_ID=s
	copy=t${BATS_TEST_NUMBER}c
	server_psql buf "CREATE DATABASE $copy TEMPLATE template0"
	cd "$BATS_TEST_TMPDIR" || return 1
	export PGSERVICEFILE=$PWD/services
	printf '[copy]\nhost=%s\nport=5432\nuser=postgres\ndbname=%s\n' \
		"$(cluster_sockets "$BATS_FILE_TMPDIR/buf")" "$copy" >services
	local file
	for file in apply.sql apply; do
		printed "$file"
	done
	chmod +x apply
	psql_on service=copy -f "$root/sql/copy.sql"
}

teardown()
{
	kill_children
	databases_down
	server_psql buf "DROP DATABASE $copy WITH (FORCE)"
}

# printed FILE: makes the file, as philotes(7) has it
printed()
{
	awk -v want="test: file $1" '
		$0 == ".\\\" " want { found = 1 }
		found && /^\.Ed/ { exit }
		inside { gsub(/\\e/, "\\"); print }
		found && /^\.Bd/ { inside = 1 }
	' "$root/man/philotes.7" >"$BATS_TEST_TMPDIR/$1"
}

copy_psql()
{
	psql_on service=copy -qAt -c "$1"
}

# both SQL: in the source and in the copy
both()
{
	src_psql "$1"
	copy_psql "$1"
}

both_files()
{
	psql_on "$PHILOTES_SOURCE_URL" -f "$root/tests/$1"
	psql_on service=copy -f "$root/tests/$1"
}

# batches SIZE: the events in the buffer that were not taken yet, a file a batch
batches()
{
	rm -rf batches
	mkdir batches
	# shellcheck disable=SC2016 # expanded by the handler's shell
	buffer-batch --once --batch-size "$1" -- sh -c \
		'cat >"batches/$(printf %09d "$PHILOTES_BATCH_FIRST_ID")"'
}

# apply_all: each batch once, and at random more often, or a part of it first
apply_all()
{
	local batch
	for batch in batches/*; do
		! chance 20 || head -n $((RANDOM % 200)) "$batch" | ./apply
		./apply <"$batch"
		! chance 20 || ./apply <"$batch"
	done
}

# differences QUERY: between the source and the copy
differences()
{
	diff <(src_psql "$1") <(copy_psql "$1")
}

@test "the copy is the source, whatever is delivered twice or in parts" {
	both_files snapshot_load.sql
	pg-cdc-read --create
	# the copy has the rows from before the slot, and others
	copy_psql "INSERT INTO t1 SELECT n FROM generate_series(1000, 1009) n;
	    INSERT INTO t2 VALUES ('gone', 1); INSERT INTO p VALUES (7000, 1)"
	start_load 1
	start_pipeline
	request all
	wait_for snapshot_done '' 1 60
	stop_load
	stop_pipeline
	carry 500
	same t1 "id, v, ver, pad, big"
	same t2 "a, b, v, ver, pad"
	same p0 "id, k, v, ver, pad, big"
	same p1 "id, k, v, ver, pad, big"
	# all of it once more changes nothing
	local before
	before=$(copy_psql "SELECT count(*), max(copy_lsn), max(xmin::text::int)
	    FROM t1")
	cat batches/* | ./apply
	[[ $(copy_psql "SELECT count(*), max(copy_lsn), max(xmin::text::int)
	    FROM t1") == "$before" ]]
}

# rows_of: of every table of the schema m, but for what the stream does not tell:
# the null of JSON from that of SQL, white space between the tokens of json and how
# it escapes, and what are dimensions of an array of json.
rows_of()
{
	cat <<-'EOF'
	SELECT relname, query_to_xml(format(CASE WHEN relname IN ('json', 'jsonb')
	    THEN 'SELECT n, nullif(replace(translate(v::text, e''\r\n'', ''  ''),
	        ''\u00e4'', ''ä''), ''null'') FROM m.%I ORDER BY n'
	    ELSE 'SELECT n, v::text, a::text FROM m.%I ORDER BY n' END,
	    relname), true, false, '')
	FROM pg_class WHERE relnamespace = 'm'::regnamespace AND relkind = 'r'
	ORDER BY relname COLLATE "C"
	EOF
}

@test "values of every type arrive, by READ and by INSERT" {
	local how
	both_files types_make.sql
	# those whose values can be read back
	both "DROP TABLE stats; DO \$\$ DECLARE t regclass; BEGIN
	    FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r'
	    AND relnamespace = 'm'::regnamespace AND relname ~ 'pg_|gtsvector' LOOP
	        EXECUTE format('DROP TABLE %s', t);
	    END LOOP; END \$\$"
	copy_psql "TRUNCATE sample; $(src_psql "SELECT string_agg(format(
	    'TRUNCATE %s', oid::regclass), ';') FROM pg_class
	    WHERE relnamespace = 'm'::regnamespace AND relkind = 'r'")"
	src_psql "CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	pg-cdc-read --create
	for how in READ INSERT; do
		if [[ $how == READ ]]; then
			pg-cdc-read --snapshot all
		else
			src_psql "DO \$\$ DECLARE t regclass; BEGIN
			    FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r'
			    AND relnamespace = 'm'::regnamespace LOOP
			        EXECUTE format('CREATE TEMP TABLE x AS TABLE %s;
			            DELETE FROM %1\$s; INSERT INTO %1\$s TABLE x;
			            DROP TABLE x', t);
			    END LOOP; END \$\$"
		fi
		carry 5000
		nothing differences "$(rows_of)"
	done
	(($(src_psql "$(rows_of)" | wc -c) > 500000))
}

# same TABLE COLUMNS: both databases have the same rows
same()
{
	nothing differences "SELECT x FROM (SELECT ROW($2)::text AS x
	    FROM ONLY $1) t ORDER BY x COLLATE \"C\""
}

# carry [SIZE]: what the source has written since then, into the copy
carry()
{
	start_pipeline --until snapshot
	await_pipeline
	[[ $reader_code$writer_code == 00 ]]
	batches "${1:-1000}"
	apply_all
}

@test "keys of every kind, generated columns, tables that inherit, TRUNCATE" {
	both "CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	        \"Event\" json, twice int GENERATED ALWAYS AS (1 + 1) STORED);
	    CREATE TABLE b (n int, e text, PRIMARY KEY (e) INCLUDE (n));
	    CREATE TABLE child (PRIMARY KEY (e), kind text) INHERITS (b);
	    CREATE TABLE whole (id int PRIMARY KEY, x text, y jsonb);
	    ALTER TABLE whole REPLICA IDENTITY FULL"
	src_psql "INSERT INTO a (\"Event\") VALUES ('{\"b\": 1, \"a\": [ ], \"a\": 2}'),
	        ('\"x\"');
	    INSERT INTO b VALUES (1, 'one'), (2, 'two');
	    INSERT INTO child VALUES (1, 'one', 'child');
	    INSERT INTO whole VALUES (1, 'x', '{}'), (2, 'y', NULL)"
	pg-cdc-read --create --snapshot all
	carry
	all_same
	src_psql "UPDATE a SET id = DEFAULT WHERE id = 1;
	    DELETE FROM ONLY b WHERE n = 1; UPDATE b SET n = 7;
	    UPDATE whole SET id = 8, x = NULL WHERE id = 1;
	    UPDATE whole SET y = '[]' WHERE id = 2; DELETE FROM whole WHERE id = 8"
	carry 2
	all_same
	src_psql "TRUNCATE ONLY b; INSERT INTO b VALUES (3, 'three')"
	carry
	all_same
}

all_same()
{
	same a 'id, "Event", twice'
	same b 'n, e'
	same child 'n, e, kind'
	same whole 'id, x, y'
}

@test "a batch that cannot be applied leaves no trace, and is applied later" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)"
	pg-cdc-read --create --snapshot t
	start_pipeline --until snapshot
	await_pipeline
	batches 1000
	expect_code 3 ./apply <batches/*
	[[ $stderr == *'relation "public.t" does not exist'* ]]
	copy_psql "CREATE TABLE t (id int)"
	expect_code 3 ./apply <batches/*
	[[ $stderr == *'t has no unique index on its key'* ]]
	copy_psql "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY)"
	apply_all
	same t id
	src_psql "INSERT INTO t VALUES (2); ALTER TABLE t ADD v int;
	    INSERT INTO t VALUES (3, 3)"
	start_pipeline --until now
	await_pipeline
	batches 1000
	expect_code 3 ./apply <batches/*
	[[ $stderr == *'column "v" of relation "t" does not exist'* ]]
	[[ $(copy_psql "SELECT count(*) FROM t") == 1 ]]
	copy_psql "ALTER TABLE t ADD v int"
	apply_all
	same t 'id, v'
}

# event OPERATION SEQ BEFORE AFTER [UNCHANGED]
event()
{
	printf '{"source_id":"s","schema_name":"public","table_name":"t",%s' \
		"\"operation\":\"$1\",\"key_columns\":[\"id\"],"
	printf '"before_data":%s,"after_data":%s,"metadata":{"commit_lsn":"0/%s",' \
		"$3" "$4" "$2"
	printf '"seq":1%s}}\n' "${5+,\"unchanged\":$5}"
}

@test "a READ that is ahead of changes of its key, and an UPDATE without its row" {
	copy_psql "CREATE TABLE t (id int PRIMARY KEY, v int, big text NOT NULL)"
	{
		event READ 1 null '{"id":1,"v":1,"big":"one"}'
		event READ 2 null '{"id":2,"v":2,"big":"later"}'
		event UPDATE 3 '{"id":1}' '{"id":2,"v":1}' '["big"]'
	} | ./apply
	[[ $(copy_psql "TABLE t") == "2|1|one|0/3|1" ]]
	{
		event UPDATE 4 null '{"id":2,"v":2,"big":"later"}'
		# neither of these rows is here
		event UPDATE 5 null '{"id":5,"v":1}' '["big"]'
		event UPDATE 6 '{"id":6}' '{"id":7,"v":1}' '["big"]'
		# but this one is whole
		event UPDATE 7 '{"id":8}' '{"id":9,"v":1,"big":"x"}'
	} | ./apply
	[[ $(copy_psql "SELECT id, v, big FROM t ORDER BY id") == "2|2|later
9|1|x" ]]
	# of several changes of a row the last one counts
	{
		event UPDATE A null '{"id":9,"v":2}' '["big"]'
		event UPDATE B null '{"id":9,"v":3}' '["big"]'
		event DELETE C '{"id":2}' null
		event INSERT D null '{"id":2,"v":1,"big":"new"}'
		event READ E null '{"id":2,"v":2,"big":"newer"}'
	} | ./apply
	[[ $(copy_psql "SELECT id, v, big FROM t ORDER BY id") == "2|2|newer
9|3|x" ]]
}

@test "a table whose snapshot failed is named" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
	    ALTER TABLE t ENABLE ROW LEVEL SECURITY;
	    DROP ROLE IF EXISTS reads; CREATE ROLE reads LOGIN REPLICATION;
	    GRANT SELECT ON t TO reads"
	copy_psql "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (7)"
	pg-cdc-read --create --snapshot all
	local owner=$PHILOTES_SOURCE_URL
	PHILOTES_SOURCE_URL="$owner user=reads" start_pipeline --until snapshot
	await_pipeline
	[[ $reader_code$writer_code == 00 ]]
	src_psql "DROP OWNED BY reads; DROP ROLE reads"
	batches 1000
	expect_code 0 ./apply <batches/*
	[[ $stderr == *'the snapshot of public.t failed: query would be affected by row'* ]]
	# what it had it keeps
	[[ $(copy_psql "SELECT id FROM t") == 7 ]]
}
