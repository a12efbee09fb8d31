# The buffer: its schema, the private cluster that holds an embedded one, and
# `philotes init`, which creates them.

# A new cluster has another name until it is complete.
embedded_create()
{
	[[ ! -d $buffer_cluster ]] || return 0
	rm -rf "$buffer_cluster.new"
	cluster_create "$buffer_cluster.new" || exit 78
	mv "$buffer_cluster.new" "$buffer_cluster"
	log info "created the buffer's cluster in $buffer_cluster"
}

# The address of the cluster may change with each start.
embedded_start()
{
	cluster_running "$buffer_cluster" || cluster_start "$buffer_cluster" ||
		return 1
	PHILOTES_BUFFER_URL=$(cluster_url "$buffer_cluster")
	export PHILOTES_BUFFER_URL
}

# For commands that use a buffer and do not start one.
use_buffer()
{
	[[ $PHILOTES_BUFFER_ENABLED == true ]] ||
		die 78 find buffer "PHILOTES_BUFFER_ENABLED is false" \
			"Without a buffer the stream goes to PHILOTES_STREAM_HANDLER."
	$embedded || return 0
	cluster_running "$buffer_cluster" ||
		die 75 "connect to" buffer "the embedded server is not running" \
			'It runs during "philotes run".'
	PHILOTES_BUFFER_URL=$(cluster_url "$buffer_cluster")
}

# hint_for STATE DOING REASON: leaves in $hint what to do about an error of
# psql, unless the server's own hint is better.
hint_for()
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
		# 75 for a tool, which a restart helps once it is promoted
		code=78
		hint="That server is a standby: name the primary, as with \
several hosts and target_session_attrs=read-write."
		;;
	55P03:*) : "${hint:=Another session holds a lock, see pg_locks; try again.}" ;;
	esac
}

# explain_psql SAID DOING OBJECT: ends with an error of psql as the tools would:
# one line, a hint, an exit code.
explain_psql()
{
	local said=$1 doing=$2 object=$3 hint='' code=0 state reason REPLY
	if [[ $said =~ :\ \ ([0-9A-Z]{5}):\ ([^$'\n']*) ]]; then
		state=${BASH_REMATCH[1]} reason=${BASH_REMATCH[2]}
		[[ ! $said =~ HINT:\ \ ([^$'\n']*) ]] || hint=${BASH_REMATCH[1]}
		find_pg_exec || exit
		"$REPLY" --exit-code "$state" || code=$?
		hint_for "$state" "$doing" "$reason"
		die "$code" "$doing" "$object" "$reason" "$hint"
	fi
	# psql shows no SQLSTATE if it got no session; the report has the reason
	code=75 said=${said##*psql: error: }
	reason=${said%%$'\n'*}
	said=$(PHILOTES_LOG_FORMAT=text "$bin/buffer-write" --check \
		</dev/null 2>/dev/null) || code=$?
	if [[ $said =~ ERROR\ +[a-z]+\ +([^$'\n']*)($'\n'\ +(.*))? ]]; then
		reason=${BASH_REMATCH[1]#could not connect to the buffer: }
		hint=${BASH_REMATCH[3]}
	fi
	die "$code" "connect to" buffer "$reason" "$hint"
}

init_buffer()
{
	local said psql_slow=yes
	said=$(LC_ALL=C psql_pinned "${PHILOTES_BUFFER_URL-}" \
		-v VERBOSITY=verbose -f "$share/sql/001_schema.sql" 2>&1 >/dev/null) ||
		explain_psql "$said" "load the schema into" buffer
	[[ ! $said =~ WARNING:\ \ [0-9A-Z]{5}:\ ([^$'\n']*) ]] ||
		log warning "${BASH_REMATCH[1]}"
	log info "the schema of the buffer is ready"
}

init()
{
	local snapshot=()
	locate_state
	check_settings
	if $embedded; then
		make_state
		# one init at a time: descriptor 8 holds the lock until the end
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
	make_snapshot_key
	# of all tables if it makes the slot
	[[ $PHILOTES_SNAPSHOT == never ]] || snapshot=(--snapshot new)
	"$bin/pg-cdc-read" --create "${snapshot[@]}"
}
