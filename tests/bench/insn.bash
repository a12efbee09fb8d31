# Instructions an event in the tools themselves, counted by callgrind: the same
# for every run of the same binary, however busy the machine is.  The recorded
# figures are shown beside them.
# shellcheck shell=bash

readonly recorded=$root/tests/bench/instructions.txt

toolchain()
{
	printf '%s, glibc %s, %s' "$(gcc -dumpfullversion | sed 's/^/gcc /')" \
		"$(getconf GNU_LIBC_VERSION | cut -d ' ' -f 2)" "$(uname -m)"
}

instructions_of()
{
	command_of[$1]="valgrind --tool=callgrind --toggle-collect=measured \
--callgrind-out-file=$out/callgrind.$1 $probes/insn $1 $events"
	bash -c "${command_of[$1]}" 2>&1 | awk -v n="$events" \
		'/Collected/ { printf "%.0f", $NF / n }'
}

recorded_of()
{
	awk -v what="$1" '$1 == what { print $2 }' "$recorded" 2>/dev/null
}

bench_insn()
{
	local what events=20000 figure now
	has valgrind || {
		note "valgrind is not installed: no instruction counts"
		return 0
	}
	now=$(toolchain)
	for what in reader writer batch; do
		progress "$what"
		figure=$(instructions_of "$what")
		result "$what, per event (recorded: $(recorded_of "$what"))" - \
			"$figure" instructions "$what"
		printf '%s %s\n' "$what" "$figure"
	done >"$out/instructions"
	{
		echo "# Instructions an event: scripts/bench --only insn"
		echo "# $now"
		cat "$out/instructions"
	} >"$out/instructions.txt"
	rm "$out/instructions"
	note "compiler now: $now; of the recorded figures: $(sed -n \
		'2s/^# //p' "$recorded" 2>/dev/null)"
}
