# Bounded waits: a warning after 5 s, and an error after the time of
# PHILOTES_SERVER_TIMEOUT.
#
#   bounded COMMAND ...          runs psql for psql_on (cluster.sh), with its
#                                $conninfo; if $psql_slow is set, psql may take
#                                longer while the server answers other sessions
#   lock_patiently FD S FILE     flock within S seconds
#
# Descriptor 12 is our standard error.

# Leaves the limit in REPLY, in seconds; 0: none.
server_limit()
{
	local text=${PHILOTES_SERVER_TIMEOUT:-60s}
	parse_duration "$text" ||
		die 78 use "PHILOTES_SERVER_TIMEOUT=$text" \
			"not a duration such as 5s, 1h30m or 7d"
}

# Starts $watcher, a child that warns after 5 s.  It writes to descriptor 12, as
# the caller may capture standard error, and waits by reading a silent pipe, as
# a sleep(1) would outlive it.
watch_wait()
{
	{
		exec 3<> <(:)
		read -r -t 5 -u 3 || log warning "waiting for $1" 2>&12
	} >/dev/null 2>&1 &
	watcher=$!
}

unwatch()
{
	kill "$watcher" 2>/dev/null || :
	wait "$watcher" 2>/dev/null || :
}

# Runs a command until it ends or the server does not answer another session.
while_answered()
{
	local pid status=0
	"$@" <&0 &
	pid=$!
	until timeout "$limit" tail -s 0.1 --pid="$pid" -f /dev/null; do
		psql_by=(timeout "$limit") psql_slow=''
		if ! psql_on "$conninfo" -c "SELECT 1" >/dev/null 2>&1; then
			kill "$pid"
			wait "$pid" 2>/dev/null || :
			return 124
		fi
	done
	wait "$pid" || status=$?
	return "$status"
}

bounded()
{
	local who=buffer status=0 limit watcher REPLY psql_by=()
	local -x PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT-}
	[[ $conninfo != "${PHILOTES_SOURCE_URL-}" ]] || who=source
	server_limit
	limit=$REPLY
	[[ -n $PGCONNECT_TIMEOUT ]] ||
		PGCONNECT_TIMEOUT=$((limit > 0 && limit < 30 ? limit : 30))
	watch_wait "the $who to answer"
	if [[ -n ${psql_slow-} ]]; then
		while_answered "$@" || status=$?
	else
		timeout --foreground "$limit" "$@" || status=$?
	fi
	unwatch
	((status != 124)) ||
		echo "psql: error: the $who has not answered for $limit s" >&2
	return "$status"
}

lock_patiently()
{
	local watcher status=0
	watch_wait "the lock of \"$3\""
	flock -w "$2" "$1" || status=$?
	unwatch
	return "$status"
}
