#!/usr/bin/env bats
# A server older than version 14, from PGBIN: every use of it is refused, in
# the same words.  `scripts/versions 12 13` runs this.
# shellcheck source=SCRIPTDIR/../helper.bash
load ../helper

# One cluster is source and buffer.  cluster_create would refuse this version.
setup_file()
{
	pg_unset
	chmod a+x "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR"
	local dir=$BATS_FILE_TMPDIR/old
	install -d -o "$(server_user)" -m 700 "$dir"
	as_server "$(pg_bin initdb)" -D "$dir" -U postgres -A trust -E UTF8 \
		--locale=C.UTF-8 --no-sync
	cluster_set "$dir" listen_addresses= fsync=off wal_level=logical
	cluster_start "$dir"
}

teardown_file()
{
	cluster_remove "$BATS_FILE_TMPDIR/old"
}

setup()
{
	# shellcheck disable=SC2034 # used by helper.bash
	children=()
	PHILOTES_SOURCE_URL=$(cluster_url "$BATS_FILE_TMPDIR/old")
	PHILOTES_BUFFER_URL=$PHILOTES_SOURCE_URL
	export PHILOTES_SOURCE_URL PHILOTES_BUFFER_URL
	export PHILOTES_STATE_DIR=$BATS_TEST_TMPDIR/state
	src_psql "SET client_min_messages = warning;
	    CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY)"
}

teardown()
{
	kill_children
}

old='PostgreSQL 1[0-3]\..*is older than 14'

@test "the tools refuse it" {
	local args
	for args in 'pg-cdc-read --create' pg-cdc-read 'pg-cdc-read --drop' \
		'pg-cdc-read --check' buffer-write 'buffer-batch --once' \
		'buffer-batch --peek' 'buffer-batch --dead-letters' \
		'buffer-batch --from #1' buffer-gc 'buffer-gc --dry-run'; do
		read -ra args <<<"$args"
		expect_code 78 "${args[@]}" </dev/null
		expect_error "could not use the (source|buffer): $old"
	done
	[ "$(src_psql "SELECT (SELECT count(*) FROM pg_publication),
	    (SELECT count(*) FROM pg_replication_slots),
	    to_regnamespace('philotes') IS NULL")" = '0|0|t' ]
}

@test "philotes refuses it" {
	local command
	for command in init 'consumer list' 'consumer add x' check; do
		read -ra command <<<"$command"
		expect_code 78 philotes "${command[@]}"
		expect_error ": $old"
	done
	expect_code 1 philotes status
	grep -qE "the source does not answer: $old" <<<"$output"
	grep -qE "the buffer does not answer: $old" <<<"$output"
	PHILOTES_BUFFER_URL=embedded expect_code 78 philotes init
	expect_error "could not create \".*\": .*$old"
}

@test "a source that is new enough with a buffer that is not, and the other way round" {
	local new=$BATS_FILE_TMPDIR/new
	PGBIN='' cluster_create "$new" fsync=off wal_level=logical
	PGBIN='' cluster_start "$new"
	PHILOTES_SOURCE_URL=$(cluster_url "$new") expect_code 78 philotes init
	expect_error "could not load the schema into \"buffer\": $old"
	PHILOTES_BUFFER_URL=$(cluster_url "$new") expect_code 78 philotes init
	expect_error "could not use the source: $old"
	cluster_remove "$new"
}
