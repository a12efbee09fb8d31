# What is known of each stage: written by `philotes run` to run/stages in the
# state directory, as a whole (write-new and rename), read by `status` and
# `metrics`.  A line each, fields separated by tabs, the first of philotes
# itself:
#
#   tool  state  pid  since  restarts  failures  last
#
# state is running, waiting (for its restart), stopped or failed; since is when
# that began: in seconds of the epoch, in seconds from the machine's boot, and
# which boot, with colons between; last is how it ended last: "exit N",
# "signal N" or "-".
#
#   seconds_up                   REPLY: seconds from the boot, by a clock that
#                                nobody sets, unlike bash's SECONDS
#   stage_age SINCE              REPLY: seconds since then; empty: not known
#   stage_runs TOOL PID          it has been started
#   stage_stands TOOL STATE      it is in this state from now on
#   stage_was TOOL STATUS        it has ended with that status of the shell
#   read_stages                  fills $stage_lines, $supervised

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
	[[ -n ${stage_starts[$1]-} ]] || stage_order+=("$1")
	stage_starts[$1]=$((${stage_starts[$1]-0} + 1))
	: "${stage_failures[$1]:=0}" "${stage_last[$1]:=-}"
	stage_pid[$1]=$2
	stage_stands "$1" running
}

stage_stands()
{
	local boot
	[[ -n ${stage_starts[$1]-} ]] || return 0
	stage_state[$1]=$2
	read -r boot </proc/sys/kernel/random/boot_id
	seconds_up
	printf -v "stage_since[$1]" '%(%s)T:%s:%s' -1 "$REPLY" "$boot"
	[[ $2 == running ]] || stage_pid[$1]=0
	write_stages
}

stage_was()
{
	stage_last[$1]="exit $2"
	(($2 <= 128)) || stage_last[$1]="signal $(($2 - 128))"
	(($2 == 0)) || stage_failures[$1]=$((stage_failures[$1] + 1))
}

# For information only, so a full disk is no reason to end.
write_stages()
{
	local tool
	{
		for tool in "${stage_order[@]}"; do
			printf '%s\t%s\t%d\t%s\t%d\t%d\t%s\n' "$tool" \
				"${stage_state[$tool]}" "${stage_pid[$tool]}" \
				"${stage_since[$tool]}" \
				"$((stage_starts[$tool] - 1))" \
				"${stage_failures[$tool]}" "${stage_last[$tool]}"
		done >"$run/stages.new" && mv "$run/stages.new" "$run/stages"
	} 2>/dev/null || log warning "could not write \"$run/stages\""
}

# $supervised: running, died (without having said so), stopped, failed; never:
# nobody has ever run it here; unknown: we may not look.  A shared lock is got
# only if no philotes has its own.
read_stages()
{
	local line
	stage_lines=() supervised=never
	if [[ -e $run && ! -x $run ]]; then
		supervised=unknown
		return
	fi
	[[ -r $run/stages ]] || return 0
	mapfile -t stage_lines <"$run/stages"
	IFS=$'\t' read -r line supervised line <<<"${stage_lines[0]-}"
	if flock -n -s "$run/lock" true 2>/dev/null &&
	    [[ $supervised == running ]]; then
		supervised=died
	fi
}
