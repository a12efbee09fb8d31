# The handlers that need packages of PyPI.  `load pypi` after `load ../helper`
# and `load ../handlers`.
#
#   setup_file       starts the clusters, makes the virtual environment; without
#                    a registry its tests are skipped, and fail if CI is set
#   lake_up          a catalog of Iceberg named lake
#   source_rows [TABLE ...]
#                    the rows of these tables of the source, or of all, as lines of
#                    SCHEMA.TABLE and a JSON object, for compare.py
#   same KIND PLACE [TABLE ...]
#                    demands that the tables there have these rows
# shellcheck shell=bash disable=SC2154

# make_environment: prints the directory of one with the packages of
# requirements.txt.  It stays for later runs, until these change.
make_environment()
{
	local wanted=$handlers/requirements.txt dir
	dir=${XDG_CACHE_HOME:-$HOME/.cache}/philotes
	dir=$dir/python-$(sha256sum "$wanted" | cut -c 1-12)
	mkdir -p "$dir"
	(
		flock 9
		[[ ! -e $dir/complete ]] || exit 0
		/usr/bin/python3 -m venv --clear "$dir/venv" &&
			"$dir/venv/bin/pip" install -q -r "$wanted" &&
			: >"$dir/complete"
	) 9>"$dir.lock" >&2 3>&- || return 1
	echo "$dir/venv"
}

setup_file()
{
	venv=$(make_environment) || venv=''
	export venv
	[[ -n $venv || -z ${CI-} ]]
	clusters_up
}

setup()
{
	[[ -n $venv ]] || skip "the packages of requirements.txt cannot be had"
	PATH=$venv/bin:$PATH
	databases_up
}

teardown()
{
	[[ -n $venv ]] || return 0
	kill_children
	databases_down
}

# shellcheck disable=SC2034 # for the handler
lake_up()
{
	local prefix=PYICEBERG_CATALOG__LAKE dir=$BATS_TEST_TMPDIR/lake
	mkdir "$dir"
	export "${prefix}__TYPE=sql" "${prefix}__URI=sqlite:///$dir/catalog.db" \
		"${prefix}__WAREHOUSE=file://$dir"
}

# Values whose JSON differs from that of events become text.
source_rows()
{
	local table columns
	for table in $(src_psql "SELECT quote_ident(schemaname) || '.' ||
	    replace(quote_ident(tablename), ' ', '_')
	    FROM pg_publication_tables WHERE '$*' = ''
	    OR tablename = ANY (string_to_array('$*', ' '))"); do
		table=${table//_%s_/ %s }
		columns=$(src_psql "SELECT string_agg(format(CASE
		        WHEN t.typname IN ('json', 'jsonb') OR t.typtype = 'c'
		            OR t.typnamespace <> 'pg_catalog'::regnamespace
		            AND t.typtype <> 'd' THEN '%1\$I::text'
		        WHEN t.typcategory = 'A' THEN 'CASE array_lower(%1\$I, 1)
		            WHEN 0 THEN to_json(%1\$I::text)
		            ELSE to_json(%1\$I) END AS %1\$I'
		        ELSE '%1\$I' END, attname), ', ')
		    FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid
		    WHERE attrelid = '$table'::regclass
		    AND attnum > 0 AND NOT attisdropped")
		psql_on "$PHILOTES_SOURCE_URL" -At -F $'\t' -c "SET timezone = 'UTC'" \
			-c "SELECT '$table', row_to_json(x)
			    FROM (SELECT $columns FROM $table) x"
	done
}

same()
{
	source_rows "${@:3}" >"$BATS_TEST_TMPDIR/rows"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/rows")" -gt 100 ]
	PYTHONPATH=$handlers python3 "$root/tests/pypi/compare.py" "${@:1:2}" \
		<"$BATS_TEST_TMPDIR/rows"
}
