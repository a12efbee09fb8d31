#!/usr/bin/env bats
# The plain table of the same name is converted to the view, and nothing is
# lost.

# shellcheck source=SCRIPTDIR/helper.bash
load helper

setup()
{
	databases_up
	buf_psql "DROP SCHEMA philotes CASCADE" 2>/dev/null
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/tests/data/plain-table.sql"
}

# plain ROWS: fills the table with rows in every state of processed_at, by
# source: `front` is processed up to the middle, `holes` has unprocessed rows
# among processed ones, `none` is unprocessed, `all` is processed, `each` has a
# different time for each row, `apart` is processed except for its end, at a
# few times that repeat.  All rows differ, and metadata and lsn hold what users
# write.
plain()
{
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	        table_name, operation, lsn, transaction_id, key_columns,
	        before_data, after_data, event_time, metadata, created_at,
	        processed_at)
	    SELECT s, 'public', 't' || n % 5, 'UPDATE',
	        (ARRAY['0/' || to_hex(n), 'odd', ''])[n % 3 + 1],
	        nullif(n % 7, 0), (ARRAY['[\"id\"]', NULL])[n % 2 + 1]::jsonb,
	        NULL, jsonb_build_object('n', n, 'x', 'é\"'), t,
	        (ARRAY[NULL, '[1]', '{}', 'null', '\"x\"',
	               '{\"commit_lsn\":\"0/AB\",\"seq\":3}',
	               '{\"commit_lsn\":\"1/2C\",\"seq\":' || n || ',\"z\":{}}',
	               '{\"commit_lsn\":\"0/0ab\",\"seq\":3}',
	               '{\"commit_lsn\":\"none\",\"seq\":\"x\"}',
	               '{\"commit_lsn\":7,\"seq\":1.5}'])[n % 10 + 1]::jsonb,
	        t + interval '1 s',
	        CASE s WHEN 'front' THEN CASE WHEN n < $1 / 2 THEN t + '1 h' END
	               WHEN 'holes' THEN CASE WHEN n % 24 < 13 THEN t + '1 h' END
	               WHEN 'all' THEN '2026-01-01'
	               WHEN 'each' THEN t - n * interval '1 s'
	               WHEN 'apart' THEN CASE WHEN n < $1 - 60 THEN
	                   '2026-02-01'::timestamptz + n / 100 % 3 * interval '1 h'
	                   END
	        END
	    FROM generate_series(1, $1) n,
	        LATERAL (SELECT '2025-12-01'::timestamptz + n * interval '1 s',
	            (ARRAY['front', 'holes', 'none', 'all', 'each', 'apart'])
	            [n % 6 + 1]) x (t, s);
	    DELETE FROM philotes.cdc_events WHERE id % 101 = 0 OR id = $1;
	    CREATE TABLE public.old AS TABLE philotes.cdc_events"
}

convert()
{
	psql_on "$PHILOTES_BUFFER_URL" -f "$root/sql/001_schema.sql"
}

# The number of rows that differ from public.old after the conversion.
different()
{
	buf_psql "SELECT count(*) FROM public.old o
	    FULL JOIN philotes.cdc_events e
	      ON e.source_id = o.source_id
	     AND e.after_data->'n' = o.after_data->'n'
	    WHERE (to_jsonb(o) - 'id') IS DISTINCT FROM (to_jsonb(e) - 'id')
	       OR (o.id <> e.id AND (o.source_id <> 'holes'
	                             OR o.processed_at IS NOT NULL))"
}

# The table is as it was, and no object of ours is there.
untouched()
{
	[ "$(buf_psql "SELECT count(*) FROM (
	    (TABLE philotes.cdc_events EXCEPT ALL TABLE public.old) UNION ALL
	    (TABLE public.old EXCEPT ALL TABLE philotes.cdc_events)) x")" = 0 ]
	[ "$(buf_psql "SELECT string_agg(relname, ' ' ORDER BY relname)
	    FROM pg_class WHERE relnamespace = 'philotes'::regnamespace
	    AND relname NOT LIKE 'pg_toast%'")" = \
"cdc_events cdc_events_id_seq cdc_events_pkey idx_cdc_events_processed\
 idx_cdc_events_unprocessed" ]
}

@test "100 thousand rows in every state are kept, and the unprocessed ones are delivered" {
	local began=$SECONDS
	plain 100000
	convert
	((SECONDS - began < 60))
	[ "$(different)" = 0 ]
	[ "$(buf_psql "SELECT string_agg(relname, ' ') FROM pg_class
	    WHERE relnamespace = 'philotes'::regnamespace
	    AND (relname LIKE '%plain%' OR relname LIKE 'idx_%'
	         OR relname = 'cdc_events_id_seq')")" = '' ]
	# new ids begin after the highest id ever given
	[ "$(buf_psql "SELECT min(id) FROM philotes.cdc_events
	    WHERE source_id = 'holes' AND processed_at IS NULL")" = 100001 ]
	# the ledgers match the log
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_writes w
	    WHERE events <> (SELECT count(*) FROM philotes.cdc_log l
	        WHERE l.source_id = w.source_id
	          AND l.id BETWEEN w.first_id AND w.last_id)")" = 0 ]
	[ "$(buf_psql "SELECT count(*) FROM (SELECT first_id, coalesce(
	        lag(last_id) OVER (PARTITION BY source_id ORDER BY first_id), 0)
	        AS before FROM philotes.cdc_batches) b
	    WHERE first_id <> before + 1")" = 0 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_batches b
	    JOIN philotes.cdc_writes w USING (source_id, write_no)
	    LEFT JOIN (SELECT source_id, id, row_number() OVER
	        (PARTITION BY source_id ORDER BY id) AS n
	        FROM philotes.cdc_log) l
	      ON l.source_id = b.source_id AND l.id = b.last_id
	    WHERE b.last_id NOT BETWEEN w.first_id AND w.last_id
	       OR b.total IS DISTINCT FROM l.n")" = 0 ]
	buf_psql "COPY (SELECT source_id || ' ' || (after_data->>'n')
	    FROM public.old WHERE processed_at IS NULL ORDER BY source_id, id)
	    TO STDOUT" >"$BATS_TEST_TMPDIR/expected"
	expect_code 0 buffer-batch --once --batch-size 20000
	jq -r '"\(.source_id) \(.after_data.n)"' <<<"$output" | sort -s -k 1,1 |
		diff "$BATS_TEST_TMPDIR/expected" -
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_events
	    WHERE processed_at IS NULL")" = 0 ]
	expect_code 0 buffer-batch --once
	[ -z "$output" ]
}

@test "converting again changes nothing, and new rows come after the old ones" {
	plain 600
	convert
	buf_psql "CREATE TABLE public.before AS TABLE philotes.cdc_events"
	convert
	[ "$(buf_psql "SELECT count(*) FROM (TABLE public.before EXCEPT ALL
	    TABLE philotes.cdc_events) x")" = 0 ]
	buf_psql "INSERT INTO philotes.cdc_events (source_id, schema_name,
	    table_name, operation, lsn, event_time)
	    VALUES ('none', '', '', 'INSERT', '', now())"
	[ "$(buf_psql "SELECT max(id) = (SELECT id FROM philotes.cdc_log
	    ORDER BY created_at DESC LIMIT 1) FROM philotes.cdc_log")" = t ]
	# retention counts from the rows' own processed_at
	expect_code 0 buffer-gc --retention 1h
	(($(different) > 0))
	[ "$(buf_psql "SELECT count(*) FROM public.old o
	    WHERE processed_at IS NULL AND NOT EXISTS (
	        SELECT FROM philotes.cdc_events e
	        WHERE e.after_data->'n' = o.after_data->'n')")" = 0 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_events
	    WHERE processed_at IS NOT NULL")" = 0 ]
}

@test "an empty table is replaced, and ids go on from its sequence, whoever owns it" {
	buf_psql "SELECT setval('philotes.cdc_events_id_seq', 41);
	    ALTER SEQUENCE philotes.cdc_events_id_seq OWNED BY NONE"
	convert
	[ "$(buf_psql "SELECT nextval('philotes.cdc_log_id_seq')")" = 42 ]
	[ "$(buf_psql "SELECT count(*) FROM philotes.cdc_consumers")" = 0 ]
}

@test "ids in partitions far apart from each other" {
	buf_psql "INSERT INTO philotes.cdc_events (id, source_id, schema_name,
	    table_name, operation, lsn, event_time, processed_at)
	    SELECT id, 's', '', '', 'INSERT', '', now(),
	        CASE WHEN id > 10 THEN now() END
	    FROM unnest('{1, 10, 9999999, 10000000, 123456789}'::bigint[]) id"
	convert
	[ "$(buf_psql "SELECT string_agg(id::text, ' ' ORDER BY id)
	    FROM philotes.cdc_log")" = \
	    "9999999 10000000 123456789 123456790 123456791" ]
	expect_code 0 buffer-batch --once
	[ "$(wc -l <<<"$output")" = 2 ]
}

@test "philotes init converts the table, even when several run at once" {
	local i
	plain 600
	src_psql "CREATE TABLE t (id int PRIMARY KEY)"
	pg-cdc-read --create 2>/dev/null
	for i in 1 2 3; do
		child philotes init
	done
	for i in "${children[@]}"; do
		wait "$i"
	done
	[ "$(different)" = 0 ]
	buf_psql "DROP SCHEMA philotes CASCADE" 2>/dev/null
	for i in 1 2 3; do
		child philotes init
	done
	for i in "${children[@]:3}"; do
		wait "$i"
	done
}

@test "json that jsonb cannot hold stops the conversion" {
	buf_psql "ALTER TABLE philotes.cdc_events ALTER after_data TYPE json;
	    INSERT INTO philotes.cdc_events (source_id, schema_name, table_name,
	        operation, lsn, event_time, after_data)
	    VALUES ('s', '', '', 'INSERT', '', now(), '{\"a\":\"\\u0000\"}')"
	expect_code 3 convert
	[[ $stderr == *"unsupported Unicode escape sequence"* ]]
	buf_psql "UPDATE philotes.cdc_events SET after_data = '{\"a\":1,\"a\":2}'"
	convert
	expect_code 0 buffer-batch --once
	[ "$(jq -c .after_data <<<"$output")" = '{"a":2}' ]
}

@test "a conversion interrupted at random leaves the table as it was, or converted" {
	local round seed=$RANDOM loader interrupted=0
	echo "seed $seed"
	RANDOM=$seed
	plain 20000
	for round in 1 2 3 4 5 6; do
		child convert
		loader=$!
		# the first one at once, so that not all of them get through
		((round == 1)) || sleep "0.$(printf %03d $((RANDOM % 700)))"
		if ((round % 2)); then
			kill -KILL "$(pgrep -P "$loader" -x psql || echo "$loader")" \
				2>/dev/null || :
		else
			buf_psql "SELECT pg_terminate_backend(pid)
			    FROM pg_stat_activity WHERE datname = current_database()
			    AND pid <> pg_backend_pid()" >/dev/null
		fi
		wait "$loader" || interrupted=$((interrupted + 1))
		wait_for buf_psql "SELECT count(*) FROM pg_stat_activity
		    WHERE datname = current_database()
		    AND backend_type = 'client backend'" 1
		if [ "$(buf_psql "SELECT relkind FROM pg_class
		    WHERE oid = 'philotes.cdc_events'::regclass")" = r ]; then
			untouched
		else
			[ "$(different)" = 0 ]
		fi
	done
	((interrupted > 0))
	convert
	[ "$(different)" = 0 ]
}

@test "what the view could not replace is named, and nothing is changed" {
	plain 100
	refused()
	{
		expect_code 3 convert
		[[ $stderr == *"$1"* ]] || {
			echo "$stderr"
			return 1
		}
		buf_psql "$2"
		untouched
	}
	buf_psql "CREATE VIEW public.v AS SELECT id FROM philotes.cdc_events"
	refused 'while it has: view public.v' "DROP VIEW public.v"
	buf_psql "CREATE TRIGGER mine BEFORE INSERT ON philotes.cdc_events
	    EXECUTE FUNCTION suppress_redundant_updates_trigger()"
	refused 'while it has: trigger mine' "DROP TRIGGER mine
	    ON philotes.cdc_events"
	buf_psql "CREATE TABLE public.r (id bigint REFERENCES philotes.cdc_events)"
	refused 'while it has: foreign key of public.r' "DROP TABLE public.r"
	buf_psql "CREATE RULE mine AS ON DELETE TO philotes.cdc_events
	    DO ALSO NOTHING"
	refused 'while it has: rule mine' "DROP RULE mine
	    ON philotes.cdc_events"
	buf_psql "ALTER TABLE philotes.cdc_events ENABLE ROW LEVEL SECURITY"
	refused 'while it has: row level security' "ALTER TABLE
	    philotes.cdc_events DISABLE ROW LEVEL SECURITY"
	buf_psql "CREATE FUNCTION public.f(philotes.cdc_events) RETURNS int
	        LANGUAGE sql AS 'SELECT 1';
	    CREATE TABLE public.child () INHERITS (philotes.cdc_events)"
	expect_code 78 philotes init
	expect_error 'has: function public.f.*, table public.child'
	[[ $stderr != *CASCADE* ]]
	buf_psql "DROP FUNCTION public.f; DROP TABLE public.child"
	untouched
	buf_psql "ALTER TABLE philotes.cdc_events ADD mine text"
	refused 'in the columns mine' "ALTER TABLE philotes.cdc_events
	    DROP mine"
	buf_psql "INSERT INTO philotes.cdc_events SELECT 0, 's', '', '', '', '', 1,
	    NULL, NULL, NULL, now(), NULL, now(), NULL"
	refused 'with an id below 1' "DELETE FROM philotes.cdc_events WHERE id = 0"
	convert
	[ "$(different)" = 0 ]
}

@test "a role that could read and write the table needs no further right" {
	local role=plain_$BATS_TEST_NUMBER
	plain 12
	buf_psql "CREATE ROLE $role LOGIN;
	    GRANT USAGE ON SCHEMA philotes TO $role;
	    GRANT SELECT, INSERT ON philotes.cdc_events TO $role"
	convert
	[ "$(psql_on "$PHILOTES_BUFFER_URL user=$role" -At -c "
	    SELECT count(*) FROM philotes.cdc_events;
	    INSERT INTO philotes.cdc_events (source_id, schema_name, table_name,
	        operation, lsn, event_time)
	    VALUES ('x', '', '', 'INSERT', '', now());
	    SELECT count(*) FROM philotes.cdc_events")" = $'11\n12' ]
}

@test "a role whose name needs quotes can convert it" {
	local role="Plain $BATS_TEST_NUMBER"
	plain 12
	buf_psql "CREATE ROLE \"$role\" LOGIN SUPERUSER"
	psql_on "$PHILOTES_BUFFER_URL user='$role'" -f "$root/sql/001_schema.sql"
	[ "$(different)" = 0 ]
	buf_psql "DROP OWNED BY \"$role\" CASCADE; DROP ROLE \"$role\""
}
