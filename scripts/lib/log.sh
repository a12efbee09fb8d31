# The log of philotes: one line on stderr for each event, as lib/base/log.c
# writes it.
#
#   log_setup              checks and exports PHILOTES_LOG_FORMAT
#   log LEVEL MESSAGE      error, hint, warning or info
#   die CODE VERB OBJECT REASON [HINT]
#   say TEXT               prints a line on stdout, or dies with 74

# 0: errors and hints; 2: everything; no option sets 1, with the warnings
log_level=2

# Is stderr journald's?  It adds the time itself, and takes the level from a
# line.
log_to_journal()
{
	[[ -n ${JOURNAL_STREAM-} &&
	    $(stat -Lc %d:%i "/proc/$$/fd/2" 2>/dev/null) == "$JOURNAL_STREAM" ]]
}

log_setup()
{
	case ${PHILOTES_LOG_FORMAT:=text} in
	text | json) ;;
	*)
		local format=$PHILOTES_LOG_FORMAT
		PHILOTES_LOG_FORMAT=text
		die 78 use "PHILOTES_LOG_FORMAT=$format" "neither text nor json"
		;;
	esac
	case ${PHILOTES_LOG_TIMESTAMPS:-false} in
	true | false) ;;
	*)
		local stamps=$PHILOTES_LOG_TIMESTAMPS
		PHILOTES_LOG_TIMESTAMPS=false
		die 78 use "PHILOTES_LOG_TIMESTAMPS=$stamps" \
			"neither true nor false"
		;;
	esac
	export PHILOTES_LOG_FORMAT
	log_journal=false
	! log_to_journal || log_journal=true
}

# Leaves the time in REPLY.
log_stamp()
{
	local now=${EPOCHREALTIME/,/.} TZ=UTC0
	printf -v REPLY '%(%Y-%m-%dT%H:%M:%S)T.%sZ' "${now%.*}" "${now#*.}"
}

log()
{
	local -A weight=([error]=0 [hint]=0 [warning]=1 [info]=2)
	local -A priority=([error]=3 [hint]=3 [warning]=4 [info]=6)
	local before='' message
	((weight[$1] <= log_level)) || return 0
	if [[ ${PHILOTES_LOG_FORMAT-} == json ]]; then
		log_stamp
		before=$REPLY
		json_string "$2"
		printf '{"time":"%s","tool":"philotes","level":"%s","message":%s}\n' \
			"$before" "$1" "$REPLY" >&2 || :
		return 0
	fi
	if ${log_journal:-false}; then
		before="<${priority[$1]}>"
	elif ${PHILOTES_LOG_TIMESTAMPS:-false}; then
		log_stamp
		before="$REPLY "
	fi
	one_line "$2"
	message=$REPLY
	printf '%sphilotes: %s: %s\n' "$before" "$1" "$message" >&2 || :
}

say()
{
	printf '%s\n' "$1" 2>/dev/null ||
		die 74 write stdout "the write failed"
}

die()
{
	log error "could not $2 \"$3\": $4"
	[[ -z ${5-} ]] || log hint "$5"
	exit "$1"
}
