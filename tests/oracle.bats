#!/usr/bin/env bats
# The reader compared with test_decoding and wal2json, see oracle.bash.  The
# workloads follow the scenarios of PostgreSQL's own src/test/subscription/t,
# whose numbers are in the tests' names.

load helper
load oracle

@test "the server has wal2json to compare with" {
	needs_wal2json
}

@test "001: inserts, updates, deletes, replica identities of each kind" {
	src_psql "CREATE TABLE rep (a int PRIMARY KEY, b text, c bool, d numeric,
	        e float8, f timestamptz, g bytea, h int[], i text[], j jsonb);
	    CREATE TABLE ins (a int);
	    CREATE TABLE full_ (x text, y int);
	    ALTER TABLE full_ REPLICA IDENTITY FULL;
	    CREATE TABLE inc (a int, b int, c text, CONSTRAINT k PRIMARY KEY (a)
	        INCLUDE (b));
	    CREATE TABLE idx (p text NOT NULL, q int NOT NULL, r text);
	    CREATE UNIQUE INDEX idx_u ON idx (q, p);
	    ALTER TABLE idx REPLICA IDENTITY USING INDEX idx_u;
	    CREATE TABLE noth (a int PRIMARY KEY, b int);
	    ALTER TABLE noth REPLICA IDENTITY NOTHING;
	    CREATE TABLE nocol ()"
	src_psql "CREATE PUBLICATION more FOR TABLE rep, full_, inc, idx"
	prepare "FOR TABLE rep, full_, inc, idx, ins, noth, nocol
	    WITH (publish = 'insert, update, delete, truncate')"
	src_psql "INSERT INTO rep VALUES (1, 'it''s \\ \"x\"', true, 12.50, -0.5,
	        '2026-01-02 03:04:05.6+02', '\\x00ff', '{1,NULL,-3}',
	        '{a,NULL,\"NULL\",\"b c\",\"\"}', '{\"k\": [1, 2.0]}'),
	        (2, E'tab\\t new\\nline', NULL, 'NaN', 'Infinity', 'infinity', '', '{}',
	        '{}', NULL);
	    INSERT INTO ins SELECT generate_series(1, 50);
	    INSERT INTO full_ VALUES ('a', 1), ('a', 1), (NULL, NULL);
	    INSERT INTO inc SELECT i, i, 'x' FROM generate_series(1, 5) i;
	    INSERT INTO idx VALUES ('p', 1, 'r');
	    INSERT INTO noth VALUES (1, 1);
	    INSERT INTO nocol DEFAULT VALUES"
	src_psql "UPDATE rep SET b = 'new' WHERE a = 1;
	    UPDATE rep SET a = 3 WHERE a = 2;
	    UPDATE full_ SET y = 2 WHERE x = 'a';
	    UPDATE full_ SET x = 'n' WHERE x IS NULL;
	    UPDATE inc SET b = 7 WHERE a = 1; UPDATE inc SET a = 70 WHERE a = 2;
	    UPDATE idx SET r = 's'; UPDATE idx SET p = 'pp'"
	refute src_psql "UPDATE noth SET b = 2"
	src_psql "DELETE FROM rep WHERE a = 1; DELETE FROM full_ WHERE y = 2;
	    DELETE FROM inc WHERE a = 3; DELETE FROM idx"
	compare
	[ "$changes" = 77 ]
	# and a difference is found
	sed -i '0,/"a":30/s//"a":31/' "$stream"
	refute compare_streams SELECT >/dev/null
}

@test "002: arrays, domains, enums, composites, ranges, hstore" {
	src_psql "CREATE EXTENSION hstore;
	    CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\"');
	    CREATE TYPE pair AS (x int, y text);
	    CREATE DOMAIN posint AS int CHECK (VALUE > 0);
	    CREATE TYPE textrange AS RANGE (SUBTYPE = text, COLLATION = \"C\");
	    CREATE TABLE ty (a int PRIMARY KEY, b int[][], c text[], d float8[],
	        e bool[], f date[], g mood, h mood[], i pair, j pair[], k posint,
	        l int4range, m tstzrange[], n textrange, o hstore, p bit(3),
	        q varbit, r interval, s inet, t uuid, u money, v char(5), w name,
	        x timetz, y numeric[], z xml)"
	prepare
	src_psql "INSERT INTO ty VALUES (1, '{{1,NULL},{3,4}}',
	    '{\"a \\\"q\\\" \\\\ b\",\"{}\",\",\",NULL,\"NULL\",\"\"}',
	    '{NaN,Infinity,-0.5,1e300}', '{t,f,NULL}', '{2026-01-01,NULL}',
	    'it''s \"ok\"', '{sad,\"it''s \\\"ok\\\"\"}', '(1,\"a b\")',
	    '{\"(1,\\\"a b\\\")\",NULL}', 7, '[1,5)',
	    '{\"[2026-01-01,)\"}', '[a,b)', 'k=>v, \"a b\"=>NULL', B'101', B'1',
	    '1 year 2 days 3.5 s', '10.0.0.0/8',
	    '00000000-0000-0000-0000-000000000001', 12.5, 'ab', 'n', '24:00:00+02',
	    '{1.50,NULL,-3}', '<a b=\"1\">x</a>'); INSERT INTO ty (a) VALUES (2)"
	src_psql "UPDATE ty SET b = '[0:1]={7,8}', o = NULL, k = 8 WHERE a = 1"
	# the others show xml and custom bounds as the same text
	compare
	[ "$changes" = 3 ]
}

# A source in another encoding; psql shows what the others say in UTF-8.
in_encoding()
{
	local name=${PHILOTES_SLOT}_enc
	export PGCLIENTENCODING=UTF8
	src_psql "CREATE DATABASE $name ENCODING '$1' LOCALE 'C'
	    TEMPLATE template0"
	PHILOTES_SOURCE_URL=$(cluster_url "$BATS_FILE_TMPDIR/src" "$name")
}

drop_encoded()
{
	src_psql "SELECT pg_drop_replication_slot(slot_name)
	    FROM pg_replication_slots WHERE database = current_database()" >/dev/null
	server_psql src "DROP DATABASE ${PHILOTES_SLOT}_enc"
}

@test "005: a source in LATIN1" {
	in_encoding LATIN1
	src_psql "CREATE TABLE \"Tä\" (\"ö\" int PRIMARY KEY, v text, a text[])"
	prepare "FOR TABLE \"Tä\""
	src_psql "INSERT INTO \"Tä\" VALUES (1, 'ÄÖÜ ÿ ©', '{é,\"è \"}');
	    UPDATE \"Tä\" SET \"ö\" = 2;
	    SELECT pg_logical_emit_message(true, 'präfix', 'abc')"
	# the content of a message is bytes, which wal2json takes for text
	compare
	grep -F '"after_data":{"ö":1,"v":"ÄÖÜ ÿ ©","a":["é","è "]}' "$stream"
	drop_encoded
}

@test "005: a source in EUC_JP" {
	in_encoding EUC_JP
	src_psql "CREATE TABLE 表 (鍵 int PRIMARY KEY, 値 text)"
	prepare "FOR TABLE 表"
	src_psql "INSERT INTO 表 VALUES (1, 'いろはにほへと カタカナ ｶﾅ'); DELETE FROM 表"
	compare
	grep -F '"after_data":{"鍵":1,"値":"いろはにほへと カタカナ ｶﾅ"}' "$stream"
	drop_encoded
}

@test "005: a source in SQL_ASCII: UTF-8 is printed, anything else is 69" {
	in_encoding SQL_ASCII
	src_psql "CREATE TABLE t (a int PRIMARY KEY, v text)"
	prepare "FOR TABLE t"
	src_psql "INSERT INTO t VALUES (1, 'naïve')"
	compare
	[ "$changes" = 1 ]
	psql_on "$PHILOTES_SOURCE_URL" -c "SET client_encoding = SQL_ASCII" \
		-c "INSERT INTO t VALUES (2, E'\\xff')"
	expect_code 69 pg-cdc-read --until now
	expect_error 'invalid byte sequence for encoding "UTF8"'
	[ "$(jq -c .after_data <<<"$output")" = '{"a":1,"v":"naïve"}' ]
	drop_encoded
}

@test "006: tables that are rewritten" {
	src_psql "CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t VALUES
	    (1, 'x'), (2, 'y')"
	prepare
	src_psql "ALTER TABLE t ADD c timestamptz DEFAULT clock_timestamp()"
	src_psql "ALTER TABLE t ADD d int DEFAULT 7"
	src_psql "VACUUM FULL t"
	src_psql "INSERT INTO t VALUES (3, 'z', NULL, 1); UPDATE t SET b = 'n';
	    ALTER TABLE t ALTER a TYPE bigint, ALTER d TYPE text;
	    INSERT INTO t VALUES (4, 'w'); CLUSTER t USING t_pkey;
	    UPDATE t SET a = a + 10"
	compare
	[ "$changes" = 9 ]
}

@test "009, 100: all tables, except views, temporary and unlogged ones" {
	src_psql "CREATE TABLE t (a int PRIMARY KEY)"
	prepare "FOR ALL TABLES"
	src_psql "INSERT INTO t VALUES (1), (2);
	    CREATE MATERIALIZED VIEW m AS SELECT * FROM t;
	    CREATE UNLOGGED TABLE u (a int PRIMARY KEY);
	    CREATE TEMP TABLE tmp (a int PRIMARY KEY);
	    CREATE TABLE late (a int PRIMARY KEY);
	    INSERT INTO u VALUES (1); INSERT INTO tmp VALUES (1);
	    INSERT INTO late VALUES (1); UPDATE tmp SET a = 2; DELETE FROM u"
	src_psql "REFRESH MATERIALIZED VIEW m; INSERT INTO t VALUES (3);
	    REFRESH MATERIALIZED VIEW m; CREATE TABLE made AS SELECT * FROM t"
	# we leave out the rows that fill a materialized view
	compare "DELETE FROM change WHERE theirs AND rel = 'public.m'"
	[ "$changes" = 7 ]
}

@test "010: TRUNCATE with its options, of several tables, by foreign keys" {
	src_psql "CREATE TABLE a (id int PRIMARY KEY, s serial);
	    CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
	    CREATE TABLE c (id int PRIMARY KEY);
	    CREATE TABLE \"d, e\" (id int PRIMARY KEY);
	    CREATE TABLE e (id int PRIMARY KEY);
	    CREATE TABLE hidden (id int REFERENCES a)"
	prepare 'FOR TABLE a, b, c, "d, e", e'
	src_psql "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1);
	    TRUNCATE c, \"d, e\"; TRUNCATE c RESTART IDENTITY;
	    TRUNCATE a CASCADE;
	    INSERT INTO c VALUES (1); TRUNCATE a, c RESTART IDENTITY CASCADE"
	compare "DELETE FROM change WHERE theirs AND rel = 'public.hidden'"
	[ "$(jq -r 'select(.operation == "TRUNCATE") |
	    "\(.metadata.seq)\(.table_name)"' "$stream" | tr '\n' ' ')" = \
	    "3c 4d, e 5c 6a 7b 9a 10c 11b " ]
	# and no TRUNCATE where it is not published
	src_psql "ALTER PUBLICATION philotes_pub SET (publish = 'insert')"
	src_psql "TRUNCATE e; INSERT INTO e VALUES (2)"
	compare "DELETE FROM change WHERE theirs AND (rel = 'public.hidden' OR
	    (rel = 'public.e' AND op = 'TRUNCATE'))"
}

@test "011: generated columns are left out" {
	src_psql "CREATE TABLE t (a int PRIMARY KEY,
	    b int GENERATED ALWAYS AS (a * 2) STORED, c text)"
	prepare
	src_psql "INSERT INTO t VALUES (1, DEFAULT, 'x'); UPDATE t SET c = 'y';
	    UPDATE t SET a = 5; DELETE FROM t"
	compare "UPDATE change SET new = new - 'b', old = old - 'b' WHERE theirs"
	[ "$changes" = 4 ]
}

partitioned()
{
	src_psql "CREATE TABLE p (a int PRIMARY KEY, b text) PARTITION BY LIST (a);
	    CREATE TABLE p1 (b text, a int NOT NULL);
	    ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1, 2, 3);
	    CREATE TABLE p2 PARTITION OF p FOR VALUES IN (4, 5, 6)
	        PARTITION BY RANGE (a);
	    CREATE TABLE p2_1 PARTITION OF p2 DEFAULT"
}

partition_changes()
{
	src_psql "INSERT INTO p VALUES (1, 'x'), (4, 'y'), (5, 'z');
	    UPDATE p SET b = 'u' WHERE a = 1; UPDATE p SET a = 6 WHERE a = 1;
	    UPDATE p SET a = 5 + 1 WHERE a = 6; DELETE FROM p WHERE a = 4;
	    TRUNCATE p"
}

# Version 14 does not notice that a table becomes a partition, or stops being
# one, once it has decoded a change of it.
partition_moves()
{
	since 15 "the decoding of tables that are attached"
	src_psql "CREATE TABLE p3 (a int PRIMARY KEY, c int, b text);
	    ALTER TABLE p3 DROP c; INSERT INTO p3 VALUES (7, 'before');
	    ALTER TABLE p ATTACH PARTITION p3 FOR VALUES IN (7, 8);
	    INSERT INTO p VALUES (8, 'after'); ALTER TABLE p DETACH PARTITION p1;
	    INSERT INTO p1 VALUES ('alone', 2); TRUNCATE p"
}

@test "013: partitions have their own names" {
	partitioned
	prepare "FOR TABLE p"
	partition_changes
	compare "DELETE FROM change WHERE theirs AND rel IN ('public.p',
	    'public.p2')"
	[ "$(jq -r .table_name "$stream" | sort | uniq -c | tr -s ' \n' ' ')" = \
	    " 4 p1 6 p2_1 " ]
	# a publication of the root covers a table while it is a partition of
	# it
	partition_moves
	compare "DELETE FROM change WHERE theirs AND (rel IN ('public.p',
	    'public.p2') OR new->>'b' IN ('before', 'alone'))"
	[ "$(jq -r .table_name "$stream" | sort | uniq -c | tr -s ' \n' ' ')" = \
	    " 4 p1 7 p2_1 2 p3 " ]
}

@test "013: partitions have their root's name" {
	partitioned
	prepare "FOR TABLE p WITH (publish_via_partition_root)"
	partition_changes
	compare "DELETE FROM change WHERE theirs AND op = 'TRUNCATE' AND
	    rel <> 'public.p'; UPDATE change SET rel = 'public.p' WHERE theirs"
	[ "$(jq -r .table_name "$stream" | sort -u)" = p ]
	# columns are in the root's order
	grep -F '"after_data":{"a":1,"b":"x"}' "$stream"
	partition_moves
	compare "DELETE FROM change WHERE theirs AND (new->>'b' IN ('before',
	    'alone') OR (op = 'TRUNCATE' AND rel <> 'public.p'));
	    UPDATE change SET rel = 'public.p' WHERE theirs"
	[ "$(jq -r .table_name "$stream" | sort -u)" = p ]
	grep -F '"after_data":{"a":8,"b":"after"}' "$stream"
}

@test "015-019: large transactions, savepoints, aborts, and schema changes in them" {
	src_psql "CREATE TABLE t (a int PRIMARY KEY, b text)"
	prepare
	src_psql "BEGIN; INSERT INTO t SELECT i, md5(i::text)
	        FROM generate_series(1, 1000) i;
	    SAVEPOINT s1; UPDATE t SET b = b || '!' WHERE a % 3 = 0;
	    SAVEPOINT s2; DELETE FROM t WHERE a % 5 = 0; ROLLBACK TO s2;
	    ALTER TABLE t ADD c int; INSERT INTO t VALUES (2001, 'with c', 1);
	    SAVEPOINT s3; ALTER TABLE t DROP b; ALTER TABLE t RENAME c TO d;
	    INSERT INTO t VALUES (2002, 2); ROLLBACK TO s3;
	    INSERT INTO t VALUES (2003, 'b is back', 3);
	    SAVEPOINT s4; ALTER TABLE t RENAME b TO e;
	    UPDATE t SET e = 'renamed' WHERE a = 2003; RELEASE s4; COMMIT"
	src_psql "BEGIN; INSERT INTO t SELECT i, 'gone'
	    FROM generate_series(3001, 4000) i; ROLLBACK"
	src_psql "BEGIN; DELETE FROM t WHERE a <= 1000; SAVEPOINT a; SAVEPOINT b;
	    INSERT INTO t VALUES (1, 'n'); ROLLBACK TO a; COMMIT"
	compare
	[ "$changes" = 2336 ]
}

@test "020: transactional and non-transactional messages, also of an aborted transaction" {
	src_psql "CREATE TABLE t (a int PRIMARY KEY)"
	prepare
	src_psql "BEGIN; INSERT INTO t VALUES (1);
	    SELECT pg_logical_emit_message(true, 'p', 'with it');
	    SELECT pg_logical_emit_message(false, 'p', 'before it');
	    INSERT INTO t VALUES (2); COMMIT;
	    BEGIN; SELECT pg_logical_emit_message(true, 'p', 'never');
	    SELECT pg_logical_emit_message(false, 'p q: ,', 'outlives it');
	    ROLLBACK; SELECT pg_logical_emit_message(true, '', '')" >/dev/null
	compare
	[ "$(jq -c '[.operation, .after_data.content, .metadata.seq,
	    .transaction_id != null]' "$stream" | tr '\n' ' ')" = "$(tr '\n' ' ' <<-'END'
	["MESSAGE","before it",1,false]
	["INSERT",null,1,true]
	["MESSAGE","with it",2,true]
	["INSERT",null,3,true]
	["MESSAGE","outlives it",1,false]
	["MESSAGE","",1,true]
	END
	)" ]
}

@test "021-023: a prepared transaction comes when it is committed" {
	src_psql "CREATE TABLE t (a int PRIMARY KEY, b text)"
	prepare
	src_psql "BEGIN; INSERT INTO t VALUES (1, 'first'); SAVEPOINT s;
	    INSERT INTO t VALUES (99, 'x'); ROLLBACK TO s;
	    PREPARE TRANSACTION 'one'"
	src_psql "BEGIN; INSERT INTO t VALUES (2, 'never');
	    PREPARE TRANSACTION 'two'"
	src_psql "INSERT INTO t VALUES (3, 'between')"
	compare
	[ "$changes" = 1 ]
	kill_server src
	start_server src
	src_psql "INSERT INTO t VALUES (4, 'after the crash')"
	src_psql "ROLLBACK PREPARED 'two'"
	src_psql "COMMIT PREPARED 'one'"
	src_psql "UPDATE t SET b = 'y' WHERE a = 1"
	compare
	[ "$(jq -r .after_data.a "$stream" | tr '\n' ' ')" = "3 4 1 1 " ]
}

@test "024, 025: publications of schemas, and publications that change" {
	since 15 "a publication of schemas"
	src_psql "CREATE SCHEMA s; CREATE TABLE s.a (a int PRIMARY KEY);
	    CREATE TABLE b (a int PRIMARY KEY); CREATE TABLE c (a int PRIMARY KEY)"
	prepare "FOR TABLES IN SCHEMA s, TABLE b"
	src_psql "INSERT INTO s.a VALUES (1); INSERT INTO b VALUES (1);
	    INSERT INTO c VALUES (-1); CREATE TABLE s.d (a int PRIMARY KEY);
	    INSERT INTO s.d VALUES (1); ALTER TABLE s.a SET SCHEMA public;
	    INSERT INTO a VALUES (-2); ALTER TABLE c SET SCHEMA s;
	    INSERT INTO s.c VALUES (2)"
	src_psql "ALTER PUBLICATION philotes_pub DROP TABLE b"
	src_psql "INSERT INTO b VALUES (-3)"
	src_psql "ALTER PUBLICATION philotes_pub ADD TABLE b;
	    ALTER PUBLICATION philotes_pub DROP TABLES IN SCHEMA s"
	src_psql "INSERT INTO b VALUES (4); INSERT INTO s.d VALUES (-5)"
	compare "DELETE FROM change WHERE theirs AND (new->>'a')::int < 0"
	[ "$changes" = 5 ]
}

@test "027: a role with REPLICATION needs no right to read the tables" {
	src_psql "CREATE TABLE t (a int PRIMARY KEY);
	    ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE ROLE rep_$PHILOTES_SLOT
	    LOGIN REPLICATION; REVOKE ALL ON t FROM public"
	prepare
	src_psql "INSERT INTO t VALUES (1)"
	compare
	[ "$(pg-cdc-read --until now -d "$PHILOTES_SOURCE_URL
	    user=rep_$PHILOTES_SLOT" | jq -c .after_data)" = '{"a":1}' ]
	src_psql "DROP ROLE rep_$PHILOTES_SLOT"
}

@test "028: row filters turn updates into inserts and deletes" {
	since 15 "a filter of rows"
	src_psql "CREATE TABLE t (a int PRIMARY KEY, b text);
	    CREATE TABLE f (a int, b text); ALTER TABLE f REPLICA IDENTITY FULL"
	prepare "FOR TABLE t WHERE (a > 10), f WHERE (b = 'in' AND a < 100)"
	src_psql "INSERT INTO t VALUES (1), (11), (12); UPDATE t SET b = 'x';
	    UPDATE t SET a = 20 WHERE a = 1; UPDATE t SET a = 2 WHERE a = 11;
	    UPDATE t SET a = 13 WHERE a = 12; UPDATE t SET a = 3 WHERE a = 2;
	    DELETE FROM t; INSERT INTO f VALUES (1, 'in'), (2, 'out'), (3, NULL);
	    UPDATE f SET b = 'in' WHERE a = 3; UPDATE f SET b = NULL WHERE a = 1;
	    UPDATE f SET b = 'out' WHERE a = 2; UPDATE f SET a = 4 WHERE a = 3;
	    DELETE FROM f; TRUNCATE f"
	compare "CREATE FUNCTION pg_temp.has(rel text, r jsonb) RETURNS bool AS \$\$
	    SELECT coalesce(CASE rel WHEN 'public.t' THEN (r->>'a')::int > 10
	    ELSE r->>'b' = 'in' AND (r->>'a')::int < 100 END, false)
	    \$\$ LANGUAGE sql;
	    DELETE FROM change WHERE theirs AND op <> 'TRUNCATE' AND
	        NOT pg_temp.has(rel, new) AND NOT pg_temp.has(rel,
	        coalesce(old, new));
	    UPDATE change SET op = 'INSERT', old = NULL WHERE theirs AND
	        op = 'UPDATE' AND NOT pg_temp.has(rel, coalesce(old, new));
	    UPDATE change SET op = 'DELETE', new = NULL WHERE theirs AND
	        op = 'UPDATE' AND NOT pg_temp.has(rel, new)"
	[ "$(jq -r .operation "$stream" | cut -c 1 | tr -d '\n')" = \
	    IIUUIDUDDIIDUDT ]
}

@test "031: column lists, and lists that change" {
	since 15 "a list of columns"
	src_psql "CREATE TABLE t (a int PRIMARY KEY, b text, \"c C\" int, d int)"
	prepare 'FOR TABLE t ("c C", a)'
	src_psql "INSERT INTO t VALUES (1, 'secret', 3, 4);
	    UPDATE t SET b = 'hidden'; UPDATE t SET a = 2; DELETE FROM t"
	compare "UPDATE change SET new = new - 'b' - 'd' WHERE theirs"
	[ "$changes" = 4 ]
	refute grep -E 'secret|hidden' "$stream"
	src_psql "ALTER PUBLICATION philotes_pub SET TABLE t (a, d)"
	src_psql "INSERT INTO t VALUES (5, 'secret', 6, 7)"
	[ "$(pg-cdc-read --until now | tail -n 1 | jq -c .after_data)" = \
	    '{"a":5,"d":7}' ]
}

@test "100: the replica identity moves from one index to another, and is removed" {
	src_psql "CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL UNIQUE, c text);
	    INSERT INTO t VALUES (1, 10, 'x')"
	prepare
	src_psql "UPDATE t SET a = 2; ALTER TABLE t REPLICA IDENTITY USING INDEX
	        t_b_key; UPDATE t SET b = 20; UPDATE t SET a = 3;
	    ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET c = 'y';
	    ALTER TABLE t REPLICA IDENTITY DEFAULT; UPDATE t SET a = 4;
	    DELETE FROM t"
	compare
	[ "$(jq -c '[.key_columns, .before_data]' "$stream" | tr '\n' ' ')" = \
	    '[["a"],{"a":1}] [["b"],{"b":10}] [["b"],null] [["a","b","c"],{"a":3,"b":20,"c":"x"}] [["a"],{"a":3}] [["a"],{"a":4}] ' ]
}
