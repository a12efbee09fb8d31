#!/usr/bin/env bats
# A pipeline under `philotes run` with a served handler of share/handlers, beside
# changes of rows and of the schema, in which handler, buffer-batch and
# supervisor are killed at random, KILLS times (30).  SEED repeats the choice.

load ../helper
load ../handlers
load ../pypi/pypi

setup()
{
	databases_up
	seed=${SEED:-$((RANDOM % 10000))}
	RANDOM=$seed
	echo "# seed $seed" >&3
}

teardown()
{
	kill_children
	remove_locks
	[[ -z ${mirror-} ]] ||
		server_psql buf "DROP DATABASE m$BATS_TEST_NUMBER WITH (FORCE)"
	databases_down
}

# Where the lock of a killed run is taken, the next one gives up.
run_again()
{
	while [[ ! -e $BATS_TEST_TMPDIR/over ]]; do
		philotes run || :
	done >/dev/null 2>>"$BATS_TEST_TMPDIR/run.log" 3>&-
}

# pids_of NAME ARGUMENT: our processes of this name with this argument
pids_of()
{
	local pid
	for pid in $(pgrep -x "$1"); do
		if tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" |
			grep -q "$2" && tr '\0' '\n' 2>/dev/null \
			<"/proc/$pid/environ" |
			grep -qx "PHILOTES_STATE_DIR=$PHILOTES_STATE_DIR"; then
			echo "$pid"
		fi
	done
}

strike()
{
	local pids
	case $((RANDOM % 3)) in
	0) pids=$(pids_of python3 "share/handlers/") ;;
	1) pids=$(pids_of buffer-batch "buffer-batch") ;;
	2) pids=$(pids_of bash "/philotes$") ;;
	esac
	[[ -n $pids ]] || return 1
	# shellcheck disable=SC2086 # a list
	kill -KILL $pids 2>/dev/null
}

changes()
{
	until [[ -e $BATS_TEST_TMPDIR/over ]]; do
		src_psql "UPDATE orders SET status = md5(random()::text)
		    WHERE id % 97 = (random() * 96)::int;
		    UPDATE documents SET rev = rev + 1 WHERE id % 3 = 0;
		    DELETE FROM lines WHERE order_id = (random() * 100)::int;
		    INSERT INTO lines SELECT (random() * 100)::int, n, n, true
		    FROM generate_series(10, 12) n ON CONFLICT DO NOTHING"
	done
}

# torture HANDLER ...: the last kill is followed by a delivery of the rest
torture()
{
	local kills=0 deadline=$((SECONDS + 900))
	src_psql "CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	expect_code 0 pg-cdc-read --create
	PHILOTES_HANDLER=$(printf '%q ' "$@")
	export PHILOTES_HANDLER PHILOTES_HANDLER_MODE=serve
	export PHILOTES_BUFFER_BATCH_SIZE=${BATCH_SIZE:-200}
	child run_again
	psql_on "$PHILOTES_SOURCE_URL" -v n=500 -f "$root/tests/handlers.sql"
	src_psql "DROP TABLE keyless"
	child changes
	expect_code 0 pg-cdc-read --snapshot all
	while ((kills < ${KILLS:-30})); do
		((SECONDS < deadline))
		sleep "$((RANDOM % 2)).$((RANDOM % 10))"
		! strike || kills=$((kills + 1))
	done
	touch "$BATS_TEST_TMPDIR/over"
	wait "${children[1]}"
	pids_of bash "/philotes$" | xargs -r kill -TERM
	wait "${children[0]}"
	remove_locks
	catch_up --until snapshot
	catch_up
	expect_code 0 buffer-batch --once --serve --batch-size 1000 -- "$@"
	echo "# $kills kills, $(buf_psql "SELECT max(total), count(*)
	    FROM philotes.cdc_batches") events and batches" >&3
}

@test "share/handlers/postgres" {
	needs_psycopg
	mirror_up
	torture "$handlers/postgres" "$mirror"
	mirrored
}

@test "share/handlers/duckdb" {
	[[ -n $venv ]] || skip "the packages of requirements.txt cannot be had"
	PATH=$venv/bin:$PATH
	torture "$handlers/duckdb" "$BATS_TEST_TMPDIR/mirror.duckdb"
	same duckdb "$BATS_TEST_TMPDIR/mirror.duckdb"
}

@test "share/handlers/iceberg" {
	[[ -n $venv ]] || skip "the packages of requirements.txt cannot be had"
	PATH=$venv/bin:$PATH
	lake_up
	BATCH_SIZE=5000 torture "$handlers/iceberg" lake
	same iceberg lake
}
