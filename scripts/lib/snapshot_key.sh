# The key that seals the messages of snapshots, see pg-cdc-read(1): the file
# snapshot.key of the state directory, or that of PHILOTES_SNAPSHOT_KEY_FILE.
#
#   use_snapshot_key     exports PHILOTES_SNAPSHOT_KEY_FILE if there is such a
#                        file and the variable is not set
#   make_snapshot_key    makes the file, for a slot that is to be made

use_snapshot_key()
{
	[[ -z ${PHILOTES_SNAPSHOT_KEY_FILE-} && -e $state/snapshot.key ]] ||
		return 0
	export PHILOTES_SNAPSHOT_KEY_FILE=$state/snapshot.key
}

# The file appears as a whole.  It belongs to whom the directory belongs to, so
# that root can prepare a run of another user.
write_snapshot_key()
(
	umask 077
	new=$state/snapshot.key.$BASHPID
	trap 'rm -f "$new"' EXIT
	[[ -d $state ]] || { mkdir -p "$state" && chmod 0711 "$state"; } || exit
	head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$new" || exit
	((EUID != 0)) || chown --reference="$state" "$new" || exit
	ln "$new" "$state/snapshot.key" || [[ -e $state/snapshot.key ]]
) 2>/dev/null

# A slot that exists may have a snapshot under way.  If its key was lost with the
# state directory, the snapshot must go on without one.
make_snapshot_key()
{
	local status=0
	[[ -z ${PHILOTES_SNAPSHOT_KEY_FILE-} ]] || return 0
	"$bin/pg-cdc-read" --start-line >/dev/null 2>&1 || status=$?
	((status == 69)) || return 0
	write_snapshot_key ||
		log warning "could not create \"$state/snapshot.key\": snapshots work without a key"
	use_snapshot_key
}
