# philotes check: the preflight report of pg-cdc-read, and what it cannot know:
# the buffer, and whether the two belong together.  The exit code is that of the
# first error.

# finding ok|WARNING|ERROR CHECK TEXT [CODE [HINT]]
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

check_schema()
{
	local expected
	expected=$("$bin/buffer-write" --version)
	expected=${expected##*schema }
	expected=${expected%)*}
	if [[ $1 == "$expected" ]]; then
		finding ok schema "version $1"
	else
		finding ERROR schema "version $1, but the tools need $expected" \
			78 'If it is older, "philotes init" upgrades it.'
	fi
}

# Slot and buffer must belong together: as buffer-write has it when it starts.
# check_position SYSTEM SLOT CHECKPOINT, of the buffer
check_position()
{
	local confirmed=${fact[$slot.confirmed_flush_lsn]} system=''
	! operator_query "${PHILOTES_SOURCE_URL-}" check_source.sql ||
		system=${REPLY#*"$US"}
	if [[ -z $3 ]]; then
		finding ok position "nothing of \"$source_id\" is in the buffer yet"
	elif [[ -n $system && -n $1 && $system != "$1" ]]; then
		finding ERROR position \
			"the buffer has events of system $1, the source is $system" \
			69 "See buffer-write --accept-gap."
	elif [[ $2 != "${PHILOTES_SLOT:-philotes_cdc}" ]]; then
		finding ERROR position "the buffer was filled from slot \"$2\"" \
			69 "See buffer-write --accept-gap."
	elif [[ -n $confirmed ]] && ! lsn_at_most "$confirmed" "$3"; then
		finding ERROR position \
			"the slot is at $confirmed, beyond the buffer's $3" 69 \
			"See buffer-write --accept-gap."
	elif [[ -n $confirmed ]]; then
		finding ok position "slot at $confirmed, buffer at $3"
	fi
}

# X/Y in hexadecimal
lsn_at_most()
{
	(((16#${1%/*} << 32 | 16#${1#*/}) <= (16#${2%/*} << 32 | 16#${2#*/})))
}

check_buffer()
{
	local row f ok=no code reason hint
	if $embedded; then
		cluster_running "$buffer_cluster" || {
			finding WARNING buffer "the embedded server does not run" \
				'' 'Run "philotes run".'
			return
		}
		PHILOTES_BUFFER_URL=$(cluster_url "$buffer_cluster")
	fi
	operator_query "${PHILOTES_BUFFER_URL-}" check_buffer.sql \
		-v "source=$source_id" || {
		tool_says || code=78 reason=$REPLY hint=''
		finding ERROR buffer "$reason" "$code" "$hint"
		return
	}
	while IFS= read -r row; do
		IFS=$US read -r -a f <<<"$row$US"
		case ${f[0]} in
		version) check_schema "${f[1]}" ;;
		stored)
			ok=yes
			check_position "${f[@]:1:3}"
			;;
		role)
			ok=no
			finding ERROR role "${f[1]} needs ${f[3]} for ${f[2]}" 77 \
				"Load $share/sql/roles.sql there, and grant what it makes."
			;;
		esac
	done <<<"$REPLY"
	[[ $ok == yes ]] || return 0
	finding ok role "may do what the tools do"
	# what no query tells, as a pooler that shares sessions
	! tool_says || finding ERROR buffer "$reason" "$code" "$hint"
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
	name_source
	gather_source
	if [[ -n $source_said ]]; then
		# pg-cdc-read has said so
		((verdict != 0)) || verdict=75
	elif [[ $PHILOTES_BUFFER_ENABLED == true ]]; then
		check_buffer
	fi
	check_disk
	exit "$verdict"
}
