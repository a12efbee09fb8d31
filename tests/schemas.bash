# Schema lines in what buffer-batch delivers.  `load schemas` after
# `load helper`.
#
#   workload            tables that are changed and altered, on the source
#   delivered FILE      judges a file of batches, each followed by a line END:
#                       prints EVENTS|LINES|FAULTS, the numbers of events, of
#                       schema lines, and of events that lack the line before
#                       them, in their batch, that philotes.schema_of() names,
#                       or of lines that no event of their table follows; fails
#                       if there are faults, which it shows on stderr
#   batches OPTION ...  prints such batches, by a handler
#   alone               of lines of buffer-batch: without id and created_at
#   in_force            table|schema of all rows of cdc_schemas, by id
# shellcheck shell=bash disable=SC2154

workload()
{
	psql_on "$PHILOTES_SOURCE_URL" <<-'EOF'
	CREATE TYPE mood AS ENUM ('sad', 'ok');
	CREATE DOMAIN cents AS bigint;
	CREATE TABLE a (id int PRIMARY KEY, v text, c cents, m mood);
	CREATE TABLE b (id int PRIMARY KEY, v text);
	CREATE TABLE "C c" (id int PRIMARY KEY, v text);
	ALTER TABLE "C c" REPLICA IDENTITY FULL;
	CREATE PUBLICATION philotes_pub FOR ALL TABLES;
	EOF
	expect_code 0 pg-cdc-read --create
	psql_on "$PHILOTES_SOURCE_URL" <<-'EOF'
	INSERT INTO a VALUES (1, 'x', 5, 'ok'), (2, 'y', 6, 'sad');
	INSERT INTO b VALUES (1, 'x');
	INSERT INTO "C c" VALUES (1, 'x');
	UPDATE a SET v = 'z' WHERE id = 1;
	ALTER TABLE a ADD w text DEFAULT 'web';
	INSERT INTO a VALUES (3, 'x', 5, 'ok', 'w');
	BEGIN;
	UPDATE b SET v = 'y';
	ALTER TABLE a RENAME v TO name;
	INSERT INTO a VALUES (4, 'x', 5, 'ok', 'w');
	UPDATE b SET v = 'z';
	ALTER TABLE a DROP m;
	DELETE FROM a WHERE id = 1;
	COMMIT;
	ALTER TABLE b ALTER v TYPE varchar(9);
	UPDATE b SET v = 'y';
	ALTER TABLE b RENAME TO d;
	UPDATE d SET v = 'z';
	UPDATE "C c" SET v = 'y';
	TRUNCATE "C c", d;
	INSERT INTO d VALUES (1, 'x');
	ALTER TABLE d RENAME TO b;
	INSERT INTO b VALUES (2, 'x');
	EOF
}

delivered()
{
	local said faults
	said=$(psql_on "$PHILOTES_BUFFER_URL" -At <<-EOF
	CREATE TEMP TABLE line (n int GENERATED ALWAYS AS IDENTITY, text text);
	\\copy line (text) FROM '$1' (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')
	CREATE TEMP TABLE l AS
	SELECT n, text, j, count(*) FILTER (WHERE j IS NULL) OVER (ORDER BY n) AS batch,
	       j->>'control' = 'schema' AS is_schema,
	       concat_ws('|', j->>'source_id', j->>'schema_name', j->>'table_name')
	           AS tab
	FROM (SELECT n, text, CASE WHEN text <> 'END' THEN text::jsonb END AS j
	      FROM line) x;
	SELECT count(*) FILTER (WHERE j ? 'operation') || '|' ||
	       count(*) FILTER (WHERE is_schema) FROM l;
	SELECT 'event ' || (e.j->>'id') || ': '
	       || coalesce(s.text, 'no schema line before it')
	FROM l e LEFT JOIN LATERAL (
		SELECT text FROM l s
		WHERE s.is_schema AND s.batch = e.batch AND s.tab = e.tab AND s.n < e.n
		ORDER BY n DESC LIMIT 1) s ON true
	WHERE e.j ? 'operation' AND s.text IS DISTINCT FROM philotes.schema_of(
	    e.j->>'source_id', e.j->>'schema_name', e.j->>'table_name',
	    (e.j->>'id')::bigint)::text;
	SELECT 'no event after ' || s.text FROM l s
	WHERE s.is_schema AND NOT EXISTS (SELECT FROM l e
	    WHERE e.n = s.n + 1 AND e.j ? 'operation' AND e.tab = s.tab);
	EOF
	)
	sed 1d <<<"$said" >&2
	faults=$(($(wc -l <<<"$said") - 1))
	echo "$(head -n 1 <<<"$said")|$faults"
	((faults == 0))
}

batches()
{
	buffer-batch --schema "$@" -- sh -c 'cat && echo END'
}

alone()
{
	sed -E 's/^\{"id":[0-9]+,/{/; s/,"created_at":"[^"]*"\}$/}/'
}

in_force()
{
	buf_psql "SELECT table_name, schema FROM philotes.cdc_schemas
	    ORDER BY from_id"
}
