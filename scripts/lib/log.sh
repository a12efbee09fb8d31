# The log of philotes: one line an event to stderr, in the form of lib/log.c.
#
#   log_setup              reads PHILOTES_LOG_FORMAT and the options
#   log LEVEL MESSAGE      error, hint, warning or info
#   die CODE VERB OBJECT REASON [HINT]
#   say TEXT               to stdout, or the end with 74

# 0 errors, 1 warnings, 2 everything; what is run for long says more.
log_level=2

# Of journald, which stamps the lines itself and takes the level from them.
log_to_journal()
{
	[[ -n ${JOURNAL_STREAM-} &&
	    $(stat -Lc %d:%i "/proc/$$/fd/2" 2>/dev/null) == "$JOURNAL_STREAM" ]]
}

# For the tools as well, which find it in their environment.
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
		return
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

# For stdout, which is lines for people or programs.
say()
{
	printf '%s\n' "$1" 2>/dev/null ||
		die 74 write stdout "it does not take it"
}

die()
{
	log error "could not $2 \"$3\": $4"
	[[ -z ${5-} ]] || log hint "$5"
	exit "$1"
}
