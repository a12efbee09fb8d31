#!/usr/bin/env bats
# Reader, writer and servers are killed at any moment: after each restart the
# buffer holds each event once, in order, and whole transactions only.
# tests/soak has longer tests.

load helper
load crash

setup()
{
	databases_up
	crash_setup
}

@test "buffer-write is killed at its Nth write, for each N" {
	killed_at_each writer write
}

@test "buffer-write is killed at its Nth sendto, for each N" {
	killed_at_each writer sendto
}

@test "buffer-write is killed at its Nth recvfrom, for each N" {
	killed_at_each writer recvfrom
}

@test "pg-cdc-read is killed at its Nth write, for each N" {
	killed_at_each reader write
}

@test "pg-cdc-read is killed at its Nth sendto, for each N" {
	killed_at_each reader sendto
}

@test "pg-cdc-read is killed at its Nth recvfrom, for each N" {
	killed_at_each reader recvfrom
}

# cut_at_each commit|answer: cuts the connection at the first COMMIT, then at
# the second, and so on until a run needs no further one
cut_at_each()
{
	local direct=$PHILOTES_BUFFER_URL dir=$BATS_TEST_TMPDIR/proxy
	local n before lost=0
	[ "$1" = answer ] || lost=1
	# each transaction gets its own COMMIT, however fast they come
	# shellcheck disable=SC2034 # used by crash.bash
	writer_options=(--batch-size 1)
	mkdir "$dir"
	catch_up
	start_sampling
	for ((n = 1; ; n++)); do
		transactions
		rm -f "$dir"/.s* "$dir/said"
		child "$PHILOTES_BIN/fault/proxy" "$dir/.s.PGSQL.5432" \
		    "$(cluster_sockets "$BATS_FILE_TMPDIR/buf")/.s.PGSQL.5432" \
		    "$1" "$n" >"$dir/said"
		wait_for ls "$dir/.s.PGSQL.5432" "$dir/.s.PGSQL.5432"
		before=$(buf_psql "SELECT count(*) FROM philotes.cdc_writes")
		PHILOTES_BUFFER_URL="host=$dir user=postgres dbname=t$BATS_TEST_NUMBER"
		start_pipeline --until now
		await_pipeline
		PHILOTES_BUFFER_URL=$direct
		kill "${children[-3]}"
		whole
		[ -s "$dir/said" ] || break
		[ "$writer_code" = 75 ]
		# whether the last COMMIT took effect, which the client could
		# not know
		[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_writes")" = \
		    $((before + n - lost)) ]
		catch_up
		complete
	done
	((n > 2))
	[ "$reader_code $writer_code" = '0 0' ]
	complete
	end_sampling
}

@test "a COMMIT whose answer is lost causes no loss and no duplicate" {
	cut_at_each answer
}

@test "a COMMIT that is lost causes no loss and no duplicate" {
	cut_at_each commit
}

@test "either server stops immediately at random moments" {
	stop_at_random 6
}

@test "stdin silent inside a transaction for a minute is 75, and complete transactions stay" {
	load lines
	# hasty.so turns the minute into two seconds
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	exec 7<>"$BATS_TEST_TMPDIR/fifo"
	child env LD_PRELOAD="$PHILOTES_BIN/fault/hasty.so" \
	    ASAN_OPTIONS=verify_asan_link_order=0 buffer-write \
	    <"$BATS_TEST_TMPDIR/fifo" >/dev/null 2>"$BATS_TEST_TMPDIR/err" 7>&-
	{
		start
		event s 0/110 1
		event s 0/120 1
	} >&7
	# shellcheck disable=SC2034 # used by writer_ends
	writer=$!
	writer_ends 75
	exec 7>&-
	grep 'stdin was silent inside a transaction' "$BATS_TEST_TMPDIR/err"
	[ "$(stored)" = "s|0/110|1" ]
}
