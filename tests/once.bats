#!/usr/bin/env bats
# buffer-write: whole transactions, stored once, by one writer; what it keeps
# in memory and when it commits; partitions.

load helper
load lines

setup()
{
	databases_up
	in=$BATS_TEST_TMPDIR/in
	out=$BATS_TEST_TMPDIR/out
	err=$BATS_TEST_TMPDIR/err
}

ledger()
{
	buf_psql "SELECT string_agg(events::text, ',' ORDER BY write_no)
	    FROM philotes.cdc_writes WHERE kind = 'stream'"
}

# The state of the writer's session.
session()
{
	buf_psql "SELECT state FROM pg_stat_activity
	    WHERE application_name = 'philotes'"
}

# Whole transactions

@test "complete transactions are stored, the one that the end of stdin cuts is not" {
	{
		start sys slot 0/100 0/1000
		event s 0/110 1
		event s 0/110 2
		event s 0/120 1
		event s 0/130 1
	} >"$in"
	write_lines 75
	expect_error 'stdin ended inside a transaction'
	[ "$(stored)" = $'s|0/110|1\ns|0/110|2\ns|0/120|1' ]
	[ "$(ledger)" = 3 ]
	[ "$(checkpoint_of s)" = 0/100 ]
	# the same lines again, with the rest of the transaction
	{
		cat "$in"
		event s 0/130 2
		checkpoint 0/138
	} >"$in.2"
	expect_code 0 buffer-write <"$in.2"
	[ "$(stored | tail -n 2)" = $'s|0/130|1\ns|0/130|2' ]
	[ "$(ledger)" = 3,2 ]
	[ "$output" = 0/138 ]
}

@test "complete transactions are stored also before one too large for memory is cut" {
	{
		start sys slot 0/100 0/1000
		event s 0/110 1
		checkpoint 0/118
		event s 0/120 1
		many_events s 0/130 20000
	} >"$in"
	write_lines 75
	[ "$output" = 0/118 ]
	[ "$(stored)" = $'s|0/110|1\ns|0/120|1' ]
	{
		cat "$in"
		checkpoint 0/138
	} >"$in.2"
	expect_code 0 buffer-write <"$in.2"
	[ "$(stored | wc -l)" = 20002 ]
	[ "$(ledger)" = 2,20000 ]
}

@test "a malformed line discards only its own transaction" {
	{
		start
		event s 0/110 1
		checkpoint 0/118
		event s 0/120 1
		event s 0/130 1
		echo '{'
	} >"$in"
	write_lines 65
	[ "$output" = 0/118 ]
	[ "$(stored)" = $'s|0/110|1\ns|0/120|1' ]
}

@test "a stream that begins again inside a transaction has been cut: 75" {
	{
		start
		event s 0/110 1
		event s 0/120 1
		start
		event s 0/110 1
	} >"$in"
	write_lines 75
	expect_error 'line 4 is a start line inside a transaction'
	[ "$(stored)" = "s|0/110|1" ]
}

# When it commits

@test "a commit ends at the first boundary after --batch-size rows" {
	{
		start
		for i in 1 2 3 4 5 6; do
			event s "0/1${i}0" 1
			event s "0/1${i}0" 2
		done
		checkpoint 0/180
	} >"$in"
	write_lines 0 --batch-size 3
	[ "$(ledger)" = 4,4,4 ]
}

@test "it commits when stdin is dry at a boundary, not inside a transaction" {
	open_writer --flush-interval 1h
	start >&7
	event s 0/110 1 >&7
	checkpoint 0/118 >&7
	wait_for cat "$out" 0/118
	local read
	read=$(bytes_read)
	{
		event s 0/120 1
		event s 0/130 1
		event s 0/130 2
	} >"$in"
	cat "$in" >&7
	wait_for bytes_read '' $((read + $(wc -c <"$in")))
	[ "$(stored)" = "s|0/110|1" ]
	# nor does it keep a transaction open while it waits
	[ "$(session)" = idle ]
	checkpoint 0/138 >&7
	wait_for cat "$out" $'0/118\n0/138'
	await_writer 0
	[ "$(ledger)" = 1,3 ]
}

@test "a complete transaction waits for an unfinished one no longer than --flush-interval" {
	open_writer --flush-interval 50ms
	start >&7
	event s 0/110 1 >&7
	event s 0/120 1 >&7
	wait_for stored '' "s|0/110|1"
	checkpoint 0/128 >&7
	wait_for cat "$out" 0/128
	await_writer 0
}

@test "it reads on while the server works" {
	open_writer
	start >&7
	checkpoint 0/108 >&7
	wait_for cat "$out" 0/108
	hold "SELECT philotes.lock_source('s')"
	event s 0/110 1 >&7
	checkpoint 0/118 >&7
	wait_for locks f 1
	local read
	read=$(bytes_read)
	many_events s 0/120 1000 >&7
	checkpoint 0/128 >&7
	wait_for bytes_read '' \
	    $((read + $({ many_events s 0/120 1000; checkpoint 0/128; } | wc -c)))
	[ "$(cat "$out")" = 0/108 ]
	release
	wait_for cat "$out" $'0/108\n0/118\n0/128'
	[ "$(ledger)" = 0,1,1000 ]
	await_writer 0
}

@test "acks that nobody reads block nothing; the last one arrives" {
	# 300 of these are more than the pipe's 1 MiB
	local long
	printf -v long '%03900d' 0
	for i in {1..300}; do
		printf '%s\n' "$(event s "0/$((1000 + i))" 1)"
		checkpoint "$long$i"
	done >"$in"
	mkfifo "$out"
	exec 8<>"$out"
	child buffer-write --batch-size 1 <"$in" >"$out" 2>"$err" 8>&-
	writer=$!
	wait_for buf_psql "SELECT max(total) FROM philotes.cdc_writes" 300
	exec 9<"$out" 8>&-
	cat <&9 >"$out.read"
	writer_ends 0
	exec 9<&-
	[ "$(tail -n 1 "$out.read")" = "${long}300" ]
	refute grep -qv "^${long}[0-9]*$" "$out.read"
}

@test "an ack too long for one write to a pipe is refused" {
	event s 0/110 1 >"$in"
	checkpoint "$(printf '%04001d' 0)" >>"$in"
	write_lines 65
	expect_error 'too long.*ack'
}

@test "it ends when the reader of the acks goes away, even while idle" {
	mkfifo "$out"
	exec 8<>"$out"
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	exec 7<>"$BATS_TEST_TMPDIR/fifo"
	child buffer-write <"$BATS_TEST_TMPDIR/fifo" >"$out" 2>"$err" 7>&- 8>&-
	writer=$!
	start >&7
	checkpoint 0/108 >&7
	read -r -t 20 line <&8
	[ "$line" = 0/108 ]
	exec 8>&-
	writer_ends 74
	exec 7>&-
}

@test "it ends when the buffer goes away, even while idle" {
	open_writer
	start >&7
	checkpoint 0/108 >&7
	wait_for cat "$out" 0/108
	buf_psql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	    WHERE application_name = 'philotes'" >/dev/null
	writer_ends 75
	exec 7>&-
}

@test "SIGTERM inside a transaction: buffer-write waits for the transaction's end" {
	open_writer
	start >&7
	wait_for locks t 1
	local read
	read=$(bytes_read)
	event s 0/110 1 >&7
	wait_for bytes_read '' $((read + $(event s 0/110 1 | wc -c)))
	kill -TERM "$writer"
	event s 0/110 2 >&7
	checkpoint 0/118 >&7
	writer_ends 0
	exec 7>&-
	[ "$(stored)" = $'s|0/110|1\ns|0/110|2' ]
	[ "$(cat "$out")" = 0/118 ]
}

# One writer

# terminate: ends the writer's session, as a lost connection would
terminate()
{
	buf_psql "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
	    WHERE application_name = 'philotes'" >/dev/null
}

# A second writer takes over from one that is stopped inside or before its
# transaction.  When the first one wakes, it stores nothing, whatever is in its
# pipe.
take_over()
{
	{
		start sys slot 0/100 0/1000
		event s 0/110 1
		event s 0/120 1
		checkpoint 0/128
	} >"$in"
	write_lines 0
	event s 0/130 1 >&7
	checkpoint 0/138 >&7
	kill -CONT "$writer"
	writer_ends 75
	exec 7>&-
	[ "$(stored)" = $'s|0/110|1\ns|0/120|1' ]
	[ ! -s "$out" ]
}

@test "a writer that was stopped inside its transaction stores nothing when it wakes" {
	open_writer
	start >&7
	many_events s 0/110 20000 >&7
	wait_for locks t 2
	kill -STOP "$writer"
	terminate
	take_over
}

@test "a writer that was stopped before its transaction stores nothing when it wakes" {
	open_writer
	start >&7
	wait_for locks t 1
	kill -STOP "$writer"
	terminate
	take_over
}

@test "a writer ends if another process has moved the checkpoint" {
	open_writer
	start >&7
	checkpoint 0/108 >&7
	wait_for cat "$out" 0/108
	buf_psql "DO \$\$ DECLARE b record; BEGIN
	    b := philotes.begin_write('s'); PERFORM philotes.end_write('s',
	    b.write_no, b.first_id, 0, NULL, NULL, '0/200'); END \$\$"
	event s 0/110 1 >&7
	checkpoint 0/118 >&7
	await_writer 75
	grep 'another writer already stored up to .* checkpoint 0/200' "$err"
	nothing stored
}

@test "an INSERT for the same source is not taken for another writer" {
	open_writer
	start >&7
	event s 0/110 1 >&7
	checkpoint 0/118 >&7
	wait_for cat "$out" 0/118
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	    table_name, operation, lsn, event_time)
	    VALUES ('s', '', '', 'INSERT', '0/0', now())"
	event s 0/120 1 >&7
	checkpoint 0/128 >&7
	wait_for cat "$out" $'0/118\n0/128'
	await_writer 0
	[ "$(stored)" = $'s|0/110|1\ns||\ns|0/120|1' ]
}

# Poolers

# pooler MODE [SIZE]: a pgbouncer in front of the buffer; PHILOTES_BUFFER_URL
# names it
pooler()
{
	local dir=$BATS_TEST_TMPDIR/pooler sockets drop=()
	((EUID != 0)) || drop=(-u "$(server_user)")
	mkdir -p "$dir" && chmod 777 "$dir"
	sockets=$(cluster_sockets "$BATS_FILE_TMPDIR/buf")
	echo '"postgres" ""' >"$dir/users"
	cat >"$dir/ini" <<-END
	[databases]
	* = host=$sockets
	[pgbouncer]
	unix_socket_dir = $dir
	listen_addr =
	listen_port = 6432
	auth_type = trust
	auth_file = $dir/users
	pool_mode = $1
	default_pool_size = ${2-20}
	logfile =
	pidfile =
	END
	chmod a+r "$dir"/*
	child "$(type -P pgbouncer || echo /usr/sbin/pgbouncer)" "${drop[@]}" \
	    "$dir/ini" >"$dir/log" 2>&1
	PHILOTES_BUFFER_URL="host=$dir port=6432 user=postgres dbname=t$BATS_TEST_NUMBER"
	wait_for buf_psql "SELECT 1" 1
}

@test "session pooling works, transaction and statement pooling are 78" {
	local direct=$PHILOTES_BUFFER_URL mode
	event s 0/110 1 >"$in"
	for mode in transaction statement; do
		pooler "$mode"
		for tool in buffer-write "buffer-batch --once" buffer-gc; do
			# shellcheck disable=SC2086
			expect_code 78 $tool <"$in"
			expect_error 'transaction pooling is not supported'
		done
		kill_children
		PHILOTES_BUFFER_URL=$direct
		nothing stored
	done
	pooler session
	write_lines 0
	kill_children
	PHILOTES_BUFFER_URL=$direct
	[ "$(stored)" = "s|0/110|1" ]
}

@test "a pooler with one session for each user and database: 78, and why" {
	local direct=$PHILOTES_BUFFER_URL tool
	event s 0/110 1 >"$in"
	pooler session 1
	export PHILOTES_SERVER_TIMEOUT=1s
	for tool in buffer-write "buffer-batch --once" buffer-gc; do
		# shellcheck disable=SC2086
		expect_code 78 $tool <"$in"
		expect_error 'get a second session from the pooler'
		[[ $stderr == *"hint: Each tool needs two sessions, and the connection pooler allows one"* ]]
	done
	kill_children
	# another client has the second session and may give it back
	pooler session 2
	child psql_on "$PHILOTES_BUFFER_URL" -c "SELECT pg_sleep(60)"
	wait_for direct_psql "SELECT count(*) FROM pg_stat_activity
	    WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()" 1
	expect_code 75 buffer-write <"$in"
	kill_children
	# two sessions are enough
	unset PHILOTES_SERVER_TIMEOUT
	pooler session 2
	write_lines 0
	expect_code 0 buffer-batch --once
	expect_code 0 buffer-gc
	kill_children
	PHILOTES_BUFFER_URL=$direct
	[ "$(stored)" = "s|0/110|1" ]
}

# shellcheck disable=SC2329 # called by wait_for
direct_psql()
{
	psql_on "$direct" -At -c "$1"
}

# Partitions

@test "several writers cross partition boundaries in transactions of any size" {
	buf_psql "SELECT setval('philotes.cdc_log_id_seq', 29900000)" >/dev/null
	local source
	for source in a b c; do
		many_events "$source" 0/110 120000 >"$in.$source"
	done
	for source in a b c; do
		child buffer-write <"$in.$source" 2>"$err.$source"
	done
	for source in 1 2 3; do
		wait "${children[-$source]}"
	done
	[ "$(buf_psql "SELECT source_id, count(*), max(seq) FROM philotes.cdc_log
	    GROUP BY 1 ORDER BY 1")" = \
	    $'a|120000|120000\nb|120000|120000\nc|120000|120000' ]
	# two whole partitions are ahead again
	[ "$(buf_psql "SELECT to_regclass('philotes.cdc_log_5') IS NOT NULL")" = t ]
}

@test "a slow transaction goes on after others have used up partitions" {
	open_writer
	start >&7
	many_events s 0/110 20000 >&7
	# its COPY does not wait for stdin
	wait_for session '' 'idle in transaction'
	buf_psql "SELECT setval('philotes.cdc_log_id_seq', 50000000)" >/dev/null
	buf_psql "SELECT philotes.ensure_partitions()" >/dev/null
	many_events s 0/120 1 >&7
	checkpoint 0/128 >&7
	wait_for cat "$out" 0/128
	await_writer 0
	[ "$(buf_psql "SELECT count(*), max(id) > 50000000
	    FROM philotes.cdc_log")" = "20001|t" ]
}

@test "making partitions does not wait for a COPY, nor a COPY for it" {
	hold "INSERT INTO philotes.cdc_log (source_id, schema_name, table_name,
	    operation, lsn, event_time) VALUES ('x', '', '', '', '', now())"
	buf_psql "SELECT setval('philotes.cdc_log_id_seq', 29900000)" >/dev/null
	buf_psql "SET statement_timeout = '2s';
	    SELECT philotes.ensure_partitions()" >/dev/null
	release
	# and while another session makes partitions
	open_writer
	start >&7
	wait_for locks t 1
	hold "SELECT philotes.ensure_partitions(7)"
	event s 0/110 1 >&7
	checkpoint 0/118 >&7
	wait_for cat "$out" 0/118
	release
	await_writer 0
}

# Consumers

@test "two sources at once, one with an open transaction: a consumer skips nothing" {
	open_writer
	start >&7
	many_events s 0/110 20000 >&7
	wait_for locks t 2
	# its ids, lower than the ones below, are drawn and not committed
	many_events a 0/110 1000 >"$in"
	write_lines 0
	expect_code 0 buffer-batch --once --consumer c
	[ "$(jq -r .source_id <<<"$output" | sort | uniq -c | xargs)" = "1000 a" ]
	checkpoint 0/118 >&7
	wait_for cat "$out" 0/118
	many_events a 0/120 1000 >"$in"
	write_lines 0
	expect_code 0 buffer-batch --once --consumer c
	[ "$(jq -r .source_id <<<"$output" | sort | uniq -c | xargs)" = \
	    "1000 a 20000 s" ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_events
	    WHERE processed_at IS NULL")" = 0 ]
	await_writer 0
}
