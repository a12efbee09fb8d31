-- Turns the output of three decoders of the same WAL into lines that can be
-- compared: ours, of pgoutput, and those of test_decoding and wal2json.
-- psql variables: slot (the others' are slot_td and slot_wj), with_wal2json
-- (0 or 1), stream (a file of our lines), rules (SQL).
--
-- All become rows of the table `change`: the operation, the table, and each
-- value as the server's text.  By design the decoders differ in these cases;
-- => says what is done about each:
--
-- What              ours               test_decoding      wal2json
-- ----------------  -----------------  -----------------  -------------------
-- published         only published     everything         everything
--   tables, rows,
--   columns
--   => the test's :rules change the others' rows
-- transaction       no line            BEGIN, COMMIT      none, as we ask
--   => dropped
-- unchanged TOAST   old row's value,   "unchanged-toast-  column is absent
--                   else absent        datum", always
--   => absent; if an old row has the value, it is taken from there
-- old row of an     if the key         if the key         always: the key,
--   UPDATE          changed, or FULL   changed, or FULL   or all under FULL
--   => for wal2json, ours is filled from the new row
-- NULL in an old    present under      column is absent   present under
--   row             FULL                                  FULL
--   => absent
-- TRUNCATE of n     n events, options  one line, options  n events, no
--   tables          in metadata                           options
--   => n rows; for wal2json the options are dropped
-- generated column  absent             present            present
--   => the test's :rules change the others' rows
-- NaN, infinities   string             as they are        null
--   => null for wal2json
-- bytea             \x00ff             \x00ff             00ff
--   => without \x for wal2json
-- arrays            JSON               text               text
--   => text
-- message           prefix, content    the same and size  the same
--   => a non-transactional message has no transaction
\set ON_ERROR_STOP 1
\set QUIET 1
\pset tuples_only
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
SET lc_monetary = 'C';
SET extra_float_digits = 3;

CREATE TEMP TABLE change (stream text, n bigint,
    k bigint GENERATED ALWAYS AS IDENTITY, xid text, op text, rel text,
    old jsonb, new jsonb, options text);

-- ours

CREATE FUNCTION pg_temp.element_text(j json) RETURNS text AS $$
	SELECT CASE
	    WHEN json_typeof(j) = 'null' THEN 'NULL'
	    WHEN json_typeof(j) = 'boolean' THEN left(j #>> '{}', 1)
	    WHEN json_typeof(j) = 'array' THEN
	        '{' || (SELECT coalesce(string_agg(pg_temp.element_text(e), ','
	            ORDER BY n), '')
	            FROM json_array_elements(j) WITH ORDINALITY a (e, n)) || '}'
	    WHEN t = '' OR t ~* '^null$' OR t ~ '[{}",\\\s]' THEN
	        '"' || regexp_replace(t, '(["\\])', '\\\1', 'g') || '"'
	    ELSE t END
	FROM (SELECT j #>> '{}' AS t) s
$$ LANGUAGE sql;

CREATE FUNCTION pg_temp.our_row(j json) RETURNS jsonb AS $$
	SELECT coalesce(jsonb_object_agg(key, CASE json_typeof(value)
	    WHEN 'array' THEN pg_temp.element_text(value)
	    ELSE value #>> '{}' END), '{}')
	FROM json_each(CASE json_typeof(j) WHEN 'object' THEN j END)
	HAVING json_typeof(j) = 'object'
$$ LANGUAGE sql;

CREATE TEMP TABLE line (n bigint GENERATED ALWAYS AS IDENTITY, j json);
\set copy '\\copy line (j) FROM ' :'stream' ' (FORMAT csv, QUOTE E''\\x01'', DELIMITER E''\\x02'')'
:copy

INSERT INTO change (stream, n, xid, op, rel, old, new, options)
SELECT 'ours', n, j->>'transaction_id', j->>'operation',
    format('%I.%I', j->>'schema_name', j->>'table_name'),
    pg_temp.our_row(j->'before_data'), pg_temp.our_row(j->'after_data'),
    concat_ws(' ', CASE WHEN (j #>> '{metadata,restart_identity}')::bool
        THEN 'restart_seqs' END, CASE WHEN (j #>> '{metadata,cascade}')::bool
        THEN 'cascade' END)
FROM line;

-- test_decoding: name[type]:value, names quoted as identifiers

\set whole '(?:"(?:[^"]|"")+"|[^][ "]+)\\[(?:[^]]|\\](?!:))*\\]:(?:B?''(?:[^'']|'''')*''|[^ '']+)(?: |$)'
\set parts '(?:"((?:[^"]|"")+)"|([^][ "]+))\\[(?:[^]]|\\](?!:))*\\]:(?:B?''((?:[^'']|'''')*)''|([^ '']+))(?: |$)'
SET oracle.whole = :'whole';
SET oracle.parts = :'parts';

CREATE FUNCTION pg_temp.their_row(t text) RETURNS jsonb AS $$
DECLARE
	got jsonb;
BEGIN
	IF t = '(no-tuple-data)' THEN
		RETURN NULL;
	END IF;
	IF regexp_replace(t, current_setting('oracle.whole'), '', 'g') <> '' THEN
		RAISE 'cannot read: %', t;
	END IF;
	SELECT coalesce(jsonb_object_agg(
	        coalesce(replace(m[1], '""', '"'), m[2]),
	        coalesce(replace(m[3], '''''', ''''), nullif(m[4], 'null')))
	    FILTER (WHERE m[4] IS DISTINCT FROM 'unchanged-toast-datum'), '{}')
	INTO got FROM regexp_matches(t, current_setting('oracle.parts'), 'g') m;
	RETURN got;
END
$$ LANGUAGE plpgsql;

CREATE TEMP TABLE said AS
SELECT row_number() OVER () AS n, xid::text, regexp_match(data,
    '^table ((?:(?:"[^"]+")+|[^ ":.]+)\.(?:(?:"[^"]+")+|[^ ":]+)'
    '(?:, (?:(?:"[^"]+")+|[^ ":.]+)\.(?:(?:"[^"]+")+|[^ ":]+))*)'
    ': ([A-Z]+):(?: (.*))?$') AS p,
    regexp_match(data, '^message: transactional: ([01])'
    ' prefix: (.*), sz: \d+ content:(.*)$') AS m, data
FROM pg_logical_slot_peek_changes(:'slot' || '_td', NULL, NULL,
    'include-xids', '0', 'include-timestamp', '0');

SELECT 'cannot read: ' || data FROM said
WHERE p IS NULL AND m IS NULL AND data NOT IN ('BEGIN', 'COMMIT');

INSERT INTO change (stream, n, xid, op, rel, old, new, options)
SELECT 'test_decoding', n, xid, p[2], rel,
    CASE p[2] WHEN 'DELETE' THEN pg_temp.their_row(coalesce(p[3], ''))
        WHEN 'UPDATE' THEN CASE WHEN u[1] IS NOT NULL
            THEN pg_temp.their_row(u[1]) END END,
    CASE WHEN p[2] IN ('INSERT', 'UPDATE')
        THEN pg_temp.their_row(coalesce(u[2], p[3], '')) END,
    CASE p[2] WHEN 'TRUNCATE' THEN replace(p[3], '(no-flags)', '') ELSE '' END
FROM said, LATERAL (SELECT regexp_match(p[3], '^old-key: ((?:' ||
    :'whole' || ')*)new-tuple: (.*)$') AS u) s,
    LATERAL regexp_split_to_table(p[1], ', (?=(?:[^"]*"[^"]*")*[^"]*$)')
        WITH ORDINALITY r (rel, k)
WHERE p IS NOT NULL ORDER BY n, k;

INSERT INTO change (stream, n, xid, op, rel, old, new, options)
SELECT 'test_decoding', n, CASE m[1] WHEN '1' THEN xid END, 'MESSAGE', '"".""',
    NULL, jsonb_build_object('prefix', m[2], 'content', m[3]), ''
FROM said WHERE m IS NOT NULL;

-- wal2json

CREATE FUNCTION pg_temp.json_row(j json) RETURNS jsonb AS $$
	SELECT coalesce(jsonb_object_agg(c->>'name', c->>'value'), '{}')
	FROM json_array_elements(j) c HAVING j IS NOT NULL
$$ LANGUAGE sql;

\if :with_wal2json
INSERT INTO change (stream, n, xid, op, rel, old, new, options)
SELECT 'wal2json', row_number() OVER (), CASE
        WHEN j->>'transactional' = 'false' THEN NULL ELSE j->>'xid' END,
    CASE j->>'action' WHEN 'I' THEN 'INSERT' WHEN 'U' THEN 'UPDATE'
        WHEN 'D' THEN 'DELETE' WHEN 'T' THEN 'TRUNCATE' ELSE 'MESSAGE' END,
    format('%I.%I', coalesce(j->>'schema', ''), coalesce(j->>'table', '')),
    pg_temp.json_row(j->'identity'),
    CASE j->>'action' WHEN 'M' THEN jsonb_build_object('prefix', j->>'prefix',
        'content', j->>'content') ELSE pg_temp.json_row(j->'columns') END, ''
FROM (SELECT data::json AS j FROM pg_logical_slot_peek_changes(
    :'slot' || '_wj', NULL, NULL, 'format-version', '2', 'include-xids', '1',
    'include-transaction', '0')) s;
\endif

-- the differences of the table above

UPDATE change SET new = old || new
WHERE stream <> 'ours' AND op = 'UPDATE' AND old IS NOT NULL;

:rules;

UPDATE change SET old = jsonb_strip_nulls(old);

INSERT INTO change (stream, n, xid, op, rel, old, new, options)
SELECT 'ours for wal2json', c.n, xid, op, rel,
    CASE op WHEN 'UPDATE' THEN coalesce(old,
        (SELECT jsonb_object_agg(name, new->name)
            FROM json_array_elements_text(j->'key_columns') name))
        ELSE old END,
    regexp_replace(regexp_replace(new::text, '": "\\\\x', '": "', 'g'),
        '": "(NaN|Infinity|-Infinity)"', '": null', 'g')::jsonb, ''
FROM change c JOIN line USING (n) WHERE stream = 'ours';

\set lines 'SELECT concat_ws(\' \', coalesce(xid, \'-\'), op, rel, \'old\', old, \'new\', new, options) FROM change WHERE stream = '
\set order ' ORDER BY n, k'
\o :stream.ours
:lines 'ours' :order;
\o :stream.test_decoding
:lines 'test_decoding' :order;
\o :stream.wal2json
:lines 'wal2json' :order;
\o :stream.ours_wal2json
:lines 'ours for wal2json' :order;
