# The state of a pipeline, for `status` and `metrics`: the slot as the source
# shows it, the ledgers of the buffer, and the records that `run` keeps of its
# stages.  No query counts events.
#
#   gather       fills the variables below; never fails
#   judge        fills $problems from them: a line for each reason why the
#                pipeline is not healthy
#
#   $source_id   the pipeline's name for its source
#   $source_said, $buffer_said
#                empty, or why there are no facts from there
#   $fact        the columns of the rows that sql/operator/source.sql and
#                buffer.sql return, by ROW.COLUMN: "${fact[$row.events]}"
#   $slot, $store
#                the rows of these kinds; empty if they are not known
#   $slot_name   the configured one
#   $sources, $consumers, $snapshots, $tables
#                lists of rows; tables are those that a snapshot reads now
#   $stage_lines, $supervised
#                see stages.sh
#
# Two columns are added here: name of the slot, and lag_seconds of a source, the
# time since the buffer was last known to be complete.  It is 0 if the buffer is
# complete, and empty if the time is unknown, since the clock of the buffer's
# server was set back.

readonly US=$'\x1f'

declare -A fact=()

# operator_query URL FILE [ARGUMENT ...]: leaves rows in $REPLY, their fields
# separated by $US.  The server's messages come with them, so lines without $US
# are dropped.  False: leaves the reason.
operator_query()
{
	local url=$1 file=$2 said
	shift 2
	said=$(PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT:-5} LC_ALL=C \
		psql_pinned "$url" -At -F "$US" "$@" \
		-f "$share/sql/operator/server.sql" \
		-f "$share/sql/operator/$file" 2>&1) && {
		REPLY=$(grep -aF "$US" <<<"$said") || :
		return 0
	}
	said=${said#"${said%%[![:space:]]*}"}
	[[ $said =~ (ERROR|FATAL):\ +([^$'\n']*) ]] && said=${BASH_REMATCH[2]}
	said=${said##*psql: error: }
	REPLY=${said%%$'\n'*}
	return 1
}

# query_facts URL FILE [ARGUMENT ...]: stores each row in $fact, and lists the
# rows in $rows.  psql prints a row as a line "COLUMN $US VALUE" per column; the
# first column is the row's kind.  No value contains $US or a line break, since
# the queries replace control characters.
query_facts()
{
	local line row=''
	rows=()
	operator_query "$@" -x || return 1
	while IFS= read -r line; do
		if [[ $line == "kind$US"* ]]; then
			row=${line#*"$US"}.${#fact[@]}
			rows+=("$row")
		fi
		fact[$row.${line%%"$US"*}]=${line#*"$US"}
	done <<<"$REPLY"
}

# Empty: gather_source names it after its database.
name_source()
{
	source_id=${PHILOTES_SOURCE_ID-}
	source_id=${source_id//[$'\x01'-$'\x1f']/?}
}

gather_source()
{
	local rows
	slot_name=${PHILOTES_SLOT:-philotes_cdc} slot='' source_said=''
	query_facts "${PHILOTES_SOURCE_URL-}" source.sql -v "slot=$slot_name" || {
		source_said=$REPLY
		return 0
	}
	slot=${rows[0]}
	fact[$slot.name]=$slot_name
	: "${source_id:=postgres-${fact[$slot.database]}}"
}

gather_buffer()
{
	local row rows
	sources=() consumers=() snapshots=() tables=() store='' buffer_said=''
	[[ $PHILOTES_BUFFER_ENABLED == true ]] || return 0
	if $embedded; then
		cluster_running "$buffer_cluster" || {
			buffer_said="the embedded server is not running"
			return 0
		}
		PHILOTES_BUFFER_URL=$(cluster_url "$buffer_cluster")
	fi
	query_facts "${PHILOTES_BUFFER_URL-}" buffer.sql || {
		buffer_said=$REPLY
		return 0
	}
	for row in "${rows[@]}"; do
		case ${fact[$row.kind]} in
		source) sources+=("$row") ;;
		consumer) consumers+=("$row") ;;
		store) store=$row ;;
		snapshot) snapshots+=("$row") ;;
		table) tables+=("$row") ;;
		esac
	done
}

gather()
{
	local row
	fact=()
	name_source
	gather_source
	gather_buffer
	read_stages
	# if the source does not answer, the buffer may know whose slot it is
	for row in "${sources[@]}"; do
		[[ -n $source_id || ${fact[$row.slot]} != "$slot_name" ]] ||
			source_id=${fact[$row.source]}
	done
	: "${source_id:=unknown}"
	for row in "${sources[@]}"; do
		measure_lag "$row"
	done
}

# The buffer is complete if its checkpoint is the end of the source's WAL, or if
# the slot has confirmed all of it.
measure_lag()
{
	local lsn=${fact[$slot.current_lsn]-}
	local behind=${fact[$slot.unconfirmed_bytes]-}
	fact[$1.lag_seconds]=0
	[[ ${fact[$1.source]} != "$source_id" || -z $lsn ||
	    $lsn == "${fact[$1.checkpoint]}" || ${behind:-0} -le 0 ]] ||
		fact[$1.lag_seconds]=${fact[$1.age]}
}

# late SECONDS: true if they are not 0 and at least $max_lag
late()
{
	local whole=${1%%.*}
	[[ $1 == *[1-9]* ]] && ((${whole:-0} >= max_lag))
}

judge_stages()
{
	local line tool state last
	case $supervised in
	running | never | unknown) ;;
	died) problems+=("philotes run has been killed") ;;
	*)
		IFS=$'\t' read -r _ _ _ _ _ _ last <<<"${stage_lines[0]}"
		problems+=("philotes run has $supervised, $last")
		;;
	esac
	[[ $supervised == running ]] || return 0
	for line in "${stage_lines[@]:1}"; do
		IFS=$'\t' read -r tool state _ _ _ _ last <<<"$line"
		[[ $state == running ]] ||
			problems+=("$tool: $state, $last")
	done
}

judge_slot()
{
	local state reason
	if [[ -n $source_said ]]; then
		problems+=("the source does not answer: $source_said")
		return 0
	fi
	state=${fact[$slot.state]} reason=${fact[$slot.invalidation_reason]}
	if [[ $state == missing ]]; then
		problems+=("there is no slot \"$slot_name\"")
	elif [[ -n $reason ]]; then
		problems+=("the slot is lost: $reason")
	elif [[ ${fact[$slot.wal_status]} == unreserved ]]; then
		problems+=("the slot's WAL is unreserved")
	elif [[ $state == inactive && $supervised == running ]]; then
		problems+=("nothing reads from the slot")
	fi
}

judge_consumer()
{
	local who="consumer \"${fact[$1.consumer]}\""
	local source=${fact[$1.source]} lag=${fact[$1.lag_seconds]}
	! late "$lag" || problems+=("$who is $lag s behind in \"$source\"")
	[[ -n $lag ]] || problems+=("$who is behind in \"$source\" since \
before the buffer's clock was set back")
	((${fact[$1.failing_attempts]} == 0)) || problems+=(
		"$who fails in \"$source\": ${fact[$1.failing_status]}")
	((${fact[$1.dead_letters]} == 0)) || problems+=(
		"$who has ${fact[$1.dead_letters]} dead letters of \"$source\"")
}

judge_snapshot()
{
	local n=${fact[$1.failed]} what="1 table"
	((n > 0)) || return 0
	((n == 1)) || what="$n tables"
	problems+=("the snapshot of $what of \"${fact[$1.source]}\" failed, \
${fact[$1.failure]}")
}

judge_buffer()
{
	local row lag
	if [[ -n $buffer_said ]]; then
		problems+=("the buffer does not answer: $buffer_said")
		return 0
	fi
	for row in "${sources[@]}"; do
		lag=${fact[$row.lag_seconds]}
		! late "$lag" || problems+=("the buffer is $lag s behind")
		[[ -n $lag ]] || problems+=(
			"the buffer is behind since before its clock was set back")
	done
	for row in "${consumers[@]}"; do
		judge_consumer "$row"
	done
	for row in "${snapshots[@]}"; do
		judge_snapshot "$row"
	done
}

judge()
{
	problems=()
	judge_stages
	judge_slot
	[[ $PHILOTES_BUFFER_ENABLED == false ]] || judge_buffer
}
