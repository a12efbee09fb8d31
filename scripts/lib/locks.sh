# philotes run: one at a time, on a state directory and on a source.

# `status` holds this lock for a moment to see whether a run has it.
take_lock()
{
	local holder=''
	: 2>/dev/null >>"$run/lock" ||
		die 74 open "$run/lock" "the file cannot be created or written"
	exec 9>>"$run/lock"
	if ! flock -w 1 9; then
		read -r holder <"$run/lock" || :
		die 75 lock "$run/lock" "held by process ${holder:-?}" \
			"Another philotes runs there: stop it, or give each \
pipeline a PHILOTES_STATE_DIR of its own."
	fi
	# the number is for information only: the disk may be full
	{ echo $$ >"$run/lock"; } 2>/dev/null || :
}

# All runs of a user on a machine meet in a directory that each of them can
# write, whatever their state directories, under systemd too; others meet at the
# slot.  The name of the lock follows from what names the source and its slot.
# The run removes its file, so one that was opened may be gone when it is
# locked: then a new one is made.
take_source_lock()
{
	local dir=/dev/shm/philotes-$EUID slot=${PHILOTES_SLOT:-philotes_cdc}
	local name holder=''
	name=$(printf '%s\n' "$slot" "${PHILOTES_SOURCE_URL-}" "${PGHOST-}" \
		"${PGHOSTADDR-}" "${PGPORT-}" "${PGDATABASE-}" "${PGUSER-}" \
		"${PGSERVICE-}" "${PGSERVICEFILE-}" | sha256sum)
	name=$dir/${name%% *}
	until [[ -n $source_lock && /proc/self/fd/10 -ef $source_lock ]]; do
		mkdir -m 0700 "$dir" 2>/dev/null || :
		[[ -d $dir && ! -L $dir && -O $dir && -w $dir ]] || return 0
		: 2>/dev/null >>"$name" || {
			[[ ! -d $dir ]] || return 0
			continue
		}
		exec 10>>"$name"
		if ! flock -w 1 10; then
			read -r holder <"$name" || :
			die 75 read "$slot" \
				"process ${holder:-?} already reads it" \
				"Stop that philotes, or name another slot by PHILOTES_SLOT."
		fi
		source_lock=$name
	done
	{ echo "$$, from \"$state\"," >"$name"; } 2>/dev/null || :
}

drop_source_lock()
{
	[[ -n $source_lock ]] || return 0
	rm -f "$source_lock"
	rmdir "${source_lock%/*}" 2>/dev/null || :
}
