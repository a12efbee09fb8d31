#!/usr/bin/env bats
# Mistakes of users, and correct commands that cannot work, get a message that
# names the problem and a hint that says what to do.

load helper
load buffer

# On both servers the role "scram" needs a password, pg_hba.conf rejects
# "rejected", and "plain" has no special right.
setup_file()
{
	local name
	clusters_up "$@"
	for name in src buf; do
		sed -i '1i local all scram scram-sha-256\nlocal all rejected reject' \
			"$BATS_FILE_TMPDIR/$name/pg_hba.conf"
		server_psql "$name" "CREATE ROLE scram LOGIN PASSWORD 'x';
		    CREATE ROLE rejected LOGIN; CREATE ROLE plain LOGIN;
		    CREATE ROLE nologin; SELECT pg_reload_conf()"
	done >/dev/null
}

teardown()
{
	kill_children
	for name in src buf; do
		server_psql "$name" "ALTER ROLE plain NOREPLICATION"
	done
	psql_on "$source_url" -c "DROP OWNED BY plain"
	psql_on "$buffer_url" -c "DROP OWNED BY plain"
	databases_down
}

setup()
{
	databases_up
	source_url=$PHILOTES_SOURCE_URL buffer_url=$PHILOTES_BUFFER_URL
	unset PGPASSFILE PGPASSWORD
	export HOME=$BATS_TEST_TMPDIR
}

# expect_remedy CODE ERROR HINT COMMAND ...: the command ends with this code,
# error and hint
expect_remedy()
{
	local error=$2 hint=$3
	expect_code "$1" "${@:4}"
	expect_error "$error"
	[[ $stderr == *": hint: "*"$hint"* ]] || {
		printf 'expected a hint: %s\nstderr:\n%s\n' "$hint" "$stderr"
		return 1
	}
}

# with NAME=VALUE URL: prints the URL with this word changed
with()
{
	local word="^(.*)${1%%=*}=[^ ]*(.*)$"
	[[ $2 =~ $word ]] && echo "${BASH_REMATCH[1]}$1${BASH_REMATCH[2]}"
}

# pooler [SETTING ...]: a pgbouncer in front of both servers; POOLED_SOURCE and
# POOLED_BUFFER connect through it
pooler()
{
	local dir=$BATS_TEST_TMPDIR/pooler drop=() name=t$BATS_TEST_NUMBER
	((EUID != 0)) || drop=(-u "$(server_user)")
	mkdir -p "$dir" && chmod 777 "$dir" "$BATS_TEST_TMPDIR"
	printf '"postgres" ""\n' >"$dir/users"
	{
		printf '[databases]\n'
		printf 'src = host=%s dbname=%s\n' \
			"$(cluster_sockets "$BATS_FILE_TMPDIR/src")" "$name"
		printf 'buf = host=%s dbname=%s\n' \
			"$(cluster_sockets "$BATS_FILE_TMPDIR/buf")" "$name"
		printf 'gone = host=%s dbname=nosuch\n' \
			"$(cluster_sockets "$BATS_FILE_TMPDIR/buf")"
		printf '%s\n' '[pgbouncer]' "unix_socket_dir = $dir" \
			'listen_addr =' 'listen_port = 6432' 'auth_type = trust' \
			"auth_file = $dir/users" 'logfile =' \
			'pidfile =' "$@"
	} >"$dir/ini"
	chmod a+r "$dir"/*
	child "$(type -P pgbouncer || echo /usr/sbin/pgbouncer)" "${drop[@]}" \
		"$dir/ini" >"$dir/log" 2>&1
	POOLED_SOURCE="host=$dir port=6432 user=postgres dbname=src"
	POOLED_BUFFER="host=$dir port=6432 user=postgres dbname=buf"
	wait_for pooled_psql "SELECT 1" 1
}

pooled_psql()
{
	psql_on "$POOLED_SOURCE" -At -c "$1"
}

@test "a failed connection gets a hint, the same from all tools" {
	local url code error hint tool
	while IFS='|' read -r url code error hint; do
		PHILOTES_BUFFER_URL=$(with "$url" "$buffer_url")
		for tool in buffer-write "buffer-batch --once" buffer-gc \
		    "philotes init" "philotes consumer list"; do
			# shellcheck disable=SC2086
			expect_remedy "$code" "could not connect to .*buffer.*: .*$error" \
				"$hint" $tool </dev/null
		done
		PHILOTES_SOURCE_URL=$(with "$url" "$source_url")
		for tool in pg-cdc-read "pg-cdc-read --create" \
		    "pg-cdc-read --check"; do
			# shellcheck disable=SC2086
			expect_remedy "$code" "could not connect to the source: .*$error" \
				"$hint" $tool
		done
		PHILOTES_SOURCE_URL=$source_url
	done <<-'END'
	user=scram|77|no password supplied|The password belongs in the file of PGPASSFILE or ~/.pgpass
	user=nosuch|77|role "nosuch" does not exist|the role must exist and have LOGIN
	user=nologin|77|is not permitted to log in|the role must exist and have LOGIN
	user=rejected|77|pg_hba.conf rejects|pg_hba.conf of the server must let it in
	dbname=nosuch|78|database "nosuch" does not exist|createdb makes one
	port=1|75|o such file or directory|Check that the server runs, and the host and port
	user=postgres options='-cnosuch=1'|78|nosuch|Take the setting out of the connection string
	user=postgres sslmode=wrong|78|invalid sslmode|Correct it in the connection string
	END
	PGPASSWORD=wrong PHILOTES_BUFFER_URL=$(with user=scram "$buffer_url") \
		expect_remedy 77 'password authentication failed' \
		"The password belongs in the file" buffer-gc
	expect_remedy 78 'connection string of the buffer: it is malformed' \
		"postgresql://USER@HOST:PORT/DATABASE" buffer-gc -d 'host='"'x"
	expect_remedy 78 'connection string of the buffer: it is malformed' \
		"Only philotes understands" buffer-gc -d embedded
	expect_remedy 78 'definition of service' \
		"Services are defined in ~/.pg_service.conf" buffer-gc -d service=nosuch
}

@test "check and status say what is wrong with the buffer, and what to do" {
	psql_on "$source_url" -c "CREATE TABLE t (id int PRIMARY KEY)"
	pg-cdc-read --create >/dev/null
	PHILOTES_BUFFER_URL=$(with dbname=nosuch "$buffer_url")
	expect_code 78 philotes check
	[[ $output == *'ERROR    buffer'*'database "nosuch" does not exist'*createdb* ]]
	PHILOTES_BUFFER_URL=$(with user=scram "$buffer_url")
	expect_code 77 philotes check
	[[ $output == *'ERROR    buffer'*'no password supplied'*PGPASSFILE* ]]
	PHILOTES_BUFFER_URL=$(with user=plain "$buffer_url")
	expect_code 77 philotes check
	[[ $output == *'ERROR    schema'*'permission denied for schema'*roles.sql* ]]
	PHILOTES_BUFFER_URL=$buffer_url
	buf_psql "DROP SCHEMA philotes CASCADE" 2>/dev/null
	expect_code 78 philotes check
	[[ $output == *'ERROR    schema'*'"philotes" does not exist'*'philotes init'* ]]
	expect_code 1 philotes status
	[[ $output == *'has no schema philotes, which "philotes init" makes'* ]]
	psql_on "$buffer_url" -f "$root/tests/data/plain-table.sql"
	expect_code 78 philotes check
	[[ $output == *'ERROR    schema'*'has the plain table'*'philotes init converts it'* ]]
	expect_code 1 philotes status
	[[ $output == *'plain table philotes.cdc_events, which "philotes init" converts'* ]]
	for tool in buffer-write "buffer-batch --once" buffer-gc; do
		# shellcheck disable=SC2086
		expect_remedy 78 'the buffer: it has the plain table' \
			"philotes init converts it" $tool </dev/null
	done
	expect_code 78 philotes consumer list
	expect_error 'the plain table philotes.cdc_events, which "philotes init" conv'
	expect_code 0 philotes init
	expect_code 0 philotes check
}

@test "if no database was named, the hint says that libpq's variables were used" {
	unset PHILOTES_BUFFER_URL
	for tool in buffer-write "buffer-batch --once" buffer-gc "philotes init"; do
		# shellcheck disable=SC2086
		expect_remedy 75 'could not connect to .*buffer.*: ' \
			"PHILOTES_BUFFER_URL is not set, so libpq's own variables" \
			env PGHOST=/nowhere $tool </dev/null
	done
	export PHILOTES_BUFFER_URL=$buffer_url
	unset PHILOTES_SOURCE_URL
	expect_remedy 75 'could not connect to the source: ' \
		"PHILOTES_SOURCE_URL is not set, so libpq's own variables" \
		env PGHOST=/nowhere pg-cdc-read --create
}

@test "missing rights on the source: which one, and who grants it" {
	local needs='ALTER ROLE ... REPLICATION'
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	PHILOTES_SOURCE_URL=$(with user=plain "$source_url")
	expect_remedy 77 'create the publication: permission denied for database' \
		'owner of the tables with CREATE on the database' pg-cdc-read --create
	psql_on "$source_url" -c "ALTER TABLE t OWNER TO plain" \
		-c "GRANT CREATE ON DATABASE t$BATS_TEST_NUMBER TO plain"
	expect_remedy 77 'could not create the replication slot: ' "$needs" \
		pg-cdc-read --create
	expect_remedy 77 'could not connect to the source: ' "$needs" pg-cdc-read
	psql_on "$source_url" -c "ALTER ROLE plain REPLICATION" \
		-c "CREATE TABLE u (id int PRIMARY KEY)"
	expect_code 0 pg-cdc-read --create
	expect_remedy 77 'extend the publication: must be owner' \
		'owner of the publication and of the tables' \
		pg-cdc-read --create --tables u
	expect_remedy 78 'it is not in the publication' 'ALTER PUBLICATION ... ADD TABLE' \
		pg-cdc-read --tables u --until now
	expect_remedy 78 'there is no such table' 'A name is schema.table' \
		pg-cdc-read --create --tables nosuch
	psql_on "$source_url" -c "ALTER ROLE plain NOREPLICATION"
	expect_remedy 77 'could not drop the replication slot: ' "$needs" \
		pg-cdc-read --drop
	psql_on "$source_url" -c "ALTER PUBLICATION philotes_pub OWNER TO postgres" \
		-c "ALTER ROLE plain REPLICATION"
	expect_remedy 77 'could not drop the publication: must be owner' \
		"the publication's owner" pg-cdc-read --drop
	psql_on "$source_url" -c "DROP TABLE t, u"
}

@test "the server is checked before its tables, and the lack of tables gets a hint" {
	PHILOTES_SOURCE_URL=$buffer_url
	expect_remedy 78 'its wal_level is not logical' \
		'ALTER SYSTEM SET wal_level = logical' pg-cdc-read --create
	PHILOTES_SOURCE_URL=$source_url
	expect_remedy 78 'no table of the source can be published' \
		'Create one first, with a primary key' pg-cdc-read --create
}

@test "missing rights on the buffer: roles.sql grants them" {
	local event
	psql_on "$buffer_url" -c "GRANT USAGE ON SCHEMA philotes TO plain"
	PHILOTES_BUFFER_URL=$(with user=plain "$buffer_url")
	event='{"source_id":"s","schema_name":"","table_name":"","operation":"INSERT","lsn":"0/1","event_time":"2026-01-01T00:00:00Z"}'
	expect_remedy 77 'permission denied for' 'what roles.sql grants' \
		buffer-write <<<"$event"
	expect_remedy 77 'permission denied for' 'what roles.sql grants' \
		buffer-batch --once
	expect_remedy 77 'permission denied for' 'what roles.sql grants' buffer-gc
	expect_remedy 77 'permission denied for' 'what roles.sql grants' \
		philotes consumer add c
	expect_remedy 77 'load the schema' 'owner of the database' philotes init
}

# Since 1.23 pgbouncer supports replication connections.
passes_replication()
{
	[[ $(pgbouncer --version) =~ 1\.([0-9]+) ]]
	((BASH_REMATCH[1] >= 23))
}

@test "a pooler in front of the source is 78 and named; errors it relays keep their code" {
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	pg-cdc-read --create >/dev/null
	pooler
	for how in "--until now" --check; do
		if passes_replication; then
			# shellcheck disable=SC2086
			expect_code 0 pg-cdc-read -d "$POOLED_SOURCE" $how
			continue
		fi
		# shellcheck disable=SC2086
		expect_remedy 78 'unsupported startup parameter: replication' \
			'That is a connection pooler: connect to the server itself' \
			pg-cdc-read -d "$POOLED_SOURCE" $how
	done
	expect_remedy 78 'unsupported startup parameter' \
		'take the setting out of the connection string or PGOPTIONS' \
		env PGOPTIONS=-cjit=off buffer-gc -d "$POOLED_BUFFER"
	expect_remedy 78 'no such database' createdb \
		buffer-gc -d "$(with dbname=nosuch "$POOLED_BUFFER")"
	expect_remedy 78 'database "nosuch" does not exist' createdb \
		buffer-gc -d "$(with dbname=gone "$POOLED_BUFFER")"
	expect_remedy 77 'authentication failed' 'the role must exist' \
		buffer-gc -d "$(with user=nosuch "$POOLED_BUFFER")"
	expect_code 0 buffer-gc -d "$POOLED_BUFFER"
	PHILOTES_BUFFER_URL=$POOLED_BUFFER expect_code 0 philotes check
	# check rejects what the tools refuse
	kill_children
	pooler 'pool_mode = transaction'
	PHILOTES_BUFFER_URL=$POOLED_BUFFER expect_code 78 philotes check
	[[ $output == *"ERROR    buffer"*"transaction pooling is not supported"* ]]
	# a pooler that ignores unknown parameters
	! passes_replication || return 0
	kill_children
	pooler 'ignore_startup_parameters = replication'
	for how in "--until now" --check; do
		# shellcheck disable=SC2086
		expect_remedy 78 'could not identify the source: syntax error' \
			'That is a connection pooler: connect to the server itself' \
			pg-cdc-read -d "$POOLED_SOURCE" $how
	done
}

@test "a standby is named as such" {
	local event
	event='{"source_id":"s","schema_name":"","table_name":"","operation":"INSERT","lsn":"0/1","event_time":"2026-01-01T00:00:00Z"}'
	stop_server buf
	touch "$BATS_FILE_TMPDIR/buf/standby.signal"
	start_server buf
	expect_remedy 75 'could not ' 'That server is a standby: name the primary' \
		buffer-batch --once
	expect_remedy 75 'could not ' 'That server is a standby: name the primary' \
		buffer-write <<<"$event"
	expect_remedy 75 'could not ' 'That server is a standby: name the primary' \
		buffer-gc
	expect_remedy 78 'could not ' 'That server is a standby: name the primary' \
		philotes consumer add c
	expect_remedy 78 'could not ' 'That server is a standby: name the primary' \
		philotes init
	stop_server buf
	rm "$BATS_FILE_TMPDIR/buf/standby.signal"
	start_server buf
}

@test "an unexpected argument is named, unless it may be a secret" {
	expect_remedy 64 'unexpected argument "cat"' 'Write -- before a command.' \
		buffer-batch --once cat
	expect_remedy 64 'a connection string without -d' '--help' \
		buffer-batch postgresql://u:x@h/d
	[[ $stderr != *u:x@* ]]
}

@test "philotes: missing words, and locks that are held" {
	expect_remedy 64 'could not use the arguments: a command is missing' \
		'one of init, run, check, repair, status, metrics, consumer and snapshot' philotes
	expect_remedy 64 'could not use "begin": no such command' \
		'one of init, run' philotes begin
	expect_remedy 64 'a subcommand of "consumer" is missing' \
		'one of list, add NAME and drop NAME' philotes consumer
	expect_remedy 64 '"consumer add" needs a name' 'Give the name' \
		philotes consumer add
	expect_remedy 64 'name has 1 to 512 bytes, not 0' '--help' \
		philotes consumer add ''
	expect_remedy 64 'name has 1 to 512 bytes, not 514' '--help' \
		philotes consumer add "$(printf 'é%.0s' {1..257})"
	expect_code 0 philotes consumer add "$(printf 'é%.0s' {1..256})"
	expect_remedy 78 'there is no such consumer' 'philotes consumer list' \
		philotes consumer drop nosuch
	mkdir -p "$PHILOTES_STATE_DIR/run"
	chmod 700 "$PHILOTES_STATE_DIR/run"
	exec 8>>"$PHILOTES_STATE_DIR/run/lock"
	flock 8
	expect_remedy 75 'could not lock ".*/run/lock": held by process' \
		'a PHILOTES_STATE_DIR of its own' philotes run 8>&-
	exec 8>&-
}

# line WIDTH [MEMBER]: an event with that many bytes in after_data, and another
# member after it
line()
{
	printf '{"source_id":"s\\n","schema_name":"sales","table_name":"Orders",'
	printf '"operation":"INSERT","lsn":"0/10A","after_data":{"a":"%s"},' \
		"$(head -c "$1" /dev/zero | tr '\0' x)"
	printf '"event_time":"2026-01-01T00:00:00Z",%s' "${2-}"
	printf '"metadata":{"commit_lsn":"0/110","seq":3}}\n'
}

@test "a refused line is named by its event, as far as it can be read" {
	local long='--max-line allows longer lines.  With --rejects FILE'
	# all of it can be read
	expect_remedy 65 'line 1: is longer than --max-line .byte 101, event'\
' 0/110 3 of "s.", table "sales"."Orders".$' "$long" \
		buffer-write --max-line 100 < <(line 9)
	# only the beginning
	expect_remedy 65 'line 1: is longer than --max-line .byte 1000001, source'\
' "s.", table "sales"."Orders", lsn 0/10A.$' "$long" \
		buffer-write --max-line 1000000 < <(line 2000000)
	# the error is before the identity, and after it
	expect_remedy 65 'unexpected character .byte [0-9]*, source "s.", table'\
' "sales"."Orders", lsn 0/10A.$' 'With --rejects FILE, such lines go to FILE' \
		buffer-write < <(line 9 '"x":tru,')
	expect_remedy 65 'is not a known key .key "x", byte [0-9]*, event 0/110 3'\
' of "s.", table "sales"."Orders".$' 'With --rejects FILE' \
		buffer-write < <(line 9 '"x":true,')
	expect_remedy 65 'unexpected end .byte [0-9]*, source "s.", table'\
' "sales"."Orders", lsn 0/10A.$' 'With --rejects FILE' \
		buffer-write < <(line 9 | cut -c1-150)
	# none of it
	expect_remedy 65 'line 1: is longer than --max-line .byte 101.$' "$long" \
		buffer-write --max-line 100 < <(head -c 1000 /dev/zero)
	# a rejected line needs no hint, and its entry has what is known
	expect_code 0 buffer-write --max-line 100 \
		--rejects "$BATS_TEST_TMPDIR/bad" < <(line 9)
	[ "$(head -n 1 "$BATS_TEST_TMPDIR/bad" |
	    jq -c '[.source_id, .commit_lsn, .seq]')" = '["s\n","0/110",3]' ]
	[[ $stderr != *hint* ]]
}

@test "philotes and the tools agree on what a duration is" {
	local line text ms n=0
	# shellcheck source=SCRIPTDIR/../scripts/lib/config.sh
	. "$root/scripts/lib/config.sh"
	while IFS= read -r line; do
		text=${line%$'\t'*} ms=${line##*$'\t'} n=$((n + 1)) REPLY=
		if ((ms < 0)); then
			refute parse_duration "$text"
			[ -z "$text" ] ||
				expect_code 64 buffer-gc --retention "$text" --help
		else
			parse_duration "$text"
			[ "$text $REPLY" = "$text $(((ms + 999) / 1000))" ]
			expect_code 0 buffer-gc --retention "$text" --help
		fi
	done < <(LC_ALL=C "$PHILOTES_BIN/unit/num" durations)
	((n > 50))
}
