# philotes run: what runs, and what is restarted when it fails.
#
#	pair	pg-cdc-read | buffer-write, with the acks going back by a FIFO;
#		what one of them leaves unfinished the other cannot go on with,
#		so they live and die together
#	batch	buffer-batch, with PHILOTES_HANDLER or our stdout at its end
#	gc	buffer-gc
#
# Functions with a result leave it in REPLY.

readonly stop_limit=10 first_delay=1 longest_delay=60 healthy_after=60

declare -A delay=() since=()
readonly -A program=([reader]=pg-cdc-read [writer]=buffer-write
	[handler]=PHILOTES_STREAM_HANDLER [batch]=buffer-batch [gc]=buffer-gc)
readonly -A stages_of=([pair]="reader writer handler" [batch]=batch [gc]=gc)

signal_came()
{
	begin_stop 0 "stopping"
}

child_ended()
{
	case $1 in
	"restart "*) start "${1#* }" ;;
	"limit "*) out_of_time "${1#* }" ;;
	*) stage_ended "$1" "$2" ;;
	esac
}

start()
{
	seconds_up
	since[$1]=$REPLY
	if $embedded && ! embedded_start 2>/dev/null; then
		log warning "could not start \"$buffer_cluster\": see server.log there"
		restart_later "$1"
	else
		"start_$1"
	fi
}

start_stage()
{
	spawn "$@"
	stage_runs "${program[$1]}" "${pid_of[$1]}"
}

# New ones each time, since somebody may still hold the last, and at once
# without a name.  Opened for both first, so that no open waits for the other
# side: 3 and 4 are the ends of the stream, 5 and 6 those of the acks.
open_pipes()
{
	rm -f "$run/stream" "$run/acks"
	mkfifo -m 0600 "$run/stream" "$run/acks" || return
	exec 7<>"$run/stream" 8<>"$run/acks"
	exec 3<"$run/stream"
	exec 4>"$run/stream"
	exec 5<"$run/acks"
	exec 6>"$run/acks"
	exec 7>&- 8>&-
	rm -f "$run/stream" "$run/acks"
	check_pipes
}

# What we have opened is what we have made, and nobody else can open it.
check_pipes()
{
	local fd
	for fd in 3 4 5 6; do
		[[ $(stat -Lc '%F %a %u' "/dev/fd/$fd") == "fifo 600 $EUID" ]] ||
			return
	done
}

# A stage gets only the ends that are its own: the other's death is its EOF.
start_pair()
{
	local consumer
	if [[ $PHILOTES_BUFFER_ENABLED == true ]]; then
		consumer=(writer "$bin/buffer-write" "${verbosity[@]}")
	else
		consumer=(handler sh -c "$PHILOTES_STREAM_HANDLER")
	fi
	if ! open_pipes 2>/dev/null; then
		exec 3<&- 4>&- 5<&- 6>&- 7>&- 8>&-
		log warning "could not make pipes in \"$run\""
		restart_later pair
		return
	fi
	start_stage reader "$bin/pg-cdc-read" "${verbosity[@]}" \
		--ack /dev/fd/5 --failures "$run/failures" </dev/null >&4 3<&- 4>&- 6>&-
	start_stage "${consumer[@]}" <&3 >&6 3<&- 4>&- 5<&- 6>&-
	exec 3<&- 4>&- 5<&- 6>&-
	worst=${consumer[0]} worst_status=0
}

start_batch()
{
	local handler=()
	[[ -z ${PHILOTES_HANDLER-} ]] ||
		handler=(-- sh -c "$PHILOTES_HANDLER")
	start_stage batch "$bin/buffer-batch" "${verbosity[@]}" "${handler[@]}" \
		</dev/null
}

# Its report on stdout is for people; what it did is in philotes.cdc_gc_runs.
start_gc()
{
	start_stage gc "$bin/buffer-gc" "${verbosity[@]}" --interval \
		"$PHILOTES_BUFFER_CLEANUP_INTERVAL" </dev/null >/dev/null
}

# REPLY: 0 done, 1 worth a restart, 2 needs a person.
gravity()
{
	REPLY=2
	(($1 != 71 && $1 != 74 && $1 != 75 && $1 <= 128)) || REPLY=1
	(($1 != 0)) || REPLY=0
}

stage_ended()
{
	local name=$1 status=$2 how="ended with $2"
	((status <= 128)) || how="was killed by signal $((status - 128))"
	log info "${program[$name]} $how"
	stage_was "${program[$name]}" "$status"
	stage_stands "${program[$name]}" stopped
	cancel "limit $name"
	case $name in
	reader | writer | handler) member_ended "$name" "$status" ;;
	*) unit_ended "$name" "$status" "$name" ;;
	esac
}

# Of the codes of a pair the most permanent one counts: it is the cause and
# the other the effect.  The other ends by EOF.
member_ended()
{
	local gravest other
	gravity "$worst_status"
	gravest=$REPLY
	gravity "$2"
	((REPLY <= gravest)) || worst=$1 worst_status=$2
	for other in reader writer handler; do
		if alive "$other"; then
			limit "$other"
			return
		fi
	done
	unit_ended pair "$worst_status" "$worst"
}

unit_ended()
{
	gravity "$2"
	if [[ -n $stopping ]]; then
		stop_next
	elif ((REPLY == 2)); then
		give_up "$3" "$2"
	elif [[ $1 == pair && $2 == 0 ]]; then
		begin_stop 0 "the stream has ended"
	else
		restart_later "$1"
	fi
}

restart_later()
{
	local stage
	seconds_up
	((REPLY - ${since[$1]} < healthy_after)) || delay[$1]=$first_delay
	log warning "restarting the $1 unit in ${delay[$1]} s"
	timer "restart $1" "${delay[$1]}"
	for stage in ${stages_of[$1]}; do
		stage_stands "${program[$stage]}" waiting
	done
	delay[$1]=$((delay[$1] * 2))
	((delay[$1] <= longest_delay)) || delay[$1]=$longest_delay
}

give_up()
{
	local code=$2 why
	case $2 in
	64) why="wrong usage" ;;
	65) why="input that can never be accepted" ;;
	69) why="it needs an operator" ;;
	76) why="a violation of the protocol" ;;
	77) why="permission or authentication" ;;
	78) why="its configuration" ;;
	126 | 127) why="it cannot be run" code=78 ;;
	*) why="that is not to happen" code=70 ;;
	esac
	[[ $1 != handler || $code != 70 ]] || why="it failed" code=69
	stage_stands "${program[$1]}" failed
	log error "could not go on with \"${program[$1]}\": it ended with $2, $why"
	begin_stop "$code" "stopping the rest"
}

# philotes run: the end

# The time a stage has from now on.
limit()
{
	alive "limit $1" || timer "limit $1" "$stop_limit"
}

# With what it has started in its process group; buffer-batch ends a handler,
# which has its own, sooner than this.
out_of_time()
{
	log warning "${program[$1]} did not end in $stop_limit s, killing it"
	kill -KILL -- "-${pid_of[$1]}" 2>/dev/null || :
}

begin_stop()
{
	local unit
	[[ -z $stopping ]] || return 0
	stopping=yes exit_code=$1
	log info "$2"
	for unit in pair batch gc; do
		cancel "restart $unit"
	done
	stop_next
}

# The reader drains and ends, the writer ends by EOF, then the others.
stop_next()
{
	if alive reader; then
		finish reader
	elif alive writer; then
		limit writer
	elif alive handler; then
		limit handler
	else
		finish batch
		finish gc
	fi
}

finish()
{
	alive "$1" && ! alive "limit $1" || return 0
	kill -TERM "${pid_of[$1]}" 2>/dev/null || :
	limit "$1"
}

# philotes run

# One at a time on a state directory.  `status` holds the lock for a moment to
# see whether somebody else has it.
take_lock()
{
	local holder=''
	: 2>/dev/null >>"$run/lock" ||
		die 74 open "$run/lock" "its directory does not take it"
	exec 9>>"$run/lock"
	if ! flock -w 1 9; then
		read -r holder <"$run/lock" || :
		die 75 lock "$run/lock" "held by process ${holder:-?}" \
			"Another philotes runs there: stop it, or give each \
pipeline a PHILOTES_STATE_DIR of its own."
	fi
	# who it is, is for information only: the disk may be full
	{ echo $$ >"$run/lock"; } 2>/dev/null || :
}

# One at a time on a source, wherever its state directory is: a user's runs on
# a machine meet in a directory that each of them can write, under systemd too.
# Others meet at the slot.  What names the source and its slot names the lock.
# Its file goes with the run, so one that was opened may be gone when it is
# locked: then there is a new one.
take_source_lock()
{
	local dir=/dev/shm/philotes-$EUID slot=${PHILOTES_SLOT:-philotes_cdc}
	local name holder=''
	name=$(printf '%s\n' "$slot" "${PHILOTES_SOURCE_URL-}" "${PGHOST-}" \
		"${PGHOSTADDR-}" "${PGPORT-}" "${PGDATABASE-}" "${PGUSER-}" \
		"${PGSERVICE-}" "${PGSERVICEFILE-}" | sha256sum)
	name=$dir/${name%% *}
	until [[ -n $source_lock && /proc/self/fd/10 -ef $source_lock ]]; do
		mkdir -m 0700 "$dir" 2>/dev/null || :
		[[ -d $dir && ! -L $dir && -O $dir && -w $dir ]] || return 0
		: 2>/dev/null >>"$name" || {
			[[ ! -d $dir ]] || return 0
			continue
		}
		exec 10>>"$name"
		if ! flock -w 1 10; then
			read -r holder <"$name" || :
			die 75 read "$slot" "process ${holder:-?} does so already" \
				"Stop that philotes, or name another slot by PHILOTES_SLOT."
		fi
		source_lock=$name
	done
	{ echo "$$, from \"$state\"," >"$name"; } 2>/dev/null || :
}

drop_source_lock()
{
	[[ -n $source_lock ]] || return 0
	rm -f "$source_lock"
	rmdir "${source_lock%/*}" 2>/dev/null || :
}

use_embedded()
{
	[[ -d $buffer_cluster ]] ||
		die 78 find "$buffer_cluster" "there is no buffer yet" \
			'Run "philotes init".'
	embedded_start || exit 75
}

# With the status of the run.
run_ended()
{
	stage_was philotes "$1"
	if (($1 == 0)); then
		stage_stands philotes stopped
	else
		stage_stands philotes failed
	fi
	! $embedded || cluster_stop "$buffer_cluster"
	drop_source_lock
}

run()
{
	local units=(pair) unit
	stopping='' exit_code=0 source_lock='' signalled=''
	locate_state
	check_settings
	make_state
	take_lock
	take_source_lock
	$log_journal ||
		export PHILOTES_LOG_TIMESTAMPS="${PHILOTES_LOG_TIMESTAMPS:-true}"
	# nobody may listen to us any more
	trap '' PIPE
	stage_runs philotes $$
	at_exit run_ended
	trap 'signalled=yes' TERM INT HUP
	stand_guard "$stop_limit"
	! $embedded || use_embedded
	[[ $PHILOTES_BUFFER_ENABLED == false ]] || units+=(batch gc)
	for unit in "${units[@]}"; do
		delay[$unit]=$first_delay
		start "$unit"
	done
	log info "running"
	attend
	exit "$exit_code"
}
