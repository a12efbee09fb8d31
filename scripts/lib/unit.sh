# A unit of `philotes run`: a loop that starts the unit's stages, waits until
# they have ended, and restarts them after a pause or gives up.
#
#	pair	pg-cdc-read | buffer-write, or PHILOTES_STREAM_HANDLER in place
#		of the latter; a second pipe carries the acks back
#	batch	buffer-batch, with PHILOTES_HANDLER or our stdout at its end
#	gc	buffer-gc
#
#   keep UNIT     the process of a unit; it stops when its standard input ends,
#                 and exits with 0 then, or with the code it gave up with
#
# A unit sets no trap: bash 5.2 may lose the status of a child that ends while a
# trapped signal arrives.

readonly stop_limit=10 first_delay=1 longest_delay=60 healthy_after=60
# buffer-batch gives a served handler 10 s of these
readonly batch_stop_limit=15

declare -A pid_of=()

alive()
{
	kill -0 "$1" 2>/dev/null
}

# Returns when one of these children has ended.
first_of()
{
	local pid
	while :; do
		for pid; do
			alive "$pid" || return 0
		done
		wait -n "$@" 2>/dev/null || :
	done
}

# ends_within SECONDS PID: waits for this child; false if it has not ended
ends_within()
{
	local timer
	(exec env -i "PATH=$PATH" sleep "$1" >/dev/null 7>&- 12>&-) &
	timer=$!
	first_of "$2" "$timer"
	kill -KILL "$timer"
	wait "$timer"
	! alive "$2"
} 2>/dev/null

# make_pipe READ WRITE: an anonymous pipe, its ends on these descriptors
make_pipe()
{
	eval "exec $1<> <(:) $2>/dev/fd/$1 $1</dev/fd/$1"
}

# Each tool gets only the connection string of its own database, unless that is
# named by libpq's variables; a handler gets neither.
hide_secrets()
{
	local own=PHILOTES_BUFFER_URL other=PHILOTES_SOURCE_URL
	hidden=()
	case $1 in
	pg-cdc-read) own=PHILOTES_SOURCE_URL other=PHILOTES_BUFFER_URL ;;
	buffer-*) ;;
	*) read -ra hidden < <(printf -- '-u %s ' "$own" "$other" "${!PG@}") ;;
	esac
	[[ -z ${!own-} ]] || hidden+=(-u "$other")
}

# spawn STAGE COMMAND ...: runs the command in a session of its own, which
# Ctrl-C does not reach, and in a process group that can be killed as a whole.
# When this process dies the kernel sends the command SIGTERM; if this process
# is dead before the command starts, the command is not run.
spawn()
{
	local hidden parent=$BASHPID
	hide_secrets "$1"
	# shellcheck disable=SC2016 # expanded by that shell
	env --default-signal "${hidden[@]}" setsid setpriv --pdeathsig TERM -- \
		sh -c '[ "$PPID" -ne "$0" ] || exec "$@"; exit 75' \
		"$parent" "${@:2}" <&0 7>&- 12>&- &
	pid_of[$1]=$!
	stage_runs "$1" "$!"
}

# First waits until the process group exists: until env(1) runs, and then
# setsid(1), the child ignores SIGTERM as this shell does.
terminate()
{
	until kill -0 -- "-$1" || ! alive "$1"; do
		sleep 0.05
	done
	kill -TERM "$1" || :
} 2>/dev/null

permanent()
{
	(($1 != 0 && $1 != 71 && $1 != 74 && $1 != 75 && $1 <= 128))
}

# Gives a stage some time to end, and kills what is left in its process group.  $code
# and $culprit are the unit's: a permanent status is the cause of the others.
finish()
{
	local pid=${pid_of[$1]} status=0 how limit=$stop_limit
	[[ $1 != buffer-batch ]] || limit=$batch_stop_limit
	ends_within "$limit" "$pid" || {
		log warning "$1 did not end in $limit s, killing it"
		kill -KILL -- "$pid" "-$pid" 2>/dev/null
	}
	wait "$pid" 2>/dev/null || status=$?
	kill -KILL -- "-$pid" 2>/dev/null
	how="ended with $status"
	((status <= 128)) || how="was killed by signal $((status - 128))"
	log info "$1 $how"
	stage_ended "$1" "$status"
	if ((code == 0)) || { permanent "$status" && ! permanent "$code"; }; then
		code=$status culprit=$1
	fi
}

# The end of the first stage is the end of file of the second.
run_to_end()
{
	local name pids=()
	for name; do
		pids+=("${pid_of[$name]}")
	done
	first_of "${pids[@]}" "$watcher"
	! stopping || terminate "${pids[0]}"
	for name; do
		finish "$name"
	done
}

# A stage gets only its own ends of the pipes, so that it sees end of file or
# EPIPE when the other one dies.  timeout kills the process group of a handler
# that does not end after this process has died.
run_pair()
{
	local peer=buffer-write consumer=("$bin/buffer-write" "${verbosity[@]}"
		"${accept_gap[@]}")
	[[ $PHILOTES_BUFFER_ENABLED == true ]] ||
		peer=PHILOTES_STREAM_HANDLER consumer=(timeout -k "$stop_limit"
			0 sh -c "$PHILOTES_STREAM_HANDLER")
	if ! make_pipe 3 4 2>/dev/null || ! make_pipe 5 6 2>/dev/null; then
		log warning "could not make pipes"
		code=71
		return 0
	fi
	spawn pg-cdc-read "$bin/pg-cdc-read" "${verbosity[@]}" --ack /dev/fd/5 \
		--failures "$run/failures" </dev/null >&4 3<&- 4>&- 6>&-
	spawn "$peer" "${consumer[@]}" <&3 >&6 3<&- 4>&- 5<&- 6>&-
	exec 3<&- 4>&- 5<&- 6>&-
	run_to_end pg-cdc-read "$peer"
}

run_batch()
{
	local handler=()
	[[ -z ${PHILOTES_HANDLER-} ]] ||
		handler=(-- sh -c "$PHILOTES_HANDLER")
	[[ $PHILOTES_HANDLER_MODE != serve ]] || handler=(--serve "${handler[@]}")
	spawn buffer-batch "$bin/buffer-batch" "${verbosity[@]}" \
		"${handler[@]}" </dev/null
	run_to_end buffer-batch
}

# The report on its stdout is for people; philotes.cdc_gc_runs has the same.
run_gc()
{
	spawn buffer-gc "$bin/buffer-gc" "${verbosity[@]}" --interval \
		"$PHILOTES_BUFFER_CLEANUP_INTERVAL" </dev/null >/dev/null
	run_to_end buffer-gc
}

# remake OPTION ...: pg-cdc-read as a stage, for close_gap
remake()
{
	code=0 culprit=''
	spawn pg-cdc-read "$bin/pg-cdc-read" "${verbosity[@]}" "$@" \
		</dev/null >/dev/null
	run_to_end pg-cdc-read
	((code == 0))
}

# After a status that needs an operator: with PHILOTES_ON_GAP=snapshot a gap is
# closed, and the next pair accepts it.  False if the unit is to give up.
heal()
{
	local failed=$code
	[[ $unit == pair && $code == 69 && $PHILOTES_ON_GAP == snapshot ]] ||
		return 1
	find_gap 2>/dev/null
	if ((code == 0)) || { ((code != 69)) && permanent "$code"; }; then
		code=$failed
		return 1
	fi
	((code == 69)) || return 0
	log warning "there is a gap: making the slot anew, all tables are read again"
	close_gap remake || {
		if permanent "$code"; then
			return 1
		fi
		return 0
	}
	accept_gap=(--accept-gap)
}

# A killed embedded server is started again by the first unit that needs it.
# A function, since "!" does not negate a redirection that fails.
start_server()
{
	{ flock 3 && embedded_start; } 3<"$buffer_cluster"
} 2>/dev/null

run_once()
{
	if $embedded && ! start_server; then
		log warning "could not start \"$buffer_cluster\": see server.log there"
		code=75
	else
		"run_$unit"
	fi
}

readonly -A meaning=([64]="wrong usage" [65]="input that can never be accepted"
	[69]="it needs an operator" [76]="a violation of the protocol"
	[77]="permission or authentication" [78]="its configuration"
	[126]="it cannot be run" [127]="it cannot be run")

give_up()
{
	local status=$code why=${meaning[$code]-an unexpected status}
	case $culprit:$code in
	*:126 | *:127) code=78 ;;
	*:64 | *:65 | *:69 | *:7[678]) ;;
	PHILOTES_STREAM_HANDLER:*) code=69 why="it failed" ;;
	*) code=70 ;;
	esac
	stage_is "$culprit" failed
	log error "could not go on with \"$culprit\": it ended with $status, $why"
	[[ $unit == pair ]] || log hint \
		"The other units go on.  Remove the cause and restart philotes."
}

# Waits before a restart; false if the unit is to stop.
pause()
{
	local tool
	seconds_up
	((REPLY - since < healthy_after)) || delay=$first_delay
	log warning "restarting the $unit unit in $delay s"
	for tool in "${stage_order[@]}"; do
		stage_is "$tool" waiting
	done
	! ends_within "$delay" "$watcher" || return 1
	delay=$((delay * 2 < longest_delay ? delay * 2 : longest_delay))
}

# The watcher is a child that ends when standard input does.
stopping()
{
	! alive "$watcher"
}

# A killed watcher does not mean that standard input has ended: with a status
# above 128 the loop is restarted.
end_loop()
{
	local status=0
	wait "$watcher" 2>/dev/null || status=$?
	exit "$((status > 128 ? status : 0))"
}

unit_loop()
{
	local unit=$1 watcher delay=$first_delay since code culprit
	local accept_gap=()
	stage_order=()
	(exec 7>&- >/dev/null && read -r) <&0 &
	watcher=$!
	while :; do
		seconds_up
		since=$REPLY code=0 culprit=''
		run_once
		accept_gap=()
		! stopping || end_loop
		if permanent "$code"; then
			heal || {
				give_up
				break
			}
		elif [[ $unit == pair && $code == 0 ]]; then
			log info "the stream has ended"
			break
		fi
		pause || end_loop
	done
	kill -KILL "$watcher" 2>/dev/null
	exit "$code"
}

# Restarts a loop that was killed.  Locks and signals are the run's.  A failed
# command does not end a unit.
keep()
{
	local code
	set +e
	exec 9>&- 10>&-
	trap '' TERM INT HUP
	while :; do
		code=0
		unit_loop "$1" <&0 &
		wait "$!" 2>/dev/null || code=$?
		((code > 128)) || exit "$code"
		log warning "the loop of the $1 unit was killed, restarting it"
	done
}
