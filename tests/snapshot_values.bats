#!/usr/bin/env bats
# What a READ says of a row is what the INSERT of the row said, and what an
# UPDATE with all its columns says, byte for byte.

load helper

setup()
{
	databases_up
	src_psql "CREATE PUBLICATION philotes_pub FOR ALL TABLES"
	pg-cdc-read --create
}

# same OPERATION SCHEMA: its events, in the buffer, say what READ says
same()
{
	nothing buf_psql "WITH e AS (
	        SELECT operation AS op, table_name, after_data::text AS after,
	            metadata::jsonb ->> 'json_text' AS json_text
	        FROM philotes.cdc_log WHERE schema_name LIKE '$2'
	          AND table_name <> 'less'),
	    r AS (SELECT table_name, after, json_text FROM e WHERE op = 'READ'),
	    o AS (SELECT table_name, after, json_text FROM e WHERE op = '$1')
	    SELECT table_name, left(after, 200), json_text
	    FROM ((TABLE r EXCEPT ALL TABLE o)
	        UNION ALL (TABLE o EXCEPT ALL TABLE r)) d"
}

# taken: the stream with a snapshot of all
taken()
{
	stream=$BATS_TEST_TMPDIR/stream
	pg-cdc-read --snapshot all
	pg-cdc-read --until snapshot >"$stream"
	refute grep '"state":"failed"' "$stream"
}

@test "each type" {
	psql_on "$PHILOTES_SOURCE_URL" -f "$root/tests/types_make.sql"
	taken
	# the server sends all columns only with the old row
	src_psql "DO \$\$ DECLARE t regclass; BEGIN
	    FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r'
	        AND relnamespace = 'm'::regnamespace LOOP
	        EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', t);
	        EXECUTE format('UPDATE %s SET n = n', t);
	    END LOOP; END \$\$"
	pg-cdc-read --until now | grep '"operation":"UPDATE"' >>"$stream"
	buffer-write <"$stream"
	[ "$(buf_psql "SELECT count(*) > 300 FROM philotes.cdc_log
	    WHERE operation = 'READ' AND schema_name = 'm'")" = t ]
	same INSERT m
	same UPDATE m
}

@test "names, numbers of columns and sizes at their limits" {
	psql_on "$PHILOTES_SOURCE_URL" -v ON_ERROR_STOP=1 <<'EOF'
CREATE SCHEMA "S.1 ""x"" \";
SET search_path = "S.1 ""x"" \", public;
CREATE TABLE "T,'{}	"".ü" ("a""b" int, "\" text, "k e.y," text,
    PRIMARY KEY ("k e.y,", "a""b"));
INSERT INTO "T,'{}	"".ü" VALUES (1, 'x', '\N'), (2, NULL, '"');
SET search_path = public;
CREATE TABLE marks (id int PRIMARY KEY, v text);
INSERT INTO marks VALUES (1, '\N'), (2, '\.'), (3, '\'), (4, ''), (5, NULL),
    (6, E'\\N\n\\.\n\t\r\x01\b\f\v'), (7, '\\N'), (8, 'N');
CREATE TABLE nothing (id int PRIMARY KEY, v text);
CREATE TABLE less (a int, b text, id int PRIMARY KEY, c text, d text);
INSERT INTO less VALUES (1, 'b', 1, 'c', 'd');
ALTER TABLE less DROP a, DROP c, ADD e text DEFAULT 'e';
SELECT format('CREATE TABLE wide (%s, id int PRIMARY KEY)',
    string_agg(format('c%s int', i), ', ')) FROM generate_series(1, 1599) i
\gexec
SELECT format('INSERT INTO wide VALUES (%s)', string_agg(i::text, ', '))
FROM generate_series(1, 1600) i
\gexec
CREATE TABLE large (id int PRIMARY KEY, t text, b bytea);
INSERT INTO large VALUES (1, repeat(E'0123456\n\\', 1250000), NULL),
    (2, '', repeat('x', 1000000)::bytea);
EOF
	taken
	buffer-write <"$stream"
	same INSERT %
	[ "$(buf_psql "SELECT max(length(after_data::text)) > 10000000
	    FROM philotes.cdc_log WHERE operation = 'READ'")" = t ]
	[ "$(buf_psql "SELECT after_data FROM philotes.cdc_log
	    WHERE operation = 'READ' AND table_name = 'less'")" = \
		'{"b":"b","id":1,"d":"d","e":"e"}' ]
	[ "$(buf_psql "SELECT table_name, after_data->>'rows' FROM philotes.cdc_log
	    WHERE after_data->>'state' = 'end' AND operation = 'SNAPSHOT'
	    ORDER BY table_name COLLATE \"C\"")" = \
"T,'{}	\".ü|2
large|2
less|1
marks|8
nothing|0
wide|1" ]
}
