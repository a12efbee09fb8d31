#!/usr/bin/env bats
# scripts/philotes: init and run.
# shellcheck source=SCRIPTDIR/helper.bash
load helper
# shellcheck source=SCRIPTDIR/supervisor.bash
load supervisor

# Tests with stubs in place of the tools need no databases.
setup()
{
	if [[ $BATS_TEST_DESCRIPTION == *"(stubs)" ]]; then
		without_databases
	else
		databases_up
		src_psql "CREATE TABLE t (id int PRIMARY KEY, v text)"
	fi
	out=$BATS_TEST_TMPDIR/out log=$BATS_TEST_TMPDIR/log
	export PHILOTES_BUFFER_FLUSH_INTERVAL=100ms
	hasten
}

teardown()
{
	kill_children
	remove_locks
	cluster_remove "$PHILOTES_STATE_DIR/buffer"
	[[ $BATS_TEST_DESCRIPTION == *"(stubs)" ]] || databases_down
}

without_databases()
{
	children=()
	export PHILOTES_SLOT=t$BATS_TEST_NUMBER
	export PHILOTES_SOURCE_URL=host=$BATS_FILE_TMPDIR/src
	export PHILOTES_BUFFER_URL=host=$BATS_FILE_TMPDIR/buf
	export PHILOTES_STATE_DIR=$BATS_TEST_TMPDIR/state
}

@test "wrong usage is 64, help and version are 0 (stubs)" {
	expect_code 64 philotes
	expect_error 'could not use the arguments: a command is missing'
	expect_code 64 philotes frobnicate
	expect_error 'could not use "frobnicate"'
	expect_code 64 philotes run now
	expect_error 'could not use "now"'
	expect_code 0 philotes --help
	[[ $output == "usage: philotes"* && -z $stderr ]]
	expect_code 0 philotes --version
	[[ $output =~ ^philotes\ [0-9]+\. ]]
}

@test "wrong settings are 78 and named (stubs)" {
	expect_code 78 env -u PHILOTES_SOURCE_URL -u PHILOTES_BUFFER_URL \
		philotes run
	expect_error 'PHILOTES_SOURCE_URL'
	expect_code 78 env PHILOTES_BUFFER_ENABLED=perhaps philotes run
	expect_error 'PHILOTES_BUFFER_ENABLED=perhaps'
	expect_code 78 env PHILOTES_BUFFER_CLEANUP_INTERVAL=often philotes run
	expect_error 'PHILOTES_BUFFER_CLEANUP_INTERVAL=often'
	expect_code 78 env PHILOTES_BUFFER_ENABLED=false philotes run
	expect_error 'PHILOTES_STREAM_HANDLER'
	expect_code 78 env PHILOTES_BIN=/nonexistent philotes run
	expect_error '/nonexistent/pg-cdc-read'
	expect_code 78 env PHILOTES_BUFFER_URL=embedded philotes run
	expect_error 'there is no buffer yet'
	local character
	for character in '"' '$' '`' $'\n'; do
		expect_code 78 env PHILOTES_BUFFER_URL=embedded \
			PHILOTES_STATE_DIR="$BATS_TEST_TMPDIR/a${character}b" philotes init
		expect_error 'could not create ".*b/buffer.new": its name has one of'
	done
}

@test "init says why initdb failed (stubs)" {
	local bin=$BATS_TEST_TMPDIR/pgbin
	mkdir "$bin"
	ln -s "$(pg_bin postgres)" "$bin/postgres"
	cat >"$bin/initdb" <<-'EOF'
	#!/bin/sh
	echo "creating subdirectories ... initdb: error: could not create it"
	echo "initdb: removing contents of data directory"
	exit 1
	EOF
	chmod +x "$bin/initdb"
	chmod a+x "$BATS_TEST_TMPDIR"
	expect_code 78 env PGBIN="$bin" PHILOTES_BUFFER_URL=embedded philotes init
	expect_error 'could not create ".*/buffer.new": could not create it$'
}

@test "init gives the reason of a failure in one line" {
	local good=$PHILOTES_BUFFER_URL
	PHILOTES_BUFFER_URL="host=/nonexistent" expect_code 75 philotes init
	expect_error 'could not connect to "buffer"'
	PHILOTES_BUFFER_URL="${good/dbname=*/dbname=nowhere}" \
		expect_code 78 philotes init
	expect_error 'database "nowhere" does not exist'
	PHILOTES_BUFFER_URL="${good/user=postgres/user=nobody}" \
		expect_code 77 philotes init
	expect_error 'role "nobody" does not exist'
	PHILOTES_BUFFER_URL="nonsense=1" expect_code 78 philotes init
	expect_error 'could not connect to "buffer"'
	PHILOTES_SOURCE_URL="host=/nonexistent" expect_code 75 philotes init
	expect_error 'source'
}

@test "a password never shows in argv" {
	local secret=s3cr3t
	stubs
	cat >"$PHILOTES_BIN/pg-cdc-read" <<-'EOF'
	#!/bin/sh
	cat /proc/[0-9]*/cmdline | tr '\0' ' ' >"$0.seen"
	EOF
	# psql waits for a lock while we look
	buf_psql "CREATE ROLE u LOGIN SUPERUSER"
	PHILOTES_BUFFER_URL="$PHILOTES_BUFFER_URL user=u password=$secret"
	child psql_on "${PHILOTES_BUFFER_URL/ password=*/}" \
		-c "BEGIN; SELECT pg_advisory_lock(1); SELECT pg_sleep(100)"
	wait_for buf_psql "SELECT count(*) FROM pg_locks
	    WHERE locktype = 'advisory'" 1
	child psql_on "$PHILOTES_BUFFER_URL" -c "SELECT pg_advisory_lock(1)"
	wait_for buf_psql "SELECT count(*) FROM pg_locks
	    WHERE locktype = 'advisory' AND NOT granted" 1
	local shown
	shown=$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr -d '\0')
	[[ $shown == *user=u* && $shown != *"=$secret"* ]]
	expect_code 0 philotes init
	grep -q user=u "$PHILOTES_BIN/pg-cdc-read.seen"
	refute grep -qF "=$secret" "$PHILOTES_BIN/pg-cdc-read.seen"
}

@test "init twice, run, TERM: stops in order with 0, nothing lost" {
	philotes init
	philotes init
	start_philotes
	changes 1 500
	wait_for lines "$out" 500
	changes 501 600
	stop_philotes
	# the pair first, then the others
	grep -oE '[a-z-]+ ended with 0' "$log" >"$log.ended"
	[[ $(head -n 2 "$log.ended" | sort) == \
	    $'buffer-write ended with 0\npg-cdc-read ended with 0' ]]
	[[ $(tail -n +3 "$log.ended" | sort) == \
	    $'buffer-batch ended with 0\nbuffer-gc ended with 0' ]]
	# the last events are in the buffer, and the next run delivers them
	start_philotes
	wait_for lines "$out" 600
	stop_philotes
	expect_code 0 verify "$out"
}

@test "each stage has its own ends of the pipes and no others" {
	local reader writer tool pid
	philotes init
	start_philotes
	changes 1 1
	wait_for lines "$out" 1
	reader=$(stage pg-cdc-read) writer=$(stage buffer-write)
	local stream acks
	stream=$(readlink "/proc/$writer/fd/0")
	acks=$(readlink "/proc/$writer/fd/1")
	[[ $stream == pipe:* && $acks == pipe:* && $stream != "$acks" ]]
	ends() { find "/proc/$1/fd" -printf '%f %l\n' |
		sed "s/${stream//[][]/.}/stream/; s/${acks//[][]/.}/acks/
		    s|/.*/run/||" |
		grep -E ' (stream|acks|lock)$' | sort | tr '\n' , || :; }
	[[ $(ends "$reader") == "1 stream,5 acks," ]]
	[[ $(ends "$writer") == "0 stream,1 acks," ]]
	for tool in buffer-batch buffer-gc; do
		pid=$(stage "$tool")
		nothing ends "$pid"
	done
	[[ $(ends "$supervisor") == "9 lock," ]]
	stop_philotes
}

@test "kill -9 of each stage under load: restarted, nothing lost" {
	local tool pid i=1
	philotes init
	start_philotes
	for tool in pg-cdc-read buffer-write buffer-batch buffer-gc; do
		wait_for is_up "$tool" yes
		pid=$(stage "$tool")
		changes "$i" "$((i + 299))"
		kill -KILL "$pid"
		changes "$((i + 300))" "$((i + 599))"
		i=$((i + 600))
		wait_for logged "$tool was killed by signal 9" 1
	done
	wait_for buf_psql "SELECT max(total) FROM philotes.cdc_batches" 2400
	stop_philotes
	expect_code 0 verify "$out"
	[[ $output == "events 2400"* ]]
}

@test "a permanent code of the pair ends the run and is its exit code" {
	# no slot
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
	src_psql "CREATE PUBLICATION philotes_pub FOR TABLE t"
	child exec_philotes
	supervisor=$!
	await_philotes 69
	[[ $(logged 'error: could not go on with "pg-cdc-read"') == 1 ]]
}

buffered()
{
	buf_psql "SELECT count(*) FROM philotes.cdc_events"
}

@test "a handler that fails for good stops its unit, not the capture" {
	philotes init
	PHILOTES_HANDLER='exit 1' start_philotes
	changes 1 100
	wait_for logged 'could not go on with "buffer-batch": .* 69,' 1
	changes 101 200
	wait_for buffered "" 200
	[[ -n $(stage_now pg-cdc-read) && -n $(stage_now buffer-write) ]]
	[[ -n $(stage_now buffer-gc) && -z $(stage_now buffer-batch) ]]
	expect_code 1 philotes status
	[[ $output == *"buffer-batch: failed, exit 69"* ]]
	stop_philotes
	# the next run tries again
	PHILOTES_HANDLER="cat >>'$out'" start_philotes
	wait_for lines "$out" 200
	expect_code 0 philotes status
	stop_philotes
}

@test "71, 74 and 75 restart a unit, other codes stop it (stubs)" {
	local code
	stubs
	for code in 71 74 75; do
		stub buffer-gc "exit $code"
		start_philotes
		wait_for logged "restarting the gc unit in 1 s" 1
		stop_philotes
	done
	for code in 64 65 69 70 76 77 78; do
		stub buffer-gc "exit $code"
		start_philotes
		wait_for logged "could not go on with \"buffer-gc\": .* $code," 1
		wait_for stage_line buffer-gc "failed 0 1 exit $code"
		is_up buffer-batch
		stop_philotes
	done
	for code in 64 65 69 70 76 77 78; do
		stub pg-cdc-read "exit $code"
		child exec_philotes
		supervisor=$!
		await_philotes "$code"
		[[ $(logged "could not go on with \"pg-cdc-read\": .* $code,") == 1 ]]
	done
}

@test "the most permanent of the pair's codes counts (stubs)" {
	stubs
	stub pg-cdc-read 'cat <&5; exit 74'
	stub buffer-write 'exit 65'
	child exec_philotes
	supervisor=$!
	await_philotes 65
	[[ $(logged 'could not go on with "buffer-write"') == 1 ]]
	stub pg-cdc-read 'exit 76'
	stub buffer-write 'cat >/dev/null; exit 75'
	child exec_philotes
	supervisor=$!
	await_philotes 76
	[[ $(logged 'could not go on with "pg-cdc-read"') == 1 ]]
}

@test "each restart is delayed longer, and TERM cuts the delay short (stubs)" {
	local before=${EPOCHREALTIME/./}
	stubs
	stub pg-cdc-read 'exit 75'
	start_philotes
	wait_for logged "restarting the pair unit in 4 s" 1
	# a tenth of 1 s and of 2 s
	((${EPOCHREALTIME/./} - before >= 300000))
	[[ $(grep -o 'restarting the pair .*' "$log") == \
"restarting the pair unit in 1 s
restarting the pair unit in 2 s
restarting the pair unit in 4 s" ]]
	before=${EPOCHREALTIME/./}
	stop_philotes
	((${EPOCHREALTIME/./} - before < 1500000))
}

# hold COMMAND: makes it create COMMAND.begun and wait for COMMAND.go
hold()
{
	local real
	real=$(PATH=/usr/bin:/bin type -P "$1")
	cat >"$BATS_TEST_TMPDIR/path/$1" <<-EOF
	#!/bin/sh
	: >"$BATS_TEST_TMPDIR/$1.begun"
	until [ -e "$BATS_TEST_TMPDIR/$1.go" ]; do sleep 0.05; done
	exec $real "\$@"
	EOF
	chmod +x "$BATS_TEST_TMPDIR/path/$1"
}

begun()
{
	[[ ! -e $BATS_TEST_TMPDIR/$1.begun ]] || echo yes
}

@test "signals while the stages start stop the run with 0 (stubs)" {
	stubs
	hold setsid
	child exec_philotes
	supervisor=$!
	wait_for begun setsid yes
	kill -TERM "$supervisor"
	kill -HUP "$supervisor"
	touch "$BATS_TEST_TMPDIR/setsid.go"
	await_philotes 0
	[[ $(logged "did not end in") == 0 ]]
}

# Before exec the test's shell might lose the signal.
has_begun()
{
	! tr '\0' ' ' <"/proc/$1/cmdline" | grep -q '/philotes run' || echo yes
}

# The processes of the stubs.
left()
{
	grep -lsE "${PHILOTES_BIN%/bin}/[b]in/" /proc/[0-9]*/cmdline || :
}

@test "TERM at any moment ends the run with 0 and leaves no child (stubs)" {
	local i status
	stubs
	for i in 1 2 3 4 5 6 7 8; do
		: >"$log"
		child exec_philotes
		supervisor=$!
		wait_for has_begun "$supervisor" yes
		sleep "0.0$i"
		kill -TERM "$supervisor"
		status=0
		wait "$supervisor" || status=$?
		# 143: before it set its traps
		((status == 0 || (status == 143 && $(lines "$log") == 0)))
	done
	[[ -z $(left) ]]
}

# stage_line TOOL: state, restarts, failures and last of run/stages, where files
# that are being written end with .new
stage_line()
{
	find "$PHILOTES_STATE_DIR/run/stages" -type f ! -name '*.new' \
		-exec awk -F '\t' -v tool="$1" \
		'$1 == tool { print $2, $5, $6, $7 }' {} +
}

# The last end of a stage that waits for a restart and has failed each time.
last_end()
{
	stage_line "$1" | awk '$1 == "waiting" && $3 == $2 + 1 { print $4, $5 }'
}

@test "state, restarts and last end of each stage are recorded (stubs)" {
	stubs
	stub pg-cdc-read 'exit 75'
	stub buffer-gc 'kill -SEGV $$'
	start_philotes
	wait_for logged "restarting the (pair|gc) unit in 2 s" 2
	wait_for last_end pg-cdc-read "exit 75"
	wait_for last_end buffer-gc "signal 11"
	[[ $(stage_line buffer-batch) == "running 0 0 -" ]]
	[[ $(stage_line philotes) == "running 0 0 -" ]]
	stop_philotes
	[[ $(stage_line philotes) == "stopped 0 0 exit 0" ]]
	[[ $(stage_line buffer-batch) == "stopped 0 0 exit 0" ]]
	stub pg-cdc-read 'exit 69'
	child exec_philotes
	supervisor=$!
	await_philotes 69
	[[ $(stage_line philotes) == "failed 0 1 exit 69" ]]
	[[ $(stage_line pg-cdc-read) == "failed 0 1 exit 69" ]]
}

@test "a full disk or a lost run directory does not end a run (stubs)" {
	stubs
	mkdir -p "$PHILOTES_STATE_DIR/run/lock"
	expect_code 74 philotes run
	expect_error 'could not open ".*/run/lock"'
	rmdir "$PHILOTES_STATE_DIR/run/lock"
	touch "$BATS_TEST_TMPDIR/file"
	expect_code 74 env PHILOTES_STATE_DIR="$BATS_TEST_TMPDIR/file" philotes run
	expect_error "could not create \"$BATS_TEST_TMPDIR/file\": file exists"
	# writes to it fail, as on a full disk
	mknod "$PHILOTES_STATE_DIR/run/lock" c 1 7
	start_philotes
	[[ $(lines "$log") == 1 ]]
	stop_philotes
	rm "$PHILOTES_STATE_DIR/run/lock"
	start_philotes
	# the file of this name is there for a moment when a stage changes
	until mkdir "$PHILOTES_STATE_DIR/run/stages/gc.new" 2>/dev/null; do
		sleep 0.02
	done
	kill -KILL "$(stage buffer-gc)"
	# for each state: stopped, waiting, running
	wait_for logged 'could not write ".*/run/stages/gc"' 3
	wait_for is_up buffer-gc yes
	rm -rf "$PHILOTES_STATE_DIR/run"
	kill -KILL "$(stage pg-cdc-read)"
	wait_for logged "restarting the pair unit" 1
	wait_for is_up pg-cdc-read yes
	mkdir "$PHILOTES_STATE_DIR/run"
	kill -KILL "$(stage buffer-batch)"
	wait_for stage_line buffer-batch "running 1 1 signal 9"
	stop_philotes
}

@test "the run goes on when nobody reads its log any more" {
	philotes init
	mkfifo "$log.pipe"
	exec_unheard() { exec philotes run >>"$out" 2>"$log.pipe"; }
	child exec_unheard
	supervisor=$!
	grep -m 1 running <"$log.pipe"
	kill -KILL "$(stage buffer-gc)"
	changes 1 20
	wait_for lines "$out" 20
	wait_for is_up buffer-gc yes
	stop_philotes
}

@test "a run directory that is a link or another user's is refused (stubs)" {
	stubs
	mkdir -p "$PHILOTES_STATE_DIR/run"
	chown nobody "$PHILOTES_STATE_DIR/run"
	expect_code 77 philotes run
	expect_error 'it belongs to somebody else'
	rmdir "$PHILOTES_STATE_DIR/run"
	ln -s /tmp "$PHILOTES_STATE_DIR/run"
	expect_code 77 philotes run
	expect_error 'it is a symbolic link'
}

@test "kill -9 while the stages start leaves none behind (stubs)" {
	local i left=0 seed=$RANDOM
	echo "seed $seed"
	RANDOM=$seed
	stubs
	for i in {1..12}; do
		child exec_philotes
		supervisor=$!
		printf -v i '0.%03d' "$((RANDOM % 150))"
		sleep "$i"
		kill -KILL "$supervisor"
		wait "$supervisor" || :
	done
	wait_for left "" ""
}

@test "after a minute of running the delay is the shortest again (stubs)" {
	# shellcheck disable=SC2317,SC2034 # used by what is sourced
	delays()
	{
		. "$root/scripts/lib/unit.sh"
		. "$root/scripts/lib/stages.sh"
		log() { :; }
		ends_within() { echo "$1"; false; }
		seconds_up
		delay=16 since=$REPLY unit=gc watcher=1
		pause
		pause
		pause
		since=$((since - 60))
		pause
		pause
	}
	[[ $(delays) == $'16\n32\n60\n1\n1' ]]
}

@test "a stage that ignores TERM is killed after 10 s (stubs)" {
	stubs
	hasten 10
	stub buffer-gc 'trap "" TERM; sleep 100 & wait; wait'
	start_philotes
	stop_philotes
	[[ $(logged "buffer-gc did not end in 10 s, killing it") == 1 ]]
	[[ $(logged "buffer-gc was killed by signal 9") == 1 ]]
}

ended()
{
	! grep -qs '^State:.[^Z]' "/proc/$1/status" || return 1
	echo yes
}

traced()
{
	! grep -qx 'TracerPid:.*[1-9].*' "/proc/$1/status" || echo yes
}

# parent PID
parent()
{
	awk '$1 == "PPid:" { print $2 }' "/proc/$1/status"
}

# slow_wait PID: delays the return of its wait4(2) when that has reaped a child
slow_wait()
{
	child strace -qq -o "$BATS_TEST_TMPDIR/trace" -p "$1" -e wait4 \
		-e inject=wait4:delay_exit=300000
	tracer=$!
	wait_for traced "$1" yes
}

@test "a signal and a child's end in the same moment: neither is lost (stubs)" {
	local gc unit tracer
	stubs
	start_philotes
	gc=$(stage buffer-gc)
	unit=$(parent "$gc")
	slow_wait "$unit"
	kill -KILL "$gc"
	wait_gone "$gc"
	kill -TERM "$unit" "$supervisor"
	kill -TERM "$tracer"
	wait_for ended "$supervisor" yes
	await_philotes 0
	[[ $(logged "buffer-gc was killed by signal 9") == 1 ]]
	# nor by the run itself, when the pair ends
	stub pg-cdc-read 'kill -STOP $$; exit 69'
	start_philotes
	slow_wait "$supervisor"
	kill -CONT "$(stage pg-cdc-read)"
	wait_for logged 'could not go on with "pg-cdc-read"' 1
	sleep 0.1
	kill -TERM "$supervisor"
	kill -TERM "$tracer"
	wait_for ended "$supervisor" yes
}

# The first child of a unit's loop: it waits for the end of the loop's input.
watcher()
{
	cut -d ' ' -f 1 "/proc/$1/task/$1/children"
}

@test "kill -9 of a unit's loop or its watcher restarts it, or ends the run (stubs)" {
	local stage unit
	stubs
	start_philotes
	for stage in buffer-batch pg-cdc-read; do
		unit=$(parent "$(stage "$stage")")
		kill -KILL "$unit"
		wait_for logged "the loop of the .* unit was killed" 1
		: >"$log"
		wait_for is_up "$stage" yes
		unit=$(parent "$(stage "$stage")")
		kill -KILL "$(watcher "$unit")"
		wait_for logged "the loop of the .* unit was killed" 1
		wait_gone "$unit"
		refute grep -av ' philotes: ' "$log"
		: >"$log"
		wait_for is_up "$stage" yes
	done
	stop_philotes
	start_philotes
	unit=$(parent "$(parent "$(stage pg-cdc-read)")")
	kill -KILL "$unit"
	await_philotes 75
	[[ $(logged 'error: could not go on with "pair": its process was') == 1 ]]
	wait_for left "" ""
}

@test "one run per state directory and source; others are told which (stubs)" {
	stubs
	start_philotes
	expect_code 75 philotes run
	expect_error "held by process $supervisor\$"
	# from another state directory; the first run does not notice
	PHILOTES_STATE_DIR=$BATS_TEST_TMPDIR/other expect_code 75 philotes run
	expect_error "read \"$PHILOTES_SLOT\": process $supervisor, from \"$PHILOTES_STATE_DIR\", already reads it"
	expect_code 78 env "PHILOTES_STATE_DIR=$BATS_TEST_TMPDIR/other" \
		PHILOTES_SLOT=another PHILOTES_BUFFER_URL=embedded philotes run
	[[ $(lines "$log") == 1 ]]
	grep -q "from \"$PHILOTES_STATE_DIR\"" "/dev/shm/philotes-$EUID"/*
	stop_philotes
	# the file of the lock is removed, and the next run makes its own
	run grep -ls "from \"$PHILOTES_STATE_DIR\"" "/dev/shm/philotes-$EUID"/*
	[[ -z $output ]]
	start_philotes
	expect_code 75 env "PHILOTES_STATE_DIR=$BATS_TEST_TMPDIR/other" philotes run
	stop_philotes
}

@test "kill -9 of the run: its stages end, the next run goes on" {
	local reader batch
	philotes init
	start_philotes
	changes 1 100
	wait_for lines "$out" 100
	reader=$(stage pg-cdc-read) batch=$(stage buffer-batch)
	kill -KILL "$supervisor"
	wait "$supervisor" || :
	wait_gone "$reader"
	wait_gone "$batch"
	changes 101 200
	start_philotes
	wait_for lines "$out" 200
	stop_philotes
	expect_code 0 verify "$out"
}

@test "the embedded buffer runs when the pipeline does" {
	local data=$PHILOTES_STATE_DIR/buffer
	export PHILOTES_BUFFER_URL=embedded
	philotes init
	[[ ! -e $data/postmaster.pid ]]
	start_philotes
	changes 1 100
	wait_for lines "$out" 100
	[[ $(stat -c %a "$data" "$PHILOTES_STATE_DIR/run") == $'700\n700' ]]
	# init beside a run leaves the server running
	philotes init
	cluster_running "$data"
	stop_philotes
	[[ ! -e $data/postmaster.pid ]]
	expect_code 0 verify "$out"
}

has_logged()
{
	! grep -q "$1" "$log" || echo yes
}

@test "a killed embedded server is restarted, one left running is adopted" {
	local data=$PHILOTES_STATE_DIR/buffer
	export PHILOTES_BUFFER_URL=embedded
	philotes init
	start_philotes
	changes 1 100
	wait_for lines "$out" 100
	kill -KILL "$(head -n 1 "$data/postmaster.pid")"
	changes 101 150
	wait_for lines "$out" 150 40
	mv "$data" "$data.away"
	kill -KILL "$(head -n 1 "$data.away/postmaster.pid")"
	wait_for has_logged "could not start \"$data\": see server.log" yes
	mv "$data.away" "$data"
	changes 151 200
	wait_for lines "$out" 200 40
	kill -KILL "$supervisor"
	wait "$supervisor" || :
	cluster_running "$data"
	changes 201 300
	start_philotes
	wait_for lines "$out" 300
	stop_philotes
	[[ ! -e $data/postmaster.pid ]]
	expect_code 0 verify "$out"
}

@test "the run goes on after the source was killed and started again" {
	philotes init
	start_philotes
	changes 1 100
	wait_for lines "$out" 100
	kill_server src
	start_server src
	changes 101 200
	wait_for lines "$out" 200 40
	stop_philotes
	expect_code 0 verify "$out"
}
