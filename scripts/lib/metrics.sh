# philotes metrics: what `gather` found, in the text format of Prometheus, for
# the textfile collector of its node exporter.

# family NAME TYPE HELP
family()
{
	printf '# HELP %s %s\n# TYPE %s %s\n' "$1" "$3" "$1" "$2"
}

# sample NAME VALUE [LABEL VALUE ...]; nothing if there is no value.  Of two whose
# names are the same without what is hostile in them the first one counts, since
# Prometheus refuses a file that has both.
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

# of_sources NAME FIELD, of_consumers NAME FIELD [INSTEAD]: a sample of each row.
# A lag that is not known is one without an end, so that an alert sees it.
of_sources()
{
	local row f
	for row in "${sources[@]}"; do
		IFS=$US read -r -a f <<<"$row$US"
		sample "$1" "${f[$2]}" source "${f[0]}"
	done
}

of_consumers()
{
	local row f
	for row in "${consumers[@]}"; do
		IFS=$US read -r -a f <<<"$row$US"
		sample "$1" "${f[$2]:-${3-}}" source "${f[1]}" consumer "${f[0]}"
	done
}

metrics_of_source()
{
	local row f
	family philotes_cdc_events_total counter "Events written to the buffer."
	of_sources philotes_cdc_events_total 4
	family philotes_cdc_lag_seconds gauge \
		"Time since the buffer was last known to be complete; 0 if it is."
	for row in "${sources[@]}"; do
		capture_lag "$row"
		sample philotes_cdc_lag_seconds "${REPLY:-+Inf}" source "${row%%"$US"*}"
	done
	IFS=$US read -r -a f <<<"$slot$US$US$US$US$US$US$US$US"
	family philotes_slot_retained_bytes gauge \
		"WAL that the source keeps for the slot."
	sample philotes_slot_retained_bytes "${f[6]}" source "$source_id" \
		slot "${PHILOTES_SLOT:-philotes_cdc}"
	family philotes_slot_active gauge "Whether somebody reads from the slot."
	[[ -n $source_said ]] ||
		sample philotes_slot_active "$([[ ${f[2]} == active ]] &&
			echo 1 || echo 0)" source "$source_id" \
			slot "${PHILOTES_SLOT:-philotes_cdc}"
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
		"Ends of a stage with another status than 0 since philotes run began."
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
	local f
	family philotes_buffer_depth gauge \
		"Events in the buffer that the consumer has not processed."
	of_consumers philotes_buffer_depth 5
	family philotes_buffer_lag_seconds gauge \
		"Age of the first event that the consumer has not processed."
	of_consumers philotes_buffer_lag_seconds 7 +Inf
	family philotes_buffer_lag_bytes gauge \
		"WAL of the source that the consumer is behind."
	of_consumers philotes_buffer_lag_bytes 6
	family philotes_buffer_batches_total counter "Batches processed."
	of_consumers philotes_buffer_batches_total 9
	family philotes_buffer_events_processed_total counter \
		"Events processed, those the consumer began behind included."
	of_consumers philotes_buffer_events_processed_total 3
	family philotes_buffer_failing_attempts gauge \
		"Attempts at the batch that fails at the moment."
	of_consumers philotes_buffer_failing_attempts 10
	family philotes_buffer_dlq_total counter \
		"Events given up, those delivered again later included."
	of_consumers philotes_buffer_dlq_total 13
	family philotes_dead_letters gauge "Events given up and not delivered yet."
	of_consumers philotes_dead_letters 14
	IFS=$US read -r -a f <<<"$store$US$US$US$US$US"
	family philotes_partition_count gauge "Partitions of the log."
	sample philotes_partition_count "${f[0]}"
	family philotes_buffer_bytes gauge "Disk space of the buffer's tables."
	sample philotes_buffer_bytes "${f[1]}"
	family philotes_gc_age_seconds gauge "Time since buffer-gc last ended."
	sample philotes_gc_age_seconds "${f[2]}"
}

print_metrics()
{
	local -A sampled=()
	metrics_of_stages
	metrics_of_source
	[[ $PHILOTES_BUFFER_ENABLED == false ]] || metrics_of_buffer
	family philotes_up gauge "Whether source and buffer answered."
	sample philotes_up "$([[ -z $source_said ]] && echo 1 || echo 0)" \
		source "$source_id" database source
	[[ $PHILOTES_BUFFER_ENABLED == false ]] ||
		sample philotes_up "$([[ -z $buffer_said ]] && echo 1 ||
			echo 0)" source "$source_id" database buffer
}

# Whoever reads the file sees the last one or this one, whole; it is to be read
# by others, as the file of a textfile collector is.
write_metrics()
{
	local to=$1 text=$2 new
	new=$(mktemp "$to.XXXXXX" 2>/dev/null) ||
		die 74 create "$to" "its directory does not take it"
	# shellcheck disable=SC2064 # now: the name is local
	trap "rm -f ${new@Q}" EXIT
	{ printf '%s\n' "$text" >"$new" && chmod 0644 "$new" &&
		mv -fT "$new" "$to"; } 2>/dev/null ||
		die 74 write "$to" "its directory does not take it"
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
