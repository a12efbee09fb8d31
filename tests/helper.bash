# What the bats files share.  `load helper` gives each file a source and a
# buffer cluster of its own, on unix sockets below BATS_FILE_TMPDIR, and each
# test a database in both, with the buffer's schema in place and
# PHILOTES_SOURCE_URL, PHILOTES_BUFFER_URL, PHILOTES_SLOT and PHILOTES_STATE_DIR
# set.  The tools and the scripts are in PATH.  A file may define its own
# setup_file, setup, teardown and teardown_file in terms of these:
#
#   clusters_up [NAME=VALUE ...]   starts both clusters, with these settings
#   clusters_down                  stops and removes them
#   databases_up                   makes the databases of this test
#   databases_down                 drops them and their slots
#
#   src_psql SQL, buf_psql SQL     run SQL in the test's database; print a|b
#   wait_for COMMAND ARG VALUE [S] polls until `COMMAND ARG` prints VALUE
#   child COMMAND ...              runs it in the background, pid in $!; kills it
#                                  at the end of the test if still there
#   expect_code N COMMAND ...      runs it, demands this exit code; sets $output
#                                  and $stderr
#   expect_error REGEX             demands that $stderr has exactly one error
#                                  line, and that this line matches
#   refute COMMAND ...             demands that it fails, which `!` alone does
#                                  not; a command that cannot be run has not
#                                  failed, nor has a grep or a diff that cannot
#                                  read its files
#   nothing COMMAND ...            demands that it succeeds and prints nothing
#   since N WHAT                   skips the test if the server is older than N
#   needs_client NAME              skips the test if this PostgreSQL client is
#                                  older than the server, which it then refuses
#   start_pipeline [OPTION ...]    pg-cdc-read | buffer-write, as $reader and
#                                  $writer; the options are the reader's
#   stop_pipeline                  SIGTERM to the reader, then await_pipeline
#   await_pipeline                 sets $reader_code and $writer_code
#   remove_locks                   removes the lock that a killed run has left
#   kill_server src|buf            kill -9 of the postmaster; waits until its
#                                  children have ended
#   start_server src|buf
#   stop_server src|buf [MODE]
# shellcheck shell=bash

bats_require_minimum_version 1.5.0

root=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
PHILOTES_BIN=${PHILOTES_BIN:-$root/bin}
export PHILOTES_BIN PATH=$PHILOTES_BIN:$PATH:$root/scripts LC_ALL=C.UTF-8
# A test that is about other things sees no rows but its own.
export PHILOTES_SNAPSHOT=never PHILOTES_NEW_TABLES=ignore

# shellcheck source=SCRIPTDIR/../scripts/cluster.sh
. "$root/scripts/cluster.sh"

# Clusters

# new_cluster DIR SETTING ...: as cluster_create, from the files that scripts/test
# has made once for all.
new_cluster()
{
	local made=${TEST_CLUSTERS-}/${1##*/}
	[[ -d $made ]] || {
		cluster_create "$@"
		return $?
	}
	cp -a "$made" "$1" && cluster_set "$@"
}

clusters_up()
{
	local fast=(fsync=off shared_buffers=16MB) name
	pg_unset
	# bats makes these for root alone; the server's user must get through
	chmod a+x "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR"
	new_cluster "$BATS_FILE_TMPDIR/src" "${fast[@]}" wal_level=logical \
		max_replication_slots=50 max_wal_senders=50 "$@" &
	new_cluster "$BATS_FILE_TMPDIR/buf" "${fast[@]}" "$@"
	wait $!
	for name in src buf; do
		cluster_start "$BATS_FILE_TMPDIR/$name"
	done
}

clusters_down()
{
	cluster_remove "$BATS_FILE_TMPDIR/src"
	cluster_remove "$BATS_FILE_TMPDIR/buf"
}

server_pid()
{
	head -n 1 "$BATS_FILE_TMPDIR/$1/postmaster.pid"
}

# The children of a killed postmaster end by themselves, but a little later;
# until then a new postmaster refuses to start.
kill_server()
{
	local pid children
	pid=$(server_pid "$1")
	children=$(cat "/proc/$pid/task/$pid/children")
	kill -KILL "$pid"
	for pid in $pid $children; do
		while grep -qs '^State:.[^Z]' "/proc/$pid/status"; do
			sleep 0.05
		done
	done
}

start_server()
{
	cluster_start "$BATS_FILE_TMPDIR/$1"
}

stop_server()
{
	cluster_stop "$BATS_FILE_TMPDIR/$1" "${2:-fast}"
}

# Databases

server_psql()
{
	psql_on "$(cluster_url "$BATS_FILE_TMPDIR/$1")" -At -c "$2"
}

databases_up()
{
	local name=t$BATS_TEST_NUMBER
	children=()
	server_psql src "CREATE DATABASE $name"
	server_psql buf "CREATE DATABASE $name"
	PHILOTES_SOURCE_URL=$(cluster_url "$BATS_FILE_TMPDIR/src" "$name")
	PHILOTES_BUFFER_URL=$(cluster_url "$BATS_FILE_TMPDIR/buf" "$name")
	export PHILOTES_SLOT=$name PHILOTES_SOURCE_URL PHILOTES_BUFFER_URL
	export PHILOTES_STATE_DIR=$BATS_TEST_TMPDIR/state
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
}

databases_down()
{
	local name=t$BATS_TEST_NUMBER
	start_server src
	start_server buf
	server_psql src "SELECT pg_terminate_backend(active_pid, 5000)
	    FROM pg_replication_slots WHERE database = '$name' AND active" \
		>/dev/null
	server_psql src "SELECT pg_drop_replication_slot(slot_name)
	    FROM pg_replication_slots WHERE database = '$name'" >/dev/null
	server_psql src "DROP DATABASE $name WITH (FORCE)"
	server_psql buf "DROP DATABASE $name WITH (FORCE)"
}

src_psql()
{
	psql_on "$PHILOTES_SOURCE_URL" -At -c "$1"
}

buf_psql()
{
	psql_on "$PHILOTES_BUFFER_URL" -At -c "$1"
}

# The pauses grow: a poll is a process or two, and other tests run beside it.
wait_for()
{
	local found='' pause ms=20 deadline=$((SECONDS + ${4:-20}))
	while ((SECONDS < deadline)); do
		found=$("$1" "$2" 2>&1) || :
		[[ $found != "$3" ]] || return 0
		printf -v pause "0.%03d" "$ms"
		sleep "$pause"
		ms=$((ms < 150 ? ms * 3 / 2 : 150))
	done
	echo "waited for: $1 $2"
	echo "to print:   $3"
	echo "found:      $found"
	return 1
}

# Processes

# bats waits until no process has descriptor 3 open.
child()
{
	"$@" 3>&- <&0 &
	children+=($!)
}

kill_children()
{
	local pid
	for pid in "${children[@]}"; do
		# the pid of a child that was waited for may belong to another
		# process
		! grep -qsx "PPid:[[:space:]]*$BASHPID" "/proc/$pid/status" ||
			kill -KILL "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
	children=()
}

# A killed `philotes run` leaves its lock of the source.
remove_locks()
{
	local dir=/dev/shm/philotes-$EUID
	grep -ls "from \"$BATS_TEST_TMPDIR/" "$dir"/* | xargs -r rm -f
	rmdir "$dir" 2>/dev/null || :
}

expect_code()
{
	local code=$1 status=0
	shift
	"$@" >"$BATS_TEST_TMPDIR/stdout" 2>"$BATS_TEST_TMPDIR/stderr" 3>&- ||
		status=$?
	output=$(tr -d '\0' <"$BATS_TEST_TMPDIR/stdout")
	stderr=$(tr -d '\0' <"$BATS_TEST_TMPDIR/stderr")
	((status != code)) || return 0
	printf '%s\nexit code %s, not %s\nstdout:\n%s\nstderr:\n%s\n' \
		"$*" "$status" "$code" "$output" "$stderr"
	return 1
}

refute()
{
	local status=0
	"$@" || status=$?
	case $1 in
	grep | diff | cmp) ((status == 1)) ;;
	*) ((status != 0 && status != 126 && status != 127)) ;;
	esac || {
		echo "status $status of: $*"
		return 1
	}
}

nothing()
{
	local said status=0
	said=$("$@") || status=$?
	[[ -z $said && $status -eq 0 ]] || {
		printf 'status %s of: %s\nprinted: %s\n' "$status" "$*" "$said"
		return 1
	}
}

since()
{
	local version
	version=$(pg_version)
	((${version%%[!0-9]*} >= $1)) || skip "$2 came with PostgreSQL $1"
}

client_is_fit()
{
	local client server
	client=$("$(pg_bin "$1")" --version)
	client=${client#*) }
	server=$(pg_version)
	((${client%%[!0-9]*} >= ${server%%[!0-9]*}))
}

needs_client()
{
	client_is_fit "$1" || skip "$1 is older than the server"
}

expect_error()
{
	local errors
	errors=$(grep ': error: ' <<<"$stderr") || :
	[[ $errors =~ $1 && $errors != *$'\n'* ]] || {
		printf 'expected one error line: %s\nstderr:\n%s\n' \
			"$1" "$stderr"
		return 1
	}
}

# As typed: the shell opens both FIFOs, and each open waits for the other side.
start_pipeline()
{
	local dir=$BATS_TEST_TMPDIR
	rm -f "$dir/stream" "$dir/acks"
	mkfifo "$dir/stream" "$dir/acks"
	child pipeline_reader "$@"
	reader=$!
	child pipeline_writer
	writer=$!
}

pipeline_reader()
{
	exec pg-cdc-read --ack "$BATS_TEST_TMPDIR/acks" "$@" \
		>"$BATS_TEST_TMPDIR/stream" 2>>"$BATS_TEST_TMPDIR/reader.log"
}

pipeline_writer()
{
	exec buffer-write <"$BATS_TEST_TMPDIR/stream" \
		>"$BATS_TEST_TMPDIR/acks" 2>>"$BATS_TEST_TMPDIR/writer.log"
}

# shellcheck disable=SC2034 # for the tests
await_pipeline()
{
	reader_code=0 writer_code=0
	wait "$reader" || reader_code=$?
	wait "$writer" || writer_code=$?
}

stop_pipeline()
{
	kill -TERM "$reader"
	await_pipeline
}

# The defaults, for a file that does not define these functions.

setup_file()
{
	clusters_up "$@"
}

teardown_file()
{
	clusters_down
}

setup()
{
	databases_up
}

teardown()
{
	kill_children
	databases_down
}
