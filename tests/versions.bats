#!/usr/bin/env bats
# Versions of PostgreSQL: servers that are too old are refused before anything
# else is asked of them, and features of newer ones are handled.
# shellcheck source=SCRIPTDIR/helper.bash
load helper

# behind_proxy src|buf N: sets $url, which connects through a proxy that makes
# the server say it has version N
behind_proxy()
{
	local dir=$BATS_TEST_TMPDIR/$1 file=.s.PGSQL.5432
	mkdir "$dir"
	child "$PHILOTES_BIN/fault/proxy" "$dir/$file" \
		"$(cluster_sockets "$BATS_FILE_TMPDIR/$1")/$file" version "$2" \
		>"$dir/said" 2>&1
	wait_for ls "$dir/$file" "$dir/$file"
	url="host=$dir user=postgres dbname=t$BATS_TEST_NUMBER"
}

# refused COMMAND ...: it is 78 with one error, and prints nothing
refused()
{
	expect_code 78 "$@"
	expect_error "could not use the $what: PostgreSQL 1[23]\..* is older than 14"
	[ -z "$output" ]
}

@test "pg-cdc-read refuses a source that is too old, whatever its options" {
	local url what=source direct=$PHILOTES_SOURCE_URL
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	behind_proxy src 13
	PHILOTES_SOURCE_URL=$url
	refused pg-cdc-read --create
	refused pg-cdc-read --drop
	refused pg-cdc-read
	refused pg-cdc-read --messages --until now --heartbeat 1s --tables t
	expect_code 78 pg-cdc-read --check
	expect_error 'could not use the source: PostgreSQL 13.* is older than 14'
	grep -qx 'ERROR    connection .*' <<<"$output"
	expect_code 78 philotes init
	expect_error 'could not use the source: PostgreSQL 13.* is older than 14'
	PHILOTES_SOURCE_URL=$direct
	[ "$(src_psql "SELECT (SELECT count(*) FROM pg_publication),
	    (SELECT count(*) FROM pg_replication_slots)")" = '0|0' ]
}

@test "every tool that uses a buffer refuses one that is too old" {
	local url what=buffer args
	behind_proxy buf 12
	export PHILOTES_BUFFER_URL=$url
	refused buffer-write </dev/null
	for args in --once --peek '--from #1' --dead-letters '--once -- cat'; do
		read -ra args <<<"$args"
		refused buffer-batch "${args[@]}"
	done
	refused buffer-gc
	refused buffer-gc --dry-run
}

@test "version 14 is accepted, whatever follows its first number" {
	local url
	behind_proxy src 14
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	PHILOTES_SOURCE_URL=$url expect_code 0 pg-cdc-read --create
	behind_proxy buf 14
	PHILOTES_BUFFER_URL=$url expect_code 0 buffer-gc
}

# For statements that psql runs: no server here is too old, so the limit is
# raised.
@test "the schema, and the queries of status and check, test the version first" {
	local file
	for file in 001_schema operator/server; do
		sed 's/< 140000/< 990000/' "$root/sql/$file.sql" \
			>"$BATS_TEST_TMPDIR/file.sql"
		refute cmp -s "$root/sql/$file.sql" "$BATS_TEST_TMPDIR/file.sql"
		server_psql buf "CREATE DATABASE empty"
		expect_code 3 psql_on "$(cluster_url "$BATS_FILE_TMPDIR/buf" empty)" \
			-f "$BATS_TEST_TMPDIR/file.sql"
		[[ $stderr == *": ERROR:  PostgreSQL "*" is older than 14"* ]]
		[ "$(psql_on "$(cluster_url "$BATS_FILE_TMPDIR/buf" empty)" -At \
			-c "SELECT to_regnamespace('philotes') IS NULL")" = t ]
		server_psql buf "DROP DATABASE empty"
	done
	cp -r "$root/scripts" "$root/sql" "$BATS_TEST_TMPDIR"
	sed -i 's/< 140000/< 990000/' "$BATS_TEST_TMPDIR/sql/operator/server.sql"
	PATH=$BATS_TEST_TMPDIR/scripts:$PATH
	expect_code 1 philotes status
	[[ $output == *"the source does not answer: PostgreSQL "*"is older than 14"* ]]
	[[ $output == *"the buffer does not answer: PostgreSQL "*"is older than 14"* ]]
	expect_code 78 philotes consumer list
	expect_error 'could not list "consumers": PostgreSQL .* is older than 14'
}

is_lost()
{
	src_psql "CHECKPOINT"
	src_psql "SELECT wal_status FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'"
}

@test "a slot that timed out is 69, and the reason is named" {
	since 18 idle_replication_slot_timeout
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	pg-cdc-read --create
	src_psql "ALTER SYSTEM SET idle_replication_slot_timeout = '1s'"
	src_psql "SELECT pg_reload_conf()"
	wait_for is_lost now lost
	src_psql "ALTER SYSTEM RESET idle_replication_slot_timeout"
	src_psql "SELECT pg_reload_conf()"
	local why='could not use the replication slot ".*": it is lost: nobody'
	why+=" read it for longer than the server's idle_replication_slot_timeout"
	expect_code 69 pg-cdc-read --until now
	expect_error "$why"
	expect_code 69 pg-cdc-read --check
	grep -qE "^ERROR +slot +$why" <<<"$output"
	expect_code 1 philotes status
	grep -q 'the slot is lost: idle_timeout$' <<<"$output"
	expect_code 1 philotes status --json
	[ "$(jq -r .slot.invalidation_reason <<<"$output")" = idle_timeout ]
	# and the way out that the hint names works
	pg-cdc-read --drop
	pg-cdc-read --create
	expect_code 0 pg-cdc-read --until now
}

# stream COLUMNS: runs the reader and prints these columns of each line, as
# JSON
stream()
{
	pg-cdc-read --until now >"$BATS_TEST_TMPDIR/stream"
	jq -c "[$1]" "$BATS_TEST_TMPDIR/stream"
}

changes()
{
	src_psql "INSERT INTO $1 (id, a) VALUES (1, 1); UPDATE $1 SET a = 5"
	src_psql "DELETE FROM $1"
}

@test "generated columns are not in the stream" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY, a int,
	    s int GENERATED ALWAYS AS (a * 2) STORED)"
	pg-cdc-read --create
	changes t
	[ "$(stream .key_columns,.before_data,.after_data)" = \
'[["id"],null,{"id":1,"a":1}]
[["id"],null,{"id":1,"a":5}]
[["id"],{"id":1},null]' ]
}

@test "generated columns that version 18 publishes are like other columns" {
	since 18 publish_generated_columns
	src_psql "CREATE TABLE t (id int PRIMARY KEY, a int,
	    s int GENERATED ALWAYS AS (a * 2) STORED,
	    v int GENERATED ALWAYS AS (a * 3) VIRTUAL)"
	src_psql "CREATE TABLE listed (LIKE t INCLUDING ALL)"
	src_psql "CREATE TABLE keyed (id int, a int,
	    s int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (id, s))"
	src_psql "CREATE PUBLICATION philotes_pub
	    FOR TABLE t, keyed, listed (id, s)
	    WITH (publish_generated_columns = stored)"
	expect_code 0 pg-cdc-read --create
	expect_code 0 pg-cdc-read --check
	grep -qE '^ok +identity ' <<<"$output"
	changes t
	changes listed
	changes keyed
	[ "$(stream .key_columns,.before_data,.after_data)" = \
'[["id"],null,{"id":1,"a":1,"s":2}]
[["id"],null,{"id":1,"a":5,"s":10}]
[["id"],{"id":1},null]
[["id"],null,{"id":1,"s":2}]
[["id"],null,{"id":1,"s":10}]
[["id"],{"id":1},null]
[["id","s"],null,{"id":1,"a":1,"s":2}]
[["id","s"],{"id":1,"s":2},{"id":1,"a":5,"s":10}]
[["id","s"],{"id":1,"s":10},null]' ]
	# verify compares published generated columns as well
	src_psql "INSERT INTO t VALUES (7, 7); INSERT INTO keyed VALUES (8, 8)"
	stream .id >/dev/null
	jq -c '{id: input_line_number} + .' "$BATS_TEST_TMPDIR/stream" \
		>"$BATS_TEST_TMPDIR/events"
	expect_code 0 verify "$BATS_TEST_TMPDIR/events"
	sed -i 's/"s":14/"s":15/' "$BATS_TEST_TMPDIR/events"
	expect_code 1 verify "$BATS_TEST_TMPDIR/events"
	[ "$stderr" = "table public.t: 1 rows missing, 1 too many" ]
}

# A published table must accept UPDATE and DELETE, and its events must identify
# the row.
@test "a replica identity with an unpublished generated column is refused" {
	src_psql "CREATE TABLE keyed (id int, a int,
	    s int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (id, s))"
	src_psql "CREATE TABLE indexed (id int PRIMARY KEY, a int,
	    s int GENERATED ALWAYS AS (a * 2) STORED NOT NULL UNIQUE)"
	src_psql "ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_s_key"
	src_psql "CREATE TABLE whole (id int PRIMARY KEY, a int,
	    s int GENERATED ALWAYS AS (a * 2) STORED)"
	src_psql "ALTER TABLE whole REPLICA IDENTITY FULL"
	src_psql "CREATE TABLE root (LIKE keyed INCLUDING ALL)
	    PARTITION BY RANGE (id); CREATE TABLE leaf PARTITION OF root DEFAULT"
	src_psql "CREATE TABLE fine (id int PRIMARY KEY, a int,
	    s int GENERATED ALWAYS AS (a * 2) STORED)"
	local table why='its replica identity has a generated column, which is'
	why+=' not published' whole=',"public"."whole"' full=''
	if (($(src_psql "SHOW server_version_num") >= 180000)); then
		full="left out \"public\".\"whole\": $why" whole=''
	fi
	expect_code 0 pg-cdc-read --create
	[ "$(grep -v '^created slot' <<<"$output" | sort)" = "$(sort <<-EOF | grep .
	created publication "philotes_pub": "public"."fine"$whole
	left out "public"."indexed": $why
	left out "public"."keyed": $why
	left out "public"."root": of leaf, $why
	$full
	EOF
	)" ]
	for table in fine keyed indexed whole root; do
		changes "$table"
	done
	[ "$(stream .table_name,.operation,.before_data | grep fine)" = \
'["fine","INSERT",null]
["fine","UPDATE",null]
["fine","DELETE",{"id":1}]' ]
	expect_code 78 pg-cdc-read --create --tables keyed
	expect_error "could not publish \"public\".\"keyed\": $why"
	src_psql "ALTER PUBLICATION philotes_pub ADD TABLE keyed"
	expect_code 0 pg-cdc-read --check
	grep -qE "^WARNING +identity +\"public\".\"keyed\": $why" <<<"$output"
}

@test "version 14 misses a table that is attached late: check warns" {
	(($(src_psql "SHOW server_version_num") < 150000)) ||
		skip "PostgreSQL 15 misses none"
	src_psql "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY LIST (id);
	    CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)"
	pg-cdc-read --create
	expect_code 0 pg-cdc-read --check
	grep -qE '^WARNING +partitions +changes of a table are lost if it is attached' <<<"$output"
	src_psql "CREATE PUBLICATION everything FOR ALL TABLES"
	expect_code 0 pg-cdc-read --check --publication everything
	refute grep -E '^WARNING +partitions' <<<"$output"
}
