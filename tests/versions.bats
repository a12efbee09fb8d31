#!/usr/bin/env bats
# Versions of PostgreSQL: those that are too old are refused before anything else
# is asked of them, and what newer ones do is understood.
# shellcheck source=SCRIPTDIR/helper.bash
load helper

# behind_proxy src|buf N: its connection string, by which it says that it is of
# version N
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

# refused COMMAND ...: 78, one error, and nothing on stdout
refused()
{
	expect_code 78 "$@"
	expect_error "could not use the $what: PostgreSQL 1[23]\..* is older than 14"
	[ -z "$output" ]
}

@test "a source that is too old is refused by every use of pg-cdc-read" {
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

@test "a buffer that is too old is refused by every tool that uses one" {
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

@test "version 14 is not too old, whatever comes after its first number" {
	local url
	behind_proxy src 14
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	PHILOTES_SOURCE_URL=$url expect_code 0 pg-cdc-read --create
	behind_proxy buf 14
	PHILOTES_BUFFER_URL=$url expect_code 0 buffer-gc
}

# What psql is asked to do: no server here is too old, so the limit is raised.
@test "the schema, and what status and check ask, begin with the version" {
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
