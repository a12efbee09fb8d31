# Compares the reader with other decoders of the same WAL.  test_decoding and,
# where the server has it, wal2json have slots beside ours, and must report the
# same changes, one by one.  The table in oracle.sql lists the allowed
# differences.  `load oracle` after `load helper`:
#
#   prepare [SQL]        makes publication and slots, before the workload; SQL
#                        describes the publication, in place of --create
#   compare [SQL]        reads and compares; no change at all is a failure.  SQL
#                        does to the others' changes what the publication does
#                        to ours; `theirs` is the condition that selects them.
#                        Sets $stream, a file of our lines, and $changes, their
#                        number
#   compare_streams SQL  compares $stream once more
# shellcheck shell=bash

# Little memory, so that transactions are spilled to disk while they are
# decoded.  Plugins may have to be listed to be used.
setup_file()
{
	local name=output_plugin_libraries plugins=()
	! pg_knows "$name" || plugins=("$name=test_decoding,wal2json,pgoutput")
	clusters_up max_prepared_transactions=20 logical_decoding_work_mem=64kB \
		"${plugins[@]}"
	with_wal2json=$(server_psql src "SELECT count(*) FROM pg_config c,
	    pg_ls_dir(c.setting) f
	    WHERE c.name = 'PKGLIBDIR' AND f = 'wal2json.so'")
	export with_wal2json
}

needs_wal2json()
{
	((with_wal2json)) || skip "the server has no wal2json"
}

# A prepared transaction that is left behind would block later tests.
teardown()
{
	local gid
	kill_children
	for gid in $(src_psql "SELECT gid FROM pg_prepared_xacts
	    WHERE database = current_database()"); do
		src_psql "ROLLBACK PREPARED '$gid'"
	done
	databases_down
}

prepare()
{
	(($# == 0)) || src_psql "CREATE PUBLICATION philotes_pub $*"
	expect_code 0 pg-cdc-read --create
	src_psql "SELECT pg_create_logical_replication_slot(
	    '${PHILOTES_SLOT}_td', 'test_decoding')" >/dev/null
	((!with_wal2json)) ||
		src_psql "SELECT pg_create_logical_replication_slot(
		    '${PHILOTES_SLOT}_wj', 'wal2json')" >/dev/null
}

compare()
{
	stream=$BATS_TEST_TMPDIR/stream
	pg-cdc-read --until now --messages >"$stream"
	compare_streams "${1-SELECT}"
	changes=$(wc -l <"$stream")
	((changes > 0))
	# each change has its own identity
	[ "$(jq -r '"\(.metadata.commit_lsn) \(.metadata.seq)"' <"$stream" |
		sort -u | wc -l)" = "$changes" ]
	keep_seeds
}

compare_streams()
{
	psql_on "$PHILOTES_SOURCE_URL" -v slot="$PHILOTES_SLOT" \
		-v stream="$stream" -v with_wal2json="$with_wal2json" -v rules="${1//theirs/stream <> \'ours\'}" \
		-f "${BASH_SOURCE[0]%/*}/oracle.sql" >"$stream.said" || return 1
	if grep 'cannot read' "$stream.said"; then
		return 1
	fi
	[[ -s $stream.ours ]] &&
		diff -u "$stream.ours" "$stream.test_decoding" || return 1
	((!with_wal2json)) ||
		diff -u "$stream.ours_wal2json" "$stream.wal2json"
}

# If PHILOTES_SEEDS names a directory, keeps the messages there, for the corpus
# of tests/fuzz.
keep_seeds()
{
	[[ -n ${PHILOTES_SEEDS-} ]] || return 0
	src_psql "COPY (SELECT string_agg(int2send(length(data)::int2) || data, '')
	    FROM pg_logical_slot_peek_binary_changes('$PHILOTES_SLOT', NULL, NULL,
	    'proto_version', '1', 'messages', 'true', 'publication_names',
	    quote_ident('${PHILOTES_PUBLICATION-philotes_pub}'))
	    WHERE length(data) < 32768) TO STDOUT (FORMAT binary)" |
		tail -c +26 | head -c -2 \
		>"$PHILOTES_SEEDS/${BATS_TEST_FILENAME##*/}.$BATS_TEST_NUMBER"
}
