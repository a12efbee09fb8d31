#!/usr/bin/env bats
# share/handlers/postgres: a mirror in another PostgreSQL database.

load helper
load handlers

setup()
{
	needs_psycopg
	databases_up
	mirror_up
}

teardown()
{
	[[ -n ${mirror-} ]] || return 0
	kill_children
	server_psql buf "DROP DATABASE m$BATS_TEST_NUMBER WITH (FORCE)"
	databases_down
}

# the tables whose rows ALTER TABLE has not changed
unaltered='public.lines,public.types,public.documents,public.dated,public.full_id,public.keyless,public.by_index,public."Mixed %s Case",public.part_eu,public.part_us'

serve()
{
	buffer-batch --once --serve "$@" -- "$handlers/postgres" "$mirror"
}

@test "the workload: each table equals the source's, rows that ALTER changed after a snapshot" {
	run_workload 1000
	expect_code 0 serve
	mirrored "$unaltered"
	expect_code 0 pg-cdc-read --snapshot all
	catch_up --until snapshot
	expect_code 0 serve
	mirrored
}

# A batch that was delivered and not recorded comes again, cut elsewhere.
@test "a command a batch, of any size, also again: each event counts once" {
	local size
	run_workload 100
	for size in 50 1000; do
		expect_code 0 buffer-batch --once --schema --consumer "c$size" \
			--batch-size "$size" -- "$handlers/postgres" "$mirror"
		mirrored "$unaltered"
	done
	expect_code 0 buffer-batch --from '#400' --schema --batch-size 33 \
		-- "$handlers/postgres" "$mirror"
	mirrored "$unaltered"
}

@test "killed at random, served and a command a batch" {
	run_workload 1000
	expect_code 0 pg-cdc-read --snapshot all
	catch_up --until snapshot
	killing_handler sendto 30 "$handlers/postgres" "$mirror"
	deliver_killing
	mirrored
}

@test "every type that PostgreSQL has" {
	local psql
	src_psql "CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	expect_code 0 pg-cdc-read --create
	psql_on "$PHILOTES_SOURCE_URL" -f "$root/tests/types_make.sql" >/dev/null
	catch_up
	expect_code 0 serve --max-bytes 1000000000
	# the stream has no newlines and, in json[], no escapes that are not needed
	for psql in src_psql mirror_psql; do
		$psql "UPDATE m.json SET v = translate(v::text, E'\\n\\r', '  ')::json;
		    UPDATE m.json SET a = NULL WHERE n = -1"
	done
	mirrored
}

# step SQL: runs it on the source; the mirror has its outcome
step()
{
	psql_on "$PHILOTES_SOURCE_URL" -c "$1"
	catch_up
	expect_code 0 serve
	mirrored
}

@test "the schema changes: no rows are lost, no values are in another column" {
	src_psql "CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	expect_code 0 pg-cdc-read --create
	step "CREATE TYPE mood AS ENUM ('b', 'd');
	    CREATE TABLE t (id int PRIMARY KEY, a text, b text, m mood);
	    INSERT INTO t VALUES (1, 'a1', 'b1', 'b'), (2, 'a2', 'b2', 'd');
	    CREATE TABLE u (id int PRIMARY KEY, v text);
	    INSERT INTO u VALUES (1, 'u')"
	# two columns swap their names
	step "ALTER TABLE t RENAME a TO x; ALTER TABLE t RENAME b TO a;
	    ALTER TABLE t RENAME x TO b; INSERT INTO t VALUES (3, 'b3', 'a3', 'b')"
	# another column of the same name and type
	step "ALTER TABLE t DROP a; ALTER TABLE t ADD a text;
	    INSERT INTO t VALUES (4, 'b4', 'b', 'a4')"
	# defaults that rows have without an event
	step "ALTER TABLE t ADD n numeric(9,3) DEFAULT 1.50,
	        ADD q text DEFAULT E'it''s \\\\', ADD j jsonb DEFAULT '\"x\"',
	        ADD k int[] DEFAULT '{1,NULL}', ADD w boolean DEFAULT true;
	    UPDATE t SET n = 7 WHERE id = 2"
	# labels in their order, and as the first event shows them
	step "ALTER TYPE mood ADD VALUE 'a' BEFORE 'b';
	    ALTER TYPE mood ADD VALUE 'c' AFTER 'b'; ALTER TABLE t ADD z int;
	    INSERT INTO t (id, m) VALUES (5, 'd')"
	[ "$(mirror_psql "SELECT enum_range(NULL::mood)")" = "{a,b,c,d}" ]
	src_psql "ALTER TYPE mood ADD VALUE 'e'"
	step "INSERT INTO t (id, m) VALUES (6, 'e')"
	# a type that its values can have only by way of text
	step "ALTER TABLE t ALTER q DROP DEFAULT, ALTER q TYPE bytea USING NULL,
	    ALTER m TYPE text; UPDATE t SET q = NULL"
	# another key
	step "ALTER TABLE t DROP CONSTRAINT t_pkey;
	    ALTER TABLE t ADD PRIMARY KEY (n, id) INCLUDE (b);
	    UPDATE t SET id = 10 WHERE id = 1; UPDATE t SET n = 8 WHERE id = 3;
	    DELETE FROM t WHERE id = 2"
	step "ALTER TABLE t REPLICA IDENTITY FULL;
	    UPDATE t SET id = 11 WHERE id = 10"
	step "ALTER TABLE t DROP CONSTRAINT t_pkey; INSERT INTO t SELECT * FROM t;
	    DELETE FROM t WHERE ctid = (SELECT max(ctid) FROM t)"
	# two tables swap their names, another schema, a name that is used anew
	step "ALTER TABLE t RENAME TO x; ALTER TABLE u RENAME TO t;
	    ALTER TABLE x RENAME TO u; INSERT INTO t VALUES (2, 'u2');
	    DELETE FROM u WHERE id = 3"
	step "CREATE SCHEMA s; ALTER TABLE t SET SCHEMA s;
	    INSERT INTO s.t VALUES (3, 'u3')"
	step "DROP TABLE s.t; CREATE TABLE s.t (k text PRIMARY KEY);
	    INSERT INTO s.t VALUES ('new')"
	[ "$(mirror_psql "SELECT string_agg(relname, ' ' ORDER BY relname ~ '_')
	    FROM pg_class WHERE relnamespace = 's'::regnamespace
	    AND relkind = 'r'" | sed 's/_[0-9]*$/_N/')" = "t t_N" ]
}

@test "at a snapshot's end go the rows that no event has touched since its begin" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text);
	    CREATE TABLE k (v text);
	    CREATE TABLE e (id int PRIMARY KEY);
	    INSERT INTO t SELECT i, 'x' FROM generate_series(1, 9) i;
	    INSERT INTO k SELECT i % 3 FROM generate_series(1, 9) i;
	    INSERT INTO e SELECT i FROM generate_series(1, 9) i;
	    ALTER TABLE k REPLICA IDENTITY FULL;
	    CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	expect_code 0 pg-cdc-read --create
	expect_code 0 pg-cdc-read --snapshot all
	catch_up --until snapshot
	expect_code 0 serve --batch-size 5
	mirrored
	unheard "DELETE FROM t WHERE id < 4; DELETE FROM k WHERE v = '1';
	    DELETE FROM e; UPDATE t SET v = 'y' WHERE id = 4"
	src_psql "INSERT INTO t VALUES (2, 'again')"
	catch_up
	expect_code 0 serve
	[ "$(mirror_psql "SELECT count(*) FROM t")" = 9 ]
	expect_code 0 pg-cdc-read --snapshot all
	catch_up --until snapshot
	expect_code 0 serve --batch-size 2
	mirrored
	# a batch with events that are old and others that are new
	src_psql "ALTER TABLE t RENAME v TO w; INSERT INTO t VALUES (20, 'new')"
	catch_up
	expect_code 0 buffer-batch --from '#2' --schema --batch-size 10000 -- \
		"$handlers/postgres" "$mirror"
	mirrored
}

# ends CODE LINES [VARIABLE ...]: the handler reads these lines, and ends so, with
# an error line that matches $error
# shellcheck disable=SC2016 # for another shell
ends()
{
	local code=$1 input=$2
	shift 2
	expect_code "$code" env "$@" bash -c \
		'printf "$0" | "$1/postgres" "$2"' "$input" "$handlers" "$mirror"
	((code == 0)) || expect_error "$error"
}

@test "what cannot be applied, and what may pass" {
	local line schema error
	line='{"id":5,"source_id":"s","schema_name":"public","table_name":"t","operation":"INSERT","key_columns":["id"],"before_data":null,"after_data":{"id":1},"event_time":"2026-11-22T13:12:35Z","metadata":{"commit_lsn":"0/1","seq":1}}\n'
	schema='{"control":"schema","source_id":"s","schema_name":"public","table_name":"t","schema":"0123456789ab","relid":7,"replica_identity":"default","key_columns":["id"],"primary_key":["id"],"columns":[{"name":"id","type":"integer"}]}\n'
	error='no schema line precedes it'
	ends 69 "$line"
	error='the input ends after 1 of 2 events'
	ends 75 "$schema$line" PHILOTES_BATCH_EVENTS=2
	error='the input ends after 1 of an unknown number'
	ends 75 "$schema$line"
	error='ends inside a line'
	ends 75 "$schema${line%??}" PHILOTES_BATCH_EVENTS=1
	error='could not read a line'
	ends 65 "$schema$line{}}\n"
	error='they have no id'
	ends 78 "$schema${line/\"id\":5,/}"
	error='invalid input syntax for type integer'
	ends 65 "$schema${line/\"id\":1/\"id\":\"x\"}" PHILOTES_BATCH_EVENTS=1
	[ -z "$(mirror_psql "SELECT to_regclass('t')")" ]
	mirror_psql "CREATE TABLE t (id int)"
	error='there is one that is not a mirror of source "s"'
	ends 69 "$schema$line" PHILOTES_BATCH_EVENTS=1
	mirror_psql "DROP TABLE t"
	ends 0 "$schema$line" PHILOTES_BATCH_EVENTS=1
	[ "$(mirror_psql "SELECT * FROM t")" = "1|5" ]
	expect_code 64 "$handlers/postgres" "host=x password=x"
	expect_code 64 "$handlers/postgres"
	expect_code 75 "$handlers/postgres" "host=/nonexistent" <<<''
	expect_error 'could not apply the batch: '
}

@test "the mirror's server ends and comes back" {
	run_workload 100
	child buffer-batch --serve --flush-interval 10ms --batch-size 100 -- \
		"$handlers/postgres" "$mirror"
	wait_for mirror_psql "SELECT count(*) > 0 FROM philotes_mirror.position" t
	server_psql buf "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	    WHERE datname = 'm$BATS_TEST_NUMBER'" >/dev/null
	src_psql "INSERT INTO part VALUES (1000, 'eu', 'last')"
	catch_up
	wait_for mirror_psql "SELECT v FROM part_eu WHERE id = 1000" last
	mirrored "$unaltered"
}
