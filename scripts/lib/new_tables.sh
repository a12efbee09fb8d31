# Tables that can be published and are not: PHILOTES_NEW_TABLES says what
# `philotes run` does about them, at its start and every minute.
#
#   watch_tables       until standard input ends

readonly look_interval=60

# Logs each line that pg-cdc-read has not printed before in this run.
report_tables()
{
	local line level
	while IFS= read -r line; do
		[[ -z ${seen[$line]-} ]] || continue
		seen[$line]=yes
		level=warning
		[[ $line == "left out"* ]] || level=info
		log "$level" "${line/#left out/not captured:}"
	done
}

# Leaves what pg-cdc-read printed in the file $run/tables.  If this process is
# killed it ends, too.
look_at_tables()
{
	local hidden
	hide_secrets pg-cdc-read
	env --default-signal "${hidden[@]}" setpriv --pdeathsig TERM -- \
		"$bin/pg-cdc-read" -q --new-tables "$PHILOTES_NEW_TABLES" \
		</dev/null >"$run/tables" 12>&- &
	first_of $! "$watcher"
	! stopping || kill -KILL $!
	wait $!
}

watch_tables()
{
	local watcher
	local -A seen=()
	set +e
	exec 9>&- 10>&-
	trap '' TERM INT HUP
	(exec >/dev/null && read -r) <&0 &
	watcher=$!
	until stopping; do
		look_at_tables && report_tables <"$run/tables"
		! ends_within "$look_interval" "$watcher" || break
	done
	kill -KILL "$watcher" 2>/dev/null
}
