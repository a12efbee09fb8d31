#!/usr/bin/env bats
# Wall clocks that are wrong, or are set while the pipeline runs: batches come
# in time, events are kept as long as asked, and status stays sensible.
# shellcheck source=SCRIPTDIR/helper.bash
load helper
# shellcheck source=SCRIPTDIR/buffer.bash
load buffer
# shellcheck source=SCRIPTDIR/supervisor.bash
load supervisor

# set_clock src|buf SECONDS sets a server's clock: that many seconds ahead of
# the machine's.
set_clock()
{
	printf '%-12s' "$2" |
		dd of="$BATS_FILE_TMPDIR/$1.clock" conv=notrunc status=none
}

eval "real_$(declare -f pg_bin)"

pg_bin()
{
	if [[ $1 == pg_ctl ]]; then
		echo "$BATS_FILE_TMPDIR/pg_ctl"
	else
		real_pg_bin "$1"
	fi
}

setup_file()
{
	local name
	for name in src buf; do
		printf '%-12s' 0 >"$BATS_FILE_TMPDIR/$name.clock"
	done
	cp "$root/bin/fault/clock.so" "$BATS_FILE_TMPDIR/clock.so"
	cat >"$BATS_FILE_TMPDIR/pg_ctl" <<-SCRIPT
	#!/bin/sh
	case " \$* " in
	*/src\ *) export CLOCK_FILE=$BATS_FILE_TMPDIR/src.clock ;;
	*) export CLOCK_FILE=$BATS_FILE_TMPDIR/buf.clock ;;
	esac
	export LD_PRELOAD=$BATS_FILE_TMPDIR/clock.so
	exec $(real_pg_bin pg_ctl) "\$@"
	SCRIPT
	chmod 755 "$BATS_FILE_TMPDIR"/{pg_ctl,clock.so}
	clusters_up
}

setup()
{
	set_clock src 0
	set_clock buf 0
	databases_up
	out=$BATS_TEST_TMPDIR/out log=$BATS_TEST_TMPDIR/log
	src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
}

teardown()
{
	kill_children
	remove_locks
	databases_down
}

# buffer-batch in the background, which writes the size of each batch to $out.
# A batch has 100 events, or those of the first second.
start_batch()
{
	# shellcheck disable=SC2016 # for another shell
	child buffer-batch --batch-size 100 --flush-interval 1s -- \
		sh -c 'echo "$PHILOTES_BATCH_EVENTS" >>"$0"; cat >/dev/null' "$out"
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_consumers" 1
}

batches()
{
	tr '\n' ' ' <"$out"
}

# set_waiting SECONDS: sets the buffer's clock while 3 events wait that
# buffer-batch has already seen
set_waiting()
{
	fill s 3
	sleep 0.2
	set_clock buf "$1"
}

@test "the shim sets a server's clock and not the machine's" {
	local now
	now=$(date +%s)
	set_clock buf -3600
	[ "$(buf_psql "SELECT extract(epoch FROM now())::int - $now
	    BETWEEN -3602 AND -3590")" = t ]
	[ "$(src_psql "SELECT extract(epoch FROM now())::int - $now
	    BETWEEN -2 AND 10")" = t ]
}

@test "a batch comes in time when the server's clock is set back or ahead" {
	local before step
	for step in -3600 0 3600 0; do
		: >"$out"
		[[ -n ${children[0]-} ]] || start_batch
		before=$(milliseconds)
		set_waiting "$step"
		wait_for batches "" "3 " 5
		[ $(($(milliseconds) - before)) -lt 4000 ]
		# later batches are not cut short
		: >"$out"
		for _ in 1 2 3; do
			fill s 1
			sleep 0.1
		done
		wait_for batches "" "3 " 5
	done
}

@test "a buffer-batch that starts after the clock was set back delivers in time" {
	local before
	set_clock buf 3600
	fill s 3
	set_clock buf 0
	: >"$out"
	start_batch
	before=$(milliseconds)
	wait_for batches "" "3 " 5
	[ $(($(milliseconds) - before)) -lt 4000 ]
}

@test "a clock that is set ahead does not shorten the retention of a running buffer-gc" {
	fill s 100
	buffer-batch --once >/dev/null
	child buffer-gc -v --retention 20m --interval 200ms >"$out" \
		2>"$BATS_TEST_TMPDIR/err"
	wait_for lines "$out" 1
	set_clock buf 3600
	wait_for said "set ahead by" yes
	[ "$(rows cdc_log)" = 100 ]
	# events marked by the new clock are kept at least as long
	fill s 100
	buffer-batch --once >/dev/null
	set_clock buf 7200
	wait_for said "set ahead by 7" yes
	[ "$(rows cdc_log)" = 200 ]
	# setting the clock right again changes nothing
	set_clock buf 0
	[ "$(rows cdc_log)" = 200 ]
}

said()
{
	! grep -q "$1" "$BATS_TEST_TMPDIR/err" || echo yes
}

# What FILTER finds in the status, or "wrong" if a number in it is negative.
status_says()
{
	philotes status --json | jq -r "if [.. | numbers | . < 0] | any
	    then \"wrong\" else $1 end"
}

@test "a pipeline is healthy while clocks are wrong, and when they are set" {
	local n=0 step
	export PHILOTES_BUFFER_FLUSH_INTERVAL=100ms
	set_clock src -3600
	set_clock buf 3600
	philotes init
	start_philotes
	for step in "src 3600" "buf -3600" "src -3600" "buf 3600"; do
		changes $((10 * n + 1)) $((10 * n + 10))
		n=$((n + 1))
		wait_for lines "$out" $((10 * n))
		wait_for status_says .healthy true 10
		wait_for status_says \
		    "[.sources[].lag_seconds, .consumers[].lag_seconds] | max < 60" \
		    true 10
		# shellcheck disable=SC2086 # splits into words
		set_clock $step
	done
	stop_philotes
}

@test "waiting events stay reported as late when the clock is set back" {
	local page
	philotes init
	start_pipeline --until now
	await_pipeline
	philotes consumer add slow
	fill s 3
	[ "$(status_says .healthy)" = true ]
	[ "$(philotes status --max-lag 1h --json | jq .healthy)" = true ]
	set_clock buf -3600
	[ "$(status_says '(.consumers[] | select(.source == "s").lag_seconds),
	    .problems[]')" = \
"null
consumer \"slow\" is behind in \"s\" since before the buffer's clock was set back" ]
	page=$(philotes status || :)
	grep -q '^slow/s .* - *0 *0$' <<<"$page"
	philotes metrics | grep -q '^philotes_buffer_lag_seconds{.*} +Inf$'
	[ "$(philotes consumer list | grep -P '\ts\t')" = $'slow\ts\t3\t-' ]
	# later events have an age, and the first waiting event is not younger
	# than these
	fill s 1
	wait_for status_says '[.consumers[].lag_seconds] | max > 1' true
	[ "$(status_says .healthy)" = true ]
	expect_code 1 philotes status --max-lag 1s
	[[ $output == *'consumer "slow" is '*' s behind in "s"'* ]]
	# the same for the source's own lag
	buffer-batch --consumer slow --once >/dev/null
	[ "$(status_says .healthy)" = true ]
	changes 1 1
	set_clock buf -7200
	[ "$(status_says '.problems[]')" = \
"the buffer is behind since before its clock was set back" ]
	start_pipeline --until now
	await_pipeline
	wait_for status_says '.sources[0].lag_seconds' 0
}

@test "after a clock was set back the latest clean-up is found, and rates are not higher" {
	fill s 600
	buffer-batch --once >/dev/null
	buffer-gc >/dev/null
	psql_on "$PHILOTES_BUFFER_URL" -At -F '|' -f \
		"$root/sql/operator/buffer.sql" >"$BATS_TEST_TMPDIR/before"
	[ "$(cut -d '|' -f 1,7 "$BATS_TEST_TMPDIR/before" | grep source)" = \
		"source|10.0" ]
	set_clock buf -3600
	psql_on "$PHILOTES_BUFFER_URL" -At -F '|' -f \
		"$root/sql/operator/buffer.sql" >"$BATS_TEST_TMPDIR/after"
	[ "$(cut -d '|' -f 1,7 "$BATS_TEST_TMPDIR/after" | grep source)" = \
		"source|0.0" ]
	[ "$(grep store "$BATS_TEST_TMPDIR/after" | cut -d '|' -f 4,5)" = "|0" ]
	buffer-batch --once >/dev/null
	buffer-gc --retention 0 >/dev/null
	psql_on "$PHILOTES_BUFFER_URL" -At -F '|' -f \
		"$root/sql/operator/buffer.sql" >"$BATS_TEST_TMPDIR/after"
	[[ $(grep store "$BATS_TEST_TMPDIR/after" | cut -d '|' -f 4) == [0-9]* ]]
}

# Runs a command with the shim's clock, for itself and all it starts.
with_clock()
{
	CLOCK_FILE=$BATS_FILE_TMPDIR/tools.clock \
		LD_PRELOAD=$BATS_FILE_TMPDIR/clock.so "$@"
}

exec_philotes()
{
	with_clock exec philotes run >>"$out" 2>"$log"
}

@test "the clock of the supervisor's machine is set: delays and ages do not change (stubs)" {
	local step page
	stubs
	hasten
	printf '%-12s' 0 >"$BATS_FILE_TMPDIR/tools.clock"
	mkfifo "$BATS_TEST_TMPDIR/go"
	exec {go}<>"$BATS_TEST_TMPDIR/go"
	stub buffer-gc "read -r _ <'$BATS_TEST_TMPDIR/go'; exit 75"
	start_philotes
	for step in 0 3600 -3600; do
		set_clock tools "$step"
		page=$(with_clock philotes status || :)
		[[ $page =~ buffer-gc\ +running\ +[0-9]+\ +[0-9]\ s\  ]]
		echo >&"$go"
		wait_for logged "restarting the gc unit" \
			$(($(logged "restarting the gc unit") + 1))
		wait_for is_up buffer-gc yes
	done
	[ "$(grep -o 'restarting the gc unit in [0-9]*' "$log" | cut -d ' ' -f 6 |
	    tr '\n' ' ')" = "1 2 4 " ]
	stop_philotes
}
