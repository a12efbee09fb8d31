#!/usr/bin/env bats
# What each role may do, and that secrets are never shown.
# shellcheck source=SCRIPTDIR/helper.bash
load helper

setup()
{
	databases_up
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
}

teardown()
{
	kill_children
	[[ ! -d $BATS_TEST_TMPDIR/tcp ]] ||
		cluster_remove "$BATS_TEST_TMPDIR/tcp"
	databases_down
}

roles_up()
{
	psql_on "$PHILOTES_SOURCE_URL" -f "$root/sql/roles.sql"
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/roles.sql"
}

# source_as, buffer_as ROLE: the connection string for this role
source_as()
{
	echo "${PHILOTES_SOURCE_URL/user=postgres/user=$1}"
}

buffer_as()
{
	echo "${PHILOTES_BUFFER_URL/user=postgres/user=$1}"
}

# may ROLE SQL: the role may run this in the buffer; it is rolled back
may()
{
	psql_on "$(buffer_as "$1")" -At -c "BEGIN; $2; ROLLBACK" >/dev/null
}

# may_not ROLE SQL ...: each statement is refused for lack of a right, not for
# another reason
may_not()
{
	local role=$1 sql
	shift
	for sql; do
		run psql_on "$(buffer_as "$role")" -At -c "$sql"
		[[ $status -ne 0 && ($output == *"permission denied"* ||
		    $output == *"must be owner"*) ]] || {
			echo "$role: $sql: $output"
			return 1
		}
	done
}

@test "each stage can do its work with its own role" {
	local reader_url writer_url batcher_url
	roles_up
	roles_up
	reader_url=$(source_as philotes_reader)
	writer_url=$(buffer_as philotes_writer)
	batcher_url=$(buffer_as philotes_batcher)
	# the publication belongs to the tables' owner, the slot to the reader
	src_psql "CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	PHILOTES_SOURCE_URL=$reader_url pg-cdc-read --create
	src_psql "INSERT INTO t SELECT n, n FROM generate_series(1, 100) n"
	PHILOTES_SOURCE_URL=$reader_url PHILOTES_BUFFER_URL=$writer_url \
		start_pipeline --until now
	await_pipeline
	((reader_code == 0 && writer_code == 0))
	expect_code 0 buffer-batch -d "$batcher_url" --once
	[[ $(wc -l <<<"$output") == 100 ]]
	# the marks of a snapshot are kept, and read
	buffer-write -d "$writer_url" <<-'EOF'
		{"source_id":"marks","schema_name":"","table_name":"","operation":"SNAPSHOT","lsn":"0/1","event_time":"2026-11-22T13:12:35Z","after_data":{"id":"1","state":"done","rows":0,"blocks":0,"of":0}}
	EOF
	expect_code 0 env PHILOTES_BUFFER_URL="$batcher_url" \
		philotes snapshot list
	[[ $output == *done* ]]
	expect_code 0 buffer-batch -d "$batcher_url" --once
	# a handler that fails, and one that succeeds
	src_psql "INSERT INTO t VALUES (101, 'x')"
	PHILOTES_SOURCE_URL=$reader_url PHILOTES_BUFFER_URL=$writer_url \
		start_pipeline --until now
	await_pipeline
	expect_code 69 buffer-batch -d "$batcher_url" --once --retries 1 -- false
	expect_code 0 buffer-batch -d "$batcher_url" --once --retries 0 \
		--consumer c --on-failure dead-letter -- sh -c '! grep -q :101,'
	expect_code 69 buffer-batch -d "$batcher_url" --consumer c \
		--dead-letters --retries 0 -- false
	expect_code 0 buffer-batch -d "$batcher_url" --consumer c \
		--dead-letters -- cat
	expect_code 0 buffer-batch -d "$batcher_url" --once -- cat
	# the roles and the schema are loaded again beside the data
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
	roles_up
	expect_code 0 buffer-batch -d "$batcher_url" --once --consumer b
	[[ $(wc -l <<<"$output") == 102 ]]
	expect_code 0 env PHILOTES_SOURCE_URL="$reader_url" \
		PHILOTES_BUFFER_URL="$batcher_url" philotes status
	expect_code 0 buffer-gc -d "$(buffer_as philotes_gc)" --retention 0s
	[[ $output == "deleted 102 events"* ]]
	[[ $(buf_psql "SELECT total FROM philotes.cdc_writes
	    ORDER BY write_no DESC LIMIT 1") == 101 ]]
}

@test "each role is refused the work of the others" {
	local role
	roles_up
	buf_psql "SELECT philotes.add_consumer('default')" >/dev/null
	for role in philotes_writer philotes_batcher philotes_gc; do
		may_not "$role" \
			"CREATE TABLE philotes.x ()" \
			"CREATE SCHEMA x" \
			"DROP TABLE philotes.cdc_log" \
			"DROP TABLE philotes.cdc_log_0" \
			"TRUNCATE philotes.cdc_log" \
			"TRUNCATE philotes.cdc_writes" \
			"DELETE FROM philotes.cdc_log" \
			"UPDATE philotes.cdc_log SET source_id = ''" \
			"UPDATE philotes.cdc_writes SET total = 0" \
			"DELETE FROM philotes.cdc_writes" \
			"UPDATE philotes.cdc_batches SET total = 0" \
			"DELETE FROM philotes.cdc_sources" \
			"UPDATE philotes.cdc_sources SET removed_to = 0" \
			"DELETE FROM philotes.cdc_consumers" \
			"SELECT philotes.drop_consumer('default')" \
			"SELECT setval('philotes.cdc_log_id_seq', 1)" \
			"CREATE ROLE x" \
			"CREATE OR REPLACE FUNCTION philotes.schema_version()
			    RETURNS int LANGUAGE sql AS 'SELECT 3'"
	done
	may_not philotes_writer \
		"SELECT * FROM philotes.cdc_log" \
		"SELECT * FROM philotes.cdc_events" \
		"SELECT * FROM philotes.cdc_dead_letters" \
		"SELECT * FROM philotes.cdc_batches" \
		"INSERT INTO philotes.cdc_batches VALUES ('a','a',1,1,1,1,1)" \
		"DELETE FROM philotes.cdc_snapshots" \
		"UPDATE philotes.cdc_schemas SET from_id = 0" \
		"SELECT philotes.add_consumer('x')" \
		"SELECT philotes.gc_drop(0)"
	may_not philotes_batcher \
		"INSERT INTO philotes.cdc_log (source_id) VALUES ('a')" \
		"INSERT INTO philotes.cdc_writes (source_id) VALUES ('a')" \
		"SELECT nextval('philotes.cdc_log_id_seq')" \
		"SELECT philotes.ensure_partitions()" \
		"SELECT philotes.gc_truncate(0)" \
		"UPDATE philotes.cdc_snapshots SET rows = 0" \
		"UPDATE philotes.cdc_dead_letters SET after_data = NULL"
	may_not philotes_gc \
		"SELECT * FROM philotes.cdc_log" \
		"SELECT * FROM philotes.cdc_events" \
		"INSERT INTO philotes.cdc_log (source_id) VALUES ('a')" \
		"INSERT INTO philotes.cdc_batches VALUES ('a','a',1,1,1,1,1)" \
		"SELECT philotes.add_consumer('x')"
	may philotes_writer "SELECT philotes.ensure_partitions()"
	may philotes_batcher "SELECT * FROM philotes.cdc_events"
}

@test "the reader's role can read the WAL and none of the tables" {
	local sql
	roles_up
	# the default since version 15
	src_psql "REVOKE CREATE ON SCHEMA public FROM public"
	for sql in "SELECT * FROM t" "INSERT INTO t VALUES (1)" "DROP TABLE t" \
	    "CREATE TABLE x ()" "CREATE PUBLICATION x FOR TABLE t" \
	    "CREATE ROLE x"; do
		run psql_on "$(source_as philotes_reader)" -At -c "$sql"
		[[ $status -ne 0 && ($output == *"permission denied"* ||
		    $output == *"must be owner"*) ]]
	done
	# a role without REPLICATION is refused
	server_psql src "CREATE ROLE somebody LOGIN"
	expect_code 77 pg-cdc-read -d "$(source_as somebody)" --create
	server_psql src "DROP ROLE somebody"
}

# Each has s3cr3t in it.
spellings=(
	'host=localhost password=s3cr3t'
	"host=localhost password = 's3cr3t \\' x'"
	'host=localhost sslpassword=s3cr3t'
	'postgres://u:s3cr3t@localhost/d'
	'postgres://:s3cr3t@localhost'
	'postgresql://u:a%40s3cr3t@localhost,localhost:1/d'
	'postgresql://localhost/d?password=s3cr3t'
	'postgresql://localhost/d?sslmode=prefer&p%61ss%77ord=s3cr3t'
	'postgres:///d?host=localhost&sslp%61ssword=s3cr3t'
	# libpq cannot parse these
	'host=localhost password=a s3cr3t'
	'host=localhost password=a s3cr3t=b'
	"host=localhost password='s3cr3t"
	'p%61ssword=s3cr3t'
	'postgres://u:s3cr3t@[localhost'
	'postgres://u@localhost/d?passwort=s3cr3t'
	# libpq would take a part of these passwords for something else
	'postgres://u:p@s3cr3t@localhost/d'
	'postgres://u:p/s3cr3t@localhost/d'
	'postgresql://u:1/s3cr3t@localhost:1/d?sslmode=prefer'
)

@test "a password in argv is refused, and never repeated" {
	local tool flag url
	for tool in pg-cdc-read buffer-write buffer-batch buffer-gc; do
		flag=--buffer urls=("${spellings[0]}" "${spellings[-1]}")
		[[ $tool != pg-cdc-read ]] ||
			flag=--source urls=("${spellings[@]}")
		for url in "${urls[@]}"; do
			expect_code 64 "$tool" "$flag" "$url" </dev/null
			expect_error 'it has a password'
			[[ $stderr == *PGPASSFILE* && $stderr != *s3cr3t* ]]
			expect_code 64 "$tool" "-d$url" </dev/null
			[[ $stderr == *PGPASSFILE* && $stderr != *s3cr3t* ]]
			expect_code 64 "$tool" "$url" </dev/null
			expect_error 'without --?'
			[[ $stderr != *s3cr3t* ]]
			expect_code 64 "$tool" "--frob=$url" </dev/null
			[[ $stderr != *s3cr3t* ]]
		done
	done
	for url in "${spellings[@]}"; do
		expect_code 64 philotes run "$url"
		[[ $stderr == *PGPASSFILE* && $stderr != *s3cr3t* ]]
	done
	for flag in "--config=$url" "--frob=$url" "--config $url"; do
		# shellcheck disable=SC2086 # splits into words
		expect_code 64 philotes status $flag
		[[ $stderr == *PGPASSFILE* && $stderr != *s3cr3t* ]]
	done
}

# unreadable COMMAND ...: its code is 78, and it shows no secret
unreadable()
{
	expect_code 78 "$@" </dev/null
	[[ -n $stderr && $output$stderr != *s3cr3t* ]]
}

@test "a connection string that libpq cannot parse is 78, and no part of it is shown" {
	local url tool
	export PHILOTES_STREAM_HANDLER=cat PHILOTES_SOURCE_URL \
		PHILOTES_BUFFER_URL
	for url in "${spellings[@]:9}" s3cr3t 'host=localhost s3cr3t'; do
		PHILOTES_SOURCE_URL=$url PHILOTES_BUFFER_URL=$url
		unreadable pg-cdc-read --until now
		unreadable philotes consumer list
	done
	for tool in buffer-write "buffer-batch --once" buffer-gc \
	    "philotes init" "philotes check"; do
		# shellcheck disable=SC2086 # splits into words
		unreadable $tool
	done
	expect_code 1 philotes status
	[[ $output == *"invalid connection string"* ]]
	[[ $output$stderr != *s3cr3t* ]]
	expect_code 0 philotes metrics
	[[ $output$stderr != *s3cr3t* ]]
}

@test "a settings file with a password is refused unless only its owner can read it" {
	local url conf=$BATS_TEST_TMPDIR/conf
	for url in "${spellings[@]}"; do
		echo "PHILOTES_SOURCE_URL=$url" >"$conf"
		chmod 644 "$conf"
		expect_code 78 env -u PHILOTES_SOURCE_URL philotes \
			--config "$conf" metrics
		expect_error 'other users have access to the file'
		[[ $stderr != *s3cr3t* ]]
	done
	echo "PHILOTES_SOURCE_URL=$(cluster_url "$BATS_FILE_TMPDIR/src")" \
		>"$conf"
	expect_code 0 env -u PHILOTES_SOURCE_URL philotes --config "$conf" \
		metrics
}

# tcp_up [NAME=VALUE ...]: a source on 127.0.0.1 that demands passwords; sets
# $tcp, its directory, and $port.  Calls $before_start once the directory is
# there.
tcp_up()
{
	tcp=$BATS_TEST_TMPDIR/tcp
	chmod a+x "$BATS_TEST_TMPDIR"
	cluster_create "$tcp" fsync=off shared_buffers=16MB wal_level=logical \
		listen_addresses=127.0.0.1 "$@"
	printf '%s\n' 'local all all trust' \
		'host all all 127.0.0.1/32 scram-sha-256' \
		'host replication all 127.0.0.1/32 scram-sha-256' \
		>"$tcp/pg_hba.conf"
	${before_start-}
	# the port may be taken: try another one
	for _ in {1..20}; do
		port=$((20000 + RANDOM % 20000))
		! tcp_start || return 0
	done
	return 1
}

tcp_start()
{
	as_server "$(pg_bin pg_ctl)" start -s -w -t 60 -D "$tcp" \
		-l "$tcp/server.log" -o "-k $tcp -p $port" \
		>/dev/null 2>&1 </dev/null
}

tcp_psql()
{
	psql_on "host=$tcp port=$port user=postgres dbname=postgres" \
		-At -c "$1"
}

# the process and all its descendants
family()
{
	local pid children
	echo "$1"
	read -r -d '' children <"/proc/$1/task/$1/children" 2>/dev/null || :
	for pid in $children; do
		family "$pid"
	done
}

# shows WORD FILE: the names of the pipeline's programs whose /proc/PID/FILE
# has WORD
shows()
{
	local pid
	for pid in $(family "$supervisor"); do
		! tr '\0' '\n' 2>/dev/null <"/proc/$pid/$2" |
			grep -q "$1" || cat "/proc/$pid/comm"
	done | sort -u | tr '\n' ' '
}

# A pipeline from $tcp to the test's buffer, with a handler that keeps running.
secret_pipeline_up()
{
	export PHILOTES_BUFFER_FLUSH_INTERVAL=50ms
	export SEEN=$BATS_TEST_TMPDIR/seen
	# shellcheck disable=SC2016 # expanded by the handler's shell
	export PHILOTES_HANDLER='env >"$SEEN.env"; cat >"$SEEN"; cat "$SEEN.end"'
	[[ -p $SEEN.end ]] || mkfifo "$SEEN.end"
	tcp_psql "CREATE TABLE IF NOT EXISTS t (id serial PRIMARY KEY)"
	philotes init
	child exec_philotes
	supervisor=$!
	tcp_psql "INSERT INTO t DEFAULT VALUES"
	wait_for has_lines "$SEEN" yes
}

# Ends the handler first, or the run would wait for it.
secret_pipeline_down()
{
	: >"$SEEN.end"
	kill -TERM "$supervisor"
	wait "$supervisor"
}

exec_philotes()
{
	exec philotes run -v >"$SEEN.out" 2>"$SEEN.log"
}

has_lines()
{
	[[ ! -s $1 ]] || echo yes
}

@test "no secret appears in argv, in environments of children, in the log or in lines" {
	local secret=s3cr3t-source
	tcp_up
	tcp_psql "CREATE ROLE cdc LOGIN SUPERUSER PASSWORD '$secret'"
	buf_psql "CREATE ROLE cdc LOGIN SUPERUSER" || :
	PHILOTES_BUFFER_URL="${PHILOTES_BUFFER_URL/user=postgres/user=cdc}"

	# with the password in the file of PGPASSFILE no process has it
	echo "127.0.0.1:$port:*:cdc:$secret" >"$BATS_TEST_TMPDIR/pgpass"
	chmod 600 "$BATS_TEST_TMPDIR/pgpass"
	export PGPASSFILE=$BATS_TEST_TMPDIR/pgpass
	export PHILOTES_SOURCE_URL="postgres://cdc@127.0.0.1:$port/postgres"
	secret_pipeline_up
	[[ $(shows SEEN environ) == *cat* ]]
	[[ -z $(shows s3cr3t cmdline)$(shows s3cr3t environ) ]]
	refute grep -rq s3cr3t "$SEEN" "$SEEN.out" "$SEEN.log" "$SEEN.env" \
		"$PHILOTES_STATE_DIR"
	secret_pipeline_down

	# with it in the connection strings only the tools that need it have it
	unset PGPASSFILE
	export PHILOTES_SOURCE_URL="postgres://cdc:$secret@127.0.0.1:$port/postgres"
	export PHILOTES_BUFFER_URL="$PHILOTES_BUFFER_URL password=s3cr3t-buffer"
	rm "$SEEN"
	secret_pipeline_up
	[[ -z $(shows s3cr3t cmdline) ]]
	# bash is the supervisor
	[[ $(shows s3cr3t-source environ) == "bash pg-cdc-read " ]]
	[[ $(shows s3cr3t-buffer environ) == \
	    "bash buffer-batch buffer-gc buffer-write " ]]
	[[ $(shows SEEN environ) == *cat* ]]
	refute grep -rq s3cr3t "$SEEN" "$SEEN.out" "$SEEN.log" "$SEEN.env" \
		"$PHILOTES_STATE_DIR"
	refute grep -E '^(PHILOTES_.*_URL|PG)' "$SEEN.env"
	secret_pipeline_down
}

# psql_of COMMAND ...: runs it until it has started a psql, or buffer-write for
# check, whose server is stopped; demands that no argv has a secret, and ends it
psql_of()
{
	child "$@" >/dev/null 2>&1
	supervisor=$!
	wait_for find_psql "" yes
	[[ -z $(shows s3cr3t cmdline) ]]
	family "$supervisor" | xargs kill -KILL
	wait "$supervisor" || :
}

find_psql()
{
	shows . cmdline | grep -qwE 'psql|buffer-write' && echo yes
}

@test "no secret of any spelling appears in the argv of psql" {
	local url command pid
	export PHILOTES_STREAM_HANDLER=cat
	pid=$(server_pid buf)
	kill -STOP "$pid"
	url="host=$BATS_FILE_TMPDIR/buf user=postgres dbname=t$BATS_TEST_NUMBER"
	for command in status metrics check init "consumer list" \
	    "consumer add s" "consumer drop s" "snapshot list"; do
		# shellcheck disable=SC2086 # splits into words
		PHILOTES_BUFFER_URL="$url sslpassword=s3cr3t password='s3cr3t x'" \
			psql_of philotes $command
	done
	for url in "${spellings[@]::9}"; do
		url=${url//localhost,localhost:1/localhost}
		[[ $url == postgres*:*localhost* ]] &&
			url=${url//localhost/${BATS_FILE_TMPDIR//\//%2F}%2Fbuf} ||
			url=${url//localhost/$BATS_FILE_TMPDIR\/buf}
		PHILOTES_BUFFER_URL=$url psql_of philotes consumer list
	done
	kill -CONT "$pid"
}

# psql_gets CONNINFO LINE ...: psql's -d argument and libpq's variables are
# these lines
psql_gets()
{
	local conninfo=$1
	shift
	diff <(printf '%s\n' "$@") <(CONNINFO=$conninfo pg-exec CONNINFO \
		"$BATS_TEST_TMPDIR/psql" -X)
}

@test "psql connects as the tools do, by string, service and environment" {
	cat >"$BATS_TEST_TMPDIR/psql" <<-'EOF'
		#!/bin/bash
		# libpq 16 and later add this default
		[[ $1 != -d || $3 == -X ]] && echo "${2/ sslcertmode=\'allow\'/}"
		env | grep -E '^(PG|CONNINFO|PHILOTES_.*_URL)' |
			grep -v '^PGBIN=' | sort |
			sed '/SERVICEFILE/ { s:/fd/.*:/fd/N:; /fd/!d }'
		[[ $PGSERVICEFILE != /dev/fd/* ]] || cat "$PGSERVICEFILE"
	EOF
	chmod +x "$BATS_TEST_TMPDIR/psql"
	printf '%s\n' '[one]' host=/one port=1 password=of-one dbname=d user=u \
		'[two]' host=/two >"$BATS_TEST_TMPDIR/services"
	export PGSERVICEFILE=$BATS_TEST_TMPDIR/services
	psql_gets '' ''
	psql_gets 'host=/x dbname=d' 'host=/x dbname=d'
	psql_gets service=one service=one
	psql_gets "host=/x password='a b\\'c' dbname='x \\\\ y'" \
		"dbname='x \\\\ y' host='/x'" "PGPASSWORD=a b'c"
	psql_gets 'postgres://u:p%40@h:1,i:2/d?sslmode=prefer' \
		"user='u' dbname='d' host='h,i' port='1,2' sslmode='prefer'" \
		PGPASSWORD=p@
	psql_gets "host=/x password=p sslpassword=' q'" \
		"host='/x' service='pg-exec'" PGPASSWORD=p \
		PGSERVICEFILE=/dev/fd/N '[pg-exec]' 'sslpassword= q'
	# a secret in the string beats one of the service
	psql_gets 'service=one password=p dbname=e' \
		"user='u' dbname='e' host='/one' port='1'" PGPASSWORD=p
	PGSERVICE=one psql_gets 'password=p host=/x' \
		"user='u' dbname='d' host='/x' port='1'" PGPASSWORD=p
	# one of the service beats one of the environment, and so do its
	# settings
	PGPASSWORD=no PGHOST=no PGPORT=no PGUSER=u PGDATABASE=d psql_gets \
		'service=one sslpassword=s gssencmode=disable' \
		"host='/one' port='1' gssencmode='disable' service='pg-exec'" \
		PGDATABASE=d PGHOST=no PGPASSWORD=of-one PGPORT=no \
		PGSERVICEFILE=/dev/fd/N PGUSER=u '[pg-exec]' sslpassword=s
	# in the environment alone libpq finds it by itself
	PGPASSWORD=p psql_gets 'host=/x' host=/x PGPASSWORD=p
	expect_code 78 env CONNINFO='service=none password=p' pg-exec CONNINFO \
		"$BATS_TEST_TMPDIR/psql"
	expect_error 'definition of service "none" not found'
	expect_code 78 env CONNINFO='password=p' pg-exec CONNINFO /nonexistent
	expect_error 'could not run "/nonexistent"'
	expect_code 78 env CONNINFO="sslpassword='s3cr3t '" pg-exec CONNINFO true
	expect_error 'no room for it'
	[[ $stderr != *s3cr3t* ]]
}

@test "a wrong password is 77 and not shown" {
	tcp_up
	tcp_psql "CREATE ROLE cdc LOGIN SUPERUSER PASSWORD 's3cr3t'"
	export PHILOTES_SOURCE_URL="postgres://cdc:s3cr3t-not@127.0.0.1:$port/postgres"
	expect_code 77 pg-cdc-read --create
	expect_error 'password authentication failed'
	[[ $stderr != *s3cr3t* ]]
	expect_code 77 philotes init
	[[ $stderr != *s3cr3t* ]]
}

# A CA of our own, another CA, the server's certificate and a client's.
make_certificates()
{
	local ca
	cd "$tcp" || return 1
	for ca in ca other; do
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -batch \
			-subj "/CN=$ca" -keyout "$ca.key" -out "$ca.crt"
	done
	openssl req -newkey rsa:2048 -nodes -batch -subj /CN=localhost \
		-keyout server.key -out server.csr
	openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -days 2 \
		-CAcreateserial -out server.crt \
		-extfile <(echo subjectAltName=DNS:localhost)
	openssl req -newkey rsa:2048 -passout pass:s3cr3t -batch -subj /CN=cdc \
		-keyout client.key -out client.csr
	openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -days 2 \
		-CAcreateserial -out client.crt
	chown "$(server_user)" server.*
	chmod 600 client.key
	chmod 600 server.key
	chmod a+r ca.crt other.crt
	cd "$OLDPWD" || return 1
} 2>/dev/null

@test "TLS: verify-full accepts the right server and refuses any other" {
	local before_start=make_certificates url
	tcp_up ssl=on
	sed -i 's/^host /hostssl /' "$tcp/pg_hba.conf"
	tcp_psql "SELECT pg_reload_conf()"
	tcp_psql "CREATE ROLE cdc LOGIN SUPERUSER PASSWORD 's3cr3t'"
	tcp_psql "CREATE TABLE t (id int PRIMARY KEY)"
	echo "*:$port:*:cdc:s3cr3t" >"$BATS_TEST_TMPDIR/pgpass"
	chmod 600 "$BATS_TEST_TMPDIR/pgpass"
	export PGPASSFILE=$BATS_TEST_TMPDIR/pgpass
	url="port=$port user=cdc dbname=postgres sslmode=verify-full"

	export PHILOTES_SOURCE_URL="host=localhost $url sslrootcert=$tcp/ca.crt"
	expect_code 0 pg-cdc-read --create
	tcp_psql "INSERT INTO t VALUES (1)"
	expect_code 0 pg-cdc-read --until now
	[[ $output == *'"operation":"INSERT"'* ]]
	expect_code 0 philotes init

	export PHILOTES_SOURCE_URL="host=localhost $url sslrootcert=$tcp/other.crt"
	expect_code 77 pg-cdc-read --until now
	expect_error 'certificate verify failed'
	expect_code 77 buffer-write -d "$PHILOTES_SOURCE_URL" </dev/null
	expect_code 77 env PHILOTES_BUFFER_URL="$PHILOTES_SOURCE_URL" \
		philotes init
	# of several addresses the most specific error is reported
	expect_code 77 pg-cdc-read --until now \
		--source "host=localhost,/nonexistent $url sslrootcert=$tcp/other.crt"
	expect_error 'certificate verify failed'
	expect_code 77 pg-cdc-read --until now \
		--source "host=/nonexistent,localhost $url sslrootcert=$tcp/other.crt"
	expect_error 'certificate verify failed'
	expect_code 77 env PHILOTES_BUFFER_URL="host=/nonexistent,localhost
	    $url sslrootcert=$tcp/other.crt" philotes init
	expect_error 'certificate verify failed'
	expect_code 75 pg-cdc-read --until now --source "host=/nonexistent,/none"
	expect_error '"/none/.s.PGSQL'
	# the right CA, but another host name
	export PHILOTES_SOURCE_URL="host=127.0.0.1 $url sslrootcert=$tcp/ca.crt"
	expect_code 77 pg-cdc-read --until now
	expect_error 'does not match host name'
	export PHILOTES_SOURCE_URL="host=localhost $url sslrootcert=$tcp/none.crt"
	expect_code 78 pg-cdc-read --until now
	expect_error 'root certificate file'
	# a server without TLS
	tcp_psql "ALTER SYSTEM SET ssl = off"
	tcp_psql "SELECT pg_reload_conf()"
	export PHILOTES_SOURCE_URL="host=localhost $url sslrootcert=$tcp/ca.crt"
	wait_for create_code "" 78
}

@test "TLS: the passphrase of a client's key reaches psql as well" {
	local before_start=make_certificates
	tcp_up ssl=on ssl_ca_file=ca.crt
	sed -i 's/^host \(.*\) scram.*/hostssl \1 cert/' "$tcp/pg_hba.conf"
	tcp_psql "SELECT pg_reload_conf()"
	tcp_psql "CREATE ROLE cdc LOGIN SUPERUSER"
	tcp_psql "CREATE TABLE t (id int PRIMARY KEY)"
	PHILOTES_SOURCE_URL="host=127.0.0.1 port=$port user=cdc dbname=postgres
	    sslcert=$tcp/client.crt sslkey=$tcp/client.key sslpassword=s3cr3t"
	PHILOTES_BUFFER_URL=$PHILOTES_SOURCE_URL
	expect_code 0 philotes init
	expect_code 0 philotes check
	expect_code 0 philotes status
}

create_code()
{
	local status=0
	pg-cdc-read --create 2>/dev/null || status=$?
	echo "$status"
}
