# A mirror of the source by a program of share/handlers.  `load handlers` after
# `load helper`.
#
#   needs_psycopg         skips the test if python3-psycopg is not installed;
#                         else Debian's python3 is the one in PATH
#   handlers              the directory of the handlers
#   mirror_up             makes the database of the mirror, $mirror
#   mirror_psql SQL       runs SQL there; prints a|b
#   run_workload N        tables, slot and changes of handlers.sql, N orders; all
#                         is in the buffer afterwards
#   catch_up [OPTION ...] brings the source's changes into the buffer; the
#                         options are the reader's, by default --until now
#   mirrored [LIST]       demands that these tables of the mirror, or all that
#                         the source publishes, have the source's rows; LIST is
#                         of SCHEMA.TABLE, separated by commas
#   unheard SQL           runs SQL on the source; nobody hears of its changes
#   killing_handler SYSCALL N COMMAND ...
#                         makes $BATS_TEST_TMPDIR/handler: it runs COMMAND, but
#                         until 8 were killed, COMMAND is killed at one of its
#                         first N calls of SYSCALL
#   deliver_killing [N]   delivers all events to that, in batches of N (20) to 6 N
#                         events, served or a command a batch; buffer-batch is killed, too.
#                         SEED repeats it
# shellcheck shell=bash disable=SC2154,SC2034

handlers=$root/share/handlers

needs_psycopg()
{
	/usr/bin/python3 -c 'import psycopg' 2>/dev/null ||
		skip "python3-psycopg is not installed"
	mkdir -p "$BATS_TEST_TMPDIR/python"
	ln -sf /usr/bin/python3 "$BATS_TEST_TMPDIR/python/python3"
	PATH=$BATS_TEST_TMPDIR/python:$PATH
}

mirror_up()
{
	server_psql buf "CREATE DATABASE m$BATS_TEST_NUMBER"
	mirror=$(cluster_url "$BATS_FILE_TMPDIR/buf" "m$BATS_TEST_NUMBER")
}

mirror_psql()
{
	psql_on "$mirror" -At -c "$1"
}

run_workload()
{
	src_psql "CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	expect_code 0 pg-cdc-read --create
	psql_on "$PHILOTES_SOURCE_URL" -v "n=$1" -f "$root/tests/handlers.sql"
	catch_up
}

catch_up()
{
	(($# > 0)) || set -- --until now
	start_pipeline "$@"
	await_pipeline
	[ "$reader_code $writer_code" = "0 0" ]
}

# copies LIST: commands of psql that print the rows of these tables, or of all
# that are published.  No name in a value depends on the path.
copies()
{
	echo "SET search_path = pg_catalog;"
	psql_on "$PHILOTES_SOURCE_URL" -At <<-EOF
	WITH list AS (SELECT format('%I.%I', schemaname, tablename) AS name
	    FROM pg_publication_tables)
	SELECT format(E'\\\\echo %1\$s\nCOPY (SELECT %2\$s FROM %1\$s'
	    ' ORDER BY ROW(%2\$s)::text COLLATE "C") TO STDOUT;', name,
	    (SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
	     WHERE attrelid = name::regclass AND attnum > 0 AND NOT attisdropped))
	FROM list WHERE '$1' = '' OR name = ANY (string_to_array('$1', ','))
	ORDER BY name
	EOF
}

mirrored()
{
	local at=$BATS_TEST_TMPDIR
	copies "${1-}" >"$at/copies"
	psql_on "$PHILOTES_SOURCE_URL" -f "$at/copies" >"$at/there"
	psql_on "$mirror" -f "$at/copies" >"$at/here"
	[ -s "$at/there" ]
	diff "$at/there" "$at/here" >"$at/diff" || {
		head -n 20 "$at/diff" | cut -c 1-300
		grep -n '^[^\t]*\.[^\t]*$' "$at/there"
		return 1
	}
}

unheard()
{
	local actions="insert, update, delete, truncate"
	src_psql "ALTER PUBLICATION philotes_pub SET (publish = '');
	    $1;
	    ALTER PUBLICATION philotes_pub SET (publish = '$actions')"
}

killing_handler()
{
	local call=$1 most=$2
	shift 2
	cat >"$BATS_TEST_TMPDIR/handler" <<-END
	#!/bin/bash
	cd "$BATS_TEST_TMPDIR"
	echo >>starts
	RANDOM=\$((\$(<seed) + \$(wc -l <starts)))
	by=(strace -f -qq -o /dev/null -e trace=$call -e
	    "inject=$call:signal=SIGKILL:when=\$((RANDOM % $most + 1))")
	[ "\$(wc -l <kills)" -lt 8 ] || by=()
	"\${by[@]}" $(printf '%q ' "$@")
	status=\$?
	[ \$status -ne 137 ] || echo handler >>kills
	exit \$status
	END
	chmod +x "$BATS_TEST_TMPDIR/handler"
	: >"$BATS_TEST_TMPDIR/kills"
}

deliver_killing()
{
	local seed=${SEED:-$RANDOM} kills=$BATS_TEST_TMPDIR/kills
	local least=${1:-20} by how n=0
	# ASan's leak check does not work in a traced process
	local -x ASAN_OPTIONS=detect_leaks=0
	RANDOM=$seed
	echo "$seed" >"$BATS_TEST_TMPDIR/seed"
	echo "# seed $seed (SEED=$seed repeats it)" >&3
	while :; do
		by=(strace -qq -o /dev/null -e trace=sendto
			-e "inject=sendto:signal=SIGKILL:when=$((RANDOM % 40 + 1))")
		(($(grep -c batch "$kills") < 3)) || by=()
		how=--serve
		((n++ % 2)) || how=--schema
		! "${by[@]}" buffer-batch --once "$how" --retries 1000 \
			--batch-size $((RANDOM % (5 * least) + least)) -- \
			"$BATS_TEST_TMPDIR/handler" || break
		((n < 20)) || return 1
		echo batch >>"$kills"
	done
	echo "# killed: $(sort "$kills" | uniq -c | tr -s ' \n' ' ')" >&3
	grep -q batch "$kills"
	(($(grep -c handler "$kills") > 2))
}
