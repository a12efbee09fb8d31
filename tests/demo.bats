#!/usr/bin/env bats
# scripts/demo: it proves what it promises, and leaves nothing behind.
# shellcheck source=SCRIPTDIR/helper.bash
load helper

setup_file()
{
	chmod a+x "$BATS_RUN_TMPDIR"
	pg_unset
}

setup()
{
	# shellcheck disable=SC2034 # used by helper.bash
	children=()
	export TMPDIR=$BATS_TEST_TMPDIR/tmp
	mkdir "$TMPDIR"
	said=$BATS_TEST_TMPDIR/said
}

teardown()
{
	kill_children
}

teardown_file()
{
	:
}

# As from a terminal: in its own process group, with SIGINT not ignored.
start_demo()
{
	child exec_demo
	demo=$!
}

exec_demo()
{
	exec setsid env --default-signal=INT demo >"$said" 2>&1
}


nothing_is_left()
{
	[[ -z $(ls -A "$TMPDIR") ]]
	run ! grep -ls "${TMPDIR/#\/tmp/\/[t]mp}/philotes-demo" \
		/proc/[0-9]*/cmdline /proc/[0-9]*/environ
}

# interrupt SIGNAL STATUS [PATTERN]: sends the signal once the output matches
interrupt()
{
	local status=0
	start_demo
	[[ -z ${3-} ]] || wait_for heard_once "$3" yes 60
	kill "-$1" -- "-$demo"
	wait "$demo" || status=$?
	((status == $2)) || cat "$said"
	((status == $2))
	nothing_is_left
}

heard_once()
{
	! grep -qE "$1" "$said" || echo yes
}

@test "three seconds of the demo: nothing lost, nothing duplicated, nothing left behind" {
	expect_code 0 env DEMO_SECONDS=3 demo
	[[ $output =~ lost\ +0$'\n' && $output =~ duplicated\ +0$'\n' ]]
	[[ $(awk '$1 == "events" { print ($2 > 100000) }' <<<"$output") == 1 ]]
	[[ $(awk '$2 == "rows" && $3 == "copied" { n = $1 } END { print (n >= 100011) }' \
		<<<"$output") == 1 ]]
	nothing_is_left
}

@test "Ctrl-C during the start leaves nothing behind" {
	interrupt INT 130 "^Starting"
}

@test "Ctrl-C under load leaves nothing behind" {
	interrupt INT 130 "[1-9][0-9]* processed"
}

@test "SIGTERM while rows are copied leaves nothing behind" {
	interrupt TERM 143 "^Copying"
}

@test "a load that fails is reported, and leaves nothing behind" {
	DEMO_CLIENTS=none expect_code 1 demo
	[[ $stderr == *"demo: error: pgbench"* ]]
	nothing_is_left
}
