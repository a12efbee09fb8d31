#!/usr/bin/env bats
# pg-cdc-read --check: its report, and that its exit code is the one that
# reading would end with.  Each state of the source is tried with both.

load helper

setup_file()
{
	clusters_up max_wal_senders=4 max_replication_slots=4
}

# With a key there is no warning that everybody may write messages.
setup()
{
	databases_up
	export PHILOTES_SNAPSHOT_KEY_FILE=$BATS_TEST_TMPDIR/key
	(umask 77; openssl rand -hex 32 >"$PHILOTES_SNAPSHOT_KEY_FILE")
}

prepare()
{
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
	expect_code 0 pg-cdc-read --create
}

# expect_both N REGEX [OPTION ...]: reading and --check end with N and the same
# error
expect_both()
{
	local code=$1 regex=$2 line
	shift 2
	expect_code "$code" pg-cdc-read --until now "$@"
	expect_error "$regex"
	line=$(grep ': error: ' <<<"$stderr")
	expect_code "$code" pg-cdc-read --check "$@"
	[ "$(grep ': error: ' <<<"$stderr")" = "$line" ]
	grep -q '^ERROR' <<<"$output"
}

# found LEVEL CHECK REGEX: the report has such a line
found()
{
	grep -E "^$1 +$2 +$3" <<<"$output" || {
		echo "not in the report: $*"
		echo "$output"
		return 1
	}
}

slot_sql()
{
	src_psql "SELECT $1 FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'"
}

@test "a source that is ready is 0, with a report in plain text" {
	prepare
	expect_code 0 pg-cdc-read --check
	[ -z "$stderr" ]
	found ok connection "database \"t$BATS_TEST_NUMBER\" as role \"postgres\""
	found ok replication 'the role may replicate, system [0-9]+, timeline 1'
	found ok server 'PostgreSQL 1'
	found ok wal_level logical
	found ok slot "\"$PHILOTES_SLOT\", confirmed up to $(slot_sql confirmed_flush_lsn)"
	found ok publication '"philotes_pub"'
	found ok tables '1 published'
	found ok identity 'every published table has a usable'
	found ok messages 'those of snapshots are sealed'
	found ok encoding UTF8
	found ok slots '3 of 4 are free'
	found ok senders '3 of 4 are free'
	found ok wal '.* held back by the slot, without a limit'
	refute grep -qE '^(WARNING|ERROR)' <<<"$output"
	# --check may run at any time: it reads nothing and confirms nothing
	local before
	before=$(slot_sql '*')
	expect_code 0 pg-cdc-read --check
	[ "$(slot_sql '*')" = "$before" ]
}

@test "--log-format json prints the same findings, one object each" {
	prepare
	expect_code 0 pg-cdc-read --check
	local text=$output
	expect_code 0 pg-cdc-read --check --log-format json
	diff <(jq -r '"\(.result) \(.check) \(.message)"' <<<"$output") \
		<(sed -E 's/^([a-z]+) +([a-z_]+) +/\1 \2 /' <<<"$text")
	expect_code 69 pg-cdc-read --check --log-format json --slot nosuch
	[ "$(jq -c 'select(.check == "slot")' <<<"$output")" = \
	    '{"check":"slot","result":"error","code":69,"message":"could not use the replication slot \"nosuch\": it does not exist","hint":"Create it with pg-cdc-read --create; changes made before that are not captured."}' ]
	[ "$(jq -r .level <<<"$stderr")" = error ]
}

@test "options that exclude each other are 64, a full disk is 74" {
	expect_code 64 pg-cdc-read --check --create
	expect_code 64 pg-cdc-read --check --drop
	expect_code 64 pg-cdc-read --check --messages
	expect_code 64 pg-cdc-read --check --until now
	prepare
	expect_code 74 sh -c 'pg-cdc-read --check >/dev/full'
}

@test "a slot or publication that is missing or of another kind" {
	expect_both 69 'slot ".*": it does not exist'
	found ERROR publication 'could not use the publication'
	prepare
	expect_both 78 'publication "nosuch": it does not exist' \
		--publication nosuch
	src_psql "SELECT pg_create_logical_replication_slot(
	    'other_$PHILOTES_SLOT', 'test_decoding')"
	expect_both 78 'it is not a pgoutput slot of this database' \
		--slot "other_$PHILOTES_SLOT"
	expect_both 78 '"public"."nosuch": it is not in the publication "philotes_pub"' \
		--tables t,nosuch
	expect_code 0 pg-cdc-read --check --tables t
	found ok tables '0 published tables left out by --tables'
}

@test "a slot that is active elsewhere is 75" {
	prepare
	child pg-cdc-read >/dev/null
	wait_for slot_sql active t
	expect_both 75 "it is active for process $(slot_sql active_pid) of the server"
}

@test "a slot older than its publication is 78" {
	prepare
	src_psql "DROP PUBLICATION philotes_pub"
	src_psql "INSERT INTO t VALUES (1)"
	src_psql "CREATE PUBLICATION philotes_pub FOR TABLE t"
	src_psql "INSERT INTO t VALUES (2)"
	expect_code 78 pg-cdc-read --until now
	expect_error 'publication "philotes_pub" does not exist'
	grep -q 'hint: .*--drop' <<<"$stderr"
	expect_code 78 pg-cdc-read --check
	expect_error 'it is older than the publication "philotes_pub"'
	found ERROR slot 'could not use the replication slot'
	# a slot that only looks older, because another slot holds back
	# catalog_xmin, passes
	expect_code 0 pg-cdc-read --drop
	src_psql "SELECT pg_create_logical_replication_slot(
	    'old_$PHILOTES_SLOT', 'pgoutput')"
	src_psql "INSERT INTO t VALUES (3)"
	expect_code 0 pg-cdc-read --create
	src_psql "INSERT INTO t VALUES (4)"
	expect_code 0 pg-cdc-read --check
	expect_code 0 pg-cdc-read --until now
	[ "$(jq .after_data.id <<<"$output")" = 4 ]
}

# A reader reads the slot, as $reader.
reading()
{
	prepare
	child pg-cdc-read >"$BATS_TEST_TMPDIR/stream" 2>"$BATS_TEST_TMPDIR/log"
	reader=$!
	wait_for slot_sql active t
}

@test "a publication that is dropped while it is read is 78" {
	reading
	src_psql "DROP PUBLICATION philotes_pub; INSERT INTO t VALUES (1)"
	local code=0
	wait "$reader" || code=$?
	cat "$BATS_TEST_TMPDIR/log"
	[ "$code" = 78 ]
	expect_both 78 'publication "philotes_pub": it does not exist'
}

@test "a slot that lost WAL is 69" {
	reading
	# the reader goes on reading, but confirms nothing
	src_psql "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'"
	src_psql "SELECT pg_reload_conf()"
	for _ in 1 2 3 4; do
		src_psql "INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t"
		src_psql "SELECT pg_switch_wal()"
	done
	src_psql "CHECKPOINT"
	wait_for slot_sql wal_status lost
	local code=0
	wait "$reader" || code=$?
	[ "$code" = 75 ]
	expect_both 69 'it is lost: the server removed WAL it needs'
	expect_code 1 philotes status
	grep -q '^ *the slot is lost: wal_removed$' <<<"$output"
	expect_code 1 philotes status --json
	[ "$(jq -r .slot.invalidation_reason <<<"$output")" = wal_removed ]
	src_psql "ALTER SYSTEM RESET max_slot_wal_keep_size"
	src_psql "SELECT pg_reload_conf()"
}

@test "a slot about to be lost is a warning" {
	prepare
	src_psql "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'"
	src_psql "SELECT pg_reload_conf()"
	for _ in 1 2 3 4; do
		src_psql "INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t"
		src_psql "SELECT pg_switch_wal()"
	done
	wait_for slot_sql wal_status unreserved
	expect_code 0 pg-cdc-read --check
	found WARNING wal '.* held back by the slot, more than the server keeps'
	src_psql "ALTER SYSTEM RESET max_slot_wal_keep_size"
	src_psql "SELECT pg_reload_conf()"
}

@test "no free walsender is 75" {
	prepare
	for _ in 1 2 3 4; do
		child psql -X -q "$PHILOTES_SOURCE_URL replication=database" \
			-f <(sleep 60) >/dev/null
	done
	wait_for src_psql "SELECT count(*) FROM pg_stat_get_wal_senders()" 4
	expect_both 75 'could not connect to the source: .*max_wal_senders'
	found ERROR replication 'could not connect to the source: '
	found ok slot
}

@test "no free slot for a slot that is missing is a warning" {
	src_psql "SELECT pg_create_logical_replication_slot(
	    'x${BATS_TEST_NUMBER}_' || i, 'pgoutput') FROM generate_series(1, 4) i"
	expect_code 69 pg-cdc-read --check
	found WARNING slots '0 of 4 are free'
	# a slot that exists needs no free one
	expect_code 78 pg-cdc-read --check --slot "x${BATS_TEST_NUMBER}_1"
	found ok slots '0 of 4 are free'
}

@test "wal_level, and a role that may not log in or not replicate" {
	prepare
	local role=r$BATS_TEST_NUMBER
	src_psql "CREATE ROLE $role LOGIN"
	PHILOTES_SOURCE_URL="$PHILOTES_SOURCE_URL user=$role"
	expect_both 77 'could not connect to the source: '
	found ok slot
	PHILOTES_SOURCE_URL=${PHILOTES_SOURCE_URL% user=*}
	src_psql "ALTER ROLE $role REPLICATION"
	PHILOTES_SOURCE_URL="$PHILOTES_SOURCE_URL user=$role" \
		expect_code 0 pg-cdc-read --check
	# since version 17 this function has one more argument
	src_psql "$(src_psql "SELECT format('REVOKE EXECUTE ON FUNCTION %s
	    FROM public;', oid::regprocedure) FROM pg_proc
	    WHERE proname = 'pg_logical_emit_message'")"
	PHILOTES_HEARTBEAT=1s expect_code 0 pg-cdc-read --check
	found ok heartbeat
	PHILOTES_HEARTBEAT=1s PHILOTES_SOURCE_URL="$PHILOTES_SOURCE_URL user=$role" \
		expect_both 77 'could not send a heartbeat to the source: '
	PHILOTES_SOURCE_URL="$PHILOTES_SOURCE_URL user=$role" \
		expect_code 0 pg-cdc-read --check
	src_psql "ALTER ROLE $role NOLOGIN"
	PHILOTES_SOURCE_URL="$PHILOTES_SOURCE_URL user=$role" \
		expect_both 77 'could not connect to the source: .*not permitted to log in'
	src_psql "ALTER ROLE $role LOGIN"
	sed -i "1i local all $role reject" "$BATS_FILE_TMPDIR/src/pg_hba.conf"
	src_psql "SELECT pg_reload_conf()"
	PHILOTES_SOURCE_URL="$PHILOTES_SOURCE_URL user=$role" \
		expect_both 77 'could not connect to the source: pg_hba.conf rejects'
	src_psql "DROP ROLE $role"
	PHILOTES_SOURCE_URL=host=/nonexistent \
		expect_both 75 'could not connect to the source'
	PHILOTES_SOURCE_URL="$PHILOTES_SOURCE_URL dbname=nosuch" \
		expect_both 78 'could not connect to the source'
	# with a logical slot the server would refuse to start at that
	# wal_level
	expect_code 0 pg-cdc-read --drop
	src_psql "ALTER SYSTEM SET wal_level = replica"
	stop_server src
	start_server src
	expect_both 78 'could not use the server: its wal_level is replica'
	src_psql "ALTER SYSTEM RESET wal_level"
	stop_server src
	start_server src
}

@test "tables without identity, partitions, unpublished operations, the buffer's own tables" {
	src_psql "CREATE TABLE noid (id int); CREATE TABLE \"a
	b\" (id int)"
	src_psql "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)"
	src_psql "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)"
	src_psql "CREATE TABLE p2 PARTITION OF p DEFAULT"
	src_psql "CREATE SCHEMA philotes; CREATE TABLE philotes.x (id int PRIMARY KEY)"
	src_psql "CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	expect_code 0 pg-cdc-read --create
	expect_code 0 pg-cdc-read --check
	found ok tables '5 published'
	found WARNING identity '"public"."noid": it has no primary key'
	found WARNING identity '"public"."a\?\?b": it has no primary key'
	found WARNING tables '1 tables of the buffer itself are published'
	found ok partitions "2 partitions; their events carry the partition's name"
	src_psql "ALTER PUBLICATION philotes_pub
	    SET (publish_via_partition_root = true, publish = 'insert, truncate')"
	expect_code 0 pg-cdc-read --check
	found ok partitions "1 partitioned tables; their events carry the root's name"
	found WARNING tables 'UPDATE, DELETE not published'
	# INSERT and TRUNCATE need no identity
	refute grep -q identity <<<"$output"
	src_psql "DROP PUBLICATION philotes_pub"
	src_psql "CREATE PUBLICATION philotes_pub"
	expect_code 0 pg-cdc-read --check
	found WARNING tables '0 published'
}

@test "a database without an encoding is a warning" {
	local url=$PHILOTES_SOURCE_URL
	server_psql src "CREATE DATABASE ascii TEMPLATE template0
	    ENCODING 'SQL_ASCII' LOCALE 'C'"
	PHILOTES_SOURCE_URL=$(cluster_url "$BATS_FILE_TMPDIR/src" ascii)
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	expect_code 0 pg-cdc-read --create
	expect_code 0 pg-cdc-read --check
	found WARNING encoding SQL_ASCII
	expect_code 0 pg-cdc-read --drop
	PHILOTES_SOURCE_URL=$url
	server_psql src "DROP DATABASE ascii"
}

@test "what keeps a role from taking snapshots is a warning" {
	local role=blind$BATS_TEST_NUMBER owner=$PHILOTES_SOURCE_URL
	prepare
	found_by_role() {
		PHILOTES_SOURCE_URL="$owner user=$role" \
			expect_code 0 pg-cdc-read --check
		grep -E '^[a-zA-Z]+ +snapshot ' <<<"$output" | sed 's/^\(\S*\) */\1 /'
	}
	src_psql "CREATE ROLE $role LOGIN REPLICATION; GRANT SELECT ON t TO $role"
	[ "$(found_by_role)" = \
	    'ok snapshot     the role may read the rows of every published table' ]
	src_psql "CREATE TABLE secret (id int PRIMARY KEY);
	    GRANT SELECT ON secret TO $role;
	    ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
	    CREATE TABLE p (id int) PARTITION BY LIST (id);
	    CREATE TABLE \"P 1\" PARTITION OF p (PRIMARY KEY (id)) FOR VALUES IN (1);
	    CREATE FOREIGN DATA WRAPPER w;
	    CREATE SERVER s FOREIGN DATA WRAPPER w;
	    CREATE FOREIGN TABLE far PARTITION OF p FOR VALUES IN (2) SERVER s;
	    ALTER PUBLICATION philotes_pub ADD TABLE secret, p;
	    ALTER PUBLICATION philotes_pub SET (publish_via_partition_root)"
	src_psql "$(src_psql "SELECT format('REVOKE EXECUTE ON FUNCTION %s
	    FROM public;', oid::regprocedure) FROM pg_proc
	    WHERE proname = 'pg_logical_emit_message'")"
	diff <(found_by_role) - <<-'EOF'
	WARNING snapshot     the role lacks EXECUTE on pg_logical_emit_message
	WARNING snapshot     "public"."p": public.far is a foreign table
	WARNING snapshot     "public"."p": the role may not SELECT from public."P 1"
	WARNING snapshot     "public"."secret": row-level security filters public.secret
	EOF
	PHILOTES_SOURCE_URL="$owner user=$role" \
		expect_code 0 pg-cdc-read --check --log-format json
	[ "$(jq -r 'select(.check == "snapshot") | .hint' <<<"$output" | tail -n 1)" = \
	    'ALTER ROLE ... BYPASSRLS.' ]
	src_psql "DROP OWNED BY $role; DROP ROLE $role"
}
