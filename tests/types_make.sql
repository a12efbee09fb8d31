-- A table m.TYPE for each type that PostgreSQL has and a column may use.  It
-- has a row for each sample below, and rows with arrays: of all samples and a
-- NULL, empty, of 2 and of 6 dimensions, with other lower bounds.  odd: JSON
-- that jsonb cannot hold, and its null.
\set ON_ERROR_STOP 1
SET timezone = 'UTC';
CREATE SCHEMA m;
CREATE TABLE sample (type text, value text, odd bool DEFAULT false,
    n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
INSERT INTO sample (type, value) VALUES
('bool', 't'), ('bool', 'f'),
('bytea', ''), ('bytea', '\x00ff'), ('bytea', '\x5c22'),
('char', 'a'), ('char', ''), ('char', '"'), ('char', '\377'),
('name', 'n'), ('name', 'a "b"'), ('name', ''),
('int2', '-32768'), ('int2', '32767'), ('int2', '0'),
('int4', '-2147483648'), ('int4', '2147483647'),
('int8', '-9223372036854775808'), ('int8', '9223372036854775807'),
('int2vector', '1 -2'), ('int2vector', ''),
('oidvector', '1 4294967295'), ('oidvector', ''),
('oid', '0'), ('oid', '4294967295'),
('tid', '(0,1)'), ('tid', '(4294967295,65535)'),
('xid', '3'), ('xid', '4294967295'), ('cid', '0'), ('cid', '4294967295'),
('xid8', '18446744073709551615'),
('text', ''), ('text', 'NULL'), ('text', 'null'), ('text', ' '), ('text', '1'),
('text', 'it''s "q" \ \\ /'),
('text', E'tab\tcr\rnl\nbs\bff\f\x01\x7f'),
('text', '{a,b;c}'), ('text', 'ÄÖ 表 😀 ' || chr(8232)), ('text', '\x00'),
('text', '\u0000'), ('text', repeat('x', 100000)),
('bpchar', 'ab  '), ('bpchar', ''), ('varchar', 'v'), ('varchar', ''),
('json', '{"k":[1, null]}'), ('json', '1'), ('json', '-0'), ('json', '1.50'),
('json', '1E+2'), ('json', '123456789012345678901234567890'),
('json', '"a\nb \" \\ \u00e4"'), ('json', E'{"a" :\n [1,\r\n 2.0]}'),
('json', '{}'), ('json', '[]'), ('json', 'true'), ('json', '""'),
('json', '{"":{"a":{"a":1}}}'), ('json', repeat('9', 131072)),
('jsonb', '{"k": [1]}'), ('jsonb', '-0.0'), ('jsonb', '1.50'),
('jsonb', '{"b": [1, null, true], "a": "x\ny"}'), ('jsonb', '"\\u0000"'),
('jsonb', repeat('[', 256) || repeat(']', 256)),
('jsonb', repeat('9', 131072)), ('jsonb', '""'), ('jsonb', '{"":1}'),
('xml', 'x'), ('xml', '<a b="1">x &amp; y</a>'),
('jsonpath', '$."a"[*]?(@ > 1)'),
('point', '(1,2)'), ('point', '(NaN,-Infinity)'), ('point', '(-0,1e-300)'),
('lseg', '[(1,2),(3,4)]'), ('line', '{1,2,3}'), ('circle', '<(1,2),3>'),
('path', '[(1,2),(3,4)]'), ('path', '((1,2),(3,4))'),
('box', '(3,4),(1,2)'), ('polygon', '((1,2),(3,4))'),
('float4', '0'), ('float4', '-0'), ('float4', 'NaN'), ('float4', 'Infinity'),
('float4', '-Infinity'), ('float4', '1e-45'), ('float4', '3.4028235e+38'),
('float4', '0.1'), ('float8', '0.1'), ('float8', '-0'), ('float8', 'NaN'),
('float8', 'Infinity'), ('float8', '-Infinity'), ('float8', '5e-324'),
('float8', '1.7976931348623157e+308'), ('float8', '123456789012345678'),
('numeric', '0'), ('numeric', '-0.00'), ('numeric', '12.50'),
('numeric', 'NaN'), ('numeric', 'Infinity'), ('numeric', '-Infinity'),
('numeric', repeat('9', 131072)), ('numeric', '-0.' || repeat('1', 16383)),
('money', '-12.34'), ('money', '92233720368547758.07'),
('date', '4713-01-01 BC'), ('date', '5874897-12-31'), ('date', 'infinity'),
('date', '-infinity'), ('date', '0044-03-15 BC'), ('date', '2026-02-28'),
('time', '00:00:00'), ('time', '24:00:00'), ('time', '23:59:59.999999'),
('timetz', '24:00:00+15:59:59'), ('timetz', '00:00:00-15:59'),
('timestamp', '4713-01-01 00:00:00 BC'), ('timestamp', 'infinity'),
('timestamp', '294276-12-31 23:59:59.999999'), ('timestamp', '-infinity'),
('timestamptz', '4713-01-01 00:00:00+00 BC'), ('timestamptz', 'infinity'),
('timestamptz', '-infinity'), ('timestamptz', '2026-01-02 03:04:05.6+02'),
('interval', '178000000 years'), ('interval', '0'),
('interval', '-1 mon +2 days -03:04:05.678'),
('bit', '1'), ('varbit', ''), ('varbit', '10101'),
('macaddr', '08:00:2b:01:02:03'), ('macaddr8', '08:00:2b:01:02:03:04:05'),
('inet', '10.0.0.1'), ('inet', '::ffff:1.2.3.4/64'), ('cidr', '10.0.0.0/8'),
('cidr', '2001:db8::/32'), ('aclitem', 'postgres=r*w/postgres'),
('refcursor', 'c "d"'), ('regproc', 'now'), ('regprocedure', 'now()'),
('regprocedure', 'substring(text,text)'), ('regoper', '||/'),
('regoperator', '+(integer,integer)'), ('regclass', 'pg_class'),
('regclass', 'public.sample'), ('regtype', 'character varying'),
('regtype', '"char"'), ('regrole', 'postgres'), ('regnamespace', 'pg_toast'),
('regcollation', '"C"'), ('regconfig', 'english'), ('regdictionary', 'simple'),
('uuid', '00000000-0000-0000-0000-0000000000ff'), ('pg_lsn', '0/0'),
('pg_lsn', 'FFFFFFFF/FFFFFFFF'), ('txid_snapshot', '10:20:10,14,15'),
('pg_snapshot', '10:20:'), ('tsvector', 'a:1A ''b c'':2'),
('tsvector', ''), ('tsquery', '''a'' & !''b c'':*A'),
('int4range', 'empty'), ('int4range', '[1,5)'), ('int4range', '(,)'),
('int8range', '[1,)'), ('numrange', '(1.50,NaN]'), ('daterange',
'[-infinity,2026-01-01)'), ('tsrange', '["2026-01-01 00:00:00",infinity]'),
('tstzrange', '["2026-01-01 00:00:00+00",)'), ('int4multirange', '{}'),
('int4multirange', '{[1,2),[5,7)}'), ('int8multirange', '{(,1),[5,)}'),
('nummultirange', '{[1.0,2.00]}'), ('datemultirange',
'{[2026-01-01,infinity)}'), ('tsmultirange',
'{["2026-01-01 00:00:00","2026-01-02 00:00:00"]}'), ('tstzmultirange', '{}');
INSERT INTO sample (type, odd, value) VALUES
('json', true, '{"a":1,"\u0061":2}'), ('json', true, '[{"b":{"a":1,"a":1}}]'),
('json', true, '"\u0000"'), ('json', true, '{"\u0000":1}'),
('json', true, '"\ud800"'), ('json', true, '"\udc00\ud800"'),
('json', true, '1e131072'), ('json', true, '1e-16384'),
('json', true, repeat('[', 257) || repeat(']', 257)),
('json', true, 'null'), ('json', true, ' null '), ('jsonb', true, 'null'),
('jsonb', true, repeat('[', 257) || repeat(']', 257));

-- Values that have no input syntax, taken from PostgreSQL's own tables; the
-- types of indexes that cannot be shown get a NULL.
CREATE TABLE stats (a int, b int);
INSERT INTO stats SELECT i % 7, i % 7 FROM generate_series(1, 1000) i;
CREATE STATISTICS s ON a, b FROM stats;
ANALYZE stats;

CREATE VIEW types AS
SELECT t.oid, t.typname::text AS name, t.typdelim::text AS delim,
    format_type(t.oid, NULL) AS type, a.oid AS array_oid
FROM pg_type t LEFT JOIN pg_type a ON a.oid = t.typarray
WHERE t.typnamespace = 'pg_catalog'::regnamespace
    AND t.typtype IN ('b', 'r', 'm')
    AND NOT (t.typcategory = 'A' AND t.typname LIKE '\_%');

CREATE FUNCTION quoted(value text) RETURNS text AS $$
	SELECT '"' || regexp_replace(value, '(["\\])', '\\\1', 'g') || '"'
$$ LANGUAGE sql;

DO $$
DECLARE
	t record;
	one text;
	every text;
	arrays text[];
BEGIN
	FOR t IN SELECT * FROM types LOOP
		EXECUTE format('CREATE TABLE m.%I (n int PRIMARY KEY, v %s, a %s)',
		    t.name, t.type, t.type || CASE WHEN t.array_oid IS NULL
		    THEN '' ELSE '[]' END);
		EXECUTE format('INSERT INTO m.%I (n, v) SELECT n, value::%s
		    FROM sample WHERE type = %L', t.name, t.type, t.name);
		EXECUTE format('INSERT INTO m.%I (n) VALUES (0)', t.name);
		SELECT quoted(value) INTO one FROM sample
		    WHERE type = t.name AND NOT odd ORDER BY n;
		SELECT string_agg(quoted(value), t.delim ORDER BY n) INTO every
		    FROM sample WHERE type = t.name AND NOT odd;
		CONTINUE WHEN one IS NULL OR t.array_oid IS NULL;
		arrays := ARRAY['{' || every || t.delim || 'NULL}', '{}', '{NULL}',
		    format('{{%1$s%2$sNULL}%2$s{%1$s%2$s%1$s}}', one, t.delim),
		    format('{{{{{{%1$s}%2$s{NULL}}}}}}', one, t.delim),
		    format('[0:1]={%1$s%2$sNULL}', one, t.delim),
		    format('[-1:-1][2:3]={{NULL%2$s%1$s}}', one, t.delim)];
		IF t.name = 'json' THEN
			arrays := arrays || ARRAY['{1,"{\"a\":1,\"a\":2}"}'];
		END IF;
		IF t.name IN ('json', 'jsonb') THEN
			arrays := arrays || ARRAY['{1,"null",NULL}'];
		END IF;
		EXECUTE format('INSERT INTO m.%I (n, a) SELECT -i, u::%s[]
		    FROM unnest($1) WITH ORDINALITY s (u, i)', t.name, t.type)
		USING arrays;
	END LOOP;
END
$$;

INSERT INTO m.pg_node_tree SELECT 1, ev_action FROM pg_rewrite LIMIT 1;
INSERT INTO m.pg_ndistinct SELECT 1, stxdndistinct FROM pg_statistic_ext_data;
INSERT INTO m.pg_dependencies SELECT 1, stxddependencies
FROM pg_statistic_ext_data;
INSERT INTO m.pg_mcv_list SELECT 1, stxdmcv FROM pg_statistic_ext_data;

-- Types with modifiers, and types that are not PostgreSQL's own.
CREATE TYPE public.mood AS ENUM ('sad', 'ok');
CREATE TYPE public."Odd ""one" AS (a int);
CREATE DOMAIN public.money AS numeric(12,2);
CREATE DOMAIN public.bits AS bit varying;
CREATE TABLE public.modified (n int PRIMARY KEY, mood public.mood,
    moods public.mood[], odd public."Odd ""one", odds public."Odd ""one"[],
    domain public.money, domains public.money[], bits public.bits,
    row pg_class, rows pg_class[], row2 pg_database, rows2 pg_database[]);
DO $$
DECLARE
	type text;
	i int := 0;
BEGIN
	FOREACH type IN ARRAY ARRAY['numeric(12,2)', 'numeric(1000,1000)',
	    'numeric(1,0)', 'varchar(1)', 'varchar(10485760)', 'char(1)', 'char(9)',
	    'bpchar', 'bit(3)', '"bit"', 'varbit(7)', 'time(0)', 'time(6)',
	    'timetz(3)', 'timestamp(0)', 'timestamp(6)', 'timestamptz(2)',
	    'interval(0)', 'interval(6)', 'interval year', 'interval month',
	    'interval day', 'interval hour', 'interval minute', 'interval second',
	    'interval second(2)', 'interval year to month',
	    'interval day to hour', 'interval day to minute',
	    'interval day to second', 'interval day to second(1)',
	    'interval hour to minute', 'interval hour to second',
	    'interval hour to second(3)', 'interval minute to second',
	    'interval minute to second(0)', 'numeric(3,5)', 'numeric(3,-5)',
	    'numeric(1000,-1000)'] LOOP
		CONTINUE WHEN type ~ '3,5|-' AND
		    current_setting('server_version_num')::int < 150000;
		i := i + 1;
		EXECUTE format('ALTER TABLE public.modified ADD t%1$s %2$s, ADD a%1$s %2$s[]',
		    i, type);
	END LOOP;
END
$$;
INSERT INTO public.modified (n) VALUES (1);
