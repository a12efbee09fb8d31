# philotes metrics: the facts in the text format of Prometheus, for the textfile
# collector of its node exporter.

# family NAME TYPE HELP
family()
{
	printf '# HELP %s %s\n# TYPE %s %s\n' "$1" "$3" "$1" "$2"
}

# sample NAME VALUE [LABEL VALUE ...]: prints nothing if there is no value.
# Prometheus refuses a file with the same labels twice, so if two names differ
# only in characters that are replaced, the first one counts.
sample()
{
	local name=$1 value=$2 labels=''
	shift 2
	[[ -n $value ]] || return 0
	while (($# > 0)); do
		one_line "$2"
		REPLY=${REPLY//\\/\\\\}
		labels+=",$1=\"${REPLY//\"/\\\"}\""
		shift 2
	done
	name+=${labels:+"{${labels#,}}"}
	[[ -z ${sampled[$name]-} ]] || return 0
	sampled[$name]=yes
	printf '%s %s\n' "$name" "$value"
}

# of_sources NAME COLUMN [DEFAULT], of_consumers NAME COLUMN [DEFAULT]: a sample
# of each row.  An unknown lag is infinite, so that an alert sees it.
of_sources()
{
	local row
	for row in "${sources[@]}"; do
		sample "$1" "${fact[$row.$2]:-${3-}}" \
			source "${fact[$row.source]}"
	done
}

of_consumers()
{
	local row
	for row in "${consumers[@]}"; do
		sample "$1" "${fact[$row.$2]:-${3-}}" \
			source "${fact[$row.source]}" \
			consumer "${fact[$row.consumer]}"
	done
}

metrics_of_source()
{
	family philotes_cdc_events_total counter "Events written to the buffer."
	of_sources philotes_cdc_events_total events
	family philotes_cdc_lag_seconds gauge \
		"Time since the buffer was last known to be complete; 0 if it is."
	of_sources philotes_cdc_lag_seconds lag_seconds +Inf
	family philotes_slot_retained_bytes gauge \
		"WAL that the source keeps for the slot."
	sample philotes_slot_retained_bytes "${fact[$slot.retained_bytes]-}" \
		source "$source_id" slot "$slot_name"
	family philotes_slot_active gauge "Whether somebody reads from the slot."
	[[ -n $source_said ]] ||
		sample philotes_slot_active \
			"$([[ ${fact[$slot.state]} == active ]] && echo 1 ||
				echo 0)" source "$source_id" slot "$slot_name"
}

metrics_of_stages()
{
	local line tool state pid failures now
	family philotes_cdc_pipeline_state gauge \
		"State of philotes run: 1 for the one it is in."
	for state in running stopped failed died never unknown; do
		now=0
		[[ $state != "$supervised" ]] || now=1
		sample philotes_cdc_pipeline_state "$now" source "$source_id" \
			state "$state"
	done
	family philotes_cdc_errors_total counter \
		"Times that the stage has failed since philotes run began."
	for line in "${stage_lines[@]:1}"; do
		IFS=$'\t' read -r tool _ _ _ _ failures _ <<<"$line"
		sample philotes_cdc_errors_total "$failures" source "$source_id" \
			stage "${tool/#PHILOTES_*/handler}"
	done
	family philotes_stage_up gauge "Whether the stage runs."
	for line in "${stage_lines[@]:1}"; do
		IFS=$'\t' read -r tool state pid _ <<<"$line"
		now=0
		[[ $state != running || $supervised != running ]] || now=1
		sample philotes_stage_up "$now" source "$source_id" \
			stage "${tool/#PHILOTES_*/handler}"
	done
}

metrics_of_buffer()
{
	family philotes_buffer_depth gauge \
		"Events in the buffer that the consumer has not processed."
	of_consumers philotes_buffer_depth lag_events
	family philotes_buffer_lag_seconds gauge \
		"Age of the first event that the consumer has not processed."
	of_consumers philotes_buffer_lag_seconds lag_seconds +Inf
	family philotes_buffer_lag_bytes gauge \
		"Source WAL between the consumer and the newest event."
	of_consumers philotes_buffer_lag_bytes lag_bytes
	family philotes_buffer_batches_total counter "Batches processed."
	of_consumers philotes_buffer_batches_total batches
	family philotes_buffer_events_processed_total counter \
		"Events processed, and those before the consumer began."
	of_consumers philotes_buffer_events_processed_total events
	family philotes_buffer_failing_attempts gauge \
		"Attempts at the batch that currently fails."
	of_consumers philotes_buffer_failing_attempts failing_attempts
	family philotes_buffer_dlq_total counter \
		"Events given up, those delivered again later included."
	of_consumers philotes_buffer_dlq_total dead_letters_total
	family philotes_dead_letters gauge "Events given up and not delivered yet."
	of_consumers philotes_dead_letters dead_letters
	family philotes_partition_count gauge "Partitions of the log."
	sample philotes_partition_count "${fact[$store.partitions]-}"
	family philotes_buffer_bytes gauge "Disk space of the buffer's tables."
	sample philotes_buffer_bytes "${fact[$store.bytes]-}"
	family philotes_gc_age_seconds gauge "Time since buffer-gc last ended."
	sample philotes_gc_age_seconds "${fact[$store.gc_seconds]-}"
}

# of_snapshots NAME COLUMN: as of_sources
of_snapshots()
{
	local row
	for row in "${snapshots[@]}"; do
		sample "$1" "${fact[$row.$2]}" source "${fact[$row.source]}"
	done
}

metrics_of_snapshots()
{
	local row state
	family philotes_snapshot_tables gauge \
		"Tables of the last snapshot, by state."
	for row in "${snapshots[@]}"; do
		for state in begin chunk end failed cancelled; do
			sample philotes_snapshot_tables "${fact[$row.$state]}" \
				source "${fact[$row.source]}" state "$state"
		done
	done
	family philotes_snapshot_rows_total counter \
		"Rows read by the last snapshot."
	of_snapshots philotes_snapshot_rows_total rows
	family philotes_snapshot_blocks_done gauge \
		"Blocks read of the tables that the last snapshot has begun."
	of_snapshots philotes_snapshot_blocks_done blocks
	family philotes_snapshot_blocks gauge "Blocks of these tables."
	of_snapshots philotes_snapshot_blocks of
}

metrics_of_settings()
{
	local nanoseconds
	parse_duration "${PHILOTES_SNAPSHOT_PAUSE:-300ms}" || return 0
	family philotes_snapshot_pause_seconds gauge \
		"How long a snapshot may let the stream rest, as set."
	printf -v REPLY '%d.%09d' "$((nanoseconds / 1000000000))" \
		"$((nanoseconds % 1000000000))"
	sample philotes_snapshot_pause_seconds "$REPLY" source "$source_id"
}

print_metrics()
{
	local -A sampled=()
	metrics_of_stages
	metrics_of_source
	metrics_of_settings
	[[ $PHILOTES_BUFFER_ENABLED == false ]] || {
		metrics_of_buffer
		metrics_of_snapshots
	}
	family philotes_up gauge "Whether source and buffer answered."
	sample philotes_up "$([[ -z $source_said ]] && echo 1 || echo 0)" \
		source "$source_id" database source
	[[ $PHILOTES_BUFFER_ENABLED == false ]] ||
		sample philotes_up "$([[ -z $buffer_said ]] && echo 1 ||
			echo 0)" source "$source_id" database buffer
}

# Replaces the file as a whole and makes it readable by all, as the textfile
# collector needs it.
write_metrics()
{
	local to=$1 text=$2 new
	new=$(mktemp "$to.XXXXXX" 2>/dev/null) ||
		die 74 create "$to" "cannot create a file in its directory"
	# shellcheck disable=SC2064 # now: the name is local
	trap "rm -f ${new@Q}" EXIT
	{ printf '%s\n' "$text" >"$new" && chmod 0644 "$new" &&
		mv -fT "$new" "$to"; } 2>/dev/null ||
		die 74 write "$to" "cannot write the new file, or rename it"
}

metrics()
{
	local text
	locate_state
	check_databases
	gather
	text=$(print_metrics)
	if [[ -n $output ]]; then
		write_metrics "$output" "$text"
	else
		say "$text"
	fi
}
