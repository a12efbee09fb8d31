# philotes status: one screen, or one line of JSON.

readonly watch_interval=2

# Leaves a number of bytes in REPLY, as people have it.
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

# ... of seconds
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
	if [[ -t 1 && -z ${NO_COLOR-} ]]; then
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
	local name state wal kept behind
	printf '\n%-9s' slot
	if [[ -n $source_said ]]; then
		printf 'unknown\n'
		return
	fi
	IFS=$US read -r _ _ state wal _ _ kept behind _ <<<"$slot"
	human_bytes "$kept"
	kept=$REPLY
	one_line "${PHILOTES_SLOT:-philotes_cdc}"
	name=$REPLY
	human_bytes "$behind"
	printf '%s %s, WAL %s, %s retained, %s not confirmed\n' \
		"$name" "${state:-missing}" \
		"${wal:--}" "$kept" "$REPLY"
}

show_store()
{
	local partitions bytes age events dropped held
	[[ -n $store ]] || return 0
	IFS=$US read -r partitions bytes age events dropped held <<<"$store"
	human_bytes "$bytes"
	printf '%-9s%s partitions, %s' buffer "$partitions" "$REPLY"
	if [[ -n $events ]]; then
		one_line "$held"
		held=$REPLY
		human_time "$age"
		printf ', last gc %s ago: %s events, %s partitions%s' "$REPLY" \
			"$events" "$dropped" "${held:+, held by $held}"
	else
		printf ', no gc yet'
	fi
	printf '\n'
}

show_sources()
{
	local row id lsn total rate age
	((${#sources[@]} > 0)) || return 0
	printf '\n%-18s %-14s %14s %10s %9s\n' \
		SOURCE BUFFERED EVENTS EVENTS/S LAG
	for row in "${sources[@]}"; do
		IFS=$US read -r id _ lsn _ total rate age <<<"$row"
		capture_lag "$row"
		age=$REPLY
		one_line "$id"
		id=$REPLY
		human_time "$age"
		printf '%-18s %-14s %14s %10s %9s\n' "$id" "${lsn:--}" \
			"$total" "$rate" "$REPLY"
	done
}

show_consumers()
{
	local row consumer id lsn total rate events bytes age attempts open
	((${#consumers[@]} > 0)) || return 0
	printf '\n%-18s %-14s %8s %8s %7s %7s %7s %4s\n' CONSUMER PROCESSED \
		EVENTS/S WAITING BYTES LAG FAILING DEAD
	for row in "${consumers[@]}"; do
		IFS=$US read -r consumer id lsn total rate events bytes age \
			_ _ attempts _ _ _ open <<<"$row"
		human_bytes "$bytes"
		bytes=$REPLY
		((${#sources[@]} == 1)) || consumer+="/$id"
		one_line "$consumer"
		consumer=$REPLY
		human_time "$age"
		printf '%-18s %-14s %8s %8s %7s %7s %7s %4s\n' "$consumer" \
			"${lsn:--}" "$rate" "$events" "$bytes" "$REPLY" \
			"$attempts" "$open"
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
	show_sources
	show_consumers
	show_stages
}

# json_object NAME VALUE ...: a name that ends with # has a number
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

# json_rows ROW_FUNCTION ROW ...
json_rows()
{
	local make=$1 row text=''
	shift
	for row; do
		"$make" "$row"
		text+=,$REPLY
	done
	REPLY=[${text#,}]
}

json_source()
{
	local id its_slot checkpoint lsn total rate age
	IFS=$US read -r id its_slot checkpoint lsn total rate age <<<"$1"
	capture_lag "$1"
	json_object source "$id" slot "$its_slot" checkpoint "$checkpoint" \
		commit_lsn "$lsn" events# "$total" events_per_second# "$rate" \
		lag_seconds# "$REPLY"
}

json_consumer()
{
	local f
	IFS=$US read -r -a f <<<"$1$US"
	json_object consumer "${f[0]}" source "${f[1]}" commit_lsn "${f[2]}" \
		events# "${f[3]}" events_per_second# "${f[4]}" \
		lag_events# "${f[5]}" lag_bytes# "${f[6]}" lag_seconds# "${f[7]}" \
		last_batch_seconds# "${f[8]}" batches# "${f[9]}" \
		failing_attempts# "${f[10]}" failing_status "${f[11]}" \
		failing_seconds# "${f[12]}" dead_letters# "${f[14]}"
}

json_slot()
{
	local f
	REPLY=null
	[[ -n $slot ]] || return 0
	IFS=$US read -r -a f <<<"$slot$US"
	json_object name "${PHILOTES_SLOT:-philotes_cdc}" \
		state "${f[2]:-missing}" wal_status "${f[3]}" \
		restart_lsn "${f[4]}" confirmed_flush_lsn "${f[5]}" \
		retained_bytes# "${f[6]}" unconfirmed_bytes# "${f[7]}" \
		safe_bytes# "${f[8]}" current_lsn "${f[1]}" \
		invalidation_reason "${f[11]-}"
}

json_store()
{
	local f
	REPLY=null
	[[ -n $store ]] || return 0
	IFS=$US read -r -a f <<<"$store$US"
	json_object partitions# "${f[0]}" bytes# "${f[1]}" \
		schema_version# "$schema_version" gc_seconds# "${f[2]}" \
		gc_events# "${f[3]}" gc_partitions# "${f[4]}" held_by "${f[5]}"
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
	json_rows json_string "${problems[@]}"
	text+=",\"problems\":$REPLY"
	json_string "$source_id"
	text+=",\"source\":$REPLY,\"supervisor\":\"$supervised\""
	json_slot
	text+=",\"slot\":$REPLY"
	json_store
	text+=",\"buffer\":$REPLY"
	json_rows json_source "${sources[@]}"
	text+=",\"sources\":$REPLY"
	json_rows json_consumer "${consumers[@]}"
	text+=",\"consumers\":$REPLY"
	json_rows json_stage "${stage_lines[@]}"
	printf '%s,"stages":%s}\n' "$text" "$REPLY"
}

# A screen drawn from its top, of what has room there: what is wrong stands
# first, and is not to be pushed out by lines that are too many or too long.
fit()
{
	local rows=0 lines
	read -r rows _ < <(stty size <&3 2>/dev/null) || :
	((rows > 1)) || rows=1000
	mapfile -t -n "$((rows - 1))" lines <<<"$1"
	printf -v REPLY '%s\e[K\n' "${lines[@]}"
	REPLY=$'\e[?7l\e[H'${REPLY%$'\n'}$'\e[J\e[?7h'
} 3>&1

# All at once, so that a screen that is drawn anew does not flicker.
status_once()
{
	local text
	gather
	judge
	if $as_json; then
		text=$(show_json)
	else
		text=$(show_screen)
	fi
	if $watch && ! $as_json && [[ -t 1 ]]; then
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
