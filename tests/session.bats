#!/usr/bin/env bats
# Settings of the role that the tools log in with: whatever they are, each tool
# works and its output stays the same, byte for byte.
# shellcheck source=SCRIPTDIR/helper.bash
load helper

# The tools use the role "cdc" on both servers, the tests another one.
setup()
{
	local server
	databases_up
	for server in src buf; do
		server_psql "$server" "CREATE ROLE cdc LOGIN SUPERUSER"
	done
	PHILOTES_SOURCE_URL=${PHILOTES_SOURCE_URL/user=postgres/user=cdc}
	PHILOTES_BUFFER_URL=${PHILOTES_BUFFER_URL/user=postgres/user=cdc}
	export PHILOTES_SOURCE_ID="o'b\\r \"x" PHILOTES_CONSUMER='NULL'
	work=$BATS_TEST_TMPDIR
}

teardown()
{
	local server
	kill_children
	databases_down
	for server in src buf; do
		server_psql "$server" "DROP ROLE cdc"
	done
}

# Each setting that a role may have on this server, with up to two other
# values: name, value, value.  Left out are settings that end any session
# before it begins (*_preload_libraries of missing files, and
# dynamic_library_path where the server has pgoutput), settings with only one
# value, and settings of a transaction.
other_values()
{
	server_psql buf "LOAD 'plpgsql'; SELECT name, v[1], v[array_upper(v, 1)]
	    FROM (SELECT name, CASE
	        WHEN s.other IS NOT NULL THEN s.other
	        WHEN name LIKE '%\_timeout' THEN '{100,2147483647}'
	        WHEN vartype = 'bool'
	            THEN ARRAY[CASE setting WHEN 'on' THEN 'off' ELSE 'on' END]
	        WHEN vartype = 'enum' THEN array_remove(enumvals, setting)
	        WHEN vartype IN ('integer', 'real')
	            THEN array_remove(ARRAY[min_val, max_val], setting)
	        END AS v
	    FROM pg_settings
	    LEFT JOIN (VALUES
	        ('application_name', '{philotes''s,x}'::text[]),
	        ('backtrace_functions', '{exec_simple_query}'),
	        ('client_encoding', '{LATIN1,SQL_ASCII}'),
	        ('createrole_self_grant', '{\"set, inherit\"}'),
	        ('DateStyle', '{\"SQL, DMY\",\"German, MDY\"}'),
	        ('default_tablespace', '{nowhere}'),
	        ('default_text_search_config', '{pg_catalog.german}'),
	        ('lc_messages', '{C,POSIX}'),
	        ('lc_monetary', '{C,POSIX}'),
	        ('lc_numeric', '{C,POSIX}'),
	        ('lc_time', '{C,POSIX}'),
	        ('log_connections', '{all}'),
	        ('max_stack_depth', '{100,1000}'),
	        ('plpgsql.extra_errors', '{all}'),
	        ('plpgsql.extra_warnings', '{all}'),
	        ('restrict_nonsystem_relation_kind', '{\"view, foreign-table\"}'),
	        ('search_path', '{nowhere,\"\"}'),
	        ('temp_buffers', '{100,10000}'),
	        ('temp_tablespaces', '{nowhere}'),
	        ('TimeZone', '{Asia/Kathmandu,Asia/Kolkata}'),
	        ('timezone_abbreviations', '{India}'),
	        ('wal_consistency_checking', '{all}'),
	        ('wal_sender_timeout', '{2000,0}')) s (name, other) USING (name)
	    WHERE context IN ('user', 'superuser')
	      AND name NOT LIKE '%preload\_libraries'
	      AND name NOT IN ('dynamic_library_path', 'extension_destdir',
	          'extension_control_path')) x
	    WHERE cardinality(v) > 0 AND name NOT IN ('transaction_isolation',
	        'transaction_deferrable')"
}

# set_role LINE ...: gives the role these "name|value" settings, and no others
set_role()
{
	local line server
	for server in src buf; do
		{
			echo "ALTER ROLE cdc RESET ALL;"
			for line; do
				echo "ALTER ROLE cdc SET ${line%%|*} =" \
					"\$v\$${line#*|}\$v\$;"
			done
		} | psql_on "$(cluster_url "$BATS_FILE_TMPDIR/$server")" \
			2>"$work/set.err" || {
			cat "$work/set.err"
			return 1
		}
	done
}

# A database of values whose text depends on settings.
make_source()
{
	server_psql src "GRANT ALL ON DATABASE $PHILOTES_SLOT TO cdc"
	src_psql 'CREATE DOMAIN amount AS numeric(8, 2);
	    CREATE TYPE pair AS (a interval, b regclass);
	    CREATE TABLE "Odd Name" (id int PRIMARY KEY, iv interval,
	        ts timestamptz, tn timestamp, d date, ti timetz, by bytea,
	        f8 float8, f4 float4, n numeric, a amount, m money, x xml, j json,
	        jb jsonb, b boolean, c char(4), v text, u uuid, i inet, r tstzrange,
	        mr tstzmultirange, bits varbit, ip point, p pair,
	        rc regclass, rt regtype, rp regproc, rpe regprocedure,
	        ro regoper, roe regoperator, rr regrole, rn regnamespace,
	        rcf regconfig, rd regdictionary, rco regcollation,
	        ivs interval[], bys bytea[], ms money[], tss timestamptz[],
	        rcs regclass[], rts regtype[], rps regprocedure[], rrs regrole[],
	        rns regnamespace[], ps pair[], ts_v tsvector);
	    ALTER TABLE "Odd Name" REPLICA IDENTITY FULL;
	    CREATE TABLE plain (id int PRIMARY KEY, v text)'
	src_psql "SELECT pg_create_logical_replication_slot('base', 'pgoutput');
	    CREATE PUBLICATION philotes_pub FOR TABLE \"Odd Name\", plain" \
		>/dev/null
	src_psql "INSERT INTO \"Odd Name\" SELECT n, '-1 mon +2 days -03:04:05.6',
	        '2024-03-31 01:30:00.5+05:45', '2024-02-01', '0044-03-15 BC',
	        '04:05:06.7+03', '\\x00ff27', 0.1::float8 + n / 3.0::float8,
	        '1e-40', '1.50', '3.1', '-1234.5', '<a/>', '{\"a\": [1.0]}',
	        '{\"a\": null}', true, 'é', E'\\\\ ''\" \\u2028',
	        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '10.0.0.1/8',
	        '[2024-01-01 00:00+05:45,)', '{[2024-01-01 00:00+05:45,)}', '101',
	        '(0.1,1e300)', '(1 day,plain)',
	        'plain', 'int4[]', 'pg_catalog.now', 'lower(text)',
	        'pg_catalog.||/', '+(int,int)', 'cdc', 'public',
	        'pg_catalog.simple', 'pg_catalog.simple', '\"C\"',
	        '{1 day,-00:00:01}', '{\"\\\\x00\"}', '{1.5}', '{2024-01-01 00:00Z}',
	        '{plain,pg_class,\"\\\"Odd Name\\\"\"}', '{\"character varying\",pair}',
	        '{lower(text)}', '{cdc}', '{public}',
	        '{\"(-1 s,plain)\"}', 'a:1 b'
	    FROM generate_series(1, 3) n;
	    UPDATE \"Odd Name\" SET iv = iv * 2 WHERE id = 2;
	    DELETE FROM \"Odd Name\" WHERE id = 3;
	    INSERT INTO plain SELECT n, 'v' FROM generate_series(1, 30) n;
	    UPDATE plain SET id = -id WHERE id < 5;
	    SELECT pg_logical_emit_message(true, 'p', '\\xff'::bytea)" >/dev/null
}

# Makes slot and buffer as if nothing had been read.
begin_again()
{
	local source buffer
	source=$(cluster_url "$BATS_FILE_TMPDIR/src" "$PHILOTES_SLOT")
	buffer=$(cluster_url "$BATS_FILE_TMPDIR/buf" "$PHILOTES_SLOT")
	psql_on "$source" -o /dev/null -c "
	    SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
	    WHERE slot_name = '$PHILOTES_SLOT'" -c "
	    SELECT pg_copy_logical_replication_slot('base', '$PHILOTES_SLOT')"
	psql_on "$buffer" -c "SET client_min_messages = error" \
		-c "DROP SCHEMA IF EXISTS philotes CASCADE"
}

# use TOOL COMMAND ...: its output goes to $dir/TOOL
use()
{
	local tool=$1
	shift
	"$@" >"$dir/$tool" 2>"$dir/err" 3>&- || {
		echo "$tool ended with $?: $(cat "$dir/err")"
		return 1
	}
}

pair()
{
	set -o pipefail
	# shellcheck disable=SC2094
	pg-cdc-read --messages --ack "$dir/acks" --until now |
		(sleep 0.1 && exec buffer-write) >"$dir/acks"
}

# use_all DIR: runs every tool on the source, with its output in DIR.  Each
# must succeed; pauses give time-outs the chance to strike.
# shellcheck disable=SC2016,SC2094
use_all()
{
	local dir=$1
	rm -rf "$dir"
	mkdir "$dir"
	mkfifo "$dir/acks"
	begin_again &&
		use init philotes init &&
		use lines pg-cdc-read --messages --until now &&
		(use pair pair) &&
		use add philotes consumer add "$PHILOTES_CONSUMER" &&
		use list philotes consumer list &&
		use snapshots philotes snapshot list &&
		use batch buffer-batch --once -- sh -c \
			'cat >>"$0"; sleep 0.1' "$dir/batches" &&
		sed -i 's/,"created_at":"[^"]*"//' "$dir/batches" &&
		use replay buffer-batch --from '#1' &&
		sed -i 's/,"created_at":"[^"]*"//' "$dir/replay" &&
		use status philotes status &&
		use metrics philotes metrics &&
		use check philotes check &&
		use verify verify --publication philotes_pub "$dir/lines" &&
		use gc buffer-gc --retention 0s &&
		use drop philotes consumer drop "$PHILOTES_CONSUMER"
}

# good LINE ...: succeeds if the output is the same with these settings
good()
{
	local file
	set_role "$@" && use_all "$work/got" || return 1
	for file in lines batches replay verify; do
		cmp "$work/want/$file" "$work/got/$file" || return 1
	done
}

# Finds the lines that change the output.
blame()
{
	local half=$(($# / 2)) said
	if ! said=$(good "$@" 2>&1); then
		if (($# == 1)); then
			echo "$1: $said"
			return 0
		fi
		blame "${@:1:half}"
		blame "${@:half + 1}"
	fi
}

@test "with another value for every setting all tools print the same bytes" {
	local column values
	make_source
	set_role
	use_all "$work/want"
	[ "$(wc -l <"$work/want/lines")" = 40 ]
	[ "$(wc -l <"$work/want/batches")" = 40 ]
	other_values >"$work/values"
	[ "$(wc -l <"$work/values")" -gt 120 ]
	for column in 2 3; do
		mapfile -t values < <(cut -d '|' -f "1,$column" "$work/values")
		good "${values[@]}" || {
			blame "${values[@]}"
			return 1
		}
	done
}
