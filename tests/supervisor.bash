# What tests of `philotes run` share, on top of helper.bash.  A file that loads it
# has the log of the run in $log, its output in $out, and its pid in
# $supervisor.
# shellcheck shell=bash disable=SC2154 # set by the file and by helper.bash

# The log of the run before, which says "running" too, goes first.
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

# How many lines of the log match?
logged()
{
	grep -cE "$1" "$log" || :
}

# Without redeliveries, which a killed buffer may cause.
lines()
{
	sort -u "$1" | grep -c . || :
}

# The pid of a stage; one that begins has not its name at once.
stage()
{
	wait_for is_up "$1" yes >&2 && stage_now "$1"
}

# ... or nothing.
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

# stub NAME SCRIPT: in place of a tool
stub()
{
	printf '#!/bin/sh\n%s\n' "$2" >"$PHILOTES_BIN/$1"
	chmod +x "$PHILOTES_BIN/$1"
}

# Tools that do nothing until they are told to stop.
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

# A sleep(1), by which `philotes run` waits for restarts and for stages to stop,
# that takes a tenth of the time: up to 9 s, so the stages have all of theirs,
# or up to 10 s.
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
