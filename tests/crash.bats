#!/usr/bin/env bats
# Reader, writer and servers killed at any moment: after each restart the buffer
# holds each event once, in order, whole transactions.  tests/soak has more.

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

# cut_at_each commit|answer: the connection is lost at the first COMMIT, at the
# second, until a run needs no more of them
cut_at_each()
{
	local direct=$PHILOTES_BUFFER_URL dir=$BATS_TEST_TMPDIR/proxy
	local n before lost=0
	[ "$1" = answer ] || lost=1
	# each transaction a COMMIT, however fast they come
	# shellcheck disable=SC2034 # of crash.bash
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
		# what the client could not know
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

@test "a COMMIT whose answer is lost is neither loss nor duplicate" {
	cut_at_each answer
}

@test "a COMMIT that is lost is neither loss nor duplicate" {
	cut_at_each commit
}

@test "either server stops where it stands, at random moments" {
	stop_at_random 6
}

@test "stdin silent inside a transaction for a minute: 75, what is complete stays" {
	load lines
	# its minute takes two seconds
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
	# shellcheck disable=SC2034 # of writer_ends
	writer=$!
	writer_ends 75
	exec 7>&-
	grep 'stdin was silent inside a transaction' "$BATS_TEST_TMPDIR/err"
	[ "$(stored)" = "s|0/110|1" ]
}
