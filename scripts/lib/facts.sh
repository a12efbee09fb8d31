# What `status`, `metrics` and `check` know of a pipeline: what the source says
# of the slot, what the ledgers of the buffer say, and what `run` has on record.
# Nothing of it counts events.
#
#   gather       fills the variables below; never fails
#   judge        fills $problems from them: why it is not healthy, a line each
#
#   $source_id   the pipeline's name for its source
#   $source_said, $buffer_said
#                empty, or why there are no facts from there
#   $slot        the row of sql/operator/source.sql
#   $sources, $consumers, $store
#                those of sql/operator/buffer.sql, without their first column
#   $stage_lines, $supervised
#                see stages.sh
#
# The fields of a row are separated by $US.  No name has that or the end of a line
# in it: the queries put a ? for what is below a space, and for the source's name
# so do we.

readonly US=$'\x1f'

# operator_query URL FILE [ARGUMENT ...]: rows in $REPLY, of two columns or more,
# since what the server says beside them comes with them; false: the reason
operator_query()
{
	local url=$1 file=$2 said
	shift 2
	said=$(PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT:-5} LC_ALL=C \
		psql_pinned "$url" -At -F "$US" "$@" \
		-f "$share/sql/operator/server.sql" \
		-f "$share/sql/operator/$file" 2>&1) && {
		REPLY=$(grep -aF "$US" <<<"$said") || :
		return
	}
	said=${said#"${said%%[![:space:]]*}"}
	[[ $said =~ (ERROR|FATAL):\ +([^$'\n']*) ]] && said=${BASH_REMATCH[2]}
	said=${said##*psql: error: }
	REPLY=${said%%$'\n'*}
	return 1
}

# Empty: it is called after its database.
name_source()
{
	source_id=${PHILOTES_SOURCE_ID-}
	source_id=${source_id//[$'\x01'-$'\x1f']/?}
}

gather_source()
{
	local database
	slot='' source_said=''
	operator_query "${PHILOTES_SOURCE_URL-}" source.sql \
		-v "slot=${PHILOTES_SLOT:-philotes_cdc}" || {
		source_said=$REPLY
		return
	}
	slot=$REPLY
	database=${slot%%"$US"*}
	: "${source_id:=postgres-$database}"
}

gather_buffer()
{
	local row
	sources=() consumers=() store='' buffer_said=''
	[[ $PHILOTES_BUFFER_ENABLED == true ]] || return 0
	if $embedded; then
		cluster_running "$buffer_cluster" || {
			buffer_said="the embedded server does not run"
			return
		}
		PHILOTES_BUFFER_URL=$(cluster_url "$buffer_cluster")
	fi
	operator_query "${PHILOTES_BUFFER_URL-}" buffer.sql || {
		buffer_said=$REPLY
		return
	}
	while IFS= read -r row; do
		case $row in
		version*) schema_version=${row#*"$US"} ;;
		source*) sources+=("${row#*"$US"}") ;;
		consumer*) consumers+=("${row#*"$US"}") ;;
		store*) store=${row#*"$US"} ;;
		esac
	done <<<"$REPLY"
}

gather()
{
	schema_version=''
	name_source
	gather_source
	gather_buffer
	read_stages
	# the source does not answer, but the buffer knows the slot
	local row id its_slot
	for row in "${sources[@]}"; do
		IFS=$US read -r id its_slot _ <<<"$row"
		[[ -n $source_id ||
		    $its_slot != "${PHILOTES_SLOT:-philotes_cdc}" ]] ||
			source_id=$id
	done
	: "${source_id:=unknown}"
}

# Are these seconds, with or without a fraction, $max_lag or more, and any?
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
			problems+=("$tool is $state, $last")
	done
}

judge_slot()
{
	local state wal reason
	if [[ -n $source_said ]]; then
		problems+=("the source does not answer: $source_said")
		return
	fi
	IFS=$US read -r _ _ state wal _ _ _ _ _ _ _ reason <<<"$slot"
	if [[ -z $state ]]; then
		problems+=("there is no slot \"${PHILOTES_SLOT:-philotes_cdc}\"")
	elif [[ -n $reason ]]; then
		problems+=("the slot is lost: $reason")
	elif [[ $wal == unreserved ]]; then
		problems+=("the slot's WAL is $wal")
	elif [[ $state == inactive && $supervised == running ]]; then
		problems+=("nothing reads from the slot")
	fi
}

# Seconds since the buffer was last known to be complete; 0: it is; empty: not
# known, since the clock of the buffer's server was set back.
capture_lag()
{
	local id checkpoint lsn age behind
	REPLY=0
	IFS=$US read -r id _ checkpoint _ _ _ age <<<"$1"
	IFS=$US read -r _ lsn _ _ _ _ _ behind _ <<<"$slot"
	[[ $id == "$source_id" && -n $lsn && $lsn != "$checkpoint" &&
	    ${behind:-0} -gt 0 ]] || return 0
	REPLY=$age
}

judge_buffer()
{
	local row consumer source lag attempts status open
	if [[ -n $buffer_said ]]; then
		problems+=("the buffer does not answer: $buffer_said")
		return
	fi
	for row in "${sources[@]}"; do
		capture_lag "$row"
		! late "$REPLY" || problems+=("the buffer is $REPLY s behind")
		[[ -n $REPLY ]] || problems+=(
			"the buffer is behind since before its clock was set back")
	done
	for row in "${consumers[@]}"; do
		IFS=$US read -r consumer source _ _ _ _ _ lag _ _ attempts \
			status _ _ open <<<"$row"
		! late "$lag" || problems+=(
			"consumer \"$consumer\" is $lag s behind in \"$source\"")
		[[ -n $lag ]] || problems+=("consumer \"$consumer\" is behind \
in \"$source\" since before the buffer's clock was set back")
		((attempts == 0)) || problems+=(
			"consumer \"$consumer\" fails in \"$source\": $status")
		((open == 0)) || problems+=(
			"consumer \"$consumer\" has $open dead letters of \"$source\"")
	done
}

judge()
{
	problems=()
	judge_stages
	judge_slot
	[[ $PHILOTES_BUFFER_ENABLED == false ]] || judge_buffer
}
