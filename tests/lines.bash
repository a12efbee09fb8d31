# Lines for buffer-write, and what became of them.  `load lines` after `load
# helper`.
#
#   event SOURCE COMMIT_LSN SEQ [AFTER_DATA]          a line
#   many_events SOURCE COMMIT_LSN N                   a transaction of N lines
#   checkpoint ACK
#   start [SYSTEM [SLOT [LSN [FLUSH [TIMELINE [HISTORY]]]]]]   of source s
#   write_lines CODE [OPTION ...]  buffer-write reads $in and ends with CODE
#   open_writer [OPTION ...]       $writer, a child that reads descriptor 7 and
#                                  writes out and err in BATS_TEST_TMPDIR
#   bytes_read                     how many bytes $writer has read
#   await_writer CODE              closes 7; $writer ends with CODE
#   writer_ends CODE               $writer ends by itself with CODE
#   stored                         source|commit_lsn|seq of all rows, by id
#   checkpoint_of SOURCE
#   hold SQL                       a session that has begun a transaction and
#                                  run SQL; it reads more from descriptor 8
#   release                        ends it with COMMIT
#   locks GRANTED                  advisory locks, granted (t) or not (f)
# shellcheck shell=bash disable=SC2154

event()
{
	printf '{"source_id":"%s","schema_name":"public","table_name":"t","operation":"INSERT","lsn":"0/1","transaction_id":7,"key_columns":["id"],"before_data":null,"after_data":%s,"event_time":"2026-11-22T13:12:35.949462Z","metadata":{"commit_lsn":"%s","seq":%s}}\n' \
	    "$1" "${4:-{\"id\":1\}}" "$2" "$3"
}

many_events()
{
	seq "$3" | sed "s|.*|$(event "$1" "$2" \&)|"
}

checkpoint()
{
	printf '{"control":"checkpoint","ack":"%s"}\n' "$1"
}

start()
{
	printf '{"control":"start","source_id":"s","system_id":"%s","timeline":%s,"history":%s,"slot":"%s","lsn":"%s","flush":"%s"}\n' \
	    "${1:-sys}" "${5:-1}" "${6:-[]}" "${2:-slot}" "${3:-0/100}" \
	    "${4:-0/100}"
}

stored()
{
	buf_psql "SELECT source_id, commit_lsn, seq FROM philotes.cdc_log
	    ORDER BY id"
}

checkpoint_of()
{
	buf_psql "SELECT checkpoint FROM philotes.newest_write('$1')"
}

write_lines()
{
	local code=$1
	shift
	expect_code "$code" buffer-write "$@" <"$in"
}

open_writer()
{
	rm -f "$BATS_TEST_TMPDIR/fifo"
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	exec 7<>"$BATS_TEST_TMPDIR/fifo"
	child buffer-write "$@" <"$BATS_TEST_TMPDIR/fifo" \
	    >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 7>&-
	writer=$!
}

bytes_read()
{
	sed -n 's/^rchar: //p' "/proc/$writer/io"
}

await_writer()
{
	exec 7>&-
	writer_ends "$1"
}

writer_ends()
{
	local code=0
	wait "$writer" || code=$?
	[ "$code" = "$1" ] || {
		echo "buffer-write ended with $code, not $1"
		cat "$BATS_TEST_TMPDIR/err"
		return 1
	}
}

hold()
{
	rm -f "$BATS_TEST_TMPDIR/sql"
	mkfifo "$BATS_TEST_TMPDIR/sql"
	exec 8<>"$BATS_TEST_TMPDIR/sql"
	child psql_on "$PHILOTES_BUFFER_URL" <"$BATS_TEST_TMPDIR/sql" \
	    >/dev/null 7>&- 8>&-
	holder=$!
	echo "BEGIN; $1; SELECT pg_advisory_lock(4711);" >&8
	wait_for buf_psql "SELECT count(*) FROM pg_locks
	    WHERE locktype = 'advisory' AND objid = 4711" 1
}

release()
{
	printf 'COMMIT;\n\\q\n' >&8
	wait "$holder"
}

locks()
{
	buf_psql "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
	    AND objid <> 4711 AND granted = '$1'"
}
