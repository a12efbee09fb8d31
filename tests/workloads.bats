#!/usr/bin/env bats
# The reader compared with test_decoding and wal2json, see oracle.bash: tables
# that change, large values, names, concurrent clients.

load helper
load oracle

@test "a table is dropped and made again, renamed, and swapped" {
	src_psql "CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE u (a int PRIMARY
	    KEY, b text)"
	prepare "FOR ALL TABLES"
	src_psql "INSERT INTO t VALUES (1); DROP TABLE t;
	    CREATE TABLE t (b text PRIMARY KEY, c int); INSERT INTO t VALUES ('x', 2)"
	src_psql "BEGIN; ALTER TABLE t RENAME TO old; ALTER TABLE u RENAME TO t;
	    INSERT INTO t VALUES (3, 'u'); INSERT INTO old VALUES ('t', 4); COMMIT"
	src_psql "ALTER TABLE t RENAME b TO \"B\"; UPDATE t SET \"B\" = 'n';
	    DROP TABLE t, old; CREATE TABLE t (a int); INSERT INTO t VALUES (5)"
	compare
	[ "$changes" = 6 ]
}

@test "large values: unchanged, in the key, under FULL, compressed" {
	src_psql "CREATE TABLE t (a int PRIMARY KEY, n int, big text, more text);
	    ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
	    CREATE TABLE k (big text PRIMARY KEY, n int);
	    ALTER TABLE k ALTER big SET STORAGE EXTERNAL;
	    ALTER TABLE k SET (toast_tuple_target = 128);
	    CREATE TABLE f (a int, n int, big text, gone text);
	    ALTER TABLE f ALTER big SET STORAGE EXTERNAL;
	    ALTER TABLE f REPLICA IDENTITY FULL"
	prepare
	src_psql "INSERT INTO t VALUES (1, 1, repeat('x', 5000), 'm'),
	        (2, 1, NULL, repeat('0123456789', 5000));
	    INSERT INTO k VALUES (repeat('k', 2500), 1);
	    INSERT INTO f VALUES (1, 1, repeat('f', 5000), NULL);
	    INSERT INTO t SELECT 3, 1, string_agg(md5(i::text), ''), 'b'
	        FROM generate_series(1, 3000) i"
	src_psql "UPDATE t SET n = 2; UPDATE t SET big = big || 'y' WHERE a = 1;
	    UPDATE t SET a = 11 WHERE a = 1; UPDATE k SET n = 2;
	    UPDATE k SET big = repeat('l', 2500), n = 3; UPDATE k SET n = 4;
	    UPDATE f SET n = 2; UPDATE f SET big = 'small', gone = 'x';
	    DELETE FROM t; DELETE FROM k; DELETE FROM f"
	compare
	# a key that was not sent is taken from the old row
	[ "$(jq -c 'select(.table_name == "k" and .operation == "UPDATE") |
	    [(.before_data.big | length), .after_data.big[:1], .after_data.n,
	    .metadata.unchanged]' "$stream" | tr '\n' ' ')" = \
	    '[2500,"k",2,null] [2500,"l",3,null] [2500,"l",4,null] ' ]
	[ "$(jq -c 'select(.table_name == "t" and .operation == "UPDATE") |
	    [.after_data.a, .metadata.unchanged]' "$stream" | tr '\n' ' ')" = \
	    '[1,["big"]] [2,null] [3,["big"]] [1,null] [11,["big"]] ' ]
}

# shellcheck disable=SC2016 # for the server
@test "names of any kind: schema, table, column, key" {
	local long
	long=$(printf '😀%.0s' {1..15})abc
	src_psql "CREATE SCHEMA \"S '\\\"; CREATE TABLE \"S '\\\".\"$long\" (
	    \"a\"\"b\" int, \"c
d\" text, \"[x]:y\" int, \",\" int, \"null\" int, \"ÄÖ\" int,
	    PRIMARY KEY (\",\", \"a\"\"b\"))"
	prepare "FOR TABLE \"S '\\\".\"$long\""
	src_psql "INSERT INTO \"S '\\\".\"$long\" VALUES (1, 'a'' b[x]:1', 2, 3, 4, 5);
	    UPDATE \"S '\\\".\"$long\" SET \",\" = 9; DELETE FROM \"S '\\\".\"$long\""
	# test_decoding does not quote column names of this kind
	compare
	[ "$(jq -c '[.schema_name, .table_name, .key_columns]' "$stream" |
	    sort -u)" = "[\"S '\\\\\",\"$long\",[\"a\\\"b\",\",\"]]" ]
}

@test "overlapping transactions come in the order of their commits" {
	src_psql "CREATE TABLE t (a int PRIMARY KEY)"
	prepare
	src_psql "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'ov_a'"
	src_psql "BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'ov_b'"
	src_psql "BEGIN; INSERT INTO t VALUES (3), (4); COMMIT"
	src_psql "COMMIT PREPARED 'ov_b'"
	src_psql "COMMIT PREPARED 'ov_a'"
	compare
	[ "$(jq -r .after_data.a "$stream" | tr '\n' ' ')" = "3 4 2 1 " ]
	# so the LSNs of changes are not in order
	refute diff <(jq -r .lsn "$stream") <(jq -r .lsn "$stream" | sort)
}

@test "changes that have a replication origin are read" {
	src_psql "CREATE TABLE t (a int PRIMARY KEY)"
	prepare
	src_psql "SELECT pg_replication_origin_create('o_$PHILOTES_SLOT'),
	    pg_replication_origin_session_setup('o_$PHILOTES_SLOT')" >/dev/null
	psql_on "$PHILOTES_SOURCE_URL" -At <<-END >/dev/null
	SELECT pg_replication_origin_session_setup('o_$PHILOTES_SLOT');
	BEGIN;
	SELECT pg_replication_origin_xact_setup('0/12345', now());
	INSERT INTO t VALUES (1);
	COMMIT;
	END
	src_psql "INSERT INTO t VALUES (2)"
	compare
	[ "$changes" = 2 ]
	src_psql "SELECT pg_replication_origin_drop('o_$PHILOTES_SLOT')" >/dev/null
}

@test "1600 columns" {
	local columns
	columns=$(printf ',c%d bool' {2..1600})
	src_psql "CREATE TABLE t (a int PRIMARY KEY $columns)"
	prepare
	src_psql "INSERT INTO t VALUES (1, true); UPDATE t SET c1600 = false, a = 2;
	    DELETE FROM t"
	compare
	[ "$(jq -c '.after_data | length' "$stream" | tr '\n' ' ')" = \
	    "1600 1600 0 " ]
}

@test "pgbench: concurrent clients with savepoints and rollbacks" {
	local bench=("$(pg_bin pgbench)" -n -d "$PHILOTES_SOURCE_URL")
	"${bench[@]}" -i -q -s 1 2>/dev/null
	prepare "FOR TABLE pgbench_accounts, pgbench_tellers, pgbench_branches,
	    pgbench_history"
	cat >"$BATS_TEST_TMPDIR/script" <<-'END'
	\set aid random(1, 100000)
	\set tid random(1, 10)
	\set delta random(-5000, 5000)
	BEGIN;
	UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
	SAVEPOINT a;
	UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
	SAVEPOINT b;
	INSERT INTO pgbench_history VALUES (:tid, 1, :aid, :delta, now(), 'gone');
	ROLLBACK TO b;
	INSERT INTO pgbench_history VALUES (:tid, 1, :aid, :delta, now(), 'kept');
	RELEASE a;
	\if :delta < -2500
	ROLLBACK;
	\else
	COMMIT;
	\endif
	END
	"${bench[@]}" -c 4 -j 2 -t 100 -f "$BATS_TEST_TMPDIR/script" >/dev/null 2>&1
	"${bench[@]}" -c 4 -j 2 -t 50 >/dev/null 2>&1
	compare
	[ "$(src_psql "SELECT sum(delta) FROM pgbench_history")" = \
	    "$(jq -s 'map(.after_data.delta // 0) | add' "$stream")" ]
	((changes > 800 + 300))
}
