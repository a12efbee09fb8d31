#!/usr/bin/env bats
# Who may do what, and what nobody gets to see.
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

# as ROLE, the URL of the source or of the buffer
source_as()
{
	echo "${PHILOTES_SOURCE_URL/user=postgres/user=$1}"
}

buffer_as()
{
	echo "${PHILOTES_BUFFER_URL/user=postgres/user=$1}"
}

# may ROLE SQL ... on the buffer; nothing is changed
may()
{
	psql_on "$(buffer_as "$1")" -At -c "BEGIN; $2; ROLLBACK" >/dev/null
}

# may_not ROLE SQL ...: each is refused for lack of a right, not for another
# reason
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

@test "each stage does its work as the role of its own" {
	local reader_url writer_url batcher_url
	roles_up
	roles_up
	reader_url=$(source_as philotes_reader)
	writer_url=$(buffer_as philotes_writer)
	batcher_url=$(buffer_as philotes_batcher)
	# the publication is the owner's, the slot the reader's
	src_psql "CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	PHILOTES_SOURCE_URL=$reader_url pg-cdc-read --create
	src_psql "INSERT INTO t SELECT n, n FROM generate_series(1, 100) n"
	PHILOTES_SOURCE_URL=$reader_url PHILOTES_BUFFER_URL=$writer_url \
		start_pipeline --until now
	await_pipeline
	((reader_code == 0 && writer_code == 0))
	expect_code 0 buffer-batch -d "$batcher_url" --once
	[[ $(wc -l <<<"$output") == 100 ]]
	# a handler that fails, and one that does not
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
	# roles again beside what is there, and the schema
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
	roles_up
	expect_code 0 buffer-batch -d "$batcher_url" --once --consumer b
	[[ $(wc -l <<<"$output") == 101 ]]
	expect_code 0 env PHILOTES_SOURCE_URL="$reader_url" \
		PHILOTES_BUFFER_URL="$batcher_url" philotes status
	expect_code 0 buffer-gc -d "$(buffer_as philotes_gc)" --retention 0s
	[[ $output == "deleted 101 events"* ]]
	[[ $(buf_psql "SELECT total FROM philotes.cdc_writes
	    ORDER BY write_no DESC LIMIT 1") == 101 ]]
}

@test "each role is refused what is not its work" {
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
		"SELECT philotes.add_consumer('x')" \
		"SELECT philotes.gc_drop(0)"
	may_not philotes_batcher \
		"INSERT INTO philotes.cdc_log (source_id) VALUES ('a')" \
		"INSERT INTO philotes.cdc_writes (source_id) VALUES ('a')" \
		"SELECT nextval('philotes.cdc_log_id_seq')" \
		"SELECT philotes.ensure_partitions()" \
		"SELECT philotes.gc_truncate(0)" \
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

@test "the reader reads the WAL, and of the tables nothing" {
	local sql
	roles_up
	for sql in "SELECT * FROM t" "INSERT INTO t VALUES (1)" "DROP TABLE t" \
	    "CREATE TABLE x ()" "CREATE PUBLICATION x FOR TABLE t" \
	    "CREATE ROLE x"; do
		run psql_on "$(source_as philotes_reader)" -At -c "$sql"
		[[ $status -ne 0 && ($output == *"permission denied"* ||
		    $output == *"must be owner"*) ]]
	done
	# a role of the buffer has no business there
	server_psql src "CREATE ROLE somebody LOGIN"
	expect_code 77 pg-cdc-read -d "$(source_as somebody)" --create
	server_psql src "DROP ROLE somebody"
}

@test "a password in argv is refused, and repeated nowhere" {
	local tool flag
	for tool in pg-cdc-read buffer-write buffer-batch buffer-gc; do
		flag=--buffer
		[[ $tool != pg-cdc-read ]] || flag=--source
		for url in postgres://u:s3cr3t@localhost/d \
		    'host=localhost password=s3cr3t' \
		    postgresql://localhost/d?password=s3cr3t; do
			expect_code 64 "$tool" "$flag" "$url" </dev/null
			expect_error 'it has a password'
			[[ $stderr == *PGPASSFILE* ]]
			expect_code 64 "$tool" "$flag=$url" </dev/null
			expect_code 64 "$tool" -d "$url" </dev/null
			expect_code 64 "$tool" "$url" </dev/null
			expect_error 'without --?'
			[[ $stderr != *s3cr3t* ]]
			expect_code 64 "$tool" "--frob=$url" </dev/null
			[[ $stderr != *s3cr3t* ]]
			expect_code 64 philotes run "$url"
			[[ $stderr == *PGPASSFILE* && $stderr != *s3cr3t* ]]
		done
	done
}

# tcp_up [NAME=VALUE ...]: a source on TCP of 127.0.0.1 that demands passwords;
# leaves $tcp, its directory, and $port.  Whatever $before_start names is run
# when the directory is there.
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
	# somebody may have the port: the next one, then
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

# the process and all that it has started, and so on
family()
{
	local pid children
	echo "$1"
	read -r -d '' children <"/proc/$1/task/$1/children" 2>/dev/null || :
	for pid in $children; do
		family "$pid"
	done
}

# shows WORD FILE: the programs of the pipeline whose /proc/PID/FILE has it
shows()
{
	local pid
	for pid in $(family "$supervisor"); do
		! tr '\0' '\n' 2>/dev/null <"/proc/$pid/$2" |
			grep -q "$1" || cat "/proc/$pid/comm"
	done | sort -u | tr '\n' ' '
}

# A pipeline on $tcp and the buffer of the test, with a handler that stays.
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

# The handler first, since it would be waited for.
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

@test "no secret shows in argv, environments of children, log or lines" {
	local secret=s3cr3t-source
	tcp_up
	tcp_psql "CREATE ROLE cdc LOGIN SUPERUSER PASSWORD '$secret'"
	buf_psql "CREATE ROLE cdc LOGIN SUPERUSER" || :
	PHILOTES_BUFFER_URL="${PHILOTES_BUFFER_URL/user=postgres/user=cdc}"

	# by the file of PGPASSFILE: nobody has it
	echo "127.0.0.1:$port:*:cdc:$secret" >"$BATS_TEST_TMPDIR/pgpass"
	chmod 600 "$BATS_TEST_TMPDIR/pgpass"
	export PGPASSFILE=$BATS_TEST_TMPDIR/pgpass
	export PHILOTES_SOURCE_URL="postgres://cdc@127.0.0.1:$port/postgres"
	secret_pipeline_up
	[[ -z $(shows s3cr3t cmdline)$(shows s3cr3t environ) ]]
	run ! grep -rq s3cr3t "$SEEN" "$SEEN.out" "$SEEN.log" "$SEEN.env" \
		"$PHILOTES_STATE_DIR"
	secret_pipeline_down

	# by the connection strings: whom they are for
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
	run ! grep -rq s3cr3t "$SEEN" "$SEEN.out" "$SEEN.log" "$SEEN.env" \
		"$PHILOTES_STATE_DIR"
	run ! grep -E '^(PHILOTES_.*_URL|PG)' "$SEEN.env"
	secret_pipeline_down
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

# A CA of our own, another one, and the server's certificate.
make_certificates()
{
	local ca
	cd "$tcp" || return
	for ca in ca other; do
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -batch \
			-subj "/CN=$ca" -keyout "$ca.key" -out "$ca.crt"
	done
	openssl req -newkey rsa:2048 -nodes -batch -subj /CN=localhost \
		-keyout server.key -out server.csr
	openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -days 2 \
		-CAcreateserial -out server.crt \
		-extfile <(echo subjectAltName=DNS:localhost)
	chown "$(server_user)" server.*
	chmod 600 server.key
	chmod a+r ca.crt other.crt
	cd "$OLDPWD" || return
} 2>/dev/null

@test "TLS: verify-full takes the right server and refuses another" {
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
	# of several addresses the one that tells most
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
	# the right authority, but another server
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

create_code()
{
	local status=0
	pg-cdc-read --create 2>/dev/null || status=$?
	echo "$status"
}
