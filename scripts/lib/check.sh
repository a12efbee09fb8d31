# philotes check: the reports of pg-cdc-read --check and buffer-write --check,
# and what neither can know: whether their role may run the other tools, and the
# disk of the state directory.  The exit code is that of the first error.

# finding ok|WARNING|ERROR CHECK TEXT [CODE [HINT]]: as lib/base/findings.c
finding()
{
	local line
	if [[ $PHILOTES_LOG_FORMAT == json ]]; then
		json_object check "$2" result "${1,,}" code# "${4-}" \
			message "$3" hint "${5-}"
		say "$REPLY"
	else
		one_line "$3"
		printf -v line '%-8s %-12s %s' "$1" "$2" "$REPLY"
		[[ -z ${5-} ]] || printf -v line '%s\n%-21s %s' "$line" '' "$5"
		say "$line"
	fi
	[[ $1 != ERROR ]] || fails "$4"
}

fails()
{
	((verdict != 0)) || verdict=$1
}

# The role that buffer-write has checked runs the other tools, too.
check_role()
{
	local row tool role lacks
	operator_query "${PHILOTES_BUFFER_URL-}" check_role.sql || {
		finding ERROR role "could not look up the privileges: $REPLY" 75
		return 0
	}
	[[ -n $REPLY ]] || {
		finding ok role "has the privileges of buffer-batch and buffer-gc"
		return 0
	}
	while IFS= read -r row; do
		IFS=$US read -r tool role lacks <<<"$row"
		finding ERROR role "\"$role\" needs $lacks for $tool" 77 \
			"Run $share/sql/roles.sql in the buffer, and grant the roles that it creates."
	done <<<"$REPLY"
}

# The start line says where a run would begin.
check_buffer()
{
	local status=0 start_line=''
	if $embedded; then
		cluster_running "$buffer_cluster" || {
			finding WARNING buffer "the embedded server is not running" \
				'' 'Run "philotes run".'
			return 0
		}
		PHILOTES_BUFFER_URL=$(cluster_url "$buffer_cluster")
	fi
	if ((verdict == 0)); then
		start_line=$("$bin/pg-cdc-read" --start-line) || fails $?
	fi
	"$bin/buffer-write" --check \
		< <([[ -z $start_line ]] || echo "$start_line") || status=$?
	fails "$status"
	((status != 0 && status != 69)) || check_role
}

check_disk()
{
	local dir=$state size free
	while [[ ! -d $dir ]]; do
		dir=$(dirname "$dir")
	done
	read -r size free < <(df -P -B1 "$dir" | awk 'NR == 2 { print $2, $4 }')
	human_bytes "$free"
	if ((free < size / 10)); then
		finding WARNING disk "$dir: $REPLY free, less than a tenth" '' \
			"Make room, or shorten PHILOTES_BUFFER_RETENTION."
	else
		finding ok disk "$dir: $REPLY free"
	fi
}

check()
{
	local verdict=0 status=0
	locate_state
	check_settings
	"$bin/pg-cdc-read" --check || status=$?
	fails "$status"
	[[ $PHILOTES_BUFFER_ENABLED == false ]] || check_buffer
	check_disk
	exit "$verdict"
}
