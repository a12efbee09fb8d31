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
		die 78 find buffer "PHILOTES_BUFFER_ENABLED is false"
	$embedded || return 0
	cluster_running "$buffer_cluster" ||
		die 75 "connect to" buffer "the embedded server does not run" \
			'It does during "philotes run".'
	PHILOTES_BUFFER_URL=$(cluster_url "$buffer_cluster")
}

# REPLY: the exit code for what libpq says of a connection.
connect_code()
{
	case $1 in
	*authentication*failed* | *"no password supplied"* | *pg_hba.conf* | \
	*"permission denied"* | *"role "*"does not exist"* | \
	*"certificate verify failed"* | *"does not match host name"*) REPLY=77 ;;
	*"certificate file "* | *"private key file "* | \
	*"server does not support SSL"* | *"database "*"does not exist"* | \
	*"invalid "* | *"missing "* | \
	*"unrecognized "*) REPLY=78 ;;
	*) REPLY=75 ;;
	esac
}

# psql's words, made ours: one line, a hint, an exit code.
explain_psql()
{
	local said=$1 doing=$2 object=$3 hint='' code=75 reason line
	if [[ $said =~ ERROR:\ \ ([0-9A-Z]{5}):\ ([^$'\n']*) ]]; then
		case ${BASH_REMATCH[1]} in
		42501 | 28*) code=77 ;;
		08* | 40* | 53* | 55P03 | 57*) code=75 ;;
		*) code=78 ;;
		esac
		reason=${BASH_REMATCH[2]}
		[[ ! $said =~ HINT:\ \ ([^$'\n']*) ]] || hint=${BASH_REMATCH[1]}
		die "$code" "$doing" "$object" "$reason" "$hint"
	fi
	said=${said##*psql: error: }
	reason=${said%%$'\n'*}
	# a line for each address that was tried: the last that says more than
	# that nobody answered, or else the last
	while IFS= read -r line; do
		[[ $line == "connection to server"* || $line == "$reason" ]] ||
			continue
		connect_code "$line"
		((REPLY == 75 && code != 75)) || code=$REPLY reason=$line
	done <<<"$said"
	die "$code" "connect to" "$object" "$reason"
}

init_buffer()
{
	local said psql_slow=yes
	said=$(LC_ALL=C psql_on "${PHILOTES_BUFFER_URL-}" -v VERBOSITY=verbose \
		-f "$share/sql/001_schema.sql" 2>&1 >/dev/null) ||
		explain_psql "$said" "load the schema into" buffer
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
			die 75 lock "$run/init.lock" "another init holds it"
		embedded_create
		if ! cluster_running "$buffer_cluster"; then
			trap 'cluster_stop "$buffer_cluster"' EXIT
		fi
		embedded_start || exit 75
	fi
	[[ $PHILOTES_BUFFER_ENABLED == false ]] || init_buffer
	"$bin/pg-cdc-read" --create
}
