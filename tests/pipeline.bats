#!/usr/bin/env bats
# The whole pipeline under load while its processes are killed: the tables
# rebuilt from its events equal the source's, and no event is lost, duplicated
# or reordered.

load helper

setup_file()
{
	# the servers' own durability is part of the promise
	clusters_up fsync=on wal_sender_timeout=5s
}

setup()
{
	databases_up
	psql_on "$PHILOTES_SOURCE_URL" -c "
	    CREATE TABLE acc (id int PRIMARY KEY, n int NOT NULL);
	    CREATE TABLE hist (id bigserial PRIMARY KEY, acc int, d int)"
	pg-cdc-read --create >/dev/null
	cat >"$BATS_TEST_TMPDIR/load.sql" <<-'END'
	\set a random(1, 1000)
	\set d random(-5, 5)
	BEGIN;
	INSERT INTO acc VALUES (:a, :d)
	    ON CONFLICT (id) DO UPDATE SET n = acc.n + :d;
	INSERT INTO hist (acc, d) VALUES (:a, :d);
	SAVEPOINT s;
	DELETE FROM acc WHERE id = :a + 1;
	ROLLBACK TO s;
	UPDATE acc SET id = -id WHERE id = :a + 500;
	DELETE FROM acc WHERE id = -:a;
	COMMIT;
	END
}

# pgbench in the background; started again after a failure.
start_load()
{
	child run_load
	load=$!
}

run_load()
{
	while [ ! -e "$BATS_TEST_TMPDIR/enough" ]; do
		PGOPTIONS=-csearch_path=public "$(pg_bin pgbench)" -n -c 4 -t 50 \
		    -f "$BATS_TEST_TMPDIR/load.sql" "$PHILOTES_SOURCE_URL" \
		    >/dev/null 2>&1 || :
	done
}

end_load()
{
	: >"$BATS_TEST_TMPDIR/enough"
	wait "$load"
}

slot_active()
{
	src_psql "SELECT active FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'"
}

# Waits until at least this many events are in the buffer.
wait_events()
{
	wait_for buf_psql "SELECT coalesce(max(total), 0) >= $1
	    FROM philotes.cdc_writes" t
}

total()
{
	buf_psql "SELECT coalesce(max(total), 0) FROM philotes.cdc_writes"
}

# Runs the pipeline up to now; a killed walsender may hold the slot for a
# moment.
catch_up()
{
	local tries=0
	while :; do
		start_pipeline --until now
		await_pipeline
		((reader_code != 0)) || break
		((reader_code == 75 && ++tries < 40))
	done
	[ "$writer_code" = 0 ]
}

verify()
{
	buffer-batch --once >>"$BATS_TEST_TMPDIR/events"
	expect_code 0 "$root/scripts/verify" "$BATS_TEST_TMPDIR/events"
	[ "$(buf_psql "SELECT count(*) FROM (SELECT seq, row_number() OVER
	    (PARTITION BY commit_lsn ORDER BY id) AS n FROM philotes.cdc_log) x
	    WHERE seq <> n")" = 0 ]
	[ "$(src_psql "SELECT confirmed_flush_lsn <= '$(buf_psql "SELECT
	    max(checkpoint) FROM philotes.cdc_writes")' FROM
	    pg_replication_slots WHERE slot_name = '$PHILOTES_SLOT'")" = t ]
}

@test "with a filter between reader and writer the reader ends first, and both end with 0" {
	local i acks=$BATS_TEST_TMPDIR/acks
	mkfifo "$acks"
	for i in 1 2 3; do
		src_psql "INSERT INTO acc VALUES ($i, 0)"
		# shellcheck disable=SC2094 # a FIFO
		pg-cdc-read --ack "$acks" --until now |
			{ cat; wait_for slot_active '' f; } |
			buffer-write >"$acks"
		[ "${PIPESTATUS[*]}" = '0 0 0' ]
	done
	[ "$(buf_psql 'SELECT count(*) FROM philotes.cdc_log')" = 3 ]
}

@test "as typed: mkfifo acks; pg-cdc-read --ack acks | buffer-write > acks" {
	src_psql "INSERT INTO acc SELECT i, i FROM generate_series(1, 5000) i"
	cd "$BATS_TEST_TMPDIR"
	timeout 30 bash -c 'mkfifo acks
	    pg-cdc-read --ack acks --until now | buffer-write > acks' 3>&-
	verify
	[ "$(wc -l <events)" = 5000 ]
	[ "$(src_psql "SELECT confirmed_flush_lsn = '$(buf_psql "SELECT
	    max(checkpoint) FROM philotes.cdc_writes")' FROM
	    pg_replication_slots WHERE slot_name = '$PHILOTES_SLOT'")" = t ]
}

@test "the slot moves only after the buffer's commit" {
	start_pipeline
	wait_for buf_psql "SELECT count(*) > 0 FROM philotes.cdc_writes" t
	local slot="SELECT confirmed_flush_lsn FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'" before
	mkfifo "$BATS_TEST_TMPDIR/sql"
	exec 8<>"$BATS_TEST_TMPDIR/sql"
	child psql_on "$PHILOTES_BUFFER_URL" <"$BATS_TEST_TMPDIR/sql" \
	    >/dev/null 8>&-
	echo "BEGIN; SELECT philotes.lock_source('postgres-t$BATS_TEST_NUMBER');" >&8
	wait_for buf_psql "SELECT count(*) FROM pg_locks
	    WHERE locktype = 'advisory' AND granted" 2
	src_psql "INSERT INTO acc VALUES (1, 1)"
	wait_for buf_psql "SELECT count(*) FROM pg_locks WHERE NOT granted" 1
	before=$(src_psql "$slot")
	# the walsender has had feedback since
	wait_for src_psql "SELECT count(*) FROM pg_stat_replication
	    WHERE write_lsn > '$before'" 1
	[ "$(src_psql "$slot")" = "$before" ]
	echo "COMMIT;" >&8
	exec 8>&-
	wait_for src_psql "SELECT confirmed_flush_lsn > '$before'
	    FROM pg_replication_slots WHERE slot_name = '$PHILOTES_SLOT'" t
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
	verify
}

@test "kill -9 of the reader under load" {
	start_load
	for _ in 1 2 3 4; do
		start_pipeline
		wait_events $(($(total) + 100))
		kill -KILL "$reader"
		await_pipeline
		[ "$reader_code" = 137 ]
		[[ $writer_code == 0 || $writer_code == 75 || $writer_code == 74 ]]
		wait_for src_psql "SELECT active FROM pg_replication_slots
		    WHERE slot_name = '$PHILOTES_SLOT'" f
	done
	end_load
	catch_up
	verify
}

@test "kill -9 of the writer under load" {
	start_load
	for _ in 1 2 3 4; do
		start_pipeline
		wait_events $(($(total) + 100))
		kill -KILL "$writer"
		await_pipeline
		[ "$writer_code" = 137 ]
		[[ $reader_code == 74 || $reader_code == 75 ]]
		wait_for src_psql "SELECT active FROM pg_replication_slots
		    WHERE slot_name = '$PHILOTES_SLOT'" f
	done
	end_load
	catch_up
	verify
}

@test "kill -9 of buffer-batch under load: batches come again, none is lost" {
	local marks=0
	start_load
	start_pipeline
	for _ in 1 2 3; do
		child batcher
		wait_for buf_psql "SELECT count(*) > $marks + 2
		    FROM philotes.cdc_batches" t
		kill -KILL "${children[-1]}"
		refute wait "${children[-1]}"
		marks=$(buf_psql "SELECT count(*) FROM philotes.cdc_batches")
	done
	end_load
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
	catch_up # the last commits may not have been read
	verify
}

# A handler that takes a batch as a whole or not at all.
# shellcheck disable=SC2016 # for another shell
batcher()
{
	exec buffer-batch --batch-size 50 --flush-interval 50ms -- \
	    sh -c 'batch=$(cat; echo x) && printf %s "${batch%x}" >>"$0"' \
	    "$BATS_TEST_TMPDIR/events"
}

@test "kill -9 of the source under load" {
	start_load
	for _ in 1 2; do
		start_pipeline
		wait_events $(($(total) + 100))
		kill_server src
		await_pipeline
		[ "$reader_code" = 75 ]
		[[ $writer_code == 0 || $writer_code == 75 || $writer_code == 74 ]]
		start_server src
	done
	end_load
	catch_up
	verify
}

@test "kill -9 of the buffer under load" {
	start_load
	for _ in 1 2; do
		start_pipeline
		wait_events $(($(total) + 100))
		kill_server buf
		await_pipeline
		[ "$writer_code" = 75 ]
		[[ $reader_code == 74 || $reader_code == 75 ]]
		start_server buf
		wait_for src_psql "SELECT active FROM pg_replication_slots
		    WHERE slot_name = '$PHILOTES_SLOT'" f
	done
	end_load
	catch_up
	verify
}

@test "SIGTERM ends the pipeline in order, and nothing is sent twice" {
	start_load
	start_pipeline
	wait_events 100
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
	end_load
	catch_up
	verify
	refute grep -h error "$BATS_TEST_TMPDIR"/*.log
}

@test "an idle slot follows the WAL of unpublished tables" {
	start_pipeline
	wait_for buf_psql "SELECT count(*) > 0 FROM philotes.cdc_writes" t
	src_psql "CREATE TABLE other (x text)"
	local now
	for _ in 1 2 3; do
		src_psql "INSERT INTO other SELECT repeat('x', 1000)
		    FROM generate_series(1, 20000)"
	done
	now=$(src_psql "SELECT pg_current_wal_flush_lsn() - 1000000")
	wait_for src_psql "SELECT confirmed_flush_lsn >= '$now'
	    FROM pg_replication_slots WHERE slot_name = '$PHILOTES_SLOT'" t
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
	nothing buf_psql "TABLE philotes.cdc_log"
}
