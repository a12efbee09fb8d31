# The children of `philotes run`.
#
# Whatever we wait for is a child: a stage of the pipeline, or a timer, which
# is a sleep(1); or a signal, whose trap sets `signalled`.
#
#   stand_guard SECONDS     from now on, what we have started does not outlive
#                           us by more than that
#   spawn NAME COMMAND ...  starts it
#   timer NAME SECONDS      a child that ends after this time
#   alive NAME              is there one of that name?
#   cancel NAME             ends it, without child_ended
#   attend                  to the end of the last; calls child_ended NAME
#                           STATUS for each, and signal_came for signals,
#                           which the user of this defines

declare -A name_of=() pid_of=()
guarded=false

# If we are killed our children are told to stop; whoever is left in one's process
# group after a while, or whenever it ends, is killed.  A process of its own,
# in no session of ours, knows by the end of a pipe that we are gone; the lines
# before say which groups there are.
stand_guard()
{
	exec 13> >(exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- 10>&- 11>&- 12>&-
		exec env -i "PATH=$PATH" setsid bash -c \
			"$(declare -f kill_leftovers); kill_leftovers $1" \
			>/dev/null 2>&1)
	guarded=true
}

kill_leftovers()
{
	local -A groups=()
	local sign pid n
	trap '' TERM INT HUP
	while read -r sign pid; do
		groups[$pid]=
		[[ $sign == + ]] || unset "groups[$pid]"
	done
	for ((n = 0; n < $1 * 5 && ${#groups[@]} > 0; n++)); do
		sleep 0.2
		for pid in "${!groups[@]}"; do
			# it is gone: the number may become another's
			kill -0 -- "-$pid" || unset "groups[$pid]"
		done
	done
	for pid in "${!groups[@]}"; do
		kill -KILL -- "-$pid"
	done
}

tell_guard()
{
	! $guarded || echo "$1 $2" 2>/dev/null >&13 || :
}

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
# ignored, which no handler expects, and we ignore SIGPIPE.  Descriptors 9 to 13
# are ours alone: two locks, which must go with us, attend's pipe, the log of what
# waits, and the guard's pipe.
spawn()
{
	local name=$1 hidden
	shift
	hide_secrets "$name"
	# shellcheck disable=SC2016 # expanded by that shell
	env --default-signal=INT,QUIT,PIPE "${hidden[@]}" \
		setsid setpriv --pdeathsig TERM -- \
		sh -c '[ "$PPID" -ne "$0" ] || exec "$@"; exit 75' "$$" "$@" \
		<&0 9>&- 10>&- 11>&- 12>&- 13>&- &
	tell_guard + $!
	pid_of[$name]=$!
	name_of[$!]=$name
}

alive()
{
	[[ -n ${pid_of[$1]-} ]]
}

# Without stderr, since bash complains in one that is cancelled as it begins.
timer()
{
	spawn "$1" sleep "$2" </dev/null >/dev/null 2>&1
}

forget()
{
	tell_guard - "${pid_of[$1]}"
	unset "name_of[${pid_of[$1]}]" "pid_of[$1]"
}

cancel()
{
	alive "$1" || return 0
	kill -TERM "${pid_of[$1]}" 2>/dev/null || :
	forget "$1"
}

# How an ended child did so.  A signal makes a wait return early, with a status
# that is not the child's; asked again bash says the same, or the truth.
status_of()
{
	REPLY=0
	wait "$1" 2>/dev/null || REPLY=$?
	((REPLY > 128)) || return 0
	REPLY=0
	wait "$1" 2>/dev/null || REPLY=$?
}

# Passes on what children have ended; false: none.
sweep()
{
	local pid name found=1
	for pid in "${!name_of[@]}"; do
		name=${name_of[$pid]-}
		if [[ -z $name ]] || kill -0 "$pid" 2>/dev/null; then
			continue
		fi
		status_of "$pid"
		kill -KILL -- "-$pid" 2>/dev/null || :
		forget "$name"
		child_ended "$name" "$REPLY"
		found=0
	done
	return "$found"
}

# Looks five times a second, and sleeps by reading from a pipe that nobody writes
# to.  Not `wait -n`: the bash of today never learns of a child whose end and a
# signal reach it in one moment, nor of one that ends just before.
attend()
{
	exec 11<> <(:)
	while ((${#name_of[@]} > 0)); do
		if [[ -n $signalled ]]; then
			signalled=''
			signal_came
		fi
		sweep || read -r -t 0.2 -u 11 || :
	done
	exec 11>&-
}
