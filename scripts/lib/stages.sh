# The record of a run: a file for each unit in run/stages below the state
# directory, and one of `philotes run` itself.  A unit replaces its file, as a
# whole, when one of its stages changes; `status` and `metrics` read them.  A
# line each, fields separated by tabs:
#
#   tool  state  pid  since  restarts  failures  last
#
# state is running, waiting (for its restart), stopped or failed; since is when
# that began: in seconds of the epoch, in seconds from the machine's boot, and
# which boot, with colons between; last is how the tool ended last: "exit N",
# "signal N" or "-".
#
#   seconds_up                   REPLY: seconds from the boot, by a clock that
#                                nobody sets, unlike bash's SECONDS
#   stage_age SINCE              REPLY: seconds since then; empty: not known
#   stage_runs TOOL PID          it has been started
#   stage_ended TOOL STATUS [STATE]
#                                it has ended with this status of the shell
#   stage_is TOOL STATE          its state from now on
#   read_stages                  fills $stage_lines, that of philotes first,
#                                and $supervised

declare -A stage_state=() stage_pid=() stage_since=() stage_starts=()
declare -A stage_failures=() stage_last=()
stage_order=()

seconds_up()
{
	read -r REPLY _ </proc/uptime
	REPLY=${REPLY%.*}
}

stage_age()
{
	local up boot of
	IFS=: read -r _ up boot <<<"$1"
	read -r of </proc/sys/kernel/random/boot_id
	REPLY=''
	[[ $boot == "$of" ]] || return 0
	seconds_up
	REPLY=$((REPLY - up))
}

stage_runs()
{
	[[ " ${stage_order[*]} " == *" $1 "* ]] || stage_order+=("$1")
	stage_starts[$1]=$((${stage_starts[$1]-0} + 1)) stage_pid[$1]=$2
	stage_is "$1" running
}

stage_ended()
{
	stage_pid[$1]=0 stage_last[$1]="exit $2"
	(($2 <= 128)) || stage_last[$1]="signal $(($2 - 128))"
	(($2 == 0)) || stage_failures[$1]=$((${stage_failures[$1]-0} + 1))
	stage_is "$1" "${3:-stopped}"
}

# The record is for information only, so a full disk is no reason to end.  The
# next run may be writing its own when a killed one still stops its stages.
stage_is()
{
	local boot tool file=$run/stages/$unit
	stage_state[$1]=$2
	read -r boot </proc/sys/kernel/random/boot_id
	seconds_up
	printf -v "stage_since[$1]" '%(%s)T:%s:%s' -1 "$REPLY" "$boot"
	kill -0 "$$" 2>/dev/null || return 0
	{
		[[ -d $run/stages ]] || mkdir "$run/stages"
		for tool in "${stage_order[@]}"; do
			printf '%s\t%s\t%d\t%s\t%d\t%d\t%s\n' "$tool" \
				"${stage_state[$tool]}" "${stage_pid[$tool]}" \
				"${stage_since[$tool]}" \
				"$((stage_starts[$tool] - 1))" \
				"${stage_failures[$tool]-0}" \
				"${stage_last[$tool]--}"
		done >"$file.new" && mv "$file.new" "$file"
	} 2>/dev/null || log warning "could not write \"$file\""
}

# $supervised: running, died (without having said so), stopped, failed; never:
# nobody has ever run it here; unknown: we may not look.  The shared lock can be
# taken only if no philotes runs.
read_stages()
{
	local line unit
	stage_lines=() supervised=never
	if [[ -e $run && ! -x $run ]]; then
		supervised=unknown
		return 0
	fi
	[[ -r $run/stages/philotes ]] || return 0
	for unit in philotes pair batch gc; do
		mapfile -t -O "${#stage_lines[@]}" stage_lines \
			2>/dev/null <"$run/stages/$unit" || :
	done
	IFS=$'\t' read -r line supervised line <<<"${stage_lines[0]-}"
	if flock -n -s "$run/lock" true 2>/dev/null &&
	    [[ $supervised == running ]]; then
		supervised=died
	fi
}
