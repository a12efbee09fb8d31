# philotes snapshot: asks for the rows that tables hold, waits until they have
# been read, and lists the snapshots that the buffer has a record of.

readonly snapshot_poll=1 snapshot_patience=15

# read_snapshots [ID]: leaves rows in $snapshot_rows, see
# sql/operator/snapshots.sql
read_snapshots()
{
	local said
	said=$(LC_ALL=C psql_pinned "${PHILOTES_BUFFER_URL-}" -At -F "$US" \
		-v VERBOSITY=verbose -v "id=${1-}" \
		-f "$share/sql/operator/server.sql" \
		-f "$share/sql/operator/snapshots.sql" 2>&1) ||
		explain_psql "$said" list snapshots
	mapfile -t snapshot_rows < <(grep -aF "$US" <<<"$said")
}

# split_row ROW: sets the columns' variables, which the caller declares
split_row()
{
	local rest=$1$US column
	for column in id from table state blocks of rows began seconds reason; do
		one_line "${rest%%"$US"*}"
		printf -v "$column" %s "$REPLY"
		rest=${rest#*"$US"}
	done
}

# Aligned and with a header on a terminal, else separated by tabs.
snapshot_list()
{
	local terminal=false row line text='' snapshot_rows
	local id from table state blocks of rows began seconds reason
	local form='%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s'
	[[ ! -t 1 ]] || terminal=true
	read_snapshots
	if $terminal; then
		form='%-17s %-12s %-20s %-9s %-24s %12s %-20s %8s %s'
		# shellcheck disable=SC2059 # one form for all lines
		printf -v text "$form\n" SNAPSHOT SOURCE TABLE STATE BLOCKS \
			ROWS BEGAN TOOK REASON
	fi
	for row in "${snapshot_rows[@]}"; do
		split_row "$row"
		show_bar "$blocks" "$of"
		[[ -n $table ]] || rows='-' REPLY='-'
		# shellcheck disable=SC2059
		printf -v line "$form\n" "$id" "$from" "${table:--}" "$state" \
			"$REPLY" "$rows" "${began:--}" "${seconds:--}" "$reason"
		text+=$line
	done
	[[ -z $text ]] || say "${text%$'\n'}"
}

# Says, once, that the table of a row is done with, or on a terminal how far it
# is.
snapshot_news()
{
	local id from table state blocks of rows began seconds reason
	[[ -z ${told[$1]-} ]] || return 0
	split_row "$1"
	case $state in
	done) finished=yes ;;
	begin | chunk)
		show_bar "$blocks" "$of"
		progress="$table $REPLY blocks, $rows rows"
		;;
	end)
		say "$clear$table: $rows rows"
		told[$1]=yes
		;;
	*)
		log error "could not take a snapshot of \"$table\": \
${reason:-$state}"
		told[$1]=yes code=69
		;;
	esac
}

# await_snapshot ID TABLES: until the snapshot is done; TABLES is the number that
# it has at least
await_snapshot()
{
	local -A told=()
	local code=0 finished='' waited=0 terminal=false progress clear='' row
	local snapshot_rows
	[[ ! -t 1 ]] || terminal=true clear=$'\r\e[K'
	while :; do
		read_snapshots "$1"
		progress=''
		for row in "${snapshot_rows[@]}"; do
			snapshot_news "$row"
		done
		[[ -z $finished ]] || break
		! $terminal || printf '%s%s' "$clear" "$progress"
		((++waited != snapshot_patience || ${#snapshot_rows[@]} > 0)) ||
			log warning "the snapshot has not begun; it does \
during \"philotes run\", after those before it"
		sleep "$snapshot_poll"
	done
	! $terminal || printf '%s' "$clear"
	((code != 0 || ${#told[@]} >= $2)) ||
		die 75 "wait for" "$1" \
			"one that was asked for earlier has read its tables" \
			'See "philotes snapshot list", or ask again.'
	exit "$code"
}

snapshot_ask()
{
	local list=all said id
	$every || list=$(IFS=,; printf %s "${words[*]:1}")
	said=$("$bin/pg-cdc-read" "${verbosity[@]}" --snapshot "$list") || exit
	say "$said"
	$await || return 0
	id=${said#*\"}
	await_snapshot "${id%%\"*}" "$((${#words[@]} - 1))"
}

snapshot()
{
	locate_state
	check_databases
	if [[ ${words[1]-} == list ]]; then
		use_buffer
		snapshot_list
	elif [[ -n $order ]]; then
		"$bin/pg-cdc-read" "${verbosity[@]}" --snapshot-do "$order"
	else
		! $await || use_buffer
		snapshot_ask
	fi
}

# One of: list; tables; --all; --pause, --resume or --cancel.
check_snapshot()
{
	local named=$((${#words[@]} - 1)) option orders=0
	if [[ ${words[1]-} == list ]]; then
		((named == 1)) || wrong_usage "${words[2]}" "unexpected argument"
		((${#given[@]} == 0)) || wrong_usage "${given[0]##* }" \
			"it has no effect with snapshot list"
		return 0
	fi
	for option in "${given[@]}"; do
		[[ $option == *" --wait" ]] || orders=$((orders + 1))
	done
	((named > 0 || orders > 0)) ||
		wrong_words "a snapshot of what is missing" \
			"Give tables, --all or list."
	((orders + (named > 0) == 1)) || wrong_words \
		"only one of tables, --all, --pause, --resume and --cancel"
	[[ -z $order ]] || ! $await ||
		wrong_usage --wait "it has no effect with --$order"
	[[ ${words[*]:1} != all ]] || wrong_usage all "it is not a table" \
		"Give --all, or the table as public.all."
}
