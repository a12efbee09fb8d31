# philotes status: prints the facts as one screen, or as one line of JSON.

readonly watch_interval=2

# human_bytes BYTES: leaves them in REPLY in a unit for people
human_bytes()
{
	local n=${1:-0} unit
	for unit in B kB MB GB TB; do
		if ((n < 10240)) || [[ $unit == TB ]]; then
			break
		fi
		n=$((n / 1024))
	done
	REPLY="$n $unit"
}

# human_time SECONDS: the same
human_time()
{
	local n=${1%%.*}
	: "${n:=0}"
	if [[ -z $1 ]]; then
		REPLY=-
	elif ((n < 120)); then
		REPLY="$n s"
	elif ((n < 7200)); then
		REPLY="$((n / 60)) min"
	elif ((n < 172800)); then
		REPLY="$((n / 3600)) h"
	else
		REPLY="$((n / 86400)) d"
	fi
}

show_head()
{
	local good='' bad='' plain='' now text
	if $terminal && [[ -z ${NO_COLOR-} ]]; then
		good=$'\e[32m' bad=$'\e[1;31m' plain=$'\e[0m'
	fi
	log_stamp
	now=${REPLY%.*}Z
	one_line "$source_id"
	if ((${#problems[@]} == 0)); then
		printf '%s: %shealthy%s, %s\n' "$REPLY" "$good" "$plain" "$now"
	else
		printf '%s: %sdegraded%s, %s\n' "$REPLY" "$bad" "$plain" "$now"
		for text in "${problems[@]}"; do
			one_line "$text"
			printf '  %s%s%s\n' "$bad" "$REPLY" "$plain"
		done
	fi
}

show_slot()
{
	local name kept
	printf '\n%-9s' slot
	if [[ -n $source_said ]]; then
		printf 'unknown\n'
		return 0
	fi
	one_line "$slot_name"
	name=$REPLY
	human_bytes "${fact[$slot.retained_bytes]}"
	kept=$REPLY
	human_bytes "${fact[$slot.unconfirmed_bytes]}"
	printf '%s %s, WAL %s, %s retained, %s not confirmed\n' "$name" \
		"${fact[$slot.state]}" "${fact[$slot.wal_status]:--}" \
		"$kept" "$REPLY"
}

show_store()
{
	local held
	[[ -n $store ]] || return 0
	human_bytes "${fact[$store.bytes]}"
	printf '%-9s%s partitions, %s' buffer "${fact[$store.partitions]}" \
		"$REPLY"
	if [[ -n ${fact[$store.gc_events]} ]]; then
		one_line "${fact[$store.held_by]}"
		held=$REPLY
		human_time "${fact[$store.gc_seconds]}"
		printf ', last gc %s ago: %s events, %s partitions%s' "$REPLY" \
			"${fact[$store.gc_events]}" \
			"${fact[$store.gc_partitions]}" "${held:+, held by $held}"
	else
		printf ', no gc yet'
	fi
	printf '\n'
}

show_sources()
{
	local row name
	((${#sources[@]} > 0)) || return 0
	printf '\n%-18s %-14s %14s %10s %9s\n' \
		SOURCE BUFFERED EVENTS EVENTS/S LAG
	for row in "${sources[@]}"; do
		one_line "${fact[$row.source]}"
		name=$REPLY
		human_time "${fact[$row.lag_seconds]}"
		printf '%-18s %-14s %14s %10s %9s\n' "$name" \
			"${fact[$row.checkpoint]:--}" "${fact[$row.events]}" \
			"${fact[$row.events_per_second]}" "$REPLY"
	done
}

show_consumers()
{
	local row name bytes
	((${#consumers[@]} > 0)) || return 0
	printf '\n%-18s %-14s %8s %8s %7s %7s %7s %4s\n' CONSUMER PROCESSED \
		EVENTS/S WAITING BYTES LAG FAILING DEAD
	for row in "${consumers[@]}"; do
		name=${fact[$row.consumer]}
		((${#sources[@]} == 1)) || name+="/${fact[$row.source]}"
		one_line "$name"
		name=$REPLY
		human_bytes "${fact[$row.lag_bytes]}"
		bytes=$REPLY
		human_time "${fact[$row.lag_seconds]}"
		printf '%-18s %-14s %8s %8s %7s %7s %7s %4s\n' "$name" \
			"${fact[$row.commit_lsn]:--}" \
			"${fact[$row.events_per_second]}" \
			"${fact[$row.lag_events]}" "$bytes" "$REPLY" \
			"${fact[$row.failing_attempts]}" \
			"${fact[$row.dead_letters]}"
	done
}

# show_bar BLOCKS OF: leaves in REPLY how far that is, drawn on a terminal, and
# written elsewhere
show_bar()
{
	local n
	REPLY="$1 of $2"
	! $terminal || (($2 == 0)) || {
		n=$(($1 < $2 ? 10 * $1 / $2 : 10))
		printf -v REPLY '[%.*s%.*s] %s' "$n" '##########' \
			"$((10 - n))" '..........' "$REPLY"
	}
}

show_snapshots()
{
	local row of name bar
	if [[ $PHILOTES_BUFFER_ENABLED == false ]]; then
		printf '%-9s%s\n' snapshot "not recorded without a buffer"
	fi
	for row in "${snapshots[@]}"; do
		[[ ${fact[$row.state]} == reading ]] || continue
		one_line "${fact[$row.source]}"
		of=$REPLY
		one_line "${fact[$row.id]}"
		printf '%-9s%s of %s: %s rows; tables read: %s, failed: %s\n' \
			snapshot "$REPLY" "$of" "${fact[$row.rows]}" \
			"${fact[$row.end]}" "${fact[$row.failed]}"
	done
	((${#tables[@]} > 0)) || return 0
	printf '\n%-18s %-30s %12s %8s %8s\n' \
		SNAPSHOT BLOCKS ROWS ROWS/S LEFT
	for row in "${tables[@]}"; do
		one_line "${fact[$row.table]}"
		name=$REPLY
		show_bar "${fact[$row.blocks]}" "${fact[$row.of]}"
		bar=$REPLY
		human_time "${fact[$row.seconds_left]}"
		printf '%-18s %-30s %12s %8s %8s\n' "$name" "$bar" \
			"${fact[$row.rows]}" "${fact[$row.rows_per_second]:--}" \
			"$REPLY"
	done
}

show_stages()
{
	local line tool state pid since restarts failures last
	[[ $supervised != never && $supervised != unknown ]] || return 0
	printf '\n%-18s %-9s %8s %8s %8s %8s  %s\n' STAGE STATE PID SINCE \
		RESTARTS FAILURES LAST
	for line in "${stage_lines[@]}"; do
		IFS=$'\t' read -r tool state pid since restarts failures last \
			<<<"$line"
		[[ $supervised != died ]] || state=died pid=0
		stage_age "$since"
		human_time "$REPLY"
		((pid > 0)) || pid=-
		printf '%-18s %-9s %8s %8s %8s %8s  %s\n' "${tool/#PHILOTES_*/handler}" \
			"$state" "$pid" "$REPLY" "$restarts" "$failures" "$last"
	done
}

show_screen()
{
	show_head
	show_slot
	show_store
	show_snapshots
	show_sources
	show_consumers
	show_stages
}

# json_object NAME VALUE ...: leaves the object in REPLY.  A name that ends with
# # has a number.
json_object()
{
	local text='' name
	while (($# > 0)); do
		name=$1
		if [[ -z $2 ]]; then
			REPLY=null
		elif [[ $name == *'#' ]]; then
			REPLY=$2
		else
			json_string "$2"
		fi
		text+=",\"${name%#}\":$REPLY"
		shift 2
	done
	REPLY={${text#,}}
}

# json_facts ROW NAME ...: the same of columns
json_facts()
{
	local row=$1 name members=()
	shift
	for name; do
		members+=("$name" "${fact[$row.${name%#}]}")
	done
	json_object "${members[@]}"
}

# json_list FUNCTION ITEM ...: leaves the list of what the function leaves for
# each item
json_list()
{
	local make=$1 item text=''
	shift
	for item; do
		"$make" "$item"
		text+=,$REPLY
	done
	REPLY=[${text#,}]
}

json_source()
{
	json_facts "$1" source slot checkpoint commit_lsn events# \
		events_per_second# lag_seconds#
}

json_consumer()
{
	json_facts "$1" consumer source commit_lsn events# events_per_second# \
		lag_events# lag_bytes# lag_seconds# last_batch_seconds# batches# \
		failing_attempts# failing_status failing_seconds# dead_letters#
}

json_slot()
{
	REPLY=null
	[[ -n $slot ]] || return 0
	json_facts "$slot" name state wal_status restart_lsn \
		confirmed_flush_lsn retained_bytes# unconfirmed_bytes# \
		safe_bytes# current_lsn invalidation_reason
}

json_store()
{
	REPLY=null
	[[ -n $store ]] || return 0
	json_facts "$store" partitions# bytes# schema_version# gc_seconds# \
		gc_events# gc_partitions# held_by
}

json_snapshot()
{
	json_facts "$1" source id state begin# chunk# end# failed# cancelled# \
		rows# blocks# of# failure
}

json_table()
{
	json_facts "$1" source table rows# blocks# of# rows_per_second# \
		seconds_left#
}

json_stage()
{
	local tool state pid since restarts failures last
	IFS=$'\t' read -r tool state pid since restarts failures last <<<"$1"
	[[ $supervised != died ]] || state=died
	[[ $state == running ]] || pid=
	json_object stage "${tool/#PHILOTES_*/handler}" state "$state" \
		pid# "$pid" since# "${since%%:*}" restarts# "$restarts" \
		failures# "$failures" last "${last/#-/}"
}

show_json()
{
	local text healthy=true
	((${#problems[@]} == 0)) || healthy=false
	log_stamp
	text="{\"time\":\"$REPLY\",\"healthy\":$healthy"
	json_list json_string "${problems[@]}"
	text+=",\"problems\":$REPLY"
	json_string "$source_id"
	text+=",\"source\":$REPLY,\"supervisor\":\"$supervised\""
	json_slot
	text+=",\"slot\":$REPLY"
	json_store
	text+=",\"buffer\":$REPLY"
	json_list json_source "${sources[@]}"
	text+=",\"sources\":$REPLY"
	json_list json_consumer "${consumers[@]}"
	text+=",\"consumers\":$REPLY"
	json_list json_snapshot "${snapshots[@]}"
	[[ -n $store ]] || REPLY=null
	text+=",\"snapshots\":$REPLY"
	json_list json_table "${tables[@]}"
	[[ -n $store ]] || REPLY=null
	text+=",\"snapshot_tables\":$REPLY"
	json_list json_stage "${stage_lines[@]}"
	printf '%s,"stages":%s}\n' "$text" "$REPLY"
}

# fit TEXT: leaves in REPLY a screen drawn from its top, of the lines that have
# room there.  Problems come first, and must not be pushed out by lines that are
# too many or too long.
fit()
{
	local rows=0 lines
	read -r rows _ < <(stty size <&3 2>/dev/null) || :
	((rows > 1)) || rows=1000
	mapfile -t -n "$((rows - 1))" lines <<<"$1"
	printf -v REPLY '%s\e[K\n' "${lines[@]}"
	REPLY=$'\e[?7l\e[H'${REPLY%$'\n'}$'\e[J\e[?7h'
} 3>&1

# Prints in one piece, so that --watch does not flicker.
status_once()
{
	local text terminal=false
	[[ ! -t 1 ]] || terminal=true
	gather
	judge
	if $as_json; then
		text=$(show_json)
	else
		text=$(show_screen)
	fi
	if $watch && ! $as_json && $terminal; then
		fit "$text"
		text=$REPLY
	fi
	say "$text"
	((${#problems[@]} == 0))
}

status()
{
	local healthy
	locate_state
	check_databases
	while :; do
		healthy=0
		status_once || healthy=1
		$watch || exit "$healthy"
		sleep "$watch_interval"
	done
}
