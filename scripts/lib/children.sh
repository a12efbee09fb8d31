# The children of `philotes run`.
#
# Whatever we wait for is a child: a stage of the pipeline, or a timer, which
# is a sleep(1); or a signal, whose trap sets `signalled`.
#
#   spawn NAME COMMAND ...  starts it
#   timer NAME SECONDS      a child that ends after this time
#   alive NAME              is there one of that name?
#   cancel NAME             ends it, without child_ended
#   attend                  to the end of the last; calls child_ended NAME
#                           STATUS for each, and signal_came for signals,
#                           which the user of this defines

declare -A name_of=() pid_of=()

# What a child need not know leaves the environment: of the two databases each
# stage has one, unless it finds it by libpq's variables alone.
hide_secrets()
{
	local name
	hidden=()
	case $1 in
	reader)
		[[ -z ${PHILOTES_SOURCE_URL-} ]] ||
			hidden=(-u PHILOTES_BUFFER_URL)
		;;
	writer | batch | gc)
		[[ -z ${PHILOTES_BUFFER_URL-} ]] ||
			hidden=(-u PHILOTES_SOURCE_URL)
		;;
	*)
		for name in PHILOTES_SOURCE_URL PHILOTES_BUFFER_URL "${!PG@}"; do
			hidden+=(-u "$name")
		done
		;;
	esac
}

# A session of its own: a terminal's Ctrl-C is for us alone, who stop things in
# order; and if we are killed, the child is told to stop, or does not begin if
# that came before it had asked to be told.  For a shell's `&` SIGINT is
# ignored, which no handler expects, and we ignore SIGPIPE.  Descriptors 9 and
# 10 are locks, which must go with us.
spawn()
{
	local name=$1 hidden
	shift
	hide_secrets "$name"
	# shellcheck disable=SC2016 # expanded by that shell
	env --default-signal=INT,QUIT,PIPE "${hidden[@]}" \
		setsid setpriv --pdeathsig TERM -- \
		sh -c '[ "$PPID" -ne "$0" ] || exec "$@"; exit 75' "$$" "$@" \
		<&0 9>&- 10>&- &
	pid_of[$name]=$!
	name_of[$!]=$name
}

alive()
{
	[[ -n ${pid_of[$1]-} ]]
}

timer()
{
	spawn "$1" sleep "$2" </dev/null >/dev/null
}

forget()
{
	unset "name_of[${pid_of[$1]}]" "pid_of[$1]"
}

cancel()
{
	alive "$1" || return 0
	kill -TERM "${pid_of[$1]}" 2>/dev/null || :
	forget "$1"
}

# Passes on what children have ended; false: none.
sweep()
{
	local pid name status found=1
	for pid in "${!name_of[@]}"; do
		name=${name_of[$pid]-} status=0
		if [[ -z $name ]] || kill -0 "$pid" 2>/dev/null; then
			continue
		fi
		wait "$pid" 2>/dev/null || status=$?
		forget "$name"
		child_ended "$name" "$status"
		found=0
	done
	return "$found"
}

# `wait -n` knows nothing of a child that ended, nor of a signal that came, just
# before it: so it never waits for long.
attend()
{
	local tick=''
	while ((${#name_of[@]} > 0)); do
		if [[ -n $signalled ]]; then
			signalled=''
			signal_came
		fi
		sweep && continue
		if [[ -z $tick ]] || ! kill -0 "$tick" 2>/dev/null; then
			(
				unset "${!PHILOTES_@}" "${!PG@}"
				exec sleep 1 >/dev/null 2>&1 9>&- 10>&-
			) &
			tick=$!
		fi
		wait -n 2>/dev/null || :
	done
	[[ -z $tick ]] || kill "$tick" 2>/dev/null || :
}
