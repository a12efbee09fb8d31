#!/usr/bin/env bats
# Logical messages outside transactions.  The server reports the LSN at which
# their record ends; there the next record begins, perhaps a commit.  Our
# identity is one below.  Tested are each place in the WAL, each comparison of
# LSNs, and each restart.

load helper
load lines

# A quick walwriter puts a message on disk that nothing else flushes.  No other
# process of the server should write a record in between.
setup_file()
{
	clusters_up wal_writer_delay=10ms bgwriter_delay=10s autovacuum=off
}

setup()
{
	databases_up
	in=$BATS_TEST_TMPDIR/in
	export PHILOTES_SOURCE_ID=s
}

# session N: psql number N of two, which reads statements from descriptor 2N
session()
{
	local fifo=$BATS_TEST_TMPDIR/session$1
	mkfifo "$fifo"
	eval "exec 2$1<>$fifo"
	child psql_on "$PHILOTES_SOURCE_URL" -At <"$fifo" >"$fifo.out" \
		21>&- 22>&-
}

# say N SQL: sends SQL to session N and waits until it is done
say()
{
	said=$((${said-0} + 1))
	printf '%s\n\\echo done %s\n' "$2;" "$said" >&"2$1"
	wait_for tail_of "$BATS_TEST_TMPDIR/session$1.out" "done $said"
}

# shellcheck disable=SC2329 # called by wait_for
tail_of()
{
	tail -n 1 "$1"
}

message()
{
	echo "SELECT pg_logical_emit_message(false, '${1-p}', 'm')"
}

# Waits until everything written so far is on disk.
flushed()
{
	wait_for src_psql "SELECT pg_current_wal_flush_lsn()
	    = pg_current_wal_insert_lsn()" t
}

# until_lsn LSN [OPTION ...]: runs the pipeline up to this LSN
until_lsn()
{
	start_pipeline --until "$@"
	await_pipeline
	[ "$reader_code$writer_code" = 00 ] || {
		echo "until $1: codes $reader_code $writer_code"
		cat "$BATS_TEST_TMPDIR"/{reader,writer}.log
		return 1
	}
}

# The workload: a message at every place that it can have among other records.
every_place()
{
	session 1
	session 2
	src_psql "$(message first)" >/dev/null
	src_psql "INSERT INTO t VALUES (1)"
	src_psql "$(message m1); $(message m2)" >/dev/null
	# first and last in a transaction
	say 1 "BEGIN"
	say 1 "$(message before-rows)"
	say 1 "INSERT INTO t VALUES (2)"
	say 1 "$(message before-commit)"
	say 1 "COMMIT"
	# between the rows of two interleaved transactions, and before each
	# commit
	say 1 "BEGIN; INSERT INTO t VALUES (3)"
	say 2 "BEGIN; INSERT INTO t VALUES (4)"
	say 1 "$(message between-rows)"
	say 2 "INSERT INTO t VALUES (5)"
	say 1 "INSERT INTO t VALUES (6)"
	say 2 "$(message before-2)"
	say 2 "COMMIT"
	say 2 "$(message before-1)"
	say 1 "COMMIT"
	# in a transaction that is rolled back, and with savepoints
	say 1 "BEGIN; INSERT INTO t VALUES (7)"
	say 1 "$(message of-none)"
	say 1 "ROLLBACK"
	say 1 "BEGIN; SAVEPOINT a; INSERT INTO t VALUES (8)"
	say 1 "$(message before-savepoint)"
	say 1 "RELEASE a"
	say 1 "SELECT pg_logical_emit_message(true, 'p', 'in it')"
	say 1 "$(message before-last)"
	say 1 "COMMIT"
	src_psql "INSERT INTO t VALUES (9)"
	src_psql "$(message last)" >/dev/null
	flushed
}

prepare()
{
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	expect_code 0 pg-cdc-read --create
}

# every_restart OPTION ...: restarts before, at and after each record
every_restart()
{
	local lsn lsns whole
	prepare
	every_place
	expect_code 0 pg-cdc-read --until now "$@"
	whole=$(jq -r '[.metadata.commit_lsn, .metadata.seq, .operation] |
	    join("|")' <<<"$output")
	lsns=$(src_psql "SELECT DISTINCT l + d FROM (
	        SELECT unnest(string_to_array('$(jq -r .metadata.commit_lsn \
			<<<"$output" | paste -sd,)', ',')::pg_lsn[])) x (l),
	    (VALUES (-1), (0), (1)) y (d) ORDER BY 1")
	for lsn in $lsns; do
		until_lsn "$lsn" "$@"
	done
	until_lsn now "$@"
	[ "$(buf_psql "SELECT commit_lsn, seq, operation FROM philotes.cdc_log
	    ORDER BY id")" = "$whole" ]
	[ "$(sort -u <<<"$whole" | wc -l)" = "$(wc -l <<<"$whole")" ]
}

@test "a message at every place, with the pipeline restarted at every LSN" {
	every_restart --messages
	# in the order of the WAL
	[ "$(buf_psql "SELECT coalesce(after_data->>'prefix',
	    after_data->>'id') FROM philotes.cdc_log ORDER BY id" |
	    paste -sd' ')" = "first 1 m1 m2 before-rows before-commit 2 \
between-rows before-2 4 5 before-1 3 6 of-none before-savepoint before-last \
8 p 9 last" ]
	[ "$(buf_psql "SELECT bool_and(lsn::pg_lsn = commit_lsn + 1 AND seq = 1)
	    FROM philotes.cdc_log
	    WHERE operation = 'MESSAGE' AND transaction_id IS NULL")" = t ]
	# some commits began exactly where a message ended
	[ "$(buf_psql "SELECT count(DISTINCT c.commit_lsn) FROM philotes.cdc_log m
	    JOIN philotes.cdc_log c ON c.commit_lsn = m.commit_lsn + 1
	    WHERE m.transaction_id IS NULL")" -ge 3 ]
}

@test "without --messages no message is stored and nothing is lost" {
	every_restart
	[ "$(buf_psql "SELECT after_data->>'id' FROM philotes.cdc_log ORDER BY id" |
	    paste -sd' ')" = "1 2 4 5 3 6 8 9" ]
}

@test "when a message is the last record the next start goes on after it" {
	prepare
	src_psql "INSERT INTO t VALUES (1)"
	src_psql "$(message)" >/dev/null
	flushed
	until_lsn now --messages
	# the slot is at the end of the WAL, and so is the checkpoint
	[ "$(checkpoint_of s)" = "$(src_psql "SELECT pg_current_wal_flush_lsn()")" ]
	until_lsn now --messages
	src_psql "INSERT INTO t VALUES (2)"
	until_lsn now --messages
	[ "$(buf_psql "SELECT string_agg(operation, ' ' ORDER BY id)
	    FROM philotes.cdc_log")" = "INSERT MESSAGE INSERT" ]
}

# What schema version 2 stored: the identity was the LSN where the message
# ends.
as_version_2()
{
	buf_psql "UPDATE philotes.cdc_log SET commit_lsn = lsn::pg_lsn
	    WHERE operation = 'MESSAGE' AND transaction_id IS NULL;
	    UPDATE philotes.cdc_writes w SET commit_lsn = w.commit_lsn + 1
	    FROM philotes.cdc_log l WHERE l.commit_lsn = w.commit_lsn + 1
	    AND l.transaction_id IS NULL"
}

@test "the watermark of an older version's message hides no commit" {
	local i met=0 stored=''
	prepare
	session 1
	# repeated, since the server may write a record of its own before the
	# commit
	for ((i = 1; met == 0 && i < 10; i++)); do
		say 1 "BEGIN; INSERT INTO t VALUES ($i)"
		src_psql "$(message)" >/dev/null
		flushed
		until_lsn now --messages
		say 1 "COMMIT"
		as_version_2
		[ "$(buf_psql "SELECT n.commit_lsn - s.commit_lsn
		    FROM philotes.newest_write('s') n,
		        philotes.stored_to('s') s")" = 1 ]
		until_lsn now --messages
		until_lsn now --messages
		stored+="m $i "
		[ "$(buf_psql "SELECT string_agg(coalesce(after_data->>'id',
		    'm'), ' ' ORDER BY id) FROM philotes.cdc_log")" = \
		    "${stored% }" ]
		met=$(buf_psql "SELECT count(*) FROM (SELECT FROM philotes.cdc_log
		    GROUP BY commit_lsn HAVING count(*) = 2) x")
	done
	[ "$met" = 1 ]
}

@test "the watermark of an older version's message at the end of the WAL" {
	prepare
	src_psql "INSERT INTO t VALUES (0)"
	src_psql "$(message)" >/dev/null
	flushed
	until_lsn now --messages
	as_version_2
	until_lsn now --messages
	src_psql "INSERT INTO t VALUES (1)"
	until_lsn now --messages
	[ "$(buf_psql "SELECT string_agg(coalesce(after_data->>'id', 'm'), ' '
	    ORDER BY id) FROM philotes.cdc_log")" = "0 m 1" ]
}

@test "the gap check one below, at and one above the LSN of a commit and of a message" {
	local at=0/108 below=0/107 above=0/109 identity flush code
	# the end of the WAL or of a timeline is above the LSN at which a
	# commit begins, and may be the LSN at which a message ends
	while read -r identity flush code; do
		buf_psql "TRUNCATE philotes.cdc_log, philotes.cdc_writes,
		    philotes.cdc_sources"
		{
			start sys slot 0/100 0/200
			event s "$identity" 1
			checkpoint 0/100
		} >"$in"
		write_lines 0
		[ "$(stored)" = "s|$identity|1" ]
		start sys slot 0/100 "$flush" >"$in"
		write_lines "$code"
		start sys slot 0/100 0/200 2 "[[1,\"$flush\"]]" >"$in"
		write_lines "$code"
	done <<-END
	$at $below 69
	$at $at 69
	$at $above 0
	$below $below 69
	$below $at 0
	$below $above 0
	END
	# the same for the checkpoint, which is where the next record begins
	for code in "$below 69" "$at 0" "$above 0"; do
		buf_psql "TRUNCATE philotes.cdc_log, philotes.cdc_writes,
		    philotes.cdc_sources"
		{
			start sys slot 0/100 0/200
			event s 0/100 1
			checkpoint $at
		} >"$in"
		write_lines 0
		start sys slot 0/100 "${code% *}" >"$in"
		write_lines "${code#* }"
		start sys slot 0/100 0/200 2 "[[1,\"${code% *}\"]]" >"$in"
		write_lines "${code#* }"
	done
	for code in "$below 0" "$at 0" "$above 69"; do
		start sys slot "${code% *}" 0/200 >"$in"
		write_lines "${code#* }"
	done
}

@test "events one below and at the watermark are skipped, one above is stored" {
	{
		start
		event s 0/108 3
		checkpoint 0/110
	} >"$in"
	write_lines 0
	{
		start sys slot 0/100 0/200
		event s 0/107 1
		event s 0/108 1
		event s 0/108 2
		event s 0/108 3
		event s 0/108 4
		event s 0/109 1
		checkpoint 0/118
	} >"$in"
	write_lines 0
	[ "$(stored)" = $'s|0/108|3\ns|0/108|4\ns|0/109|1' ]
}

@test "heartbeats beside a load: each row is stored once and the reader goes on" {
	prepare
	start_pipeline --heartbeat 1ms --messages
	echo "INSERT INTO t SELECT nextval('n');" >"$BATS_TEST_TMPDIR/load.sql"
	src_psql "CREATE SEQUENCE n"
	"$(pg_bin pgbench)" -n -f "$BATS_TEST_TMPDIR/load.sql" -c 4 -T 2 \
		"$PHILOTES_SOURCE_URL" >/dev/null 2>&1
	stop_pipeline
	[ "$reader_code$writer_code" = 00 ]
	until_lsn now
	[ "$(buf_psql "SELECT count(*), count(DISTINCT (commit_lsn, seq)),
	    count(DISTINCT after_data->>'nextval') FROM philotes.cdc_log")" = \
	    "$(src_psql "SELECT count(*), count(*), 0 FROM t")" ]
	# enough load for heartbeats right before commits
	[ "$(src_psql "SELECT count(*) > 100 FROM t")" = t ]
}
