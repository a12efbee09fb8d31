# Shared by the subjects of scripts/bench, which sources it and sets $out and
# $work, directories; $probes, the directory of the helper programs; $rows,
# $pairs, $quick and $scale, its options.
#
#   alternate N VARIANT ...        calls the functions in turn, N rounds, every
#                                  second round backwards
#   timed NAME EVENTS COMMAND      runs a variant, the shell text COMMAND, which
#                                  handles that many events
#   sample NAME EVENTS SECONDS     the same for a run that the caller timed
#   ratio A B                      median, minimum and maximum of A's time an
#                                  event / B's, round by round
#   rate NAME                      the same of its events a second
#   result WHAT GOAL "MEDIAN [MIN MAX]" UNIT [NAME ...]
#                                  a row of the table; GOAL is "<= 1.05",
#                                  ">= 20" or "-"; NAMEs are its variants
#   note TEXT                      a line below the table
#   progress TEXT                  what is being done now
#
# Times are kept per event, so variants may run on samples of different size.
# shellcheck shell=bash

declare -gA command_of=() times_of=()

progress()
{
	if [[ -t 2 ]]; then
		printf '\r\e[K%s: %s' "$subject" "$1" >&2
	elif [[ $subject != "${progress_of-}" ]]; then
		printf '%s\n' "$subject" >&2
		progress_of=$subject
	fi
}

alternate()
{
	local rounds=$1 round i n
	shift
	for ((round = 0; round < rounds; round++)); do
		for ((i = 0; i < $#; i++)); do
			n=$((round % 2 == 0 ? i + 1 : $# - i))
			progress "${context:+$context, }${!n} $((round + 1))/$rounds"
			"${!n}"
		done
	done
}

# The recorded command has its paths and numbers filled in; the connection
# strings are in the environment.
timed()
{
	local name=$1 events=$2 command=$3 took
	"$probes/measure" "$work/measured" bash -o pipefail -c "$command" \
		>"$work/said" 2>&1 </dev/null || {
		printf '%s failed: %s\n' "$name" "$command" >&2
		tail -n 5 "$work/said" >&2
		return 1
	}
	read -r took _ <"$work/measured"
	command_of[$name]=$command
	sample "$name" "$events" "$took"
}

sample()
{
	times_of[$1]+=" $(awk -v s="$3" -v n="$2" \
		'BEGIN { printf "%.6f", s * 1e6 / n }')"
}

# Reads numbers, one a line; prints "median min max".
spread()
{
	sort -g | awk '{ v[NR] = $1 }
		END {
			if (NR == 0) exit 1
			m = NR % 2 ? v[(NR + 1) / 2] \
			    : (v[NR / 2] + v[NR / 2 + 1]) / 2
			print m, v[1], v[NR]
		}'
}

ratio()
{
	paste <(tr ' ' '\n' <<<"${times_of[$1]# }") \
		<(tr ' ' '\n' <<<"${times_of[$2]# }") |
		awk 'NF == 2 { print $1 / $2 }' | spread
}

rate()
{
	tr ' ' '\n' <<<"${times_of[$1]# }" | awk '{ print 1e6 / $1 }' | spread
}

# Inverts a ratio, for "so many times faster".
inverse()
{
	awk '{ print 1 / $1, 1 / $3, 1 / $2 }'
}

verdict()
{
	local goal=$1 figure=$2
	awk -v goal="${goal#* }" -v sign="${goal%% *}" -v v="$figure" 'BEGIN {
		if (sign == "-") print "-"
		else if (sign == "<=") print (v <= goal ? "met" : "missed")
		else print (v >= goal ? "met" : "missed")
	}'
}

json_string()
{
	local s=$1
	s=${s//\\/\\\\}
	s=${s//\"/\\\"}
	s=${s//$'\n'/\\n}
	s=${s//$'\t'/\\t}
	printf '"%s"' "$s"
}

# The variants of a result as JSON: the command, and microseconds an event.
json_samples()
{
	local name comma=
	printf '{'
	for name; do
		printf '%s' "$comma"
		json_string "$name"
		printf ':{"command":'
		json_string "${command_of[$name]-}"
		printf ',"us_per_event":[%s]}' \
			"$(sed 's/^ //; s/ /,/g' <<<"${times_of[$name]-}")"
		comma=,
	done
	printf '}'
}

result()
{
	local what=$1 goal=$2 median min max unit=$4 said
	read -r median min max <<<"$3"
	shift 4
	: "${min:=$median}" "${max:=$median}"
	[[ $median =~ ^-?[0-9] ]] || {
		note "no figure for $what"
		return 1
	}
	said=$(verdict "$goal" "$median")
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$subject" "$what" "$goal" \
		"$median" "$min" "$max" "$unit" "$said" >>"$out/results.tsv"
	{
		printf '{"subject":"%s","what":' "$subject"
		json_string "$what"
		printf ',"goal":'
		json_string "$goal"
		printf ',"figure":%s,"min":%s,"max":%s,"unit":"%s"' \
			"$median" "$min" "$max" "$unit"
		printf ',"verdict":"%s","samples":' "$said"
		json_samples "$@"
		printf '}\n'
	} >>"$out/results.jsonl"
}

# Records a remark, or why a figure is missing.
note()
{
	printf '%s: %s\n' "$subject" "$1" >>"$out/notes"
}

# has PEER: is it installed?
has()
{
	[[ -e $work/has.$1 ]]
}
