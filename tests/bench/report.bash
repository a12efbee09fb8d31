# The output of scripts/bench: the table, results.json, report.md, and charts.
# shellcheck shell=bash

machine()
{
	local cpu
	cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
	printf '%s × %s, %s MB, Linux %s, %s, file system %s' "$(nproc)" \
		"${cpu:-$(uname -m)}" \
		"$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" \
		"$(uname -r)" "$("$(pg_bin postgres)" --version)" \
		"$(stat -f -c %T "$work")"
}

report_json()
{
	{
		printf '{"machine":'
		json_string "$(machine)"
		printf ',"date":"%s","rows":%s,"pairs":%s,"mode":"%s"' \
			"$(date -u +%FT%TZ)" "$rows" "$pairs" "$mode"
		printf ',"seconds":%s,"results":[\n' "$SECONDS"
		sed '$!s/$/,/' "$out/results.jsonl"
		printf ']}\n'
	} >"$out/results.json"
	rm "$out/results.jsonl"
}

# A figure with three significant digits, and its range if it has one.
readonly figures='
	function short(v, unit) {
		if (v >= 100 || unit == "instructions")
			return sprintf("%.0f", v)
		return sprintf((v >= 10 ? "%.1f" : "%.2f"), v)
	}
	function said(text) {
		return text == "-" ? "" : text
	}
	function figure(v, min, max, unit) {
		return short(v, unit) (min == max ? "" : \
		    " [" short(min, unit) "-" short(max, unit) "]")
	}'

report_table()
{
	awk -F '\t' "$figures"'
		$1 != last { print (NR > 1 ? "\n" : "") $1; last = $1 }
		{ printf("  %-68s %24s %-12s %-8s %s\n", $2,
		      figure($4, $5, $6, $7), $7, said($3), said($8)) }' \
		"$out/results.tsv"
	[[ ! -s $out/notes ]] || {
		echo
		cat "$out/notes"
	}
}

report_markdown()
{
	{
		printf '%s; %s rows, median [min-max] of %s.\n\n' \
			"$(machine)" "$rows" "$pairs"
		printf '| what | figure | goal | |\n|---|---|---|---|\n'
		awk -F '\t' "$figures"'
			{ printf("| %s | %s %s | %s | %s |\n", $2,
			      figure($4, $5, $6, $7), $7, said($3),
			      said($8)) }' \
			"$out/results.tsv"
		[[ ! -s $out/notes ]] || sed 's/^/\n/' "$out/notes"
	} >"$out/report.md"
}

# chart NAME TITLE COMMANDS: runs gnuplot on the data file $out/NAME.dat
chart()
{
	[[ -s $out/$1.dat ]] || return 0
	gnuplot <<-PLOT || note "no chart $1: gnuplot failed"
		set terminal svg size 860,${4-480} font "sans-serif,12" background "white"
		set output "$out/$1.svg"
		set title "$2"
		set datafile separator "\t"
		set border 3
		set tics nomirror
		set grid
		data = "$out/$1.dat"
		$3
	PLOT
}

# Horizontal bars, the first on top.
# shellcheck disable=SC2016 # for gnuplot
readonly bars='set style fill solid 0.8 noborder
	set grid noytics
	set yrange [] reverse
	set offsets 0, 0, 0.5, 0.5
	set xrange [0:*]
	set key off
	plot data using ($2 / 2):0:($2 / 2):(0.35):ytic(1) with boxxyerror \
	    linecolor rgb "#33658a", \
	    data using 2:0:(sprintf(" %s", strcol(3))) with labels left offset 0.3'

# The goals are a line; each figure is relative to its own goal.
chart_goals()
{
	awk -F '\t' '$3 ~ /[1-9]/ {
		split($3, g, " ")
		v = g[1] == "<=" ? $4 / g[2] : g[2] / $4
		printf("%s\t%.4f\t%.3g %s (%s)\n", $2, (v > 2 ? 2 : v), $4, $7, $3)
	}' "$out/results.tsv" >"$out/goals.dat"
	chart goals "Share of the budget used: left of the line is within" \
		"set lmargin 60
		set xrange [0:3]
		set arrow from 1, graph 0 to 1, graph 1 nohead linewidth 2 linecolor rgb \"#d1495b\"
		${bars/set xrange \[0:\*\]/}" 640
}

chart_rates()
{
	awk -F '\t' '$7 == "events/s" {
		printf "%s\t%.0f\t%.0f\n", $2, $4, $4 }' "$out/results.tsv" \
		>"$out/rates.dat"
	chart rates "Events a second" \
		"set lmargin 48
		set xtics rotate by -30
		set format x \"%.0s%c\"
		$bars" 560
}

chart_latency()
{
	local rate what
	for rate in 100 1000; do
		for what in visible handed; do
			[[ -s $out/latency.$rate.$what ]] || return 0
		done
	done
	: >"$out/latency.dat"
	for rate in 100 1000; do
		for what in visible handed; do
			tr ' ' '\t' <"$out/latency.$rate.$what"
			printf '\n\n'
		done
	done >"$out/latency.dat"
	rm -f "$out"/latency.*.{visible,handed}
	chart latency "From commit to buffer and handler" \
		"set logscale x
		set xrange [0.3:300]
		set xlabel \"milliseconds\"
		set ylabel \"share of the events\"
		set key top right
		plot data index 0 using 1:2 with histeps linewidth 2 title \"visible in the buffer, 100 tx/s\", \
		    data index 2 using 1:2 with histeps linewidth 2 title \"visible in the buffer, 1000 tx/s\", \
		    data index 1 using 1:2 with histeps dashtype 2 linewidth 2 title \"first byte at the handler, 100 tx/s\", \
		    data index 3 using 1:2 with histeps dashtype 2 linewidth 2 title \"first byte at the handler, 1000 tx/s\""
}

chart_memory()
{
	awk -F '\t' '$1 == "memory" {
		tool = $2; sub(/,.*/, "", tool)
		rows = $2; gsub(/[^0-9]/, "", rows)
		if (tool != last)
			print (last != "" ? "\n\n" : "") "\"" tool "\""
		last = tool
		print rows "\t" $4
	}' <(sort -t $'\t' -s -k 1,1 "$out/results.tsv" |
		awk -F '\t' '{ t = $2; sub(/,.*/, "", t); print t "\t" $0 }' |
		sort -t $'\t' -s -k 1,1 | cut -f 2-) >"$out/memory.dat"
	chart memory "Peak memory by the size of one transaction" \
		"set logscale x
		set yrange [0:*]
		set xlabel \"rows\"
		set ylabel \"MiB\"
		set key outside right autotitle columnheader
		stats data using 1 nooutput
		plot for [i = 0:STATS_blocks - 1] data index i using 1:2 with linespoints linewidth 2"
}

report_charts()
{
	has gnuplot || {
		note "gnuplot is not installed: no charts"
		return 0
	}
	chart_goals
	chart_rates
	chart_latency
	chart_memory
	rm -f "$out"/*.dat
}

report()
{
	local subject=report
	[[ ! -t 2 ]] || printf '\r\e[K' >&2
	report_charts
	report_table
	report_markdown
	report_json
}
