# philotes run: starts the units, stops them in order, and waits for them.
#
# A unit stops when its standard input, the read end of a pipe, ends.  The run
# holds the write end for the pair, and the pair that for batch and gc.  So the
# pair stops first and the others after it, however the run ends; kill -9 closes
# a pipe, too.  The watch of new tables stops with the pair.
#
# Descriptors: 3 to 6 the pipes between the stages of the pair, 7 the write end
# for batch and gc, 8 that for the pair, 9 and 10 the locks of the run, 12
# standard error.

start_units()
{
	if [[ $PHILOTES_BUFFER_ENABLED == true ]]; then
		make_pipe 3 7
		keep batch <&3 3<&- 7>&- &
		keep gc <&3 3<&- 7>&- &
	fi
	make_pipe 3 8
	keep pair <&3 3<&- 8>&- &
	pair=$!
	# in a list bash would keep copies of the descriptors
	if [[ $PHILOTES_NEW_TABLES != ignore ]]; then
		watch_tables <&3 3<&- 7>&- 8>&- &
	fi
	exec 3<&- 7>&-
	[[ -z $stopped ]] || stop_units
}

stop_units()
{
	[[ -n $stopped ]] || log info "stopping"
	stopped=yes
	exec 8>&-
}

# Leaves the exit status of the run in $code: the pair's, or 0 after a signal,
# each of which ends a wait early.
await_units()
{
	while code=0; wait "$pair" || code=$?; alive "$pair"; do
		:
	done
	trap '' TERM INT HUP
	exec 8>&-
	wait
	if [[ -n $stopped ]]; then
		code=0
	elif ((code > 128)); then
		log error 'could not go on with "pair": its process was killed'
		code=75
	fi
}

use_embedded()
{
	[[ -d $buffer_cluster ]] ||
		die 78 find "$buffer_cluster" "there is no buffer yet" \
			'Run "philotes init".'
	embedded_start || exit 75
}

# run_ended STATUS: of the run
run_ended()
{
	local state=stopped
	(($1 == 0)) || state=failed
	stage_ended philotes "$1" "$state"
	! $embedded || cluster_stop "$buffer_cluster"
	drop_source_lock
}

run()
{
	local unit=philotes stopped='' source_lock='' pair code
	locate_state
	check_settings
	make_state
	take_lock
	take_source_lock
	$log_journal ||
		export PHILOTES_LOG_TIMESTAMPS="${PHILOTES_LOG_TIMESTAMPS:-true}"
	# the run goes on when nobody reads its log any more
	trap '' PIPE
	rm -rf "$run/stages" 2>/dev/null || :
	stage_runs philotes $$
	at_exit run_ended
	trap stop_units TERM INT HUP
	! $embedded || use_embedded
	start_units
	log info "running"
	await_units
	exit "$code"
}
