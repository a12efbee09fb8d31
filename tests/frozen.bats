#!/usr/bin/env bats
# Servers that do not answer: all of their processes are stopped, or only the
# backend of our session, while the kernel still accepts connections.  Every
# wait has a limit and says what it waits for, and it goes on where there is a
# reason.

load helper
load buffer

setup()
{
	frozen=()
	databases_up
	export PHILOTES_SERVER_TIMEOUT=1s
}

teardown()
{
	thaw
	kill_children
	databases_down
}

# freeze src|buf: stops the postmaster first, so that no new backend appears
freeze()
{
	local pid children
	pid=$(server_pid "$1")
	kill -STOP "$pid"
	children=$(<"/proc/$pid/task/$pid/children")
	frozen+=("$pid")
	for pid in $children; do
		kill -STOP "$pid"
		frozen+=("$pid")
	done
}

# Stops one process of a server.
freeze_one()
{
	kill -STOP "$1"
	frozen+=("$1")
}

thaw()
{
	local pid
	for pid in "${frozen[@]}"; do
		kill -CONT "$pid" 2>/dev/null || :
	done
	frozen=()
}

# The pid of the buffer's backend whose last query matches.
backend()
{
	buf_psql "SELECT pid FROM pg_stat_activity WHERE query LIKE '%$1%'
	    AND datname = current_database() AND pid <> pg_backend_pid()"
}

start()
{
	child "$@" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/log"
	tool=$!
}

# ends CODE REGEX [SECONDS]: the tool ends with this code and error within that
# time
ends()
{
	local status=0 until=$((SECONDS + ${3:-6}))
	while ((SECONDS < until)) &&
	    grep -qs '^State:.[^Z]' "/proc/$tool/status"; do
		sleep 0.05
	done
	((SECONDS < until)) || kill -KILL "$tool"
	wait "$tool" || status=$?
	cat "$BATS_TEST_TMPDIR/log"
	((status == $1))
	grep -qE "error: could not $2" "$BATS_TEST_TMPDIR/log"
}

event()
{
	printf '{"source_id":"s","schema_name":"p","table_name":"t","operation":"INSERT","lsn":"0/%s","transaction_id":1,"key_columns":[],"before_data":null,"after_data":{"v":"%s"},"event_time":"2026-01-01T00:00:00Z","metadata":{"commit_lsn":"0/%s","seq":1}}\n' \
		"$1" "${2-}" "$1"
}

# A buffer-write whose stdin the test writes by descriptor 7.
start_writer()
{
	mkfifo "$BATS_TEST_TMPDIR/in"
	child writer_from_fifo
	tool=$!
	exec 7>"$BATS_TEST_TMPDIR/in"
	event 10 >&7
	wait_for rows cdc_log 1
}

writer_from_fifo()
{
	exec buffer-write <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" \
		2>"$BATS_TEST_TMPDIR/log" 7>&-
}

connects()
{
	expect_code 75 "$@"
	expect_error "could not connect to the $server: timed out"
}

@test "a server that accepts connections and says nothing: 75 from each tool" {
	server=buffer
	freeze buf
	connects buffer-write </dev/null
	connects buffer-batch --once
	connects buffer-gc
	thaw
	server=source
	freeze src
	connects pg-cdc-read --until now
	connects pg-cdc-read --create
	connects pg-cdc-read --drop
	connects pg-cdc-read --check
}

@test "a buffer that freezes in mid-run: 75 from each tool" {
	start_writer
	freeze buf
	event 11 >&7
	ends 75 "write to philotes.cdc_log: the buffer has not answered for 1 s"
	thaw
	start buffer-batch --flush-interval 10ms
	wait_for lines "$BATS_TEST_TMPDIR/out" 1
	freeze buf
	ends 75 "look for waiting events: the buffer has not answered for 1 s"
	thaw
	start buffer-gc --interval 10ms
	wait_for lines_come "$BATS_TEST_TMPDIR/out" yes
	freeze buf
	ends 75 ".*(has not answered for 1 s|connect to the buffer: timed out)"
}

# shellcheck disable=SC2329 # called by wait_for
lines_come()
{
	(($(lines "$1") < 3)) || echo yes
}

@test "a source that freezes in mid-run: 75" {
	expect_code 0 buf_psql "SELECT 1"
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	expect_code 0 pg-cdc-read --create
	start pg-cdc-read
	wait_for src_psql "SELECT active FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'" t
	freeze src
	ends 75 "continue replication: the server does not answer"
}

@test "a frozen buffer while rows are sent: 75, even with a full socket" {
	start_writer
	freeze buf
	local big
	printf -v big '%0*d' 900000 0
	# what does not fit into the pipe is lost when the writer ends
	{ for n in 11 12 13 14; do event "$n" "$big"; done; } >&7 2>/dev/null &
	exec 7>&-
	ends 75 "write to philotes.cdc_log: the buffer has not answered for 1 s"
	wait $! || :
	thaw
	[ "$(rows cdc_log)" = 1 ]
}

@test "one backend that freezes: 75, though the server still answers others" {
	start_writer
	freeze_one "$(backend "end_write")"
	event 11 >&7
	ends 75 "write to philotes.cdc_log: the buffer has not answered for 1 s"
	thaw
	# of both sessions of buffer-batch: the one that looks for events and
	# the one that prefetches
	start buffer-batch --flush-interval 10ms
	wait_for lines "$BATS_TEST_TMPDIR/out" 1
	freeze_one "$(backend "cdc_batches")"
	ends 75 "look for waiting events: the buffer has not answered for 1 s"
	thaw
	start buffer-batch --flush-interval 10ms
	wait_for one_reads yes yes
	freeze_one "$(backend "enable_sort%")"
	fill s 1
	ends 75 "find the next events: the buffer has not answered for 1 s"
}

# shellcheck disable=SC2329 # called by wait_for
one_reads()
{
	[[ $(backend "enable_sort%") != +([0-9]) ]] || echo yes
}

@test "SIGTERM while the server is frozen ends each tool within seconds" {
	export PHILOTES_SERVER_TIMEOUT=1h
	start_writer
	freeze buf
	event 11 >&7
	sleep 0.2 # the writer reads the line at once
	kill -TERM "$tool"
	ends 75 "commit: stopped while the server did not answer"
	thaw
	start buffer-batch --flush-interval 10ms
	wait_for lines "$BATS_TEST_TMPDIR/out" 1
	freeze buf
	sleep 0.2 # it asks within 5 ms
	kill -TERM "$tool"
	ends 75 "look for waiting events: stopped while the server did not answer"
	# while it connects
	start buffer-gc
	sleep 0.2
	kill -TERM "$tool"
	ends 75 "connect to the buffer: stopped"
}

@test "a handler may work for longer than --server-timeout" {
	fill s 3
	PHILOTES_SERVER_TIMEOUT=200ms expect_code 0 buffer-batch --once -- \
	    sh -c 'cat; sleep 1'
	[ "$(processed)" = "3|1" ]
}

@test "a tool that was stopped itself does not take the server for dead" {
	start_writer
	event 11 >&7
	kill -STOP "$tool"
	sleep 1.2
	kill -CONT "$tool"
	wait_for rows cdc_log 2
	exec 7>&-
	wait "$tool"
}

# A transaction on the source whose statements the test writes to descriptor 7;
# $blocker is the pid of its backend.
open_transaction()
{
	mkfifo "$BATS_TEST_TMPDIR/sql"
	exec 7<>"$BATS_TEST_TMPDIR/sql"
	child psql_on "$PHILOTES_SOURCE_URL" -At <"$BATS_TEST_TMPDIR/sql" \
		>"$BATS_TEST_TMPDIR/pid"
	echo "BEGIN; CREATE TABLE u (id int); SELECT pg_backend_pid();" >&7
	wait_for lines "$BATS_TEST_TMPDIR/pid" 1
	blocker=$(<"$BATS_TEST_TMPDIR/pid")
}

@test "a wait for a lock is reported, and goes on while the server answers" {
	export PHILOTES_SERVER_TIMEOUT=400ms
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	open_transaction
	start pg-cdc-read --create
	wait_for said "waiting for the source to create the replication slot, blocked by process $blocker, in a transaction since 20" yes
	echo "COMMIT;" >&7
	wait "$tool"
	grep -q "created slot" "$BATS_TEST_TMPDIR/out"
}

# shellcheck disable=SC2329 # called by wait_for
said()
{
	! grep -q "$1" "$BATS_TEST_TMPDIR/log" || echo yes
}

@test "a wait for a lock ends if the server stops answering, or after 60 time-outs" {
	export PHILOTES_SERVER_TIMEOUT=400ms
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	open_transaction
	start pg-cdc-read --create
	wait_for said "blocked by process" yes
	freeze src
	ends 75 "create the replication slot: the source has not answered for 0.4 s"
	thaw
	echo '\q' >&7
	# a lock is waited for 60 times this
	PHILOTES_SERVER_TIMEOUT=100ms
	child psql_on "$PHILOTES_SOURCE_URL" -c "SELECT pg_advisory_lock(
	    hashtextextended('philotes.source', 0)), pg_sleep(60)" >/dev/null
	wait_for src_psql "SELECT count(*) FROM pg_locks
	    WHERE locktype = 'advisory'" 1
	# on a busy machine the connection alone may take longer
	for _ in {1..10}; do
		start pg-cdc-read --create
		wait_for gone "$tool" yes
		grep -q 'connect to the source: timed out' \
			"$BATS_TEST_TMPDIR/log" || break
	done
	ends 75 "get the lock of --create and --drop: the source has not answered"
}

# shellcheck disable=SC2329 # called by wait_for
gone()
{
	grep -qs '^State:.[^Z]' "/proc/$1/status" || echo yes
}

@test "after 5 s without an answer a tool says what it waits for" {
	export PHILOTES_SERVER_TIMEOUT=1h
	start_writer
	freeze buf
	event 11 >&7
	start_second buffer-gc
	wait_for said "warning: waiting for the buffer to write to philotes.cdc_log" yes
	wait_for said_second "warning: waiting for the buffer to accept the connection" yes
	thaw
	wait_for rows cdc_log 2
	exec 7>&-
	wait "$tool"
	wait "$other"
}

start_second()
{
	child "$@" >/dev/null 2>"$BATS_TEST_TMPDIR/log2"
	other=$!
}

# shellcheck disable=SC2329 # called by wait_for
said_second()
{
	! grep -q "$1" "$BATS_TEST_TMPDIR/log2" || echo yes
}

# Hosts that vanish

# /proc/net/tcp: local and remote address, state 01 (established), queues, and
# the timer: 02 is keepalive, followed by the time left in 1/100 s
keepalives()
{
	awk -v "port=$(printf ':%04X' "$1")" '
		$2 ~ port "$" && $4 == "01" {
			split($6, timer, ":")
			n++
			good += timer[1] == "02" &&
			    length(timer[2]) == 8 && timer[2] <= "00000BB8"
		}
		END { print n + 0, good + 0 }' /proc/net/tcp
}

# A cluster that also listens on a port of 127.0.0.1, as $tcp and $port.
tcp_up()
{
	tcp=$BATS_TEST_TMPDIR/tcp
	chmod a+x "$BATS_TEST_TMPDIR"
	cluster_create "$tcp" fsync=off shared_buffers=16MB wal_level=logical \
		listen_addresses=127.0.0.1 "$@"
	echo 'host all all 127.0.0.1/32 trust' >>"$tcp/pg_hba.conf"
	# the port may be taken: try another one
	for _ in {1..20}; do
		port=$((20000 + RANDOM % 20000))
		! as_server "$(pg_bin pg_ctl)" start -s -w -t 60 -D "$tcp" \
			-l "$tcp/server.log" -o "-k $tcp -p $port" \
			>/dev/null 2>&1 </dev/null || break
	done
	PHILOTES_SOURCE_URL="host=127.0.0.1 port=$port user=postgres dbname=postgres"
	unset PHILOTES_SERVER_TIMEOUT
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
	expect_code 0 pg-cdc-read --create
}

@test "each session has keepalives on the server's side" {
	local tcp port
	tcp_up
	PHILOTES_BUFFER_URL=$PHILOTES_SOURCE_URL
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
	start_writer
	child buffer-batch --flush-interval 10s >/dev/null 2>&1
	child pg-cdc-read --heartbeat 1h >/dev/null 2>&1
	# walsender, heartbeat, writer, both sessions of buffer-batch
	wait_for keepalives "$port" "5 5"
	kill_children
	cluster_remove "$tcp"
}

@test "a reader that is blocked by its writer is not taken for a vanished host" {
	local tcp port
	tcp_up tcp_user_timeout=1s wal_sender_timeout=0
	start_pipeline
	wait_for src_psql "SELECT count(*) FROM pg_replication_slots WHERE active" 1
	kill -STOP "$writer"
	src_psql "INSERT INTO t SELECT i, repeat('x', 1000)
	    FROM generate_series(1, 20000) i"
	sleep 5
	kill -CONT "$writer"
	wait_for rows cdc_log 20000
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
	cluster_remove "$tcp"
}

# The scripts

@test "philotes: each command gives up on a frozen buffer and says so" {
	export PHILOTES_SERVER_TIMEOUT=2s
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	expect_code 0 philotes init
	freeze buf
	expect_code 1 philotes status
	[[ $output == *"the buffer does not answer: "* ]]
	expect_code 75 philotes check
	[[ $output == *"ERROR    buffer "* ]]
	expect_code 0 philotes metrics
	expect_code 75 philotes consumer list
	expect_error "could not .*buffer"
	expect_code 75 philotes snapshot list
	expect_error "could not .*buffer"
	expect_code 75 philotes init
	expect_error "could not .*buffer"
}

@test "philotes: only init waits for a lock" {
	export PHILOTES_SERVER_TIMEOUT=500ms
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	mkfifo "$BATS_TEST_TMPDIR/sql"
	exec 7<>"$BATS_TEST_TMPDIR/sql"
	child psql_on "$PHILOTES_BUFFER_URL" -At <"$BATS_TEST_TMPDIR/sql" \
		>"$BATS_TEST_TMPDIR/pid"
	echo "BEGIN; LOCK TABLE philotes.cdc_consumers; SELECT pg_backend_pid();" >&7
	wait_for lines "$BATS_TEST_TMPDIR/pid" 1
	expect_code 75 philotes consumer list
	expect_error "the buffer has not answered for 1 s"
	start philotes init
	wait_for said "waiting for the buffer to answer" yes
	echo "COMMIT;" >&7
	wait "$tool"
}

@test "philotes run ends on SIGTERM in bounded time beside a frozen buffer" {
	export PHILOTES_SERVER_TIMEOUT=1h
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	expect_code 0 philotes init
	start philotes run
	wait_for rows cdc_writes 1
	freeze buf
	src_psql "INSERT INTO t VALUES (1)"
	SECONDS=0
	kill -TERM "$tool"
	wait "$tool" || :
	((SECONDS <= 30))
}
