# After a gap: the slot is lost, or is not the one that the buffer knows.  The
# slot is made anew and all tables are read again, while the buffer records the
# gap.  From the mark `done` of that snapshot on, a consumer that has swept at
# each `end` has what the source has.
#
#   repair             philotes repair
#   find_gap           leaves 69 in $code if there is a gap, 0 if there is none,
#                      else why that is unknown
#   close_gap COMMAND  runs pg-cdc-read by this command, with these options, to
#                      make the slot anew and to ask for all tables; false if
#                      it failed
#
# Whoever is killed in the middle leaves a slot that is missing or that the
# buffer does not know, until buffer-write --accept-gap has recorded the gap: the
# request for the snapshot stands in the WAL behind the new slot by then.  So
# each step may be done again.

find_gap()
{
	local line
	code=0
	line=$("$bin/pg-cdc-read" --start-line) || {
		code=$?
		return 0
	}
	"$bin/buffer-write" --check <<<"$line" >/dev/null || code=$?
}

close_gap()
{
	"$1" --drop-slot && "$1" --create --snapshot new
}

reader()
{
	"$bin/pg-cdc-read" "${verbosity[@]}" "$@"
}

confirm()
{
	local answer=''
	$yes && return 0
	[[ -t 0 ]] || die 64 repair "${PHILOTES_SLOT:-philotes_cdc}" \
		"nobody is there to confirm it" 'Give "--yes".'
	printf '%s\n%s' \
		"The slot is made anew, the gap is recorded, and all tables are read again." \
		"Go on? [y/N] " >&2
	read -r answer || :
	[[ $answer == [yY]* ]] || exit 1
}

# The stream up to now: its start line has the new position.
record_gap()
{
	local codes
	make_pipe 5 6
	"$bin/pg-cdc-read" "${verbosity[@]}" --ack /dev/fd/5 --until now 6>&- |
		"$bin/buffer-write" "${verbosity[@]}" --accept-gap >&6 5<&- &&
		return 0
	codes=("${PIPESTATUS[@]}")
	code=${codes[1]}
	permanent "$code" || ((codes[0] == 0)) || code=${codes[0]}
	exit "$code"
}

repair_ended()
{
	! $embedded || cluster_stop "$buffer_cluster"
	drop_source_lock
}

repair()
{
	local source_lock='' code
	locate_state
	check_settings
	[[ $PHILOTES_BUFFER_ENABLED == true ]] ||
		die 78 record gap "PHILOTES_BUFFER_ENABLED is false" \
			"Without a buffer a gap is the handler's to repair."
	make_state
	take_lock
	take_source_lock
	at_exit repair_ended
	! $embedded || use_embedded
	find_gap
	if ((code == 0)); then
		log info "there is no gap: nothing to repair"
		exit 0
	fi
	((code == 69)) || exit "$code"
	confirm
	close_gap reader || exit
	record_gap
	log info "the gap is recorded; \"philotes run\" reads all tables again"
	exit 0
}
