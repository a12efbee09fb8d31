# The buffer: its schema, the private cluster that holds an embedded one, and
# `philotes init`, which makes them.

# Until it is whole a new cluster has another name.
embedded_create()
{
	[[ ! -d $buffer_cluster ]] || return 0
	rm -rf "$buffer_cluster.new"
	cluster_create "$buffer_cluster.new" || exit 78
	mv "$buffer_cluster.new" "$buffer_cluster"
	log info "made the buffer's cluster in $buffer_cluster"
}

# Its address may change from start to start.
embedded_start()
{
	cluster_running "$buffer_cluster" || cluster_start "$buffer_cluster" ||
		return
	PHILOTES_BUFFER_URL=$(cluster_url "$buffer_cluster")
	export PHILOTES_BUFFER_URL
}

# For whoever only asks something.
use_buffer()
{
	[[ $PHILOTES_BUFFER_ENABLED == true ]] ||
		die 78 find buffer "PHILOTES_BUFFER_ENABLED is false" \
			"There is none then; the stream goes to PHILOTES_STREAM_HANDLER."
	$embedded || return 0
	cluster_running "$buffer_cluster" ||
		die 75 "connect to" buffer "the embedded server does not run" \
			'It does during "philotes run".'
	PHILOTES_BUFFER_URL=$(cluster_url "$buffer_cluster")
}

# What a tool has to say of a buffer that psql could not use, in English and
# with the right exit code: it goes to $code, $reason and $hint.  False: nothing.
tool_says()
{
	local said line
	code=0 reason='' hint=''
	said=$(env PHILOTES_LOG_FORMAT=text PHILOTES_LOG_TIMESTAMPS=false \
		JOURNAL_STREAM= "$bin/buffer-write" </dev/null 2>&1 >/dev/null) ||
		code=$?
	while IFS= read -r line; do
		case $line in
		"buffer-write: error: "*) reason=${line#*: error: } ;;
		"buffer-write: hint: "*) hint+="${hint:+  }${line#*: hint: }" ;;
		esac
	done <<<"$said"
	[[ -n $reason ]]
}

# remedy STATE DOING REASON: leaves in $hint what to do about psql's error, if
# it is not what the server says.
remedy()
{
	case $1:$3 in
	42501:*)
		hint="Grant the role what roles.sql grants, or have the \
schema's owner do it."
		[[ $2 != load* ]] || hint="Have the owner of the database and \
of the schema philotes do it, or a superuser."
		;;
	42P01:* | 42883:*) hint='"philotes init" upgrades the schema.' ;;
	25006:* | 0A000:*recovery*)
		hint="That server is a standby: name the primary, as with \
several hosts and target_session_attrs=read-write."
		;;
	55P03:*) : "${hint:=Another session has it locked, see pg_locks; try again.}" ;;
	esac
}

# psql's words, made ours: one line, a hint, an exit code.
explain_psql()
{
	local said=$1 doing=$2 object=$3 hint='' code=75 state reason
	if [[ $said =~ :\ \ ([0-9A-Z]{5}):\ ([^$'\n']*) ]]; then
		state=${BASH_REMATCH[1]} reason=${BASH_REMATCH[2]}
		case $state in
		42501 | 28*) code=77 ;;
		08* | 40* | 53* | 55P03 | 57*) code=75 ;;
		*) code=78 ;;
		esac
		[[ ! $said =~ HINT:\ \ ([^$'\n']*) ]] || hint=${BASH_REMATCH[1]}
		remedy "$state" "$doing" "$reason"
		die "$code" "$doing" "$object" "$reason" "$hint"
	fi
	said=${said##*psql: error: }
	tool_says || code=75 reason=${said%%$'\n'*} hint=''
	die "$code" "connect to" buffer \
		"${reason#could not connect to the buffer: }" "$hint"
}

init_buffer()
{
	local said psql_slow=yes
	said=$(LC_ALL=C psql_pinned "${PHILOTES_BUFFER_URL-}" \
		-v VERBOSITY=verbose -f "$share/sql/001_schema.sql" 2>&1 >/dev/null) ||
		explain_psql "$said" "load the schema into" buffer
	[[ ! $said =~ WARNING:\ \ [0-9A-Z]{5}:\ ([^$'\n']*) ]] ||
		log warning "${BASH_REMATCH[1]}"
	log info "the buffer's schema is in place"
}

init()
{
	locate_state
	check_settings
	if $embedded; then
		make_state
		# one at a time: descriptor 8 is the lock to the end of the process
		exec 8>>"$run/init.lock"
		lock_patiently 8 60 "$run/init.lock" ||
			die 75 lock "$run/init.lock" "another init holds it" \
				"Wait for it, or give each pipeline a PHILOTES_STATE_DIR of its own."
		embedded_create
		if ! cluster_running "$buffer_cluster"; then
			trap 'cluster_stop "$buffer_cluster"' EXIT
		fi
		embedded_start || exit 75
	fi
	[[ $PHILOTES_BUFFER_ENABLED == false ]] || init_buffer
	"$bin/pg-cdc-read" --create
}
