# Waiting: what is not there after 5 s is said, what is not there after the
# limit, PHILOTES_SERVER_TIMEOUT as the tools have it, is given up.
#
#   bounded COMMAND ...          psql, by psql_on (cluster.sh), whose $conninfo
#                                it finds; with $psql_slow it is enough that
#                                the server answers another session
#   lock_patiently FD S FILE     flock within S seconds
#
# Descriptor 12 is our standard error.

# In seconds; 0: none.
server_limit()
{
	local text=${PHILOTES_SERVER_TIMEOUT:-60s}
	parse_duration "$text" ||
		die 78 use "PHILOTES_SERVER_TIMEOUT=$text" \
			"not a duration such as 5s, 1h30m or 168h"
}

# A child that says so after 5 s, in $watcher, on descriptor 12: standard error
# may be our caller's.  No sleep(1), which would outlive it.
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

# The command, for as long as another session is answered from time to time.
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
