#!/usr/bin/env bats
# INSERT and \copy into philotes.cdc_events by users: whatever their sessions
# do, the ledger matches the log and no consumer skips a row.

# shellcheck source=SCRIPTDIR/helper.bash
load helper
# shellcheck source=SCRIPTDIR/buffer.bash
load buffer

# The number of ledger rows whose range holds another number of events, of
# those whose range overlaps or whose total is wrong, and of events in no
# range.
wrong()
{
	buf_psql "SELECT (SELECT count(*) FROM philotes.cdc_writes w
	    WHERE events <> (SELECT count(*) FROM philotes.cdc_log l
	        WHERE l.source_id = w.source_id
	          AND l.id BETWEEN w.first_id AND w.last_id)),
	    (SELECT count(*) FROM (SELECT first_id <= lag(last_id) OVER s
	        OR total <> sum(events) OVER s AS bad FROM philotes.cdc_writes
	        WINDOW s AS (PARTITION BY source_id ORDER BY write_no)) x
	     WHERE bad),
	    (SELECT count(*) FROM philotes.cdc_log l WHERE NOT EXISTS (
	        SELECT FROM philotes.cdc_writes w
	        WHERE w.source_id = l.source_id
	          AND l.id BETWEEN w.first_id AND w.last_id))"
}

# Functions that insert an event, as users have them in their procedures.
make_put()
{
	buf_psql "CREATE FUNCTION put(source text, n int) RETURNS int
	    LANGUAGE plpgsql AS \$\$
	    BEGIN
	        INSERT INTO philotes.cdc_events (source_id, schema_name,
	            table_name, operation, lsn, event_time, after_data)
	        VALUES (source, '', '', 'INSERT', '', now(), to_jsonb(n));
	        IF n < 0 THEN RAISE EXCEPTION 'no'; END IF;
	        RETURN n;
	    END \$\$;
	    CREATE FUNCTION try(source text, n int) RETURNS int
	    LANGUAGE plpgsql AS \$\$
	    BEGIN
	        RETURN put(source, n);
	    EXCEPTION WHEN raise_exception THEN
	        RETURN 0;
	    END \$\$"
}

stored()
{
	buf_psql "SELECT string_agg(source_id || (after_data::text), ' '
	    ORDER BY id) FROM philotes.cdc_log"
}

@test "odd rows are stored and delivered as they are, or refused" {
	local row=0 metadata source
	for metadata in NULL "'[1]'" "'\"x\"'" "'null'" \
	    "'{\"commit_lsn\":\"0/0\",\"seq\":1}'" \
	    "'{\"commit_lsn\":\"0/1\",\"seq\":0}'" \
	    "'{\"commit_lsn\":\"0/1\",\"seq\":1,\"x\":2}'" \
	    "'{\"commit_lsn\":\"FFFFFFFF/FFFFFFFF\",\"seq\":99999999999999999999}'"
	do
		# one transaction; an empty name is a source as well
		buf_psql "BEGIN;
		    INSERT INTO philotes.cdc_events (source_id, schema_name,
		        table_name, operation, lsn, event_time, metadata)
		    VALUES ('a', '', '', '', '', 'infinity', $metadata);
		    INSERT INTO philotes.cdc_events (source_id, schema_name,
		        table_name, operation, lsn, event_time, metadata)
		    VALUES ('', '', '', '', '', '-infinity', $metadata),
		        ('=', '', '', '', '', now(), $metadata);
		    COMMIT"
		row=$((row + 1))
	done
	[ "$(wrong)" = "0|0|0" ]
	expect_code 0 buffer-batch --once
	for source in '' '=' a; do
		jq -cS "select(.source_id == \"$source\").metadata" <<<"$output" |
			diff - <(buf_psql "SELECT coalesce(metadata, 'null')
			    FROM philotes.cdc_events
			    WHERE source_id = '$source' ORDER BY id" | jq -cS .)
	done
	[ "$(wc -l <<<"$output")" = $((3 * row)) ]
	expect_code 1 buf_psql "INSERT INTO philotes.cdc_events (schema_name,
	    table_name, operation, lsn, event_time)
	    VALUES ('', '', '', '', now())"
	[[ $stderr == *'null value in column "source_id"'* ]]
}

@test "settings of a session cannot falsify the ledger" {
	buf_psql "SELECT set_config('philotes.run', '=a', false),
	        set_config('philotes.run_no', '9223372036854775807', false),
	        set_config('philotes.run_events', '7', false),
	        set_config('philotes.run_first', '-5', false);
	    INSERT INTO philotes.cdc_events (source_id) SELECT 'x' WHERE false;
	    INSERT INTO philotes.cdc_events (source_id, schema_name, table_name,
	        operation, lsn, event_time)
	    SELECT s, '', '', 'INSERT', '', now() FROM unnest('{a,b}'::text[]) s" \
		>/dev/null
	[ "$(wrong)" = "0|0|0" ]
	[ "$(buf_psql "SELECT source_id, write_no, events
	    FROM philotes.cdc_writes ORDER BY 1")" = $'a|1|1\nb|1|1' ]
}

@test "savepoints, exceptions, statements within statements" {
	make_put
	buf_psql "BEGIN;
	    SELECT put('a', 1);
	    SAVEPOINT s;
	    SELECT put('a', 2), put('b', 3);
	    ROLLBACK TO s;
	    SELECT put('b', 4);
	    SAVEPOINT s;
	    SELECT put('a', 5);
	    RELEASE s;
	    COMMIT" >/dev/null
	[ "$(stored)" = "a1 b4 a5" ]
	[ "$(wrong)" = "0|0|0" ]
	buf_psql "SELECT try('a', n) FROM unnest('{6,-1,7,-2,8}'::int[]) n" \
		>/dev/null
	# inner statements write while the outer one is in the middle of a run
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	        table_name, operation, lsn, event_time, after_data)
	    SELECT 'a', '', '', 'INSERT', '', now(),
	        to_jsonb(100 + CASE WHEN n % 3 = 0 THEN try('b', n)
	            WHEN n % 3 = 1 THEN try('a', n) ELSE try('b', -n) END)
	    FROM generate_series(10, 20) n"
	[ "$(wrong)" = "0|0|0" ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 24 ]
	# a statement that fails in the middle of a run leaves no ledger row
	# behind
	psql_on "$PHILOTES_BUFFER_URL" -v ON_ERROR_STOP=0 -o /dev/null <<-'SQL' \
		2>/dev/null
		BEGIN;
		SAVEPOINT s;
		INSERT INTO philotes.cdc_events (source_id, schema_name,
		    table_name, operation, lsn, event_time)
		SELECT 'a', '', '', CASE WHEN n < 3 THEN 'INSERT' END, '', now()
		FROM generate_series(1, 3) n;
		ROLLBACK TO s;
		SELECT put('a', 30);
		COMMIT;
	SQL
	[ "$(wrong)" = "0|0|0" ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_log")" = 25 ]
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 25 ]
}

# writer NUMBER STATEMENTS: writes rows to both sources, some of them by \copy,
# and rolls some back; table_name names the writer and n gives the order.
writer()
{
	local i n=0
	for ((i = 1; i <= $2; i++)); do
		case $((i % 4)) in
		0) echo "BEGIN; SELECT put('s$((i % 2))', 0); ROLLBACK;" ;;
		1)
			echo "COPY philotes.cdc_events (source_id, schema_name,"
			echo "table_name, operation, lsn, event_time, after_data)"
			echo "FROM STDIN (DELIMITER ',');"
			for ((n = 1; n <= 5; n++)); do
				echo "s0,,$1,INSERT,,2026-01-01,$((10 * i + n))"
			done
			echo '\.'
			;;
		*) echo "SELECT put$1('s$((i / 2 % 2))', $((10 * i)));" ;;
		esac
	done | psql_on "$PHILOTES_BUFFER_URL" -o /dev/null
}

@test "several sessions beside a consumer: each row once, each session's rows in order" {
	local i writers=() batch
	make_put
	for i in 1 2 3; do
		buf_psql "CREATE FUNCTION put$i(source text, n int) RETURNS int
		    LANGUAGE sql AS \$\$
		    INSERT INTO philotes.cdc_events (source_id, schema_name,
		        table_name, operation, lsn, event_time, after_data)
		    VALUES (source, '', '$i', 'INSERT', '', now(), to_jsonb(n))
		    RETURNING 1 \$\$"
	done
	child buffer-batch --batch-size 7 --flush-interval 10ms \
	    >"$BATS_TEST_TMPDIR/out"
	batch=$!
	for i in 1 2 3; do
		child writer "$i" 120
		writers+=($!)
	done
	for i in "${writers[@]}"; do
		wait "$i"
	done
	wait_for buf_psql "SELECT count(*) FROM philotes.cdc_events
	    WHERE processed_at IS NULL" 0
	kill -TERM "$batch"
	wait "$batch"
	[ "$(wrong)" = "0|0|0" ]
	# 30 COPYs of 5 rows and 60 single rows each
	[ "$(wc -l <"$BATS_TEST_TMPDIR/out")" = 630 ]
	jq -r '"\(.source_id) \(.table_name) \(.after_data)"' \
		"$BATS_TEST_TMPDIR/out" | sort -s -k 1,2 >"$BATS_TEST_TMPDIR/got"
	sort -s -k 1,2 -k 3n "$BATS_TEST_TMPDIR/got" |
		diff "$BATS_TEST_TMPDIR/got" -
}

@test "two sessions that write sources in opposite order: one gets a deadlock error" {
	local second code=0
	mkfifo "$BATS_TEST_TMPDIR/sql"
	exec {held}<>"$BATS_TEST_TMPDIR/sql"
	make_put
	child psql_on "$PHILOTES_BUFFER_URL" -o /dev/null -v VERBOSITY=verbose \
		<"$BATS_TEST_TMPDIR/sql" 2>"$BATS_TEST_TMPDIR/first" {held}>&-
	echo "BEGIN; SELECT put('a', 1);" >&"$held"
	wait_for buf_psql "SELECT count(*) FROM pg_stat_activity
	    WHERE state = 'idle in transaction'" 1
	child psql_on "$PHILOTES_BUFFER_URL" -o /dev/null -v VERBOSITY=verbose \
		-c "BEGIN; SELECT put('b', 2); SELECT put('a', 3); COMMIT" \
		2>"$BATS_TEST_TMPDIR/second" {held}>&-
	second=$!
	wait_for buf_psql "SELECT count(*) FROM pg_locks
	    WHERE NOT granted AND locktype = 'advisory'" 1
	printf '%s\n' "SELECT put('b', 4); COMMIT;" '\q' >&"$held"
	exec {held}>&-
	wait "${children[0]}" || code=$((code + 1))
	wait "$second" || code=$((code + 1))
	[ "$code" = 1 ]
	grep -q 40P01 "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
	[[ $(stored) == "a1 b4" || $(stored) == "b2 a3" ]]
	[ "$(wrong)" = "0|0|0" ]
}

@test "metadata that only resembles an identity stays as it is" {
	local given='[null, 1, {}, {"seq": 1, "commit_lsn": "0/0AB"},
	    {"seq": 1, "commit_lsn": "none"}, {"seq": "1", "commit_lsn": "0/AB"},
	    {"seq": 1.5, "commit_lsn": "0/AB"}, {"seq": 1, "commit_lsn": "0/AB"}]'
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	        table_name, operation, lsn, event_time, metadata)
	    SELECT 'a', '', '', 'INSERT', '', now(), m
	    FROM jsonb_array_elements('$given') m"
	[ "$(buf_psql "SELECT jsonb_agg(metadata ORDER BY id) = '$given'
	    FROM philotes.cdc_events")" = t ]
	[ "$(buf_psql "SELECT count(seq) FROM philotes.cdc_log")" = 1 ]
}

# Loaders and migration services that write as a replica do this.
as_replica()
{
	psql_on "$PHILOTES_BUFFER_URL" -At \
		-c "SET session_replication_role = replica" "$@"
}

refused_as_replica()
{
	expect_code 1 as_replica "$@"
	[[ $stderr == *"ERROR:  philotes.cdc_events cannot be written to while \
session_replication_role is replica"*"HINT:  Run SET session_replication_role"* ]]
}

@test "a session that writes as a replica is refused, whatever statement it uses" {
	local into='INSERT INTO philotes.cdc_events'
	local names='(source_id, schema_name, table_name, operation, lsn, event_time)'
	local all='(id, processed_at, source_id, schema_name, table_name,
	    operation, lsn, event_time)'
	local row="('r', '', '', 'INSERT', '', now())" way
	buf_psql "$into $names VALUES ('a', '', '', 'INSERT', '', now())"
	buf_psql "CREATE VIEW own AS SELECT source_id, schema_name, table_name,
	    operation, lsn, event_time FROM philotes.cdc_events"
	for way in "$into $names VALUES $row" "$into DEFAULT VALUES" \
	    "$into $names VALUES $row, $row ON CONFLICT DO NOTHING" \
	    "$into $all VALUES (NULL, NULL, 'r', '', '', '', '', now())" \
	    "$into $all VALUES (7, now(), 'r', '', '', '', '', now())" \
	    "$into SELECT * FROM philotes.cdc_events" \
	    "WITH x AS ($into $names VALUES $row RETURNING id) SELECT FROM x" \
	    "PREPARE p AS $into $names VALUES $row; EXECUTE p" \
	    "INSERT INTO own VALUES $row" \
	    "UPDATE philotes.cdc_events SET processed_at = now()" \
	    "UPDATE philotes.cdc_events SET lsn = '' WHERE id > 0 RETURNING id" \
	    "UPDATE own SET lsn = ''" \
	    "DELETE FROM philotes.cdc_events" \
	    "DELETE FROM own WHERE source_id = 'a'"; do
		refused_as_replica -c "$way"
	done
	echo 'r,,,INSERT,,2026-01-01' | sed 's/,,/,"",/g' >"$BATS_TEST_TMPDIR/csv"
	refused_as_replica -c "\\copy philotes.cdc_events $names
	    FROM '$BATS_TEST_TMPDIR/csv' (FORMAT csv)"
	sed 's/^/7,,/' "$BATS_TEST_TMPDIR/csv" >"$BATS_TEST_TMPDIR/all"
	refused_as_replica -c "\\copy philotes.cdc_events $all
	    FROM '$BATS_TEST_TMPDIR/all' (FORMAT csv)"
	[ "$(as_replica -c "SELECT source_id, processed_at IS NULL
	    FROM philotes.cdc_events" -c "SELECT count(*) FROM own")" = \
	    $'a|t\n1' ]
	[ "$(wrong)" = "0|0|0" ]
	# with "local" the triggers fire
	buf_psql "SET session_replication_role = local;
	    INSERT INTO own VALUES $row"
	[ "$(rows cdc_log)" = 2 ]
	[ "$(wrong)" = "0|0|0" ]
}

@test "two INSERTs in one statement, each for its own source" {
	buf_psql "WITH a AS (INSERT INTO philotes.cdc_events (source_id,
	            schema_name, table_name, operation, lsn, event_time)
	        SELECT 'a', '', '', 'INSERT', '', now()
	        FROM generate_series(1, 3) RETURNING id),
	    b AS (INSERT INTO philotes.cdc_events (source_id,
	            schema_name, table_name, operation, lsn, event_time)
	        SELECT 'b', '', '', 'INSERT', '', now()
	        FROM generate_series(1, 3) RETURNING id)
	    SELECT FROM a, b"
	[ "$(wrong)" = "0|0|0" ]
	expect_code 0 buffer-batch --once
	[ "$(jq -r .source_id <<<"$output" | sort | uniq -c | tr -s ' \n' ' ')" = \
	    " 3 a 3 b " ]
}

# The schema of version 1, whose view had triggers only.
load_older()
{
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	buf_psql "DROP SCHEMA philotes CASCADE" 2>/dev/null
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/tests/data/schema-1.sql"
	buf_psql "CREATE ROLE r_$PHILOTES_SLOT; CREATE ROLE o_$PHILOTES_SLOT;
	    GRANT SELECT ON philotes.cdc_events TO r_$PHILOTES_SLOT
	        WITH GRANT OPTION;
	    GRANT INSERT (source_id) ON philotes.cdc_events TO PUBLIC;
	    ALTER VIEW philotes.cdc_events OWNER TO o_$PHILOTES_SLOT"
}

granted()
{
	buf_psql "SELECT relowner::regrole, relacl, attacl FROM pg_class
	    JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'source_id'
	    WHERE pg_class.oid = 'philotes.cdc_events'::regclass"
}

@test "a view of an older schema is replaced and keeps its owner and grants" {
	local before
	load_older
	before=$(granted)
	[[ $before == o_*r_*=a/* ]]
	philotes init
	[ "$(granted)" = "$before" ]
	refused_as_replica -c "INSERT INTO philotes.cdc_events DEFAULT VALUES"
	# loading the schema again changes nothing
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
	[ "$(granted)" = "$before" ]
}

@test "a view of an older schema stays if an object depends on it, and init says so" {
	load_older
	buf_psql "CREATE VIEW own AS SELECT id FROM philotes.cdc_events"
	expect_code 0 philotes init
	[[ $stderr == *"warning: kept the old view philotes.cdc_events"*\
"because of: view public.own depends on"* ]]
	buf_psql "DROP VIEW own"
	expect_code 0 philotes init
	[[ $stderr != *warning* ]]
	refused_as_replica -c "INSERT INTO philotes.cdc_events DEFAULT VALUES"
}
