# Functions for tests of `philotes run`, on top of helper.bash.  The test sets
# $log and $out, the files of the run's log and output; $supervisor is its pid.
# shellcheck shell=bash disable=SC2154 # set by the file and by helper.bash

# Empties the log first: that of an earlier run says "running", too.
start_philotes()
{
	: >"$log"
	child exec_philotes
	supervisor=$!
	wait_for logged running 1
}

exec_philotes()
{
	exec philotes run >>"$out" 2>"$log"
}

# The number of lines of the log that match.
logged()
{
	grep -cE "$1" "$log" || :
}

# Counts redelivered lines, which a killed buffer may cause, once.
lines()
{
	sort -u "$1" | grep -c . || :
}

# The pid of a stage; waits until it has begun.
stage()
{
	wait_for is_up "$1" yes >&2 && stage_now "$1"
}

# The pid of a stage, or nothing.
stage_now()
{
	local pid
	for pid in $(descendants "$supervisor"); do
		! grep -qsx "$1" "/proc/$pid/comm" || echo "$pid"
	done
}

descendants()
{
	local pid pids=()
	read -r -d '' -a pids <"/proc/$1/task/$1/children" 2>/dev/null || :
	for pid in "${pids[@]}"; do
		echo "$pid"
		descendants "$pid"
	done
}

is_up()
{
	[[ -z $(stage_now "$1") ]] || echo yes
}

stop_philotes()
{
	kill -TERM "$supervisor"
	await_philotes 0
}

await_philotes()
{
	local status=0
	wait "$supervisor" || status=$?
	((status == $1))
}

gone()
{
	! kill -0 "$1" 2>/dev/null
}

wait_gone()
{
	local deadline=$((SECONDS + 15))
	until gone "$1"; do
		((SECONDS < deadline))
		sleep 0.05
	done
}

# stub NAME SCRIPT: replaces a tool
stub()
{
	printf '#!/bin/sh\n%s\n' "$2" >"$PHILOTES_BIN/$1"
	chmod +x "$PHILOTES_BIN/$1"
}

# Replaces the tools by stubs that do nothing until SIGTERM or end of file.
stubs()
{
	local tool
	export PHILOTES_BIN=$BATS_TEST_TMPDIR/bin
	mkdir "$PHILOTES_BIN"
	stub pg-cdc-read 'cat <&5 >/dev/null & trap "exit 0" TERM; wait'
	stub buffer-write 'exec cat'
	for tool in buffer-batch buffer-gc; do
		stub "$tool" 'sleep 100 & trap "kill $!; exit 0" TERM; wait'
	done
}

# hasten [LONGEST]: puts a sleep(1) into PATH that takes a tenth of 1 to 9 s, the
# delays before restarts.  With LONGEST 10 the time for a stage to stop, too.
hasten()
{
	local longest=${1-9}
	mkdir -p "$BATS_TEST_TMPDIR/path"
	cat >"$BATS_TEST_TMPDIR/path/sleep" <<-EOF
	#!/bin/sh
	case \$1 in
	[1-9]) set -- "0.\$1" ;;
	$longest) set -- 1 ;;
	esac
	exec $(PATH=/usr/bin:/bin type -P sleep) "\$1"
	EOF
	chmod +x "$BATS_TEST_TMPDIR/path/sleep"
	PATH=$BATS_TEST_TMPDIR/path:$PATH
}

changes()
{
	src_psql "INSERT INTO t SELECT n, n FROM generate_series($1, $2) n"
}
